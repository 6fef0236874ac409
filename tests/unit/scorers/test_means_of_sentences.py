"""ROUGE, METEOR and BERTScore: 100 times the mean of what their libraries give for each sentence."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqexp.config.base import ComponentConfig
from seqexp.config.build import build
from seqexp.runtime.errors import UserError
from seqexp.scorers.base import Score
from seqexp.scorers.bert_score import BERTScoreConfig
from seqexp.scorers.meteor import METEORConfig
from seqexp.scorers.rouge import ROUGEConfig

HYPOTHESES = ["The cats sat on mats", "it is raining", "ein Überzug"]
REFERENCES = [["A cat sat on the mat", "cats sit"], ["It rains", "it is pouring"], ["ein überzug", "zwei"]]


def scored(config: ComponentConfig, references: list[list[str]] = REFERENCES) -> Score:
    scorer = build(config)
    for hypothesis, several in zip(HYPOTHESES, references, strict=True):
        scorer.add(hypothesis, several)
    found: Score = scorer.result()
    each = [scorer.sentence(*pair) for pair in zip(HYPOTHESES, references, strict=True)]
    assert found.value == pytest.approx(sum(score.value for score in each) / len(each))
    assert {score.signature for score in each} == {found.signature}
    return found


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
@pytest.mark.parametrize("stem", [False, True])
def test_rouge(kind: str, stem: bool) -> None:
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    peer = rouge_scorer.RougeScorer([kind], use_stemmer=stem)
    each = [
        max(peer.score(reference, hypothesis)[kind].fmeasure for reference in several)
        for hypothesis, several in zip(HYPOTHESES, REFERENCES, strict=True)
    ]
    score = scored(ROUGEConfig(kind=kind, stem=stem))
    assert score.value == pytest.approx(100 * sum(each) / 3)
    assert score.text.startswith(f"{kind.upper()}|nrefs:2|tok:rouge|stem:{'yes' if stem else 'no'}|version:rouge-score")


def test_rouge_of_other_languages() -> None:
    """rouge-score's own words have no letters but a-z."""
    pytest.importorskip("rouge_score")
    assert build(ROUGEConfig()).sentence("öä", ["öä"]).value == 0
    assert build(ROUGEConfig(tokenize="13a")).sentence("Öä", ["öä"]).value == 100
    with pytest.raises(ValueError, match="kind=rouge is not valid: use rouge1 to rouge9 or rougeL"):
        ROUGEConfig(kind="rouge")
    with pytest.raises(ValueError, match="stem=True is not valid: it belongs to tokenize=rouge"):
        ROUGEConfig(tokenize="13a", stem=True)


def test_meteor() -> None:
    """By hand: matches m, precision P, recall R; F = P R / (0.9 P + 0.1 R); times 1 - 0.5 (chunks / m) ** 3."""
    pytest.importorskip("nltk")
    scorer = build(METEORConfig(synonyms=False))
    # cat|cats and mat|mats have one stem: cat sat on, mat: 4 matches in 2 chunks of 5 and 6 words.
    precision, recall = 4 / 5, 4 / 6
    by_hand = precision * recall / (0.9 * precision + 0.1 * recall) * (1 - 0.5 * (2 / 4) ** 3)
    assert scorer.sentence("cats sat on big mats", ["A cat sat on the mat"]).value == pytest.approx(100 * by_hand)
    assert scorer.sentence("other", ["words"]).value == 0
    score = scored(METEORConfig(synonyms=False, gamma=0.0))
    assert "|tok:none|syn:no|alpha:0.9|beta:3.0|gamma:0.0|version:nltk-" in score.signature
    assert score.value > scored(METEORConfig(synonyms=False)).value


def test_meteor_without_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    nltk = pytest.importorskip("nltk")
    corpus = SimpleNamespace(wordnet=SimpleNamespace(ensure_loaded=lambda: nltk.data.find("corpora/wordnet", [])))
    monkeypatch.setitem(sys.modules, "nltk.corpus", corpus)
    with pytest.raises(UserError, match=r"scorer.meteor.synonyms=true: NLTK has no WordNet here; python -m .*"):
        build(METEORConfig())


class _Library(SimpleNamespace):
    """Stands for bert-score: the F1 of a pair is the share of the longer text that is the shorter one's length."""

    def score(self, hypotheses: list[str], references: list[list[str]]) -> Any:
        assert all(hypotheses) and all(all(several) for several in references)
        each = [
            max(min(len(hypothesis), len(one)) / max(len(hypothesis), len(one)) for one in several)
            for hypothesis, several in zip(hypotheses, references, strict=True)
        ]
        return None, None, torch.tensor(each)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    utils = SimpleNamespace(lang2model={"en": "big"}, model2layers={"big": 17})
    modules = {
        "bert_score": SimpleNamespace(BERTScorer=_Library),
        "bert_score.utils": utils,
        "huggingface_hub.constants": SimpleNamespace(HF_HUB_OFFLINE=False),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("seqexp.scorers.metrics.version", lambda library: "1")


@pytest.mark.usefixtures("library")
def test_bert_score() -> None:
    score = scored(BERTScoreConfig())
    assert score.signature == "nrefs:2|model:big|layer:17|version:bert-score-1"
    scorer = build(BERTScoreConfig())
    assert scorer.sentence("abcd", ["ab", "abc"]).value == 75
    assert scorer.sentence(" ", ["ab", "abc"]).value == 0
    assert scorer.sentence("ab", ["", "abcd"]).value == 50
    assert scorer.sentence("ab", [""]).value == 0


@pytest.mark.usefixtures("library")
def test_bert_score_without_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(**arguments: Any) -> None:
        assert sys.modules["huggingface_hub.constants"].HF_HUB_OFFLINE
        raise OSError("couldn't find it\nmore")

    monkeypatch.setattr(sys.modules["bert_score"], "BERTScorer", absent)
    with pytest.raises(UserError, match=r"scorer.bert_score.model=big cannot be loaded .*couldn't find it\): put"):
        build(BERTScoreConfig()).sentence("a", ["b"])
    with pytest.raises(UserError, match=r"scorer.bert_score.model=mine: bert-score names no layer for it"):
        build(BERTScoreConfig(model="mine"))
