"""Which checkpoints of a run are the best, and which are kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqexp.checkpoint.layout import Checkpoint


@dataclass(frozen=True)
class Retention:
    """Rules; a checkpoint that one of them keeps is kept."""

    metric: str
    """Key of the validation metrics that says which is the best."""
    maximize: bool
    keep_last: int = 1
    """So many of the newest."""
    keep_best: int = 1
    """So many of the best."""
    keep_every_updates: int | None = None
    """Those whose update is a multiple of this."""

    def ranked(self, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
        """Those with a value of the metric, the best first; the earlier of equals."""
        scored = [checkpoint for checkpoint in checkpoints if self.metric in checkpoint.metrics]
        return sorted(scored, key=lambda checkpoint: (self._rank(checkpoint.metrics), checkpoint.update))

    def would_keep(self, metrics: Mapping[str, float], checkpoints: Sequence[Checkpoint]) -> bool:
        """Whether one with these metrics would be among the best that are kept."""
        if self.metric not in metrics or self.keep_best == 0:
            return False
        ranked = self.ranked(checkpoints)
        return len(ranked) < self.keep_best or self._rank(metrics) < self._rank(ranked[self.keep_best - 1].metrics)

    def superseded(self, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
        """Those that no rule keeps, of all there are, oldest first."""
        kept = {checkpoint.update for checkpoint in checkpoints[-self.keep_last :]}
        kept |= {checkpoint.update for checkpoint in self.ranked(checkpoints)[: self.keep_best]}
        if self.keep_every_updates is not None:
            kept |= {each.update for each in checkpoints if each.update % self.keep_every_updates == 0}
        return [checkpoint for checkpoint in checkpoints if checkpoint.update not in kept]

    def _rank(self, metrics: Mapping[str, float]) -> float:
        """Low is good; what is not a number is worse than all numbers."""
        value = metrics[self.metric]
        if math.isnan(value):
            return math.inf
        return -value if self.maximize else value
