"""What saves memory or time changes no result: losses, gradients and names of weights are those of the plain model."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.config.base import OptionError
from seqexp.config.build import build
from seqexp.criterions.cross_entropy import CrossEntropyConfig
from seqexp.models.base import Model
from seqexp.models.transformer import TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.modules.activations import Activation
from seqexp.runtime.errors import UserError
from seqexp.training.diagnosis import Origin, find_origin
from seqexp.training.memory import ActivationCheckpoint, MemoryConfig, change_block, change_blocks
from seqexp.training.share import Share
from seqexp.training.step import TrainStep

from .conftest import TinyModel, make_batch

PAD, NUM_WORDS = 1, 30
SIDE: dict[str, Any] = {"num_layers": 2, "hidden_size": 16, "ffn_size": 24, "num_heads": 2}
BATCH = make_batch([4, 5, 6, 7, 2], [8, 2], [9, 10, 2])


def small_model(**options: Any) -> Model:
    torch.manual_seed(1)
    config = TransformerConfig(
        encoder=EncoderConfig(**SIDE, layerdrop=0.2),
        decoder=DecoderConfig(**SIDE),
        **{"dropout": 0.2, "activation_dropout": 0.1, **options},
    )
    sizes = {"source_vocabulary_size": NUM_WORDS, "target_vocabulary_size": NUM_WORDS, "padding_index": PAD}
    model: Model = build(config, **sizes)
    return model.train()


def gradients_of(model: Model, autocast: bool = False) -> list[Tensor]:
    """The loss, and the gradient of every parameter; None where there is none."""
    criterion = build(CrossEntropyConfig(), padding_index=PAD)
    model.zero_grad()
    torch.manual_seed(2)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = criterion(model, BATCH).sum
    loss.backward()
    return [loss.detach(), *(torch.zeros(()) if p.grad is None else p.grad.clone() for p in model.parameters())]


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("attention_dropout", [0.0, 0.1])
@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("mode", ActivationCheckpoint)
def test_bit_for_bit(mode: ActivationCheckpoint, offload: bool, attention_dropout: float, autocast: bool) -> None:
    plain = small_model(attention_dropout=attention_dropout)
    changed = small_model(attention_dropout=attention_dropout)
    for block in changed.blocks():
        change_block(block, mode, offload=offload, compiled=False)
    assert list(changed.state_dict()) == list(plain.state_dict())
    assert_equal(gradients_of(changed, autocast), gradients_of(plain, autocast))
    with torch.no_grad():
        torch.testing.assert_close(changed.eval()(BATCH).logits, plain.eval()(BATCH).logits, rtol=0, atol=0)


@pytest.mark.parametrize("activation", Activation)
def test_selective_with_every_activation(activation: Activation) -> None:
    """One that changes its input in place would change what is kept of the product before it."""
    plain, changed = small_model(activation=activation), small_model(activation=activation)
    change_blocks(changed, MemoryConfig(activation_checkpoint=ActivationCheckpoint.selective), torch.device("cpu"))
    assert_equal(gradients_of(changed), gradients_of(plain))


def count_calls(model: Model, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the blocks compute, from now on."""
    calls = 0
    for kind in {type(block) for block in model.blocks()}:
        original = kind.forward

        def forward(self: nn.Module, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(kind, "forward", forward)
    return lambda: calls


@pytest.mark.parametrize(("every_n_blocks", "num_calls"), [(1, 8), (2, 6), (3, 6), (4, 5)])
def test_every_nth_block_is_computed_twice(
    monkeypatch: pytest.MonkeyPatch, every_n_blocks: int, num_calls: int
) -> None:
    model = small_model()
    model.encoder.layers.layerdrop = 0.0  # type: ignore[union-attr]
    config = MemoryConfig(activation_checkpoint=ActivationCheckpoint.full, every_n_blocks=every_n_blocks)
    change_blocks(model, config, torch.device("cpu"))
    calls = count_calls(model, monkeypatch)
    gradients_of(model)
    assert calls() == num_calls


def saved_bytes(model: Model) -> int:
    """Of the tensors, but the weights, that a forward pass keeps for the backward pass."""
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        states = model(BATCH).states
    del states
    return sum(kept.values())


def test_less_is_kept() -> None:
    kept = {}
    for mode in ActivationCheckpoint:
        model = small_model()
        change_blocks(model, MemoryConfig(activation_checkpoint=mode), torch.device("cpu"))
        kept[mode] = saved_bytes(model)
    assert kept[ActivationCheckpoint.full] < 0.5 * kept[ActivationCheckpoint.none]


def test_a_copy_of_the_model_is_a_model_of_its_own() -> None:
    model = small_model()
    change_blocks(model, MemoryConfig(activation_checkpoint=ActivationCheckpoint.full), torch.device("cpu"))
    other = copy.deepcopy(model)
    expected = gradients_of(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert_equal(gradients_of(other), expected)


@pytest.mark.parametrize("mode", ActivationCheckpoint)
def test_what_is_not_finite_is_found_in_blocks_that_are_computed_twice(
    make_step: Callable[..., TrainStep], mode: ActivationCheckpoint
) -> None:
    model = small_model()
    change_blocks(model, MemoryConfig(activation_checkpoint=mode), torch.device("cpu"))
    step = make_step(model=model)
    model.decoder.layers[1].feed_forward.inner.register_forward_hook(  # type: ignore[union-attr, index]
        lambda module, inputs, output: output * float("nan")
    )
    assert find_origin(step, Share.whole([BATCH]), 0) == Origin("the output of decoder.layers.1.feed_forward.inner", 0)


def test_nothing_is_changed_by_default() -> None:
    model = small_model()
    change_blocks(model, MemoryConfig(), torch.device("cpu"))
    assert all("forward" not in vars(block) for block in model.blocks())


class NoBlocks(TinyModel): ...


def test_a_model_without_blocks() -> None:
    config = MemoryConfig(activation_checkpoint=ActivationCheckpoint.full)
    with pytest.raises(OptionError, match="NoBlocks does not say what its blocks are"):
        change_blocks(NoBlocks(), config, torch.device("cpu"))


def test_offload_is_for_gpus() -> None:
    with pytest.raises(OptionError, match=r"memory\.activation_offload=True is not valid: it is for GPUs"):
        change_blocks(small_model(), MemoryConfig(activation_offload=True), torch.device("cpu"))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"every_n_blocks": 0}, "a count above 0"), ({"every_n_blocks": 2}, "it needs memory.activation_checkpoint=")],
)
def test_invalid(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        MemoryConfig(**options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled() -> None:
    """Names stay, results differ by rounding only, dropout included, and what is not training is not compiled."""
    plain, changed = small_model(), small_model()
    change_block(changed.blocks()[0], ActivationCheckpoint.none, offload=False, compiled=True)
    assert list(changed.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(gradients_of(changed), gradients_of(plain), rtol=1e-4, atol=1e-5)
    assert torch.equal(changed.eval()(BATCH).logits, plain.eval()(BATCH).logits)


def test_what_cannot_be_compiled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*args: Any, **kwargs: Any) -> Any:
        raise torch._dynamo.exc.TorchDynamoException("backend failed\nno C++ compiler was found\n")

    monkeypatch.setattr("seqexp.training.memory._compiled", lambda run: compiled)
    model = small_model()
    change_blocks(model, MemoryConfig(compile=True), torch.device("cpu"))
    with pytest.raises(UserError, match=r"memory\.compile=true: EncoderLayer cannot be compiled: no C\+\+ compiler"):
        model(BATCH)
    model.eval()(BATCH)
