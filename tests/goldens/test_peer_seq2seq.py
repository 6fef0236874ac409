"""Transformers that the peer (fairseq 0.12.3) trained give here what they gave there."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy, LabelSmoothedCrossEntropyConfig
from seqexp.generators.base import Hypothesis
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.generators.search import LengthFrom
from seqexp.models.transformer import Transformer
from tests.goldens.peer_cases import (
    CONFIGS,
    EOS,
    MULTI30K,
    PAD,
    PEER_LENGTH,
    SETTINGS,
    UNK,
    Case,
    by_length,
    compared_log_probs,
    load,
    load_case,
    pair_batch,
    positional_lines,
    search,
)
from tests.goldens.peer_weights import read_peer_data


@pytest.fixture(scope="module", params=CONFIGS)
def case(request: pytest.FixtureRequest, shared: Path) -> Case:
    return load_case(shared / "golden", request.param)


def test_log_probs(case: Case) -> None:
    torch.testing.assert_close(*compared_log_probs(case), atol=1e-4, rtol=0)


def test_loss(case: Case) -> None:
    criterion = LabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyConfig(label_smoothing=0.1), padding_index=PAD)
    output = criterion(case.model, case.batch)
    assert output.sum.item() == pytest.approx(case.expected["criterion"]["loss"], abs=1e-3)
    assert float(output.metrics["nll_loss"]) == pytest.approx(case.expected["criterion"]["nll_loss"], abs=1e-3)
    assert output.num_targets == case.expected["criterion"]["sample_size"]


@pytest.mark.parametrize("setting", [*SETTINGS, "prefix2_beam3"])
def test_hypotheses(case: Case, setting: str) -> None:
    found = search(case, setting).generate([case.model], case.batch)
    assert_agree(found, case.hypotheses[setting])
    options = {**PEER_LENGTH, **SETTINGS.get(setting, {})}
    if options.pop("beam_size", None) == 1:
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
    """Where a hypothesis of the peer's ends early, its groups mix."""
    found = search(case, "diverse_groups2").generate([case.model], case.batch)
    expected = case.hypotheses["diverse_groups2"]
    numbers = [number for number, nbest in enumerate(expected) if all(len(h["tokens"]) == 11 for h in nbest)]
    assert len(numbers) >= 4
    assert_agree([found[number] for number in numbers], [expected[number] for number in numbers])


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
    return load(MULTI30K, folder), folder


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
    beam = BeamSearch(BeamSearchConfig(), eos=EOS, pad=PAD, unk=UNK)
    found: dict[int, list[float]] = {}
    for numbers in by_length(sources, 60):
        nbests = beam.generate([model], pair_batch(sources, numbers))
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
