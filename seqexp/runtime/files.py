"""Writing files so that a reader sees the old content or the new, never a part."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqexp.runtime.errors import UserError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well it is flushed to disk and takes `path`'s name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give an empty directory beside `path`; when the block ends well it is flushed to disk and takes `path`'s name.

    Where another process has been faster, its directory stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            flush_to_disk(file)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir() or not any(path.iterdir()):
                raise
        flush_to_disk(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, keys in the order given."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_lines(path: Path, key: str) -> list[str]:
    """Lines of a UTF-8 text file, split at line feeds only; a carriage return before one is dropped.

    Raises:
        UserError: the file, given as option `key`, is missing or not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{key}={path} cannot be read: {error.strerror}") from None
    return lines_in(content, f"{key}={path}")


def lines_in(content: bytes, what: str) -> list[str]:
    """Lines of UTF-8 text, as `read_lines` splits it.

    Raises:
        UserError: it is not UTF-8; `what` says what it is.
    """
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    try:
        return [line.removesuffix(b"\r").decode("utf-8") for line in lines]
    except UnicodeDecodeError:
        number = next(i for i, line in enumerate(lines, 1) if not _is_utf8(line))
        raise UserError(f"{what}: line {number} is not valid UTF-8") from None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def flush_to_disk(path: Path) -> None:
    """fsync a file, or a directory's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
