"""The score command: several systems and references, single sentences, confidence, tests of significance."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Command

WORDS = ["the", "a", "cat", "dog", "house", "sees", "runs", "big", "small", "in", "under"]


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files good.txt and bad.txt of translations, first.txt and second.txt of references."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(1)
    first = [[chance.choice(WORDS) for _ in range(8)] for _ in range(30)]

    def changed(rate: float) -> list[list[str]]:
        return [[chance.choice(WORDS) if chance.random() < rate else word for word in words] for words in first]

    files = {"first": first, "second": changed(0.2), "good": changed(0.2), "bad": changed(0.25)}
    for name, lines in files.items():
        Path(f"{name}.txt").write_text("".join(f"{' '.join(words)}\n" for words in lines))


def result(printed: str) -> tuple[Path, dict[str, Any]]:
    path = Path(printed.strip().splitlines()[-1].removeprefix("result: "))
    return path.parent, json.loads(path.read_text())


def sacrebleu(*arguments: str) -> Any:
    command = [sys.executable, "-m", "sacrebleu", *arguments, "-m", "bleu", "-w", "8", "-f", "json"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return printed if "--sentence-level" in arguments else json.loads(printed)


REFERENCES = "references=[first.txt,second.txt]"


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize(
    ("test", "options"),
    [
        ("paired_bootstrap", ["--paired-bs", "--paired-bs-n", "100"]),
        ("approximate_randomization", ["--paired-ar", "--paired-ar-n", "100"]),
    ],
)
def test_significance_is_that_of_the_sacrebleu_command(command: Command, test: str, options: list[str]) -> None:
    arguments = ["hypotheses=[bad.txt,good.txt]", REFERENCES, "baseline=good.txt", f"significance={test}"]
    printed, _ = command("score", *arguments, "scorer=[bleu,chrf]", "num_resamples=100", "num_trials=100")
    _, found = result(printed)
    assert found["baseline"] == "good.txt"
    expected = sacrebleu("first.txt", "second.txt", "-i", "good.txt", "bad.txt", *options)
    for peer in expected:
        ours = found["systems"][peer["system"].removeprefix("Baseline: ")]["bleu"]
        peer = peer["BLEU"]
        assert ours["score"] == pytest.approx(peer["score"], abs=1e-6)
        assert ours["p_value"] == (pytest.approx(peer["p_value"], abs=1e-6) if peer["p_value"] else None)
        if peer["mean"] is not None:
            assert (ours["mean"], ours["interval"]) == pytest.approx((peer["mean"], peer["ci"]), abs=1e-6)
    assert found["systems"]["bad.txt"]["bleu"]["p_value"] is not None
    assert f"p = {found['systems']['bad.txt']['chrf']['p_value']:.4f}" in printed
    assert "good.txt (baseline)" in printed
    # another seed draws other samples
    _, other = result(command("score", *arguments, "scorer=[bleu]", "num_resamples=100", "num_trials=100", "seed=7")[0])
    assert other["systems"]["bad.txt"]["bleu"] != found["systems"]["bad.txt"]["bleu"]


@pytest.mark.usefixtures("texts")
def test_confidence_and_single_sentences(command: Command) -> None:
    arguments = ["hypotheses=bad.txt", REFERENCES, "confidence=true", "num_resamples=100", "sentence_level=true"]
    printed, _ = command("score", *arguments, "scorer=[bleu,wer]")
    folder, found = result(printed)
    peer = sacrebleu("first.txt", "second.txt", "-i", "bad.txt", "--confidence", "--confidence-n", "100")
    ours = found["scores"]["bleu"]
    expected = (peer["score"], peer["confidence_mean"], peer["confidence_var"])
    assert (ours["score"], ours["mean"], ours["interval"]) == pytest.approx(expected, abs=1e-6)
    assert "|bs:100|seed:12345|" in ours["signature"]
    assert found["scores"]["wer"]["interval"] > 0
    lines = [json.loads(line) for line in (folder / "sentences.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == list(range(30))
    peers = sacrebleu("first.txt", "second.txt", "-i", "bad.txt", "--sentence-level").splitlines()
    values = [float(line.partition(" = ")[2].split()[0]) for line in peers]
    assert [line["scores"]["bad.txt"]["bleu"] for line in lines] == pytest.approx(values, abs=1e-6)


@pytest.mark.usefixtures("texts")
def test_systems_without_a_test(command: Command) -> None:
    printed, _ = command("score", "hypotheses=[good.txt,bad.txt]", "references=first.txt", "scorer=[ter,bleu]")
    _, found = result(printed)
    assert list(found["systems"]) == ["good.txt", "bad.txt"]
    assert "baseline" not in found and "ter (lower is better)" in printed
    assert set(found["systems"]["bad.txt"]["bleu"]) == {"score", "signature"}
