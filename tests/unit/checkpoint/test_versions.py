"""What version 1 wrote is still read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import Adam

from seqexp.checkpoint.layout import Checkpoint, open_checkpoint
from seqexp.checkpoint.optimizer import load_optimizer, names_of
from seqexp.checkpoint.versions import FORMAT_VERSION, MIGRATIONS, migrated
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import sha256_of_file


@pytest.fixture
def model() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    return model


@pytest.fixture
def optimizer(model: nn.Module) -> Adam:
    optimizer = Adam(model.parameters(), lr=0.01, fused=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return optimizer


@pytest.fixture
def old(tmp_path: Path, model: nn.Module, optimizer: Adam) -> Checkpoint:
    """A checkpoint as version 1 wrote it."""
    weights = model.state_dict()
    aliases = {"1.weight": "0.weight"}
    (tmp_path / "training").mkdir()
    save_file({name: weights[name] for name in weights if name not in aliases}, tmp_path / "model.safetensors")
    with (tmp_path / "training/optimizer.pt").open("wb") as file:
        torch.save(optimizer.state_dict(), file)
    (tmp_path / "training/progress.json").write_text('{"update": 1}')
    (tmp_path / "config.json").write_text("{}")
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    files = {
        path.relative_to(tmp_path).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in paths
    }
    info = {"format_version": 1, "update": 1, "metrics": {"loss": 2.0}, "aliases": aliases, "files": files}
    (tmp_path / "checkpoint.json").write_text(json.dumps(info))
    return open_checkpoint(tmp_path)


def test_weights_and_counters(old: Checkpoint, model: nn.Module) -> None:
    old.verify()
    weights = old.weights()
    assert weights["1.weight"] is weights["0.weight"]
    model.load_state_dict(weights)
    assert (old.update, old.metrics, old.progress()) == (1, {"loss": 2.0}, {"update": 1})
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


def test_the_optimizer(old: Checkpoint, model: nn.Module, optimizer: Adam) -> None:
    names = names_of(model)
    fresh = Adam(model.parameters(), lr=0.5, fused=True)
    load_optimizer(fresh, names, old.optimizer_state(list(names.values())), "old")
    assert fresh.param_groups[0]["lr"] == 0.5
    for parameter in names:
        assert fresh.state[parameter].keys() == optimizer.state[parameter].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(fresh.state[parameter][key], value) for key, value in optimizer.state[parameter].items())
    with pytest.raises(UserError, match="its optimizer state is of 3 parameters, and 2 are trained"):
        old.optimizer_state(["0.weight", "0.bias"])


def test_every_version_has_a_way_to_this_one() -> None:
    assert list(MIGRATIONS) == list(range(1, FORMAT_VERSION))
    info: dict[str, Any] = {"format_version": 1, "aliases": {}}
    assert migrated(info, Path("here"))["format_version"] == FORMAT_VERSION
    assert info["format_version"] == 1, "a migration changes nothing in place"


def test_an_optimizer_state_that_would_run_code_is_not_read(old: Checkpoint, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"param_groups": [], "state": Evil()}, tmp_path / "training/optimizer.pt")
    with pytest.raises(UserError, match=r"optimizer\.pt: cannot be read: Weights only load failed"):
        old.optimizer_state([])
    assert not (tmp_path / "touched").exists()
