import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from seqexp.runtime.errors import UserError
from seqexp.runtime.scratch import ScratchDirectory


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"seqexp-{os.getuid()}"


def directories(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()]


def test_it_goes_with_the_object(root: Path) -> None:
    scratch = ScratchDirectory()
    (scratch.path / "file").write_text("content")
    other = ScratchDirectory()
    assert sorted(directories(root)) == sorted([scratch.path, other.path])
    del scratch
    assert directories(root) == [other.path]
    other.delete()
    other.delete()
    assert directories(root) == []


def test_what_a_killed_process_left_is_deleted(root: Path) -> None:
    program = (
        "import os, signal, sys, tempfile; tempfile.tempdir = sys.argv[1];"
        "from seqexp.runtime.scratch import ScratchDirectory; scratch = ScratchDirectory();"
        "print(scratch.path, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(root.parent)], capture_output=True, text=True, check=False
    )
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    scratch = ScratchDirectory()
    assert directories(root) == [scratch.path]


def test_a_forked_process_does_not_delete_it() -> None:
    scratch = ScratchDirectory()
    child = os.fork()
    if child == 0:
        scratch.delete()
        os._exit(0)
    os.waitpid(child, 0)
    assert scratch.path.is_dir()


def test_a_folder_that_cannot_be_written_is_named(root: Path) -> None:
    root.write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be written: .*; set TMPDIR to another folder"):
        ScratchDirectory()
