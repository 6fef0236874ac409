import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqexp.config.base import ComponentConfig
from seqexp.config.build import build
from seqexp.scorers.base import Score, Scorer
from seqexp.scorers.bleu import BLEUConfig
from seqexp.scorers.chrf import ChrFConfig
from seqexp.scorers.ter import TERConfig

HYPOTHESES = ["The cat sat on the mat.", "It is raining,  isn't it?", "hello World", "Zwölf Boxkämpfer jagen Viktor"]
REFERENCES = [
    ["A cat was sitting on the mat.", "The cat is on the mat."],
    ["It's raining, isn't it?", "It rains, doesn't it?"],
    ["Hello, world!", "hello world"],
    ["Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich", "Zwölf jagen Viktor"],
]

CASES: list[tuple[ComponentConfig, list[str]]] = [
    (BLEUConfig(), ["-m", "bleu"]),
    (BLEUConfig(tokenize="intl", lowercase=True), ["-m", "bleu", "-tok", "intl", "-lc"]),
    (
        BLEUConfig(tokenize="char", smooth_method="floor", smooth_value=0.2),
        ["-tok", "char", "-s", "floor", "-sv", "0.2"],
    ),
    (ChrFConfig(), ["-m", "chrf"]),
    (
        ChrFConfig(word_order=2, beta=3, whitespace=True),
        ["-m", "chrf", "--chrf-word-order", "2", "--chrf-beta", "3", "--chrf-whitespace"],
    ),
    (TERConfig(), ["-m", "ter"]),
    (TERConfig(normalized=True, case_sensitive=True), ["-m", "ter", "--ter-normalized", "--ter-case-sensitive"]),
]


@pytest.mark.parametrize(("config", "arguments"), CASES)
@pytest.mark.parametrize("num_references", [1, 2])
def test_says_what_the_sacrebleu_command_says(
    config: ComponentConfig, arguments: list[str], num_references: int, tmp_path: Path
) -> None:
    references = [several[:num_references] for several in REFERENCES]
    score = scored(build(config), HYPOTHESES, references)
    assert score.text == sacrebleu(tmp_path, arguments, HYPOTHESES, references)
    assert f"{score.value:.1f}" in score.text


def scored(scorer: Scorer, hypotheses: list[str], references: list[list[str]]) -> Score:
    for hypothesis, several in zip(hypotheses, references, strict=True):
        scorer.add(hypothesis, several)
    return scorer.result()


def sacrebleu(folder: Path, arguments: list[str], hypotheses: list[str], references: list[list[str]]) -> str:
    """What the command prints."""
    files = [folder / f"reference.{number}" for number in range(len(references[0]))]
    for number, file in enumerate(files):
        file.write_text("".join(several[number] + "\n" for several in references), encoding="utf-8")
    (folder / "hypotheses").write_text("".join(line + "\n" for line in hypotheses), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", *map(str, files), "-i", str(folder / "hypotheses"), "-f", "text"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, encoding="utf-8", check=True)
    return result.stdout.strip()


def test_direction() -> None:
    directions = [
        scored(build(config), HYPOTHESES, REFERENCES).higher_is_better
        for config in (BLEUConfig(), ChrFConfig(), TERConfig())
    ]
    assert directions == [True, True, False]
    assert [type(config).higher_is_better for config in (BLEUConfig(), ChrFConfig(), TERConfig())] == directions


def test_result_so_far() -> None:
    """A result may be asked for at any time; more sentences may follow."""
    scorer: Scorer = build(ChrFConfig())
    scorer.add("same", ["same"])
    assert scorer.result().value == pytest.approx(100)
    scorer.add("other", ["text"])
    assert scorer.result().value < 100


@pytest.mark.parametrize("config", [BLEUConfig(), ChrFConfig(), TERConfig()])
def test_sentences_that_cannot_be_scored(config: ComponentConfig) -> None:
    scorer: Scorer = build(config)
    with pytest.raises(ValueError, match="no sentence"):
        scorer.result()
    with pytest.raises(ValueError, match="sentence 0 has 0 references and should have 1"):
        scorer.add("a", [])
    scorer.add("a", ["b", "c"])
    with pytest.raises(ValueError, match="sentence 1 has 1 references and should have 2"):
        scorer.add("a", ["b"])


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (BLEUConfig, {"tokenize": "moses"}, "tokenize=moses is not valid: use one of .*13a"),
        (BLEUConfig, {"smooth_method": "add"}, "smooth_method=add is not valid: use one of .*add-k"),
        (BLEUConfig, {"max_ngram_order": 0}, "max_ngram_order=0 is not valid"),
        (ChrFConfig, {"char_order": -1}, "char_order=-1 is not valid"),
        (ChrFConfig, {"beta": 0}, "beta=0 is not valid"),
    ],
)
def test_invalid_options(config: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**options)


def test_multi30k(shared: Path) -> None:
    """The scores of the peer's translations of Multi30k's test set, with their signatures."""
    folder = shared / "golden" / "multi30k_tiny"
    hypotheses = (folder / "hypotheses.de").read_text(encoding="utf-8").splitlines()
    pieces = (folder / "test.de").read_text(encoding="utf-8").splitlines()
    references = [[line.replace(" ", "").replace("▁", " ").strip()] for line in pieces]
    expected = [line.strip() for line in (folder / "scores.txt").read_text(encoding="utf-8").splitlines()]
    for config, line in zip((BLEUConfig(), ChrFConfig(), TERConfig()), expected, strict=True):
        assert without_version(scored(build(config), hypotheses, references).text) == without_version(line)


def without_version(line: str) -> str:
    return " ".join(word for word in line.replace("|version:", " version:").split() if not word.startswith("version:"))
