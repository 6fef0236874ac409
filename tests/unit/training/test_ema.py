"""The moving average of weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from seqexp.checkpoint.layout import AVERAGED, MODEL, TRAINED, Checkpoint, Weights, open_checkpoint
from seqexp.checkpoint.tensors import TensorSet
from seqexp.checkpoint.writing import Content, write_checkpoint
from seqexp.config.build import build
from seqexp.precisions.bf16_master import BF16MasterConfig
from seqexp.runtime.errors import UserError
from seqexp.training.ema import EMA, EMAConfig, NoEMA, build_ema


def make_model() -> nn.Module:
    """With a tied weight, and buffers that are numbers and a count."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    return model


def change(model: nn.Module, update: int) -> None:
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(update * (1 + len(name) % 3))
            else:
                tensor.fill_(update)


def averages_after(config: EMAConfig, num_updates: int, model: nn.Module | None = None) -> dict[str, torch.Tensor]:
    model = model or make_model()
    ema = EMA(config, model)
    for update in range(1, num_updates + 1):
        change(model, update)
        ema.update(update)
    sets = ema.tensor_sets(TensorSet.of(model.state_dict()))
    return {name: part.tensor for name, part in sets[MODEL].parts.items()}


def fairseq_averages(decay: float, start: int, every: int, num_updates: int) -> dict[str, torch.Tensor]:
    """ema := decay * ema + (1 - decay) * parameter, with decay 0 before `start`, at every `every`-th call."""
    model = make_model()
    averages = {name: tensor.clone().double() for name, tensor in model.state_dict().items()}
    for update in range(1, num_updates + 1):
        change(model, update)
        if update % every == 0:
            now = 0.0 if update < start else decay
            for name, tensor in model.state_dict().items():
                averages[name] = now * averages[name] + (1 - now) * tensor.double()
    return averages


@pytest.mark.parametrize(("decay", "start", "every"), [(0.9, 0, 1), (0.9999, 0, 1), (0.3, 4, 1), (0.9, 3, 2)])
def test_the_numbers_are_those_of_fairseq(decay: float, start: int, every: int) -> None:
    found = averages_after(EMAConfig(decay=decay, start_update=start, every_updates=every), 7)
    expected = fairseq_averages(decay, start, every, 7)
    assert found.keys() == expected.keys() - {"2.weight"}
    for name, average in found.items():
        if average.is_floating_point():
            torch.testing.assert_close(average.double(), expected[name], rtol=1e-6, atol=1e-6)
    assert found["1.num_batches_tracked"].item() == 7 - 7 % every, "a count is copied"


def test_in_32_bits_a_small_step_counts() -> None:
    moved = {}
    for fp32 in (True, False):
        model = nn.Linear(1, 1).bfloat16()
        ema = EMA(EMAConfig(decay=0.999, fp32=fp32), model)
        with torch.no_grad():
            model.weight.add_(1)
        for update in range(1, 400):
            ema.update(update)
        sets = ema.tensor_sets(TensorSet.of(model.state_dict()))
        assert sets[MODEL].parts["weight"].tensor.dtype == torch.bfloat16
        assert (AVERAGED in sets) == fp32
        moved[fp32] = (model.weight - sets[MODEL].parts["weight"].tensor).abs().item()
    assert moved[True] < moved[False]


def test_the_masters_are_averaged(tmp_path: Path) -> None:
    """Not the weights, which they move too little to change."""
    precision = build(BF16MasterConfig(), device=torch.device("cpu"))

    def made() -> tuple[nn.Module, EMA]:
        model = nn.Linear(1, 1)
        nn.init.ones_(model.weight)
        precision.prepare(model)
        precision.masters(list(model.parameters()))
        return model, EMA(EMAConfig(decay=0.5), model, master=precision.master)

    model, ema = made()
    with torch.no_grad():
        precision.master(model.weight).add_(1e-3)
    precision.succeeded()
    ema.update(1)
    assert model.weight.item() == 1
    checkpoint = saved(tmp_path / "one", ema, model)
    assert checkpoint.weights(Weights.averaged)["weight"].item() == pytest.approx(1.0005)
    with torch.no_grad():
        precision.master(model.weight).add_(0.1)
    with ema.validating():
        assert model.weight.item() == 1
    ema.update(2)
    with ema.validating():
        assert model.weight.item() == torch.tensor(1.05075).bfloat16().item()
    other, loaded = made()
    loaded.load(checkpoint)
    assert saved(tmp_path / "two", loaded, other).content_of(Weights.averaged) == checkpoint.content_of(
        Weights.averaged
    )


def test_the_average_is_in_the_model_for_validation_only() -> None:
    model = make_model()
    ema = EMA(EMAConfig(decay=0.5), model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    change(model, 1)
    ema.update(1)
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with ema.validating():
        assert torch.equal(model[0].weight, (before["0.weight"] + trained["0.weight"]) / 2)
        assert model[2].weight is model[0].weight
    assert all(torch.equal(tensor, trained[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(ZeroDivisionError), ema.validating():
        _ = 1 / 0
    assert all(torch.equal(tensor, trained[name]) for name, tensor in model.state_dict().items())
    with EMA(EMAConfig(decay=0.5, use_for_validation=False), model).validating():
        assert torch.equal(model[0].weight, trained["0.weight"])


def saved(path: Path, ema: NoEMA, model: nn.Module) -> Checkpoint:
    content = Content(1, {}, {}, {}, ema.tensor_sets(TensorSet.of(model.state_dict())))
    write_checkpoint(path, content)
    return open_checkpoint(path)


@pytest.mark.parametrize("prepare", [nn.Module.float, nn.Module.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("use_for_validation", [True, False])
def test_it_comes_back_bit_for_bit(
    tmp_path: Path, prepare: Callable[[nn.Module], nn.Module], use_for_validation: bool
) -> None:
    config = EMAConfig(decay=0.9, use_for_validation=use_for_validation)
    models = [prepare(make_model()) for _ in range(2)]
    emas = [EMA(config, model) for model in models]
    change(models[0], 1)
    emas[0].update(1)
    checkpoint = saved(tmp_path / "one", emas[0], models[0])
    assert checkpoint.has(TRAINED) == use_for_validation
    models[1].load_state_dict(checkpoint.weights(Weights.trained))
    emas[1].load(checkpoint)
    for model, ema in zip(models, emas, strict=True):
        change(model, 2)
        ema.update(2)
    checkpoints = [saved(tmp_path / str(number), emas[number], models[number]) for number in range(2)]
    assert checkpoints[0].content == checkpoints[1].content
    used = checkpoints[0].weights()["0.weight"]
    assert torch.equal(used, checkpoints[0].weights(Weights.trained)["0.weight"]) == (not use_for_validation)


def test_it_begins_with_the_weights_of_a_checkpoint_without_one(tmp_path: Path) -> None:
    model = make_model()
    none = build_ema(EMAConfig(), model)
    assert type(none) is NoEMA
    ema = EMA(EMAConfig(decay=0.9), model)
    change(model, 1)
    checkpoint = saved(tmp_path / "one", none, model)
    ema.load(checkpoint)
    with ema.validating():
        assert all(torch.equal(tensor, checkpoint.weights()[name]) for name, tensor in model.state_dict().items())


def test_one_of_another_model_is_refused(tmp_path: Path) -> None:
    model, other = make_model(), nn.Linear(3, 3)
    checkpoint = saved(tmp_path / "one", EMA(EMAConfig(decay=0.9), other), other)
    with pytest.raises(UserError, match=r"its moving average is that of another model: 0\.weight"):
        EMA(EMAConfig(decay=0.9), model).load(checkpoint)


def test_options() -> None:
    for options in ({"decay": 1.0}, {"decay": -0.1}, {"every_updates": 0}, {"start_update": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            EMAConfig(**options)  # type: ignore[arg-type]
