"""What becomes of an update whose loss or gradient is not finite."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from seqexp.config.base import require
from seqexp.data.split import Split
from seqexp.runtime.errors import UserError
from seqexp.training.batch_dump import dump_batches
from seqexp.training.diagnosis import Origin, find_origin
from seqexp.training.display import named_examples
from seqexp.training.progress import Progress
from seqexp.training.share import Share, Totals
from seqexp.training.step import TrainStep


class Policy(StrEnum):
    """What to do then, after the batch has been saved."""

    stop = "stop"
    """The run ends with an error."""
    skip = "skip"
    """The batch is left out, and the next one is tried."""
    rollback = "rollback"
    """Weights and optimizer go back to the newest checkpoint, and the data goes on behind the batch: what lies between
    is left out (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1)."""


@dataclass
class NonFiniteConfig:
    """When the loss or the gradient is infinite or not a number, the batch is saved in `<run>/non_finite/`, with its
    text and the first module that is to blame, and then:"""

    policy: Policy = Policy.stop
    """`stop` the run; `skip` the batch; or `rollback` to the newest checkpoint, and skip the data since."""
    max_in_a_row: int = 5
    """More than so many such batches, with no update between them (with `rollback`, no checkpoint), end the run."""
    max_in_total: int = 100
    """More than so many in the whole run end it."""

    def __post_init__(self) -> None:
        for name in ("max_in_a_row", "max_in_total"):
            require(getattr(self, name) > 0, name, getattr(self, name), "a count above 0")


@dataclass(frozen=True)
class NonFiniteReports:
    """Finds the cause, saves the batch, and says whether the run may go on."""

    config: NonFiniteConfig
    directory: Path
    """Below it, each batch gets a directory of its own."""
    split: Split
    """That the batches come from."""

    def __call__(self, step: TrainStep, share: Share, progress: Progress, totals: Totals | None = None) -> str:
        """Save the batch that `progress` stands before, or what of it the process has in which it is not finite.

        Returns:
            One line that says what is not finite, when, in which examples, and where they are saved; the same in all
            processes.
        """
        world = step.layout.world
        origin = find_origin(step, share, progress.update, totals)
        origins = [Origin(**found) for found in world.gather(asdict(origin))]
        blamed = min(range(world.size), key=lambda rank: (_place(origins[rank]), rank))
        line = self._save(step, share, progress, origin) if world.rank == blamed else ""
        return world.gather(line)[blamed]

    def _save(self, step: TrainStep, share: Share, progress: Progress, origin: Origin) -> str:
        world = step.layout.world
        name = f"update-{progress.update:08d}-epoch-{progress.epoch + 1}-batch-{progress.batch}"
        path = self.directory / name
        facts = {
            "update": progress.update,
            "epoch": progress.epoch + 1,
            "first_micro_batch": progress.batch,
            "not_finite": origin.what,
            "in_micro_batch": origin.micro_batch,
            **step.precision.metrics(),
        }
        who = ""
        if world.size > 1:
            facts["rank"], who = world.rank, f"rank {world.rank}: "
        dump_batches(path, share.batches, share.numbers, self.split, facts)
        examples = _examples(share, origin)
        return f"{who}update {progress.update}: {origin.what} is not finite; {examples}, saved in {path}"

    def require_within_limits(self, what: str, progress: Progress, advice: str) -> None:
        """
        Args:
            what: the line about the batch.
            progress: with this batch counted.
            advice: of the precision.

        Raises:
            UserError: the policy or a limit ends the run.
        """
        config = self.config
        hint = f"; {advice}" if advice else ""
        if config.policy is Policy.stop:
            raise UserError(f"{what}{hint}; the same command with non_finite.policy=skip goes on without this batch")
        for name, count in (
            ("max_in_a_row", progress.num_non_finite_in_a_row),
            ("max_in_total", progress.num_non_finite),
        ):
            if count > getattr(config, name):
                raise UserError(f"{what}; it is more than non_finite.{name}={getattr(config, name)} such batches{hint}")


def _place(origin: Origin) -> float:
    """Sorts what is found: weights, which are bad in all processes; micro-batches; what is bad in none alone."""
    if origin.micro_batch is not None:
        return origin.micro_batch
    return -1 if origin.what.startswith("parameter") else float("inf")


def _examples(share: Share, origin: Origin) -> str:
    """E.g. `examples 3, 17, 5 of micro-batch 0`."""
    where = "" if origin.micro_batch is None else f" of micro-batch {origin.micro_batch}"
    pairs = zip(share.numbers, share.batches, strict=True)
    chosen = [batch for number, batch in pairs if origin.micro_batch in (None, number)]
    return f"{named_examples(chosen)}{where}"
