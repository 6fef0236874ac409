"""The command that proves on a run's own config that resuming is exact."""

import json
from pathlib import Path

import pytest
import torch

from seqexp.verify import differences

from .conftest import TINY, Command

HERE = Path(__file__).parent
OPTIONS = [*TINY, "stop.max_updates=8", "validation.scores=false", "validation.final_splits=[]", "validation.sanity=0"]


@pytest.mark.parametrize("criterion", ["label_smoothed_cross_entropy", "schema/forgetful"])
def test_an_exact_run_and_one_that_forgets(
    tmp_path: Path,
    data: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    criterion: str,
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    run = tmp_path / "run"
    command("train", "plugins=[forgetful]", f"criterion={criterion}", f"task.data={data}", f"run.dir={run}", *OPTIONS)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    verify = "verify", f"run={run}", "updates=8", "checkpoint_every=2"
    if criterion == "schema/forgetful":
        with pytest.raises(SystemExit, match="1"):
            command(*verify)
        printed = capsys.readouterr().out
        assert printed.startswith("not equal after update 8: ")
        assert "  model." in printed
        assert (run / "verify/killed/checkpoints").exists()
    else:
        printed, _ = command(*verify)
        assert printed.startswith("equal bit for bit after update 8: ")
        assert [path.name for path in (run / "verify").iterdir()] == ["result.json"]
    assert json.loads((run / "verify/result.json").read_text())["equal"] == (criterion != "schema/forgetful")
    assert {path: path.read_bytes() for path in before} == before


def test_differences_are_named() -> None:
    zero, other = torch.zeros(2), torch.tensor([0.0, 0.5])
    one = {"a": zero, "b": [1, {"c": 2.0}], "d": zero, "nan": torch.tensor(torch.nan)}
    assert list(differences("", one, one)) == []
    assert list(differences("", one, {**one, "a": other, "b": [1, {"c": 3.0}], "d": zero.double()})) == [
        "a: by up to 0.5",
        "b[1].c: 2.0 and 3.0",
        "d: (2,) torch.float32 and (2,) torch.float64",
    ]
    assert list(differences("", {"a": -zero}, {"a": zero})) == ["a: by up to 0"]
