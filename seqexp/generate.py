"""`python -m seqexp.generate`: translate a split, or a file, with a trained model."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seqexp.catalog import component_name
from seqexp.checkpoint.layout import Weights
from seqexp.config.base import CommandConfig, one_or_more, require
from seqexp.config.command import overridden_fields
from seqexp.config.saved import to_saved
from seqexp.data.split import Split
from seqexp.distributed.base import Device
from seqexp.engines.base import EngineConfig
from seqexp.generators.base import GeneratorConfig
from seqexp.plugins import run
from seqexp.pretrained import (
    DataPlace,
    TrainedModel,
    Translation,
    best_text,
    find_checkpoint,
    load_data,
    load_model,
    run_generator,
)
from seqexp.runs.identity import digest
from seqexp.runs.output import output_directory
from seqexp.runtime.files import atomic_path, read_lines, sha256_of_file, write_json, write_text
from seqexp.runtime.logs import show_messages
from seqexp.runtime.memory import use_large_pages
from seqexp.scorers.base import ScorerConfig
from seqexp.training.evaluation import score

logger = logging.getLogger("seqexp.generate")


@dataclass
class GenerateConfig(CommandConfig):
    run: Any = MISSING
    """Directory of a run or of a checkpoint; a list of them for an ensemble."""
    checkpoint: str = "best"
    """Of a run: best, last, the number of an update, or a checkpoint's directory."""
    weights: Weights = Weights.validated
    """Of a run with a moving average, which ones: those that were `validated`, those that the optimizer has `trained`,
    or the `averaged` ones."""
    split: str = "test"
    """Split to translate."""
    input: str | None = None
    """File of raw text to translate instead, a sentence a line."""
    task: DataPlace = field(default_factory=DataPlace)
    generator: GeneratorConfig = MISSING
    """The run's own generator, with what the command line changes."""
    engine: EngineConfig = MISSING
    """What computes the search."""
    scorer: dict[str, ScorerConfig] = field(default_factory=dict)
    max_tokens: int = 4096
    """Most tokens of a batch, padding included."""
    device: Device = Device.auto
    output: str | None = None
    """Directory for the results; null: one below the run's directory."""

    def __post_init__(self) -> None:
        self.run = one_or_more("run", self.run, "directory")
        require(self.max_tokens > 0, "max_tokens", self.max_tokens, "a count above 0")


def main(config: GenerateConfig) -> dict[str, float]:
    show_messages()
    use_large_pages()
    generator = run_generator(
        config.run[0], config.checkpoint, config.generator, overridden_fields("generator"), config.trust
    )
    model = load_model(
        *config.run,
        checkpoint=config.checkpoint,
        weights=config.weights,
        generator=generator,
        engine=config.engine,
        device=config.device,
        max_tokens=config.max_tokens,
        trust=config.trust,
    )
    split = load_input(config, model)
    key = output_key(config, generator)
    name = config.split if config.input is None else Path(config.input).name
    output = output_directory(config.output, Path(config.run[0]) / "generate" / f"{name}-{key}", key)
    started = time.monotonic()
    translations = dict(with_speed(model, split))
    seconds = time.monotonic() - started
    best = {number: best_text(translations[number]) for number in range(len(split))}
    write_text(output / "hypotheses.txt", "".join(f"{text}\n" for text in best.values()))
    write_jsonl(output / "hypotheses.jsonl", split, translations)
    figures: dict[str, Any] = {
        "status": "finished",
        "key": key,
        "sentences": len(split),
        "seconds": round(seconds, 2),
        "sentences_per_second": round(len(split) / seconds, 1),
        "hypotheses": str(output / "hypotheses.txt"),
    }
    scores = {}
    if split.has_references:
        write_text(output / "references.txt", "".join(f"{split.references(n)[0]}\n" for n in range(len(split))))
        scores = score(best, split.references, config.scorer)
        figures["references"] = str(output / "references.txt")
        figures["scores"] = {name: {"score": s.value, "signature": s.signature} for name, s in scores.items()}
    for each in scores.values():
        print(each.text)
    write_json(output / "result.json", figures)
    print(f"result: {output / 'result.json'}")
    return {name: each.value for name, each in scores.items()}


def load_input(config: GenerateConfig, model: TrainedModel) -> Split:
    """The split, or the file, that is to be translated.

    Raises:
        UserError: it is not there, or its vocabularies are not those of the model.
    """
    if config.input is not None:
        return model.task.encode(read_lines(Path(config.input), "input"))
    checkpoint = find_checkpoint(config.run[0], config.checkpoint, config.trust)
    task = load_data(checkpoint, config.task.data, config.trust)
    return task.load_split(config.split, model.models[0])


def with_speed(model: TrainedModel, split: Split) -> Iterator[tuple[int, list[Translation]]]:
    """The translations of a split, with a message every ten seconds about how far it is."""
    started = shown = time.monotonic()
    for done, item in enumerate(model.generate(split), start=1):
        yield item
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            logger.info("%d of %d sentences, %.1f per second", done, len(split), done / (shown - started))


def output_key(config: GenerateConfig, generator: GeneratorConfig) -> str:
    """Hash of what the output depends on."""
    checkpoints = [find_checkpoint(path, config.checkpoint, config.trust) for path in config.run]
    content = {
        "generator": to_saved(generator, component_name),
        "engine": to_saved(config.engine, component_name),
        "weights": [checkpoint.content_of(config.weights) for checkpoint in checkpoints],
        "input": config.split if config.input is None else sha256_of_file(Path(config.input)),
        "data": config.task.data,
    }
    return digest(content)[:12]


def write_jsonl(path: Path, split: Split, translations: dict[int, list[Translation]]) -> None:
    """One object a sentence, in the order of the input, with all its hypotheses."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for number in range(len(split)):
            hypotheses = [
                {"text": t.text, "score": t.score, "tokens": t.tokens, "token_scores": t.token_scores}
                for t in translations[number]
            ]
            line = {"id": number, "source": split.source_text(number), "hypotheses": hypotheses}
            if split.has_references:
                line["references"] = split.references(number)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def cli() -> None:
    run("generate", GenerateConfig, main, ["generator", "engine", "scorer"])


if __name__ == "__main__":
    cli()
