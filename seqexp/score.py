"""`python -m seqexp.score`: compare a file of hypotheses with reference translations."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seqexp.config.base import CommandConfig, one_or_more, require
from seqexp.config.build import build
from seqexp.plugins import run
from seqexp.runs.identity import digest
from seqexp.runs.output import output_directory
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import read_lines, write_json
from seqexp.scorers.base import Scorer, ScorerConfig


@dataclass
class ScoreConfig(CommandConfig):
    hypotheses: str = MISSING
    """File of translations, one a line, as plain text."""
    references: Any = MISSING
    """File of reference translations, line by line; a list of files for several references of each sentence."""
    scorer: dict[str, ScorerConfig] = field(default_factory=dict)
    output: str | None = None
    """Directory for `result.json`; null: `score-<name of the hypotheses>-<key>`, beside them."""

    def __post_init__(self) -> None:
        self.references = one_or_more("references", self.references, "file")
        require(bool(self.scorer), "scorer", [], "at least one")


def main(config: ScoreConfig) -> dict[str, float]:
    hypotheses = read_lines(Path(config.hypotheses), "hypotheses")
    references = [read_lines(Path(path), "references") for path in config.references]
    for path, lines in zip(config.references, references, strict=True):
        if len(lines) != len(hypotheses):
            raise UserError(
                f"references={path} has {len(lines)} lines and hypotheses={config.hypotheses} has {len(hypotheses)}: "
                "they must have one line for each sentence"
            )
    if not hypotheses:
        raise UserError(f"hypotheses={config.hypotheses} is empty")
    scores = {}
    for name, scorer_config in config.scorer.items():
        scorer: Scorer = build(scorer_config)
        for number, hypothesis in enumerate(hypotheses):
            scorer.add(hypothesis, [lines[number] for lines in references])
        scores[name] = scorer.result()
        print(scores[name].text)
    hypotheses_path = Path(config.hypotheses)
    scorers = {name: score.signature for name, score in scores.items()}
    key = digest({"texts": [hypotheses, references], "scorers": scorers})[:12]
    default = hypotheses_path.with_name(f"score-{hypotheses_path.stem}-{key}")
    output = output_directory(config.output, default, key) / "result.json"
    result = {name: {"score": score.value, "signature": score.signature} for name, score in scores.items()}
    write_json(output, {"key": key, "hypotheses": config.hypotheses, "references": config.references, "scores": result})
    print(f"result: {output}")
    return {name: score.value for name, score in scores.items()}


def cli() -> None:
    run("score", ScoreConfig, main, ["scorer"])


if __name__ == "__main__":
    cli()
