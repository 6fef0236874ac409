"""Transformers that the peer (fairseq 0.12.3) trained give here what they gave there."""

import json
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy, LabelSmoothedCrossEntropyConfig
from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.diverse_beam import DiverseBeam, DiverseBeamConfig, Overlaps
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.generators.search import LengthFrom, SearchState
from seqexp.models.transformer import ShareEmbeddings, Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.models.transformer_stack import Positions
from seqexp.modules.activations import Activation
from tests.goldens.peer_weights import load_peer_checkpoint, read_peer_data, transformer_weights

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


@pytest.fixture(scope="module", params=CONFIGS)
def case(request: pytest.FixtureRequest, shared: Path) -> Case:
    folder = shared / "golden" / "peer_cases" / request.param
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
    model = load(CONFIGS[request.param], folder)
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


def test_log_probs(case: Case) -> None:
    kept = case.expected["batch"]["target"].ne(PAD)
    ours = case.model(case.batch).logits.log_softmax(dim=-1)[kept]
    torch.testing.assert_close(ours, case.expected["log_probs"][kept], atol=1e-4, rtol=0)


def test_loss(case: Case) -> None:
    criterion = LabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyConfig(label_smoothing=0.1), padding_index=PAD)
    output = criterion(case.model, case.batch)
    assert output.sum.item() == pytest.approx(case.expected["criterion"]["loss"], abs=1e-3)
    assert float(output.metrics["nll_loss"]) == pytest.approx(case.expected["criterion"]["nll_loss"], abs=1e-3)
    assert output.num_targets == case.expected["criterion"]["sample_size"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_hypotheses(case: Case, setting: str) -> None:
    options = {**PEER_LENGTH, **SETTINGS[setting]}
    config = BeamSearchConfig(**options, nbest=options["beam_size"])
    found = BeamSearch(config, eos=EOS, pad=PAD, unk=UNK).generate([case.model], case.batch)
    assert_agree(found, case.hypotheses[setting])
    if options.pop("beam_size") == 1:
        found = Greedy(GreedyConfig(**options), eos=EOS, pad=PAD, unk=UNK).generate([case.model], case.batch)
        assert_agree(found, case.hypotheses[setting])


def test_no_repeated_ngram(case: Case) -> None:
    options = {**PEER_LENGTH, **SETTINGS["beam3_minlen_norepeat"], "no_repeat_ngram_size": 2, "nbest": 3}
    found = BeamSearch(BeamSearchConfig(**options), eos=EOS, pad=PAD, unk=UNK).generate([case.model], case.batch)
    for hypothesis in (hypothesis for nbest in found for hypothesis in nbest):
        tokens = hypothesis.tokens.tolist()
        bigrams = list(pairwise(tokens))
        assert len(set(bigrams)) == len(bigrams)


def test_diverse_beam(case: Case) -> None:
    """But for two things. The peer looks up what groups have in common after the first step under the numbers of the
    sentences, not under their rows in the batch: done here too. And where a hypothesis ends early, its groups mix."""

    class PeerOverlaps(Overlaps):
        def add(self, chosen: Tensor, discount: float) -> None:
            first = not self.overlaps.any()
            super().add(chosen, discount)
            if first:
                self.overlaps = self.overlaps[case.batch.indices]

    class PeerDiverseBeam(DiverseBeam):
        def begin(self, batch: PairBatch) -> SearchState:
            return PeerOverlaps(torch.zeros(batch.num_sentences, 2, 2))

    options = {**PEER_LENGTH, "beam_size": 4, "nbest": 4, "max_length_b": 10, "num_groups": 2}
    found = PeerDiverseBeam(DiverseBeamConfig(**options), eos=EOS, pad=PAD, unk=UNK).generate([case.model], case.batch)
    expected = case.hypotheses["diverse_groups2"]
    numbers = [number for number, nbest in enumerate(expected) if all(len(h["tokens"]) == 11 for h in nbest)]
    assert len(numbers) >= 4
    assert_agree([found[number] for number in numbers], [expected[number] for number in numbers])


def test_prefixes(case: Case) -> None:
    options = {**PEER_LENGTH, "beam_size": 3, "nbest": 3, "max_length_b": 10, "prefix_size": 2}
    found = BeamSearch(BeamSearchConfig(**options), eos=EOS, pad=PAD, unk=UNK).generate([case.model], case.batch)
    assert_agree(found, case.hypotheses["prefix2_beam3"])


def assert_agree(found: list[list[Hypothesis]], expected: list[list[dict[str, Any]]]) -> None:
    assert [[h.tokens.tolist() for h in nbest] for nbest in found] == [[h["tokens"] for h in n] for n in expected]
    for nbest, expected_nbest in zip(found, expected, strict=True):
        for hypothesis, peer in zip(nbest, expected_nbest, strict=True):
            assert hypothesis.score == pytest.approx(peer["score"], abs=1e-4)
            if "positional_scores" in peer:
                assert hypothesis.positional_scores.tolist() == pytest.approx(peer["positional_scores"], abs=1e-4)


# A model that the peer trained on Multi30k: 4 + 4 layers of 128, after 2,000 updates.


@pytest.fixture(scope="module")
def multi30k(shared: Path) -> tuple[Transformer, Path]:
    folder = shared / "golden" / "multi30k_tiny"
    side: dict[str, Any] = {
        "num_layers": 4,
        "hidden_size": 128,
        "ffn_size": 256,
        "num_heads": 4,
        "normalize_before": False,
    }
    config = TransformerConfig(
        encoder=EncoderConfig(**side), decoder=DecoderConfig(**side), share_embeddings=ShareEmbeddings.all
    )
    return load(config, folder), folder


def test_multi30k_valid_loss(multi30k: tuple[Transformer, Path]) -> None:
    model, folder = multi30k
    sources = read_peer_data(folder / "data-bin" / "valid.en-de.en")
    targets = read_peer_data(folder / "data-bin" / "valid.en-de.de")
    criterion = LabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyConfig(label_smoothing=0.1), padding_index=PAD)
    loss, nll_loss, num_targets = 0.0, 0.0, 0
    with torch.no_grad():
        for numbers in by_length(sources, 128):
            batch = pair_batch(sources, numbers, targets)
            output = criterion(model, batch)
            loss += float(output.sum)
            nll_loss += float(output.metrics["nll_loss"])
            num_targets += output.num_targets
    assert num_targets == 16_541
    assert round(loss / num_targets / math.log(2), 3) == 4.622
    assert round(nll_loss / num_targets / math.log(2), 3) == 3.094


def test_multi30k_hypotheses(multi30k: tuple[Transformer, Path]) -> None:
    """Scores per token of 120 sentences; those that reach the longest length depend on the peer's batches."""
    model, folder = multi30k
    sources = read_peer_data(folder / "data-bin" / "test.en-de.en")[:120]
    expected = [[float(x) for x in line.split("\t")[1].split()] for line in positional_lines(folder)][:120]
    search = BeamSearch(BeamSearchConfig(), eos=EOS, pad=PAD, unk=UNK)
    found: dict[int, list[float]] = {}
    for numbers in by_length(sources, 60):
        nbests = search.generate([model], pair_batch(sources, numbers))
        found |= {n: nbest[0].positional_scores.tolist() for n, nbest in zip(numbers, nbests, strict=True)}
    for number, scores in enumerate(expected):
        base_2 = [score / math.log(2) for score in found[number]]
        assert base_2 == pytest.approx(scores, abs=1.5e-4)  # printed with four digits


@pytest.mark.slow
def test_multi30k_longest_hypotheses(multi30k: tuple[Transformer, Path]) -> None:
    """With lengths limited by the batch, as the peer does it, the hypotheses that are cut off agree too."""
    model, folder = multi30k
    sources = read_peer_data(folder / "data-bin" / "test.en-de.en")
    expected = [[float(x) for x in line.split("\t")[1].split()] for line in positional_lines(folder)]
    longest = sorted(range(len(sources)), key=lambda number: len(sources[number]))[-30:]
    config = BeamSearchConfig(max_length_from=LengthFrom.batch)
    nbests = BeamSearch(config, eos=EOS, pad=PAD, unk=UNK).generate([model], pair_batch(sources, longest))
    for number, nbest in zip(longest, nbests, strict=True):
        assert len(nbest[0].tokens) == len(expected[number])


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
