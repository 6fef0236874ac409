"""`python -m seqexp.rerank`: rank n-best lists anew, with a model of the other direction and a language model."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seqexp.catalog import component_name
from seqexp.config.base import CommandConfig, require
from seqexp.config.saved import to_saved
from seqexp.distributed.base import Device
from seqexp.generation.noisy_channel import Weights, rerank
from seqexp.plugins import run
from seqexp.pretrained import load_model
from seqexp.runs.identity import digest
from seqexp.runs.output import output_directory
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import read_lines, write_json, write_text
from seqexp.scorers.base import ScorerConfig
from seqexp.tasks.language_modeling import LanguageModelingTask
from seqexp.training.evaluation import score


@dataclass
class RerankConfig(CommandConfig):
    hypotheses: str = MISSING
    """The `hypotheses.jsonl` of `generate`, made with `generator.nbest` of several."""
    channel: str | None = None
    """Run or checkpoint of a model that translates the other way."""
    lm: str | None = None
    """Run or checkpoint of a language model of the hypotheses' language; its vocabulary may be another."""
    direct_weight: float = 1.0
    """Of the log-probability that the hypotheses were found with."""
    channel_weight: float = 1.0
    """Of the log-probability of the source given the hypothesis."""
    lm_weight: float = 0.3
    """Of the log-probability of the hypothesis alone."""
    length_penalty: float = 1.0
    """The weighted sum is divided by the length in tokens to this power."""
    scorer: dict[str, ScorerConfig] = field(default_factory=dict)
    max_tokens: int = 4096
    """Most tokens of a batch, padding included."""
    device: Device = Device.auto
    output: str | None = None
    """Directory for the results; null: one beside the hypotheses."""

    def __post_init__(self) -> None:
        require(self.max_tokens > 0, "max_tokens", self.max_tokens, "a count above 0")


def main(config: RerankConfig) -> dict[str, float]:
    if config.channel is None and config.lm is None:
        raise UserError("channel and lm are both null: give a model of the other direction, a language model or both")
    sentences = read_sentences(Path(config.hypotheses))
    channel, lm = (
        None
        if path is None
        else load_model(path, device=config.device, max_tokens=config.max_tokens, trust=config.trust)
        for path in (config.channel, config.lm)
    )
    if channel is not None and isinstance(channel.task, LanguageModelingTask):
        raise UserError(f"channel={config.channel} is a language model; give one that translates the other way")
    if lm is not None and not isinstance(lm.task, LanguageModelingTask):
        raise UserError(f"lm={config.lm} is no language model")
    weights = Weights(config.direct_weight, config.channel_weight, config.lm_weight, config.length_penalty)
    key = digest([sentences, config.channel, config.lm, vars(weights), to_saved(config.scorer, component_name)])[:12]
    output = output_directory(config.output, Path(config.hypotheses).parent / f"rerank-{key}", key)
    found = rerank(sentences, channel, lm, weights)
    write_text(output / "hypotheses.jsonl", "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in found))
    best = {number: each["hypotheses"][0]["text"] if each["hypotheses"] else "" for number, each in enumerate(found)}
    write_text(output / "hypotheses.txt", "".join(f"{text}\n" for text in best.values()))
    figures: dict[str, Any] = {"status": "finished", "key": key, "sentences": len(found)}
    scores = {}
    if found and all("references" in each for each in found):
        scores = score(best, lambda number: found[number]["references"], config.scorer)
        figures["scores"] = {name: {"score": s.value, "signature": s.signature} for name, s in scores.items()}
    for each in scores.values():
        print(each.text)
    write_json(output / "result.json", figures)
    print(f"result: {output / 'result.json'}")
    return {name: each.value for name, each in scores.items()}


def read_sentences(path: Path) -> list[dict[str, Any]]:
    """
    Raises:
        UserError: a line is not as `generate` writes it.
    """
    sentences = []
    for number, line in enumerate(read_lines(path, "hypotheses"), start=1):
        try:
            sentence = json.loads(line)
            assert isinstance(sentence["source"], str)
            assert all(
                isinstance(each["text"], str) and each["token_scores"] is not None for each in sentence["hypotheses"]
            )
        except (ValueError, KeyError, TypeError, AssertionError):
            raise UserError(f"hypotheses={path}: line {number} is not one of generate's hypotheses.jsonl") from None
        sentences.append(sentence)
    return sentences


def cli() -> None:
    run("rerank", RerankConfig, main, ["scorer"])


if __name__ == "__main__":
    cli()
