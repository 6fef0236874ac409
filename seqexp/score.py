"""`python -m seqexp.score`: compare files of hypotheses with reference translations, and with each other."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seqexp.config.base import CommandConfig, one_or_more, require
from seqexp.config.build import build
from seqexp.plugins import run
from seqexp.runs.identity import digest
from seqexp.runs.output import output_directory
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import read_lines, write_json, write_text
from seqexp.scorers.base import Score, Scorer, ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer
from seqexp.scorers.significance import Comparison, Significance, compare, seeded

SIGNIFICANT = 0.05


@dataclass
class ScoreConfig(CommandConfig):
    hypotheses: Any = MISSING
    """File of translations, one a line, as plain text; a list of files to compare several systems."""
    references: Any = MISSING
    """File of reference translations, line by line; a list of files for several references of each sentence."""
    scorer: dict[str, ScorerConfig] = field(default_factory=dict)
    sentence_level: bool = False
    """Score each sentence by itself too, into `sentences.jsonl`."""
    confidence: bool = False
    """Give 95 % confidence intervals, by bootstrap."""
    significance: Significance = Significance.none
    """Test whether systems differ from the baseline by more than chance."""
    baseline: str | None = None
    """One of `hypotheses`, which the others are tested against; null: the first."""
    num_resamples: int = 1000
    """Of a bootstrap."""
    num_trials: int = 10_000
    """Of significance=approximate_randomization."""
    seed: int = 12345
    """Of resamples and trials; the default is sacrebleu's."""
    output: str | None = None
    """Directory for `result.json`; null: `score-<name of the hypotheses>-<key>`, beside them."""

    def __post_init__(self) -> None:
        self.hypotheses = one_or_more("hypotheses", self.hypotheses, "file")
        self.references = one_or_more("references", self.references, "file")
        require(bool(self.scorer), "scorer", [], "at least one")
        for name in ("num_resamples", "num_trials"):
            require(getattr(self, name) > 1, name, getattr(self, name), "a count above 1")
        require(self.seed > 0, "seed", self.seed, "it must be positive")
        twice = next((path for path in self.hypotheses if self.hypotheses.count(path) > 1), None)
        require(twice is None, "hypotheses", twice, "it is there twice")
        is_test = self.significance is not Significance.none
        right = "several hypotheses=[...,...] are compared"
        require(not is_test or len(self.hypotheses) > 1, "significance", self.significance.value, right)
        if self.baseline is not None:
            require(is_test, "baseline", self.baseline, "it needs a test, significance=paired_bootstrap")
            right = f"one of hypotheses={','.join(self.hypotheses)}"
            require(self.baseline in self.hypotheses, "baseline", self.baseline, right)


@dataclass(frozen=True)
class Scores:
    """By scorer, then by system, which goes by its file: the score, and what the test says of it."""

    scores: dict[str, dict[str, Score]]
    comparisons: dict[str, dict[str, Comparison]]

    def result_of(self, system: str) -> dict[str, dict[str, Any]]:
        """For the result file."""
        found = {}
        for name, scores in self.scores.items():
            score = scores[system]
            found[name] = {"score": score.value, "signature": score.signature}
            if score.interval is not None:
                found[name] |= {"mean": score.mean, "interval": score.interval}
            if name in self.comparisons:
                found[name]["p_value"] = self.comparisons[name][system].p_value
        return found


def main(config: ScoreConfig) -> dict[str, float]:
    systems, references = read_texts(config)
    scorers: dict[str, Scorer] = {name: build(scorer) for name, scorer in config.scorer.items()}
    with seeded(config.seed):
        found = score_all(config, scorers, systems, references)
    results = {system: found.result_of(system) for system in systems}
    signatures = {name: [score.signature for score in scores.values()] for name, scores in found.scores.items()}
    content = {"texts": [*systems.values(), references], "scorers": signatures, "sentences": config.sentence_level}
    key = digest(content)[:12]
    first = Path(config.hypotheses[0])
    output = output_directory(config.output, first.with_name(f"score-{first.stem}-{key}"), key)
    if config.sentence_level:
        write_sentences(output / "sentences.jsonl", scorers, systems, references)
    hypotheses = config.hypotheses if len(systems) > 1 else config.hypotheses[0]
    described = {"key": key, "hypotheses": hypotheses, "references": config.references}
    if len(systems) == 1:
        write_json(output / "result.json", {**described, "scores": results[config.hypotheses[0]]})
        for scores in found.scores.values():
            print(scores[config.hypotheses[0]].text)
    else:
        baseline = {"baseline": next(iter(systems))} if found.comparisons else {}
        write_json(output / "result.json", {**described, **baseline, "systems": results})
        show_table(found, list(systems))
    print(f"result: {output / 'result.json'}")
    return {name: scores[config.hypotheses[0]].value for name, scores in found.scores.items()}


def read_texts(config: ScoreConfig) -> tuple[dict[str, list[str]], list[list[str]]]:
    """The lines of each system, the baseline's first, and those of each file of references.

    Raises:
        UserError: a file cannot be read, is empty, or has another number of lines.
    """
    order = sorted(config.hypotheses, key=lambda path: path != config.baseline)
    systems = {path: read_lines(Path(path), "hypotheses") for path in order}
    references = {path: read_lines(Path(path), "references") for path in config.references}
    first, lines = next(iter(systems.items()))
    for key, texts in (("hypotheses", systems), ("references", references)):
        for path, others in texts.items():
            if len(others) != len(lines):
                raise UserError(
                    f"{key}={path} has {len(others)} lines and hypotheses={first} has {len(lines)}: "
                    "they must have one line for each sentence"
                )
    if not lines:
        raise UserError(f"hypotheses={first} is empty")
    return systems, list(references.values())


def score_all(
    config: ScoreConfig, scorers: Mapping[str, Scorer], systems: Mapping[str, list[str]], references: list[list[str]]
) -> Scores:
    """
    Raises:
        UserError: a scorer of a plug-in's cannot be resampled.
    """
    is_test = config.significance is not Significance.none
    is_bootstrap = config.significance is Significance.paired_bootstrap
    scores: dict[str, dict[str, Score]] = {}
    comparisons: dict[str, dict[str, Comparison]] = {}
    for name, scorer in scorers.items():
        if (is_test or config.confidence) and not isinstance(scorer, CorpusScorer):
            raise UserError(f"scorer={name} can be resampled by no test: leave out confidence= and significance=")
        num_resamples = config.num_resamples if config.confidence and not is_test else 0
        each = {path: _score(config.scorer[name], lines, references, num_resamples) for path, lines in systems.items()}
        if is_test:
            assert isinstance(scorer, CorpusScorer)
            signature, comparisons[name] = compare(
                scorer.metric,
                systems,
                references,
                config.significance,
                num_trials=config.num_resamples if is_bootstrap else config.num_trials,
                num_resamples=config.num_resamples if config.confidence else 0,
            )
            for path, said in comparisons[name].items():
                each[path] = replace(each[path], signature=signature, mean=said.mean, interval=said.interval)
        scores[name] = each
    return Scores(scores, comparisons)


def _score(config: ScorerConfig, lines: list[str], references: list[list[str]], num_resamples: int) -> Score:
    scorer: Scorer = build(config)
    for number, hypothesis in enumerate(lines):
        scorer.add(hypothesis, [reference[number] for reference in references])
    if num_resamples:
        assert isinstance(scorer, CorpusScorer)
        return scorer.result(num_resamples)
    return scorer.result()


def write_sentences(
    path: Path, scorers: Mapping[str, Scorer], systems: Mapping[str, list[str]], references: list[list[str]]
) -> None:
    """One object a sentence: its number, and by system and scorer the score of the sentence by itself."""
    lines = []
    for number in range(len(references[0])):
        of_sentence = [reference[number] for reference in references]
        scores = {
            system: {name: scorer.sentence(texts[number], of_sentence).value for name, scorer in scorers.items()}
            for system, texts in systems.items()
        }
        lines.append(json.dumps({"id": number, "scores": scores}, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def show_table(found: Scores, systems: Sequence[str]) -> None:
    """A row a system, a column a scorer; below it, what each scorer is."""
    from rich.console import Console  # here, because it takes a tenth of a second
    from rich.table import Table

    table = Table()
    table.add_column("system", overflow="fold")
    for name, scores in found.scores.items():
        table.add_column(name if scores[systems[0]].higher_is_better else f"{name} (lower is better)")
    for number, system in enumerate(systems):
        is_baseline = number == 0 and bool(found.comparisons)
        row = [
            _cell(scores[system], found.comparisons.get(name, {}).get(system)) for name, scores in found.scores.items()
        ]
        table.add_row(f"{system} (baseline)" if is_baseline else system, *row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for name, scores in found.scores.items():
        print(f"{name}: {scores[systems[0]].signature}")
    if found.comparisons:
        print(f"*: differs from the baseline with p < {SIGNIFICANT}")


def _cell(score: Score, comparison: Comparison | None) -> str:
    text = f"{score.value:.1f}"
    if score.interval is not None:
        text += f" (μ = {score.mean:.1f} ± {score.interval:.1f})"
    if comparison is not None and comparison.p_value is not None:
        text += f"\np = {comparison.p_value:.4f}{'*' if comparison.p_value < SIGNIFICANT else ''}"
    return text


def cli() -> None:
    run("score", ScoreConfig, main, ["scorer"])


if __name__ == "__main__":
    cli()
