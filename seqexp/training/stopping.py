"""When a run is over."""

from seqexp.lr_schedulers.base import LRScheduler
from seqexp.training.config import StopConfig
from seqexp.training.progress import Progress


def stop_reason(config: StopConfig, progress: Progress, scheduler: LRScheduler) -> str | None:
    """The rule that ends the run now, named by its key; None to go on."""
    if config.max_updates is not None and progress.update >= config.max_updates:
        return f"stop.max_updates={config.max_updates}"
    if config.epochs is not None and progress.epoch >= config.epochs:
        return f"stop.max_epochs={config.epochs}"
    if config.max_hours is not None and progress.seconds >= 3600 * config.max_hours:
        return f"stop.max_hours={config.max_hours}"
    if config.patience is not None and progress.num_validations_since_best >= config.patience:
        return f"stop.patience={config.patience}"
    if config.min_lr is not None and progress.lrs:
        now = scheduler.lr_at(progress.update)
        if now <= config.min_lr and now <= max(progress.lrs.values()):  # it rises during a warm-up only
            return f"stop.min_lr={config.min_lr}"
    return None
