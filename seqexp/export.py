"""`python -m seqexp.export`: a trained model for other programs: CTranslate2, ONNX, torch.export."""

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from omegaconf import MISSING

from seqexp.checkpoint.layout import Checkpoint, Weights
from seqexp.config.base import CommandConfig, require
from seqexp.data.batch import PairBatch
from seqexp.distributed.base import Device
from seqexp.exported import write_exported
from seqexp.formats.base import Format, Vocabularies
from seqexp.formats.checked import NUM_SENTENCES, random_batch
from seqexp.formats.ctranslate2 import CTranslate2Format, Quantization
from seqexp.formats.onnx import ONNXFormat
from seqexp.formats.torch import TorchFormat
from seqexp.models.base import Seq2SeqModel
from seqexp.plugins import run
from seqexp.pretrained import DataPlace, find_checkpoint, load_data, load_model
from seqexp.runs.directory import read_json
from seqexp.runs.identity import digest
from seqexp.runtime.errors import UserError
from seqexp.runtime.logs import show_messages

logger = logging.getLogger("seqexp.export")


class FormatName(StrEnum):
    ctranslate2 = "ctranslate2"
    onnx = "onnx"
    torch = "torch"
    """torch.export."""


@dataclass
class ExportConfig(CommandConfig):
    run: str = MISSING
    """Directory of a run or of a checkpoint."""
    format: FormatName = FormatName.ctranslate2
    """What to write."""
    quantization: Quantization = Quantization.float32
    """Number format of CTranslate2's weights; int8 takes a quarter of the space."""
    checkpoint: str = "best"
    """Of a run: best, last, the number of an update, or a checkpoint's directory."""
    weights: Weights = Weights.validated
    """Of a run with a moving average, which ones: those that were `validated`, those that the optimizer has `trained`,
    or the `averaged` ones."""
    split: str = "valid"
    """Its first sentences are what the exported model is compared on; random tokens where the data is gone."""
    task: DataPlace = field(default_factory=DataPlace)
    output: str | None = None
    """Directory to write; null: one below the run's directory."""

    def __post_init__(self) -> None:
        is_plain = self.format is FormatName.ctranslate2 or self.quantization is Quantization.float32
        require(is_plain, "quantization", self.quantization, f"format={self.format} is written in float32")


def main(config: ExportConfig) -> None:
    show_messages()
    checkpoint = find_checkpoint(config.run, config.checkpoint, config.trust)
    described = {"name": config.format.value, "quantization": config.quantization.value}
    key = digest({"format": described, "weights": checkpoint.content_of(config.weights)})
    default = Path(config.run) / "export" / f"{config.format}-{key[:12]}"
    output = Path(config.output) if config.output else default
    if output.exists():
        if output.is_dir() and (read_json(output / "export.json") or {}).get("key") == key:
            print(f"there already: {output}")
            return
        if not output.is_dir() or any(output.iterdir()):
            raise UserError(f"output={output} holds something else already; give another name")
    trained = load_model(
        config.run, checkpoint=config.checkpoint, weights=config.weights, device=Device.cpu, trust=config.trust
    )
    model = trained.models[0].float()
    if not isinstance(model, Seq2SeqModel):
        raise UserError(f"model={type(model).__name__} cannot be exported: only a transformer for translation can")
    agreement = write_exported(
        output, form(config), described, checkpoint, model, lambda words: sample(config, checkpoint, model, words), key
    )
    print(
        f"log-probabilities of {agreement.num_tokens} tokens in {agreement.num_sentences} sentences differ by "
        f"{agreement.mean_difference:.2g} nats in the mean, {agreement.largest_difference:.2g} at most"
    )
    print(f"exported: {output}")


def form(config: ExportConfig) -> Format:
    """The format that the config names."""
    if config.format is FormatName.ctranslate2:
        return CTranslate2Format(config.quantization)
    return ONNXFormat() if config.format is FormatName.onnx else TorchFormat()


def sample(config: ExportConfig, checkpoint: Checkpoint, model: Seq2SeqModel, words: Vocabularies) -> PairBatch:
    """Sentences to compare on.

    Raises:
        UserError: the data that the command line names is not there or has no such split.
    """
    try:
        task = load_data(checkpoint, config.task.data, config.trust)
    except UserError as error:
        if config.task.data is not None:
            raise
        logger.info("compared on random tokens: %s", error)
        return random_batch(words, model)
    split = task.load_split(config.split, model)
    batch = split.collate(np.arange(min(NUM_SENTENCES, len(split))))
    assert isinstance(batch, PairBatch)
    return batch


def cli() -> None:
    run("export", ExportConfig, main, [])


if __name__ == "__main__":
    cli()
