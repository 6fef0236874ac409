"""Language models and adaptive softmaxes that the peer (fairseq 0.12.3) trained, ready to run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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


def load_case(golden: Path, name: str) -> Case:
    folder, config = golden / "peer_cases" / name, CONFIGS[name]
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


def compared_log_probs(case: Case) -> tuple[Tensor, Tensor]:
    """Ours and the peer's, of the words whose scores the peer gives, side by side."""
    kept = case.targets.ne(PAD)
    ours, expected = case.model(case.batch).logits.log_softmax(dim=-1)[kept], case.expected["log_probs"][kept]
    known = torch.ones_like(expected, dtype=torch.bool)
    if has_bands(case):
        # The peer gives the scores of a tail's words where the target is one of them, and 0 or nothing elsewhere.
        bands = torch.tensor(CUTOFFS)
        words = torch.bucketize(torch.arange(expected.shape[1]), bands, right=True)
        known = (words == 0) | (words == torch.bucketize(case.targets[kept], bands, right=True)[:, None])
    assert known[:, : CUTOFFS[0]].all()
    return ours[known], expected[known]


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
