"""Every mistake of the table gets its one line, its exit status, and leaves nothing half-written."""

import io
import re
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import Command
from .mistakes import MISTAKES, TRAIN, Mistake
from .test_runs import failing


@pytest.fixture(scope="module")
def folder(data: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, text and a finished run."""
    folder = tmp_path_factory.mktemp("folder")
    shutil.copytree(data, folder / "data")
    shutil.copytree(text, folder / "text")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train", *TRAIN, "run.dir=run"])
        from seqexp.train import cli

        cli()
    return folder


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_mistake(
    folder: Path,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mistake: Mistake,
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mistake.input)))
    mistake.spoil()
    before = set(tmp_path.rglob("*"))
    status, printed = failing(command, capsys, mistake.command, *mistake.arguments)
    *others, last = printed.splitlines()
    assert status == mistake.status
    pattern = re.escape(f"error: {mistake.line}").replace(re.escape("..."), ".+")
    assert re.fullmatch(pattern, last), last
    assert "Traceback" not in printed
    if mistake.command != "train" or "--multirun" not in mistake.arguments:
        assert [line for line in others if not line.startswith(("run: ", "model: ", "taken over", "frozen: "))] == []
    new = {path.relative_to(tmp_path).parts[0] for path in set(tmp_path.rglob("*")) - before}
    assert sorted(new) == mistake.left
