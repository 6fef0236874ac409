"""`python -m seqexp.validate`: loss and scores of a trained model on splits of its data, or of other data."""

from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import MISSING

from seqexp.catalog import component_name
from seqexp.checkpoint.layout import Weights
from seqexp.config.base import CommandConfig, require
from seqexp.config.command import overridden_fields
from seqexp.config.saved import to_saved
from seqexp.criterions.base import Criterion, CriterionConfig
from seqexp.data.batching import BatchLimits
from seqexp.distributed.base import Device
from seqexp.generators.base import GeneratorConfig
from seqexp.plugins import run
from seqexp.pretrained import DataPlace, find_checkpoint, load_data, load_model, run_generator, run_part
from seqexp.runs.directory import open_run
from seqexp.runs.identity import digest
from seqexp.runs.output import output_directory
from seqexp.runtime.files import write_json, write_text
from seqexp.runtime.logs import show_messages
from seqexp.runtime.memory import use_large_pages
from seqexp.scorers.base import ScorerConfig
from seqexp.training.display import format_metrics
from seqexp.training.evaluation import Evaluator


@dataclass
class ValidateConfig(CommandConfig):
    run: str = MISSING
    """Directory of a run."""
    checkpoint: str = "best"
    """best, last, the number of an update, or a checkpoint's directory."""
    weights: Weights = Weights.validated
    """Of a run with a moving average, which ones: those that were `validated`, those that the optimizer has `trained`,
    or the `averaged` ones."""
    splits: list[str] = field(default_factory=lambda: ["valid"])
    """Splits to evaluate on."""
    task: DataPlace = field(default_factory=DataPlace)
    scores: bool = True
    """Translate and compute every scorer, besides the loss."""
    generator: GeneratorConfig = MISSING
    """The run's own generator, with what the command line changes."""
    scorer: dict[str, ScorerConfig] = field(default_factory=dict)
    max_tokens: int = 4096
    """Most tokens of a batch, padding included."""
    device: Device = Device.auto
    output: str | None = None
    """Directory for the results; null: one below the run's directory."""

    def __post_init__(self) -> None:
        require(self.max_tokens > 0, "max_tokens", self.max_tokens, "a count above 0")
        require(bool(self.splits), "splits", self.splits, "at least one name")


def main(config: ValidateConfig) -> dict[str, float]:
    show_messages()
    use_large_pages()
    checkpoint = find_checkpoint(config.run, config.checkpoint, config.trust)
    overridden = overridden_fields("generator")
    generator = run_generator(config.run, config.checkpoint, config.generator, overridden, config.trust)
    model = load_model(
        checkpoint.path, weights=config.weights, generator=generator, device=config.device, trust=config.trust
    )
    task = load_data(checkpoint, config.task.data, config.trust)
    criterion_config = run_part(open_run(config.run), "criterion", CriterionConfig, config.trust)
    criterion: Criterion = task.build_criterion(criterion_config)
    evaluate = Evaluator(
        task=task,
        criterion=criterion.to(model.precision.device),
        generator=model.generator if config.scores else None,
        scorers=config.scorer,
        limits=BatchLimits(config.max_tokens, None),
        precision=model.precision,
        advice=f"take max_tokens below {config.max_tokens}",
    )
    only = model.models[0]
    found = {split: evaluate(only, split, task.load_split(split, only)) for split in config.splits}
    content = {
        "weights": checkpoint.content_of(config.weights),
        "data": task.identity,
        "splits": config.splits,
        "generator": to_saved(generator, component_name) if config.scores else None,
        "scorer": to_saved(config.scorer, component_name),
    }
    key = digest(content)[:12]
    default = Path(config.run) / "validate" / f"{'-'.join(config.splits)}-{key}"
    output = output_directory(config.output, default, key)
    for split, evaluation in found.items():
        print(" | ".join([split, f"update {checkpoint.update}", *format_metrics(evaluation.metrics)]))
        for score in evaluation.scores.values():
            print(f"{split}: {score.text}")
        if evaluation.hypotheses:
            write_text(output / f"{split}.hypotheses.txt", "".join(f"{line}\n" for line in evaluation.hypotheses))
    figures = {
        "status": "finished",
        "key": key,
        "checkpoint": str(checkpoint.path),
        "update": checkpoint.update,
        **{split: evaluation.metrics for split, evaluation in found.items()},
        "signatures": {n: s.signature for evaluation in found.values() for n, s in evaluation.scores.items()},
    }
    write_json(output / "result.json", figures)
    print(f"result: {output / 'result.json'}")
    return found[config.splits[0]].metrics


def cli() -> None:
    run("validate", ValidateConfig, main, ["generator", "scorer"])


if __name__ == "__main__":
    cli()
