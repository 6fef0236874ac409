import subprocess
import sys
from pathlib import Path

import pytest

from seqexp.optimizers.adam import AdamConfig
from seqexp.runs.provenance import code_changes, differences, hash_of_code, provenance


def test_it_compares_equal_with_itself_and_names_what_counts() -> None:
    found = provenance([AdamConfig])
    assert differences(found, found) == []
    assert set(found["code"]) == {"seqexp"}
    assert found["packages"]["torch"].startswith("2.")
    assert found["hardware"]["num_processors"] >= 1


def test_the_code_of_components_from_outside_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "outside_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("class Config: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    from outside_package.part import Config  # type: ignore[import-not-found]

    before = provenance([Config])
    assert set(before["code"]) == {"outside_package", "seqexp"}
    (package / "part.py").write_text("class Config: x = 1\n")
    assert differences(before, provenance([Config])) == ["the code of outside_package"]
    del sys.modules["outside_package"]
    assert hash_of_code("outside_package") != before["code"]["outside_package"]


def test_uncommitted_changes_of_the_working_directory_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "notes").write_text("one\n")
    git("add", "notes")
    git("commit", "-m", "first")
    monkeypatch.chdir(tmp_path)
    assert provenance()["git"][str(tmp_path.resolve())]["changed"] is False
    (tmp_path / "notes").write_text("two\n")
    state = provenance()["git"][str(tmp_path.resolve())]
    assert state["changed"] is True
    assert len(state["commit"]) == 40
    assert "+two" in code_changes()


def test_outside_of_any_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in provenance()["git"]
