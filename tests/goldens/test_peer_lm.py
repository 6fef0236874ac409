"""Language models and adaptive softmaxes that the peer (fairseq 0.12.3) trained give here what they gave there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.criterions.adaptive_loss import AdaptiveLoss, AdaptiveLossConfig
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from seqexp.data.batch import Batch, PairBatch, TextBatch
from seqexp.models.base import Model
from seqexp.models.transformer import ShareEmbeddings, Transformer, TransformerConfig
from seqexp.models.transformer_decoder import AdaptiveSoftmaxConfig, DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.models.transformer_lm import AdaptiveInputConfig, TieAdaptive, TransformerLM, TransformerLMConfig
from seqexp.modules.activations import Activation
from seqexp.modules.adaptive import AdaptiveSoftmax
from tests.goldens.peer_weights import load_peer_checkpoint, transformer_weights

PAD = 1
CUTOFFS = [100, 200]
SMALL: dict[str, Any] = {"num_layers": 2, "hidden_size": 16, "ffn_size": 32, "num_heads": 2}

CONFIGS = {
    "transformer_lm": TransformerLMConfig(**SMALL, normalize_before=False, share_embeddings=False),
    "transformer_lm_adaptive": TransformerLMConfig(
        **SMALL,
        share_embeddings=False,
        adaptive_input=AdaptiveInputConfig(CUTOFFS, 2),
        adaptive_softmax=AdaptiveSoftmaxConfig(CUTOFFS, 2),
        tie_adaptive=TieAdaptive.embeddings,
    ),
    "transformer_lm_gpt": TransformerLMConfig(
        **SMALL, share_embeddings=False, activation=Activation.gelu, attention_dropout=0.1
    ),
    "transformer_adaptive_softmax": TransformerConfig(
        encoder=EncoderConfig(**SMALL, normalize_before=False),
        decoder=DecoderConfig(**SMALL, normalize_before=False, adaptive_softmax=AdaptiveSoftmaxConfig(CUTOFFS)),
        share_embeddings=ShareEmbeddings.none,
    ),
}


@dataclass
class Case:
    model: Model
    batch: Batch
    targets: Tensor
    expected: dict[str, Any]


@pytest.fixture(scope="module", params=CONFIGS)
def case(request: pytest.FixtureRequest, shared: Path) -> Case:
    folder, config = shared / "golden" / "peer_cases" / request.param, CONFIGS[request.param]
    expected = torch.load(folder / "expected.pt", weights_only=True)
    inputs, targets = expected["net_input"], expected["batch"]["target"]
    weights = transformer_weights(load_peer_checkpoint(folder / "checkpoint.pt")["model"])
    num_words = expected["log_probs"].shape[-1]
    model: Model
    batch: Batch
    count = int(targets.ne(PAD).sum())
    if isinstance(config, TransformerConfig):
        sizes = {"source_vocabulary_size": len(weights["encoder.embedding.tokens.weight"])}
        model = Transformer(config, **sizes, target_vocabulary_size=num_words, padding_index=PAD)
        source = (inputs["src_tokens"], inputs["src_lengths"])
        batch = PairBatch(expected["batch"]["id"], count, *source, inputs["prev_output_tokens"], targets)
    else:
        model = TransformerLM(config, vocabulary_size=num_words, padding_index=PAD)
        batch = TextBatch(expected["batch"]["id"], count, inputs["src_tokens"], targets)
    model.load_state_dict(weights)
    return Case(model.eval(), batch, targets, expected)


def test_log_probs(case: Case) -> None:
    kept = case.targets.ne(PAD)
    ours, expected = case.model(case.batch).logits.log_softmax(dim=-1)[kept], case.expected["log_probs"][kept]
    known = torch.ones_like(expected, dtype=torch.bool)
    if has_bands(case):
        # The peer gives the scores of a tail's words where the target is one of them, and 0 or nothing elsewhere.
        bands = torch.tensor(CUTOFFS)
        words = torch.bucketize(torch.arange(expected.shape[1]), bands, right=True)
        known = (words == 0) | (words == torch.bucketize(case.targets[kept], bands, right=True)[:, None])
    assert known[:, : CUTOFFS[0]].all()
    torch.testing.assert_close(ours[known], expected[known], atol=1e-4, rtol=0)


def test_loss(case: Case) -> None:
    found = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)(case.model, case.batch)
    expected = case.expected["criterion"]
    assert found.num_targets == expected["sample_size"]
    assert found.sum.item() - left_out_by_the_peer(case) == pytest.approx(expected["loss"], abs=1e-2)


def test_adaptive_loss(case: Case) -> None:
    criterion = AdaptiveLoss(AdaptiveLossConfig(), padding_index=PAD)
    if not has_bands(case):
        with pytest.raises(ValueError, match=r"criterion=adaptive_loss .* adaptive_softmax.cutoffs"):
            criterion(case.model, case.batch)
        return
    expected = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)(case.model, case.batch)
    assert criterion(case.model, case.batch).sum.item() == pytest.approx(expected.sum.item(), rel=1e-5)


def has_bands(case: Case) -> bool:
    return isinstance(case.model(case.batch).projection, AdaptiveSoftmax)


def left_out_by_the_peer(case: Case) -> float:
    """Its criterion takes the second word of every tail for padding, and leaves out its part within the tail."""
    log_probs, total = case.expected["log_probs"], 0.0
    if not has_bands(case):
        return total
    num_words = log_probs.shape[-1]
    for first, end in zip(CUTOFFS, [*CUTOFFS[1:], num_words], strict=True):
        of_band = log_probs[case.targets == first + 1][:, first:end]
        total -= float(of_band.log_softmax(dim=-1)[:, 1].sum())
    return total
