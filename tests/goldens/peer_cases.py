"""What the peer (fairseq 0.12.3) trained and searched: its cases and settings under our names, ready to run."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Generator
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.diverse_beam import DiverseBeam, DiverseBeamConfig, Overlaps
from seqexp.generators.search import LengthFrom, SearchState
from seqexp.models.transformer import ShareEmbeddings, Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.models.transformer_stack import Positions
from seqexp.modules.activations import Activation
from tests.goldens.peer_weights import load_peer_checkpoint, transformer_weights

BOS, PAD, EOS, UNK = 0, 1, 2, 3
SMALL: dict[str, Any] = {"num_layers": 2, "hidden_size": 16, "ffn_size": 32, "num_heads": 2, "normalize_before": False}
LEARNED: dict[str, Any] = {**SMALL, "normalize_before": True, "positions": Positions.learned}

CONFIGS = {
    "transformer": TransformerConfig(
        encoder=EncoderConfig(**SMALL), decoder=DecoderConfig(**SMALL), share_embeddings=ShareEmbeddings.all
    ),
    "transformer_align": TransformerConfig(
        encoder=EncoderConfig(**SMALL),
        decoder=DecoderConfig(**SMALL, alignment_heads=1),
        share_embeddings=ShareEmbeddings.all,
    ),
    "transformer_prenorm_learned": TransformerConfig(
        encoder=EncoderConfig(**LEARNED),
        decoder=DecoderConfig(**LEARNED),
        share_embeddings=ShareEmbeddings.none,
        activation=Activation.gelu,
    ),
    "transformer_crossself": TransformerConfig(
        encoder=EncoderConfig(**SMALL),
        decoder=DecoderConfig(**SMALL, cross_self_attention=True),
        share_embeddings=ShareEmbeddings.decoder,
        normalize_embeddings=True,
    ),
}
_TRAINED: dict[str, Any] = {"num_layers": 4, "hidden_size": 128, "ffn_size": 256, "num_heads": 4}
MULTI30K = TransformerConfig(
    encoder=EncoderConfig(**_TRAINED, normalize_before=False),
    decoder=DecoderConfig(**_TRAINED, normalize_before=False),
    share_embeddings=ShareEmbeddings.all,
)
"""Of a model that the peer trained on Multi30k for 2,000 updates."""
PEER_LENGTH: dict[str, Any] = {"max_length_a": 0.0, "max_length_from": LengthFrom.batch}
SETTINGS: dict[str, dict[str, Any]] = {
    "beam4": {"beam_size": 4, "max_length_b": 12},
    "beam4_lenpen06_unkpen": {"beam_size": 4, "max_length_b": 12, "length_penalty": 0.6, "unk_penalty": 1.0},
    # The peer was asked for no_repeat_ngram_size=2 too, but its hypotheses repeat bigrams: it had no effect there.
    "beam3_minlen_norepeat": {"beam_size": 3, "max_length_b": 10, "min_length": 4},
    "beam5_unnormalized_maxlen_a": {
        "beam_size": 5,
        "max_length_a": 0.5,
        "max_length_b": 2,
        "normalize_scores": False,
    },
    "greedy_temperature": {"beam_size": 1, "max_length_b": 12, "temperature": 0.7},
}


@dataclass
class Case:
    model: Transformer
    batch: PairBatch
    expected: dict[str, Any]
    hypotheses: dict[str, list[list[dict[str, Any]]]]


def load_case(golden: Path, name: str) -> Case:
    folder = golden / "peer_cases" / name
    expected = torch.load(folder / "expected.pt", weights_only=True)
    inputs, targets = expected["net_input"], expected["batch"]["target"]
    batch = PairBatch(
        indices=expected["batch"]["id"],
        num_targets=int(targets.ne(PAD).sum()),
        source_tokens=inputs["src_tokens"],
        source_lengths=inputs["src_lengths"],
        previous_tokens=inputs["prev_output_tokens"],
        target_tokens=targets,
    )
    model = load(CONFIGS[name], folder)
    return Case(model, batch, expected, json.loads((folder / "hypotheses.json").read_text()))


def load(config: TransformerConfig, folder: Path) -> Transformer:
    weights = transformer_weights(load_peer_checkpoint(folder / "checkpoint.pt")["model"])
    model = Transformer(
        config,
        source_vocabulary_size=len(weights["encoder.embedding.tokens.weight"]),
        target_vocabulary_size=len(weights["decoder.embedding.tokens.weight"]),
        padding_index=PAD,
    )
    model.load_state_dict(weights)
    return model.eval()


def compared_log_probs(case: Case) -> tuple[Tensor, Tensor]:
    """Ours and the peer's, of all words after each given one."""
    kept = case.expected["batch"]["target"].ne(PAD)
    return case.model(case.batch).logits.log_softmax(dim=-1)[kept], case.expected["log_probs"][kept]


def search(case: Case, setting: str) -> Generator:
    """The search that found `case.hypotheses[setting]`."""
    indices = {"eos": EOS, "pad": PAD, "unk": UNK}
    if setting == "diverse_groups2":
        options = {**PEER_LENGTH, "beam_size": 4, "nbest": 4, "max_length_b": 10, "num_groups": 2}
        return PeerDiverseBeam(DiverseBeamConfig(**options), case.batch, **indices)
    options = {**PEER_LENGTH, **SETTINGS.get(setting, {"beam_size": 3, "max_length_b": 10, "prefix_size": 2})}
    return BeamSearch(BeamSearchConfig(**options, nbest=options["beam_size"]), **indices)


class PeerOverlaps(Overlaps):
    """The peer looks up what groups have in common after the first step under the numbers of the sentences, not under
    their rows in the batch."""

    def __init__(self, overlaps: Tensor, numbers: Tensor) -> None:
        super().__init__(overlaps)
        self.numbers = numbers

    def add(self, chosen: Tensor, discount: float) -> None:
        first = not self.overlaps.any()
        super().add(chosen, discount)
        if first:
            self.overlaps = self.overlaps[self.numbers]


class PeerDiverseBeam(DiverseBeam):
    """Of two groups, for one batch."""

    def __init__(self, config: DiverseBeamConfig, batch: PairBatch, **indices: int) -> None:
        super().__init__(config, **indices)
        self.numbers = batch.indices

    def begin(self, batch: PairBatch) -> SearchState:
        return PeerOverlaps(torch.zeros(batch.num_sentences, 2, 2), self.numbers)


def positional_lines(folder: Path) -> list[str]:
    lines = (folder / "fairseq_beam5.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("P-")]


def by_length(sentences: list[Tensor], size: int) -> list[list[int]]:
    order = sorted(range(len(sentences)), key=lambda number: len(sentences[number]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def pair_batch(sources: list[Tensor], numbers: list[int], targets: list[Tensor] | None = None) -> PairBatch:
    chosen = [sources[number] for number in numbers]
    batch = PairBatch(torch.tensor(numbers), 0, padded(chosen), torch.tensor([len(source) for source in chosen]))
    if targets is None:
        return batch
    outputs = [targets[number] for number in numbers]
    previous = [torch.cat([target[-1:], target[:-1]]) for target in outputs]
    num_targets = sum(map(len, outputs))
    return replace(batch, num_targets=num_targets, previous_tokens=padded(previous), target_tokens=padded(outputs))


def padded(sentences: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(sentences, batch_first=True, padding_value=PAD)
