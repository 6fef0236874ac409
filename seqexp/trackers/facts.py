"""What the files of a run's directory say about it, in the form that trackers take."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqexp.config.saved import COMPONENT
from seqexp.runs.directory import RunDirectory, Status
from seqexp.runs.journal import last_line

NO_PARAMETERS = ("run", "tracker", "name", "log")
"""Parts of a config that say nothing about the experiment; they are in `config.json`."""

FILES = ("config.json", "overrides.txt", "provenance.json", "log.txt", "result.json")
FOLDERS = ("final", "generate", "validate", "eval_lm")


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """The saved config flat, as one would write it on the command line: `model=transformer`, `model.dropout=0.1`."""
    return dict(_flat({key: value for key, value in config.items() if key not in NO_PARAMETERS}, ""))


def tags(run: RunDirectory) -> dict[str, str]:
    """Where the run comes from and what it came to, as far as short words can say it."""
    origin, result = run.provenance(), run.result() or {}
    last = last_line(run.journal) or {}
    attempt = last.get("attempt", 1)
    found = {
        **{key: value for key, value in origin.items() if key != "folder" and not isinstance(value, dict | list)},
        "git_commit": next((state["commit"] for state in origin.get("git", {}).values()), None),
        "git_changed": any(state["changed"] for state in origin.get("git", {}).values()),
        "parent": (origin.get("parent") or {}).get("checkpoint"),
        "directory": str(run.path.resolve()),
        **{key: result.get(key) for key in ("stop_reason", "num_parameters", "best_update")},
        **{f"signature/{name}": value for name, value in result.get("signatures", {}).items()},
        "attempt": attempt,
        # The error of an earlier attempt is over: a tag can be changed, not taken back.
        "error": last.get("error", "" if attempt > 1 else None),
    }
    return {key: _text(value) for key, value in found.items() if value is not None}


def status(run: RunDirectory) -> tuple[Status, float]:
    """How the run stands, and since when (in seconds since 1970)."""
    last = last_line(run.journal)
    return run.status(), run.config.stat().st_mtime if last is None else last["time"]


def files(run: RunDirectory) -> Iterator[tuple[Path, str]]:
    """The files that are worth a copy, each with its name below the run's directory."""
    paths = [run.path / name for name in FILES if (run.path / name).exists()]
    for folder in FOLDERS:
        paths += sorted(path for path in (run.path / folder).rglob("*") if path.is_file())
    for path in paths:
        if not path.name.startswith("."):
            yield path, path.relative_to(run.path).as_posix()


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield key, _text(value)
        return
    for name, item in value.items():
        if name == COMPONENT:
            yield key, str(item).rpartition("/")[2]
        else:
            yield from _flat(item, f"{key}.{name}" if key else name)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
