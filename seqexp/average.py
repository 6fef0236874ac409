"""`python -m seqexp.average`: the average of several checkpoints, as a checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path

from seqexp.checkpoint.average import write_average
from seqexp.checkpoint.layout import Checkpoint, open_checkpoint
from seqexp.config.base import CommandConfig, require
from seqexp.plugins import run
from seqexp.pretrained import checkpoints_of
from seqexp.runs.directory import open_run
from seqexp.runs.identity import digest
from seqexp.runtime.errors import UserError
from seqexp.runtime.logs import show_messages

WAYS = ("last", "best", "updates", "checkpoints")


@dataclass
class AverageConfig(CommandConfig):
    """Averages the weights of checkpoints that one of `last`, `best`, `updates`, `checkpoints` names."""

    run: str | None = None
    """Directory of a run; null with `checkpoints`."""
    last: int | None = None
    """So many of the run's newest checkpoints."""
    best: int | None = None
    """So many of its best ones by `checkpoint.metric`."""
    updates: list[int] = field(default_factory=list)
    """Those of these updates."""
    checkpoints: list[str] = field(default_factory=list)
    """These directories, of one run or of several."""
    up_to_update: int | None = None
    """With `last`: none that is newer than this; null: no limit."""
    output: str | None = None
    """Directory of the average; null: one below the run's directory, named by what is averaged."""

    def __post_init__(self) -> None:
        given = [name for name in WAYS if getattr(self, name) not in (None, [])]
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in given)
        if len(given) != 1:
            require(False, given[1] if given else "last", getattr(self, given[1]) if given else None, _choice(shown))
        for name in ("last", "best"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "a count above 0, or null")
        by_path = bool(self.checkpoints)
        require(by_path == (self.run is None), "run", self.run, "last, best and updates need one, checkpoints none")
        require(
            not by_path or self.output is not None, "output", self.output, "checkpoints needs the name of a directory"
        )
        unlimited = self.up_to_update is None or self.last is not None
        require(unlimited, "up_to_update", self.up_to_update, "it goes with last")


def _choice(given: str) -> str:
    return f"give one of {', '.join(WAYS)}" + (f", not {given} together" if given else "")


def main(config: AverageConfig) -> None:
    show_messages()
    chosen = chosen_checkpoints(config)
    output = output_of(config, chosen)
    if (output / "checkpoint.json").exists():
        known = open_checkpoint(output).info.get("average_of", [])
        if [each["content"] for each in known] == [checkpoint.content for checkpoint in chosen]:
            print(f"there already: {output}")
            return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"output={output} holds something else already; give another name")
    write_average(chosen, output)
    for checkpoint in chosen:
        value = "".join(f", {name} {metric:.4f}" for name, metric in checkpoint.metrics.items() if name == "loss")
        print(f"  {checkpoint.path} (update {checkpoint.update}{value})")
    print(f"average of {len(chosen)}: {output}")


def chosen_checkpoints(config: AverageConfig) -> list[Checkpoint]:
    """What is to be averaged.

    Raises:
        UserError: one is not there, or there are fewer than asked for.
    """
    if config.checkpoints:
        return [open_checkpoint(Path(path)) for path in config.checkpoints]
    assert config.run is not None
    store = checkpoints_of(open_run(config.run), config.trust)
    there = store.all()
    known = f"{config.run} has {', '.join(str(checkpoint.update) for checkpoint in there) or 'none'}"
    if config.updates:
        by_update = {checkpoint.update: checkpoint for checkpoint in there}
        for update in config.updates:
            if update not in by_update:
                raise UserError(f"updates={update}: no such checkpoint; {known}")
        return [by_update[update] for update in config.updates]
    if config.best is not None:
        found, wanted, name = store.retention.ranked(there)[: config.best], config.best, "best"
    else:
        limit = config.up_to_update
        candidates = [checkpoint for checkpoint in there if limit is None or checkpoint.update <= limit]
        assert config.last is not None
        found, wanted, name = candidates[::-1][: config.last], config.last, "last"
    if len(found) < wanted:
        what = f" with {store.retention.metric}" if name == "best" else ""
        raise UserError(
            f"{name}={wanted}: only {len(found)} checkpoints{what} were kept; {known}, and checkpoint.keep_{name} says "
            "how many a run keeps"
        )
    return found


def output_of(config: AverageConfig, chosen: list[Checkpoint]) -> Path:
    """Where the average goes."""
    if config.output is not None:
        return Path(config.output)
    assert config.run is not None
    way = "updates" if config.updates else "best" if config.best is not None else "last"
    key = digest([checkpoint.content for checkpoint in chosen])[:12]
    return Path(config.run) / "average" / f"{way}-{len(chosen)}-{key}"


def cli() -> None:
    run("average", AverageConfig, main, ())


if __name__ == "__main__":
    cli()
