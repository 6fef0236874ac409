"""Ctrl-C at any moment of a command's start ends it with status 130 and one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def interrupting(folder: Path, module: str) -> dict[str, str]:
    """An environment in which importing `module` is when Ctrl-C comes."""
    (folder / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.fixture(autouse=True)
def _sees_interrupts() -> Iterator[None]:
    """Processes that are started in the background of a shell ignore Ctrl-C, and so do those that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("module", ["omegaconf", "plugin"])
def test_while_a_command_starts(tmp_path: Path, module: str) -> None:
    """In the imports of the command, and when the command line is read."""
    command = [sys.executable, "-m", "seqexp.score", "plugins=[plugin]", "hypotheses=a", "references=b"]
    ended = subprocess.run(command, env=interrupting(tmp_path, module), cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")


def test_a_library_changes_no_handler(tmp_path: Path) -> None:
    code = "import signal, seqexp; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    (tmp_path / "other.py").write_text(code)
    for arguments in (["-c", code], ["-m", "other", "-m", "seqexp"]):
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
        ended = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
        assert ended.stdout == "True\n", ended.stderr
