from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.criterions.base import Criterion, LossOutput
from seqexp.data.batch import Batch, PairBatch
from seqexp.distributed.base import gradient_norm
from seqexp.precisions.base import PrecisionConfig
from seqexp.precisions.bf16 import BF16Config
from seqexp.precisions.bf16_master import BF16MasterConfig
from seqexp.precisions.bf16_memory_efficient import BF16MemoryEfficientConfig
from seqexp.precisions.fp16 import FP16Config
from seqexp.precisions.fp32 import FP32Config
from seqexp.training.metrics import MetricBag
from seqexp.training.share import Share
from seqexp.training.step import Fault, NormalizeBy, TrainStep

from .conftest import TinyModel, gradients, make_batch

MakeStep = Callable[..., TrainStep]
PRECISIONS = [FP32Config(), BF16Config(), FP16Config(), BF16MemoryEfficientConfig(), BF16MasterConfig()]
each_precision = pytest.mark.parametrize("precision", PRECISIONS, ids=lambda config: type(config).__name__)


class Constant(Criterion):
    """A loss with a given gradient for every weight, which passes through no format but the weights' own."""

    def __init__(self, gradient: float) -> None:
        super().__init__()
        self.gradient = gradient

    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        weights = sum(parameter.float().sum() for parameter in model.parameters())
        return LossOutput(torch.as_tensor(weights * self.gradient), batch.num_targets)


def state_of(step: TrainStep) -> dict[str, Any]:
    """Copies of weights and of the optimizer's state."""
    tensors = {name: value.clone() for name, value in step.model.state_dict().items()}
    for number, values in step.optimizer.state_dict()["state"].items():
        tensors |= {f"{number}.{name}": torch.as_tensor(value).clone() for name, value in values.items()}
    return tensors


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@each_precision
def test_it_learns(make_step: MakeStep, batches: list[PairBatch], precision: PrecisionConfig) -> None:
    step, metrics = make_step(precision, clip_norm=1.0), MetricBag()
    losses = []
    for update in range(60):
        assert step(Share.whole(batches), update, 0.02, metrics) is None
        losses.append(metrics.means()["loss"])
        metrics.clear()
    assert losses[0] > 2
    assert losses[-1] < 0.5


@each_precision
def test_formats(make_step: MakeStep, batches: list[PairBatch], precision: PrecisionConfig) -> None:
    """Products in the short format; the loss, and weights unless they are to be short too, in 32 bits."""
    step = make_step(precision)
    seen: list[torch.dtype] = []
    step.model.hidden.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    output = step.accumulate(batches[0], 0, 0, 1)
    short = {FP32Config: torch.float32, FP16Config: torch.float16}.get(type(precision), torch.bfloat16)
    short_weights = isinstance(precision, BF16MemoryEfficientConfig | BF16MasterConfig)
    weights = torch.bfloat16 if short_weights else torch.float32
    assert seen == [short]
    assert output.sum.dtype == torch.float32
    assert {p.dtype for p in step.model.parameters()} == {weights}
    assert {gradient.dtype for gradient in gradients(step).values()} == {weights}


@each_precision
def test_the_gradient_is_that_of_32_bits(
    make_step: MakeStep, batches: list[PairBatch], precision: PrecisionConfig
) -> None:
    found = []
    for config in (FP32Config(), precision):
        step = make_step(config)
        for number, batch in enumerate(batches):
            step.accumulate(batch, 0, number, 9)
        step.precision.unscale(step.model.parameters(), 9)
        found.append(gradients(step))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name].float(), gradient, rtol=0.1, atol=0.02)


@each_precision
def test_a_million_targets_with_gradients_of_ten_thousand(make_step: MakeStep, precision: PrecisionConfig) -> None:
    """The sums are 1e10, which squared and added up must not overflow; the norm is that of the mean."""
    targets = 1_000_000
    batch = PairBatch(torch.zeros(1, dtype=torch.int64), targets, *[torch.zeros(1, 1, dtype=torch.int64)] * 2)
    step, metrics = make_step(precision, criterion=Constant(1e10), clip_norm=1.0), MetricBag()
    assert step(Share.whole([batch]), 0, 0.01, metrics) is None
    num_weights = sum(parameter.numel() for parameter in step.model.parameters())
    assert metrics.means()["gradient_norm"] == pytest.approx(1e4 * num_weights**0.5, rel=4e-3)
    assert gradient_norm(step.trained) == pytest.approx(1.0, rel=4e-3)


def test_the_norm_of_short_gradients_is_computed_in_32_bits() -> None:
    weight = nn.Parameter(torch.zeros(3000, dtype=torch.bfloat16))
    other = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    weight.grad, other.grad = torch.ones_like(weight), torch.full_like(other, 10)
    norm = gradient_norm([weight, other, nn.Parameter(torch.ones(2))])
    assert norm.dtype == torch.float32
    assert norm.item() == pytest.approx(3100**0.5, rel=1e-6)
    assert gradient_norm([]) == 0


def test_clipping_as_in_fairseq() -> None:
    """Its test: three tensors of five twos have the norm sqrt(60)."""
    weights = [nn.Parameter(torch.zeros(5)) for _ in range(3)]
    for weight in weights:
        weight.grad = torch.full((5,), 2.0)
    assert gradient_norm(weights).item() == pytest.approx(60**0.5)


def test_masters_keep_what_weights_of_16_bits_would_lose(make_step: MakeStep, batches: list[PairBatch]) -> None:
    """Steps that are too small for the weights add up, in 32 bits; the weights are the rounded masters."""
    steps = [make_step(precision) for precision in (BF16MemoryEfficientConfig(), BF16MasterConfig())]
    before = steps[0].model.output.weight.detach().clone()
    for update in range(40):
        for step in steps:
            step(Share.whole(batches), update, 2e-5, MetricBag())
    short, long = (step.model.output.weight for step in steps)
    master = steps[1].precision.master(long).detach()
    assert torch.equal(long, master.bfloat16())
    assert (master - before.float()).abs().max().item() == pytest.approx(40 * 2e-5, rel=0.1)
    large = before.abs() > 0.1
    assert torch.equal(short[large], before[large])
    assert not torch.equal(long[large], before[large])


def poison(step: TrainStep, *, factor: float) -> None:
    """Gradients of `factor` that pass through float16."""

    def add(module: nn.Module, inputs: Any, output: LossOutput) -> LossOutput:
        weight = step.model.output.weight
        assert isinstance(weight, nn.Parameter)
        extra = factor * weight.to(torch.float16).float().sum()
        return LossOutput(output.sum + extra, output.num_targets, output.metrics)

    step.criterion.register_forward_hook(add)


def test_an_overflow_leaves_no_trace_but_a_lower_scale(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step, metrics = make_step(FP16Config()), MetricBag()
    step(Share.whole(batches), 0, 0.01, metrics)
    before, figures = state_of(step), metrics.state()
    poison(step, factor=600.0)
    assert step(Share.whole(batches), 1, 0.01, metrics) is Fault.overflow
    assert step.precision.metrics() == {"loss_scale": 64.0}
    assert_same(state_of(step), before)
    assert metrics.state() == figures
    assert gradients(step) == {}
    assert step(Share.whole(batches), 1, 0.01, metrics) is None  # 64 * 600 is less than 65504
    assert step.precision.metrics() == {"loss_scale": 64.0}


def test_at_the_floor_an_overflow_is_a_fault_of_its_own(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step, metrics = make_step(FP16Config(min_scale=32)), MetricBag()
    poison(step, factor=6000.0)
    assert step(Share.whole(batches), 0, 0.01, metrics) is Fault.overflow
    before = state_of(step)
    assert step(Share.whole(batches), 0, 0.01, metrics) is Fault.non_finite
    assert step.precision.metrics() == {"loss_scale": 64.0}
    assert "precision.min_scale=32" in step.precision.advice()
    assert_same(state_of(step), before)


@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    "precision", [FP32Config(), BF16Config(), BF16MemoryEfficientConfig()], ids=lambda config: type(config).__name__
)
def test_what_is_not_finite_leaves_no_trace(
    make_step: MakeStep, batches: list[PairBatch], precision: PrecisionConfig, factor: float
) -> None:
    step, metrics = make_step(precision, clip_norm=1.0), MetricBag()
    step(Share.whole(batches), 0, 0.01, metrics)
    before, figures = state_of(step), metrics.state()
    poison(step, factor=factor)
    assert step(Share.whole(batches), 1, 0.01, metrics) is Fault.non_finite
    assert_same(state_of(step), before)
    assert metrics.state() == figures
    assert gradients(step) == {}


def test_an_infinite_loss_with_a_finite_gradient_is_noticed(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()

    def add(module: nn.Module, inputs: Any, output: LossOutput) -> LossOutput:
        return LossOutput(output.sum + float("inf"), output.num_targets, output.metrics)

    step.criterion.register_forward_hook(add)
    assert step(Share.whole(batches), 0, 0.01, MetricBag()) is Fault.non_finite


def test_the_loss_of_the_average_sentence(make_step: MakeStep, batches: list[PairBatch]) -> None:
    """The gradient is 9 / 3 times that of the average target; the metrics stay per target."""
    norms, losses = [], []
    for normalize_by in NormalizeBy:
        metrics = MetricBag()
        make_step(normalize_by=normalize_by)(Share.whole(batches), 0, 0.01, metrics)
        norms.append(metrics.means()["gradient_norm"])
        losses.append(metrics.means()["loss"])
    assert norms[1] == pytest.approx(3 * norms[0], rel=1e-5)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("normalize_by", NormalizeBy)
@pytest.mark.parametrize("precision", [FP32Config(), FP16Config()], ids=lambda config: type(config).__name__)
def test_how_an_update_is_cut_changes_nothing(
    make_step: MakeStep, precision: PrecisionConfig, normalize_by: NormalizeBy
) -> None:
    rows = [[4, 5, 6, 2], [7, 2], [8, 9, 2]]
    norms = []
    for parts in ([make_batch(*rows)], [make_batch(row) for row in rows]):
        metrics = MetricBag()
        model = TinyModel()
        model.dropout.p = 0.0
        model.load_state_dict(make_step().model.state_dict())
        make_step(precision, model, normalize_by=normalize_by)(Share.whole(parts), 0, 0.01, metrics)
        norms.append(metrics.means()["gradient_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-2 if isinstance(precision, FP16Config) else 1e-5)
