"""The directory that a command writes its results to: one for the same inputs, never over something else."""

from pathlib import Path

from seqexp.runs.directory import read_json
from seqexp.runtime.errors import UserError


def output_directory(given: str | None, default: Path, key: str) -> Path:
    """Where results go.

    Args:
        given: what the user asks for; None for `default`, whose name tells of the key.
        key: hash of what the results depend on; they are to hold it as `key` in `result.json`.

    Raises:
        UserError: something else is there already.
    """
    if given is None:
        return default
    path = Path(given)
    if path.exists() and not path.is_dir():
        raise UserError(f"output={given} is a file; give the name of a directory")
    if path.is_dir() and any(path.iterdir()) and (read_json(path / "result.json") or {}).get("key") != key:
        raise UserError(f"output={given} holds something else already; give another name")
    return path
