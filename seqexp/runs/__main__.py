"""`python -m seqexp.runs`: list runs, show one, delete those that are no longer wanted."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from seqexp.config.base import CommandConfig, require
from seqexp.config.command import run
from seqexp.runs.directory import RunDirectory, Status, open_run, runs_below
from seqexp.runs.journal import read_journal


class Action(StrEnum):
    """What to do."""

    list = "list"
    """A line for each run."""
    show = "show"
    """All about one run, `run=`."""
    clean = "clean"
    """Delete the runs that `status`, `name` and `older_than_days` choose; without `confirm=true` only say which."""


@dataclass
class RunsConfig(CommandConfig):
    action: Action = Action.list
    root: str = "outputs"
    """Folder with runs in `<name>/<key>`."""
    run: str | None = None
    """Directory of the run to show."""
    name: str | None = None
    """Only runs of this experiment; null: of all."""
    status: list[Status] = field(default_factory=list)
    """Only runs of these; empty: of any. `clean` needs it, and never deletes a run that is running."""
    older_than_days: float = 0.0
    """Only runs in which nothing was written for so long."""
    confirm: bool = False
    """Delete what `clean` chooses."""

    def __post_init__(self) -> None:
        require(self.older_than_days >= 0, "older_than_days", self.older_than_days, "a number from 0")
        is_shown = self.action is Action.show
        require(
            is_shown == (self.run is not None), "run", self.run, "action=show, and only that, needs a run's directory"
        )
        require(
            self.action is not Action.clean or bool(self.status),
            "status",
            self.status,
            "action=clean needs the kinds of run to delete, e.g. status=[failed,interrupted]",
        )


def main(config: RunsConfig) -> None:
    if config.action is Action.show:
        print("\n".join(description(open_run(str(config.run)))))
        return
    chosen = list(choose(config))
    if config.action is Action.list:
        print(table(chosen))
        return
    for directory in chosen:
        what = f"{directory.path} ({size(directory.path)})"
        if config.confirm:
            shutil.rmtree(directory.path)
            with contextlib.suppress(OSError):  # the experiment has other runs
                directory.path.parent.rmdir()
        print(f"{'deleted' if config.confirm else 'would delete'} {what}")
    if chosen and not config.confirm:
        print("confirm=true deletes them")
    if not chosen:
        print("no run is of that kind")


def choose(config: RunsConfig) -> Iterator[RunDirectory]:
    """The runs that the options speak of."""
    now = time.time()
    for directory in runs_below(Path(config.root)):
        status = directory.status()
        if config.name is not None and directory.path.parent.name != config.name:
            continue
        if config.status and status not in config.status:
            continue
        if now - last_written(directory) < 86400 * config.older_than_days:
            continue
        if config.action is Action.clean and status is Status.running:
            continue
        yield directory


def table(runs: Sequence[RunDirectory]) -> str:
    """A line for each run: where, how it stands, updates, best value of its metric, when it was last written."""
    rows = [["run", "status", "update", "metric", "best", "last written"]]
    for directory in runs:
        figures = figures_of(directory)
        best = figures["best"]
        written = time.strftime("%Y-%m-%d %H:%M", time.localtime(last_written(directory)))
        rows.append(
            [
                str(directory.path),
                str(directory.status()),
                str(figures["update"]),
                figures["metric"],
                "" if best is None else f"{best:.4f}",
                written,
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def figures_of(directory: RunDirectory) -> dict[str, Any]:
    """Update, metric and its best value so far, from the result or from the journal."""
    config = directory.read_config()
    metric = str(config["checkpoint"]["metric"])
    result = directory.result()
    if result is not None:
        return {"update": result["updates"], "metric": metric, "best": result["best"]}
    update, values, maximize = 0, [], False
    for line in read_journal(directory.journal):
        update = max(update, line["update"])
        maximize = line.get("maximize", maximize)
        if line["kind"] == "valid" and isinstance(line["metrics"].get(metric), float):
            values.append(line["metrics"][metric])
    best = (max if maximize else min)(values, default=None)
    return {"update": update, "metric": metric, "best": best}


def description(directory: RunDirectory) -> list[str]:
    """What there is to know of a run, a line each."""
    origin = directory.provenance()
    figures = figures_of(directory)
    lines = {
        "run": directory.path,
        "status": directory.status(),
        "update": figures["update"],
        f"best {figures['metric']}": None if figures["best"] is None else f"{figures['best']:.4f}",
        "data": origin.get("data"),
        "parent": (origin.get("parent") or {}).get("checkpoint"),
        "python": origin.get("python"),
        "torch": origin.get("packages", {}).get("torch"),
        "command": " ".join(origin.get("command", [])),
    }
    for root, state in origin.get("git", {}).items():
        changed = ", with changes that were not committed (code.diff)" if state["changed"] else ""
        lines[f"git {root}"] = f"{state['commit']}{changed}"
    holder = directory.holder()
    if holder is not None:
        lines["in use by"] = f"process {holder['pid']} on {holder['host']}"
    result = directory.result() or {}
    for split, metrics in result.items():
        if isinstance(metrics, dict) and split != "signatures":
            numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
            lines[split] = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
    if directory.status() is Status.failed:
        lines["error"] = [line["error"] for line in read_journal(directory.journal) if line["kind"] == "failed"][-1]
    lines["checkpoints"] = ", ".join(sorted(path.name for path in directory.checkpoints.glob("update-*")))
    lines["size"] = size(directory.path)
    width = max(map(len, lines))
    return [f"{name:{width}}  {value}" for name, value in lines.items() if value not in (None, "")]


def last_written(directory: RunDirectory) -> float:
    """When the journal, or else the config, was last changed: seconds since the epoch."""
    path = directory.journal if directory.journal.exists() else directory.config
    return path.stat().st_mtime


def size(path: Path) -> str:
    """What a directory takes on disk, for people."""
    num_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return f"{num_bytes / 1e6:,.1f} MB"


def cli() -> None:
    run("runs", RunsConfig, main, dict)


if __name__ == "__main__":
    cli()
