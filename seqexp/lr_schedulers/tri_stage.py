"""Warm-up, plateau, exponential decay (Park et al., 2019, arXiv 1904.08779)."""

from dataclasses import dataclass, field

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, warmup


@dataclass
class TriStageConfig(WarmupConfig):
    """From `init_scale` times the optimizer's `lr` up to it, then that, then exponentially down to `final_scale` times
    it. The stages' lengths are `parts` of the run, or with `parts=null` counts of updates."""

    _target_: str = "seqexp.lr_schedulers.tri_stage.TriStage"
    parts: list[float] | None = field(default_factory=lambda: [0.1, 0.4, 0.5])
    """Of the run, which each stage takes, together 1; null: `warmup_updates`, `hold_updates` and `decay_updates`."""
    hold_updates: int = 0
    decay_updates: int = 0
    init_scale: float = 0.01
    final_scale: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        parts, counts = self.parts, [self.warmup_updates, self.hold_updates, self.decay_updates]
        right = "three numbers not below 0 that add up to 1, the last above 0"
        sound = parts is None or (len(parts) == 3 and min(parts) >= 0 and abs(sum(parts) - 1) < 1e-6 and parts[2] > 0)
        require(sound, "parts", parts, right)
        require(parts is None or not any(counts), "parts", parts, "null, if the stages are given in updates")
        require(self.hold_updates >= 0, "hold_updates", self.hold_updates, "a count from 0")
        require(parts is not None or self.decay_updates > 0, "decay_updates", self.decay_updates, "a count above 0")
        require(self.init_scale >= 0, "init_scale", self.init_scale, "a number not below 0")
        require(self.final_scale > 0, "final_scale", self.final_scale, "a number above 0")


class TriStage(LRScheduler):
    def __init__(self, config: TriStageConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr = config, lr
        self.lengths = [config.warmup_updates, config.hold_updates, config.decay_updates]
        if config.parts is not None:
            if max_updates is None:
                raise ValueError(
                    "lr_scheduler.parts needs a run of known length: set stop.max_updates or stop.max_epochs, or "
                    "lr_scheduler.parts=null and counts of updates"
                )
            self.lengths = [int(part * max_updates) for part in config.parts]

    def lr_at(self, update: int) -> float:
        num_warmup, num_hold, num_decay = self.lengths
        if update < num_warmup:
            return warmup(update, num_warmup, self.config.init_scale * self.lr, self.lr)
        since_hold = update - num_warmup - num_hold
        if since_hold < 0:
            return self.lr
        if since_hold >= num_decay:
            return self.lr * self.config.final_scale
        return float(self.lr * self.config.final_scale ** (since_hold / num_decay))
