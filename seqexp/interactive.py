"""`python -m seqexp.interactive`: translate standard input, line by line as it comes."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from omegaconf import MISSING

from seqexp.checkpoint.layout import Weights
from seqexp.config.base import CommandConfig, one_or_more, require
from seqexp.config.command import overridden_fields
from seqexp.distributed.base import Device
from seqexp.engines.base import EngineConfig
from seqexp.generators.base import GeneratorConfig
from seqexp.plugins import run
from seqexp.pretrained import load_model, run_generator
from seqexp.runtime.errors import UserError


@dataclass
class InteractiveConfig(CommandConfig):
    run: Any = MISSING
    """Directory of a run or of a checkpoint; a list of them for an ensemble."""
    checkpoint: str = "best"
    """Of a run: best, last, the number of an update, or a checkpoint's directory."""
    weights: Weights = Weights.validated
    """Of a run with a moving average, which ones: those that were `validated`, those that the optimizer has `trained`,
    or the `averaged` ones."""
    generator: GeneratorConfig = MISSING
    """The run's own generator, with what the command line changes."""
    engine: EngineConfig = MISSING
    """What computes the search."""
    buffer: int = 1
    """Lines that are read before they are translated together; more is faster, 1 answers at once."""
    scores: bool = False
    """Print each hypothesis after its score and a tab."""
    device: Device = Device.auto

    def __post_init__(self) -> None:
        self.run = one_or_more("run", self.run, "directory")
        require(self.buffer > 0, "buffer", self.buffer, "a count above 0")


def main(config: InteractiveConfig) -> None:
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
        trust=config.trust,
    )
    if sys.stdin.isatty():
        print("type a sentence and Enter; end with Ctrl-D", file=sys.stderr)
    for lines in chunks(standard_input(), config.buffer):
        for translations in model.nbest(lines):
            for translation in translations:
                print(f"{translation.score:.4f}\t{translation.text}" if config.scores else translation.text)
        sys.stdout.flush()


def standard_input() -> Iterator[str]:
    """Lines of standard input.

    Raises:
        UserError: a line is not UTF-8.
    """
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UserError(f"standard input: line {number} is not valid UTF-8") from None


def chunks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of `size` lines, the last perhaps shorter."""
    iterator = iter(lines)
    while chunk := list(islice(iterator, size)):
        yield chunk


def cli() -> None:
    run("interactive", InteractiveConfig, main, ["generator", "engine"])


if __name__ == "__main__":
    cli()
