"""Which directory a training run uses, and whether it may go on there.

An `origin` is what `provenance.json` of a run holds: `key`, `config` (a hash), `data` (a hash), `code`, `packages`, ...
"""

from pathlib import Path
from typing import Any

from seqexp.runs.directory import RunDirectory, next_rerun, reruns
from seqexp.runs.provenance import differences
from seqexp.runtime.errors import UserError


def select_run(path: Path, origin: dict[str, Any], *, rerun: bool, force: bool) -> RunDirectory:
    """The run at `path`, or a rerun of it in a directory beside it.

    Args:
        path: where the run lives, made from what its result depends on.
        origin: of the run as it would be now.
        rerun: start anew, unless the last rerun is unfinished.
        force: go on also where the code has changed.

    Raises:
        UserError: a run of another config or other data is there, or an unfinished one of other code.
    """
    directory = RunDirectory(path)
    changed = _changes_since_start(directory, origin)
    if rerun:
        *earlier, last = reruns(path) or [directory]
        goes_on = bool(earlier) and last.result() is None and not _changes_since_start(last, origin)
        return last if goes_on else next_rerun(path)
    if changed and directory.result() is None and not force:
        raise UserError(
            f"{path} was started with other code ({'; '.join(changed)}): run.resume=force goes on with it all the "
            f"same, run.rerun=true starts anew in {next_rerun(path).path}"
        )
    return directory


def same_order(run: Path, saved_config: dict[str, Any], origin: dict[str, Any]) -> bool:
    """Whether another run took its examples in the order in which this one takes them."""
    directory = RunDirectory(run)
    before = directory.provenance()
    if not before or before["data"] != origin["data"]:
        return False
    config = directory.read_config()
    relevant = ("seed", "batch")
    return all(config[key] == saved_config[key] for key in relevant)


def runs_on_other_data(path: Path, origin: dict[str, Any]) -> list[Path]:
    """Runs beside `path` of the same config on other data: the data may have changed under the same path."""
    found = []
    for file in sorted(path.parent.glob("*/provenance.json")):
        before = RunDirectory(file.parent).provenance()
        if before.get("config") == origin["config"] and before["data"] != origin["data"]:
            found.append(file.parent)
    return found


def _changes_since_start(directory: RunDirectory, origin: dict[str, Any]) -> list[str]:
    """What of the code differs from when a run was started, in words; empty for a new one.

    Raises:
        UserError: it is a run of another config or other data.
    """
    before = directory.provenance()
    if not before:
        return []
    if before["key"] != origin["key"]:
        what = "other data" if before["config"] == origin["config"] else "another config"
        raise UserError(f"{directory.path} holds a run of {what}: give run.dir= another name")
    return differences(before, origin)
