from typing import Any

import pytest

from seqexp.config.build import build
from seqexp.runtime.errors import UserError
from seqexp.scorers.base import Score, Scorer
from seqexp.scorers.wer import WERConfig
from seqexp.scorers.words import splitter

pytest.importorskip("rapidfuzz")

HYPOTHESES = ["the cat sat", "Hello , world", ""]
REFERENCES = [["the cat sat down"], ["hello world"], ["one two"]]


def scored(references: list[list[str]] = REFERENCES, **options: Any) -> Score:
    scorer: Scorer = build(WERConfig(**options))
    for hypothesis, several in zip(HYPOTHESES, references, strict=True):
        scorer.add(hypothesis, several)
    return scorer.result()


@pytest.mark.parametrize(
    ("options", "errors", "words"),
    [
        ({}, 1 + 2 + 2, 8),
        ({"lowercase": True}, 1 + 1 + 2, 8),
        ({"lowercase": True, "remove_punctuation": True}, 1 + 0 + 2, 8),
        # "the cat sat| down": 5; "Hello , world" - "hello world": 3; "one two": 7
        ({"characters": True}, 5 + 3 + 7, 16 + 11 + 7),
    ],
)
def test_edits_by_words_of_the_references(options: dict[str, Any], errors: int, words: int) -> None:
    """Of the corpus, not the mean of the sentences."""
    score = scored(**options)
    assert score.value == pytest.approx(100 * errors / words)
    assert not score.higher_is_better
    assert score.text == f"{'CER' if 'characters' in options else 'WER'}|{score.signature} = {score.value:.1f}"


def test_the_nearest_reference_counts() -> None:
    several = [["x", "the cat sat down"], ["Hello world", "y"], ["one two three", "one two"]]
    assert scored(several).value == pytest.approx(100 * (1 + 1 + 2) / (4 + 2 + 2))
    assert scored(several).signature.startswith("nrefs:2|case:mixed|tok:none|punct:yes|version:rapidfuzz-")


def test_no_words_are_no_errors() -> None:
    scorer: Scorer = build(WERConfig())
    assert scorer.sentence("", [""]).value == 0
    assert scorer.sentence("a b", ["a c"]).value == 50


def test_an_absent_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rapidfuzz.distance", None)
    with pytest.raises(UserError, match=r"rapidfuzz.distance is not installed .*: pip install 'seqexp\[wer\]'"):
        build(WERConfig())


def test_words() -> None:
    line = "Don't stop, (now)!"
    assert splitter("13a")(line) == ["Don't", "stop", ",", "(", "now", ")", "!"]
    assert splitter("13a", keep_punctuation=False, lowercase=True)(line) == ["don't", "stop", "now"]
    assert splitter("none", characters=True)("a  bc") == ["a", " ", "b", "c"]
    with pytest.raises(ValueError, match="tokenize=moses is not valid: use one of 13a"):
        WERConfig(tokenize="moses")
