from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.data.batch import PairBatch
from seqexp.precisions.fp16 import FP16Config
from seqexp.training.diagnosis import Origin, find_origin
from seqexp.training.share import Share
from seqexp.training.step import TrainStep

from .conftest import gradients

MakeStep = Callable[..., TrainStep]


class _BadGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return gradient[0] * float("inf")


def spoil_output(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return output + float("nan")


def test_the_first_module_whose_output_is_not_finite(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()
    step.model.hidden.register_forward_hook(spoil_output)
    assert find_origin(step, Share.whole(batches), 0) == Origin("the output of hidden", 0)


def test_the_micro_batch_is_found(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()
    step.model.embedding.weight.data[9] = 3e38  # only in the second; twice that is too much
    step.model.embedding.register_forward_hook(lambda module, inputs, output: output * 2)
    assert find_origin(step, Share.whole(batches), 0) == Origin("the output of embedding", 1)


def test_the_first_gradient_that_is_not_finite(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()
    step.model.hidden.register_forward_hook(lambda module, inputs, output: _BadGradient.apply(output))
    found = find_origin(step, Share.whole(batches), 0)
    assert found.micro_batch == 0
    assert found.what in ("the gradient of hidden.weight", "the gradient of hidden.bias")


def test_a_gradient_between_two_modules(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()
    step.model.output.register_forward_pre_hook(lambda module, inputs: _BadGradient.apply(inputs[0]))
    assert find_origin(step, Share.whole(batches), 0) == Origin("the gradient of the output of dropout", 0)


def test_a_criterion(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()
    step.model.output.bias.data[4] = 1e38
    step.criterion.forward = _infinite(step.criterion.forward)  # type: ignore[method-assign]
    assert find_origin(step, Share.whole(batches), 0) == Origin("the output of criterion", 0)


def _infinite(forward: Any) -> Any:
    def call(model: Any, batch: Any) -> Any:
        output = forward(model, batch)
        return type(output)(output.sum * float("inf"), output.num_targets, output.metrics)

    return call


def test_a_parameter_that_was_bad_before(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()
    step.model.output.bias.data[4] = float("nan")
    assert find_origin(step, Share.whole(batches), 0) == Origin("parameter output.bias, before this update,", None)


def test_nothing_that_one_micro_batch_shows(make_step: MakeStep, batches: list[PairBatch]) -> None:
    found = find_origin(make_step(), Share.whole(batches), 0)
    assert found.micro_batch is None
    assert "sum over micro-batches" in found.what


def test_an_overflow_of_sixteen_bits(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step(FP16Config())
    step.model.hidden.weight.data *= 1e6
    assert find_origin(step, Share.whole(batches), 0) == Origin("the output of hidden", 0)


def test_it_sees_what_the_update_saw(make_step: MakeStep, batches: list[PairBatch]) -> None:
    """The random numbers are those of the update: dropout hides the same values."""
    step = make_step()
    seen: list[Tensor] = []
    step.model.dropout.register_forward_hook(lambda module, inputs, output: seen.append(output.detach().clone()))
    for number, batch in enumerate(batches):
        step.accumulate(batch, 3, number, 9)
    find_origin(step, Share.whole(batches), 3)
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])


def test_nothing_stays_behind(make_step: MakeStep, batches: list[PairBatch]) -> None:
    step = make_step()
    find_origin(step, Share.whole(batches), 0)
    assert gradients(step) == {}
    assert not any(module._forward_hooks for module in step.model.modules())
    assert not step.criterion._forward_hooks
    assert not any(parameter._backward_hooks for parameter in step.model.parameters())


@pytest.mark.parametrize("name", ["embedding", "output"])
def test_frozen_parameters_are_no_obstacle(make_step: MakeStep, batches: list[PairBatch], name: str) -> None:
    step = make_step()
    step.model.get_submodule(name).requires_grad_(False)
    step.model.hidden.register_forward_hook(spoil_output)
    assert find_origin(step, Share.whole(batches), 0).what == "the output of hidden"
