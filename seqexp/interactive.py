"""`python -m seqexp.interactive`: translate standard input, line by line as it comes."""

import importlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from seqexp.config.base import require
from seqexp.generation.config import TranslatingConfig
from seqexp.generation.formats import fairseq_lines
from seqexp.generation.record import sentence
from seqexp.plugins import run
from seqexp.pretrained import TrainedModel, Translation
from seqexp.runtime.errors import UserError
from seqexp.training.out_of_memory import fitting_into_memory


class Format(StrEnum):
    """What is printed of each hypothesis."""

    text = "text"
    """Its text."""
    jsonl = "jsonl"
    """An object for each sentence: source, all hypotheses, with tokens and the score of each."""
    fairseq = "fairseq"
    """The lines of fairseq-interactive: S-, W- (seconds), C- (constraints), H-, D-, P-, A- (`alignment`)."""


@dataclass
class InteractiveConfig(TranslatingConfig):
    buffer: int = 1
    """Lines that are read before they are translated together; more is faster, 1 answers at once."""
    format: Format = Format.text
    """What is printed; also of several hypotheses of a sentence, generator.nbest=3."""
    scores: bool = False
    """With format=text, print each hypothesis after its score and a tab."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_lines(self.format.value)
        require(self.buffer > 0, "buffer", self.buffer, "a count above 0")
        is_text = self.format is Format.text
        require(is_text or not self.scores, "scores", self.scores, f"format={self.format.value} has them anyway")


def main(config: InteractiveConfig) -> None:
    config.complete()
    model = config.load()
    num_done = 0
    for lines in chunks(standard_input(), config.buffer):
        started = time.monotonic()
        found = translated(model, lines, num_done, config.max_tokens)
        seconds = (time.monotonic() - started) / len(lines)
        for number, (line, translations) in enumerate(zip(lines, found, strict=True), start=num_done):
            for shown in shown_lines(config, model, number, line, translations, seconds):
                print(shown)
        num_done += len(lines)
        sys.stdout.flush()


def translated(model: TrainedModel, lines: list[str], num_before: int, max_tokens: int) -> list[list[Translation]]:
    """
    Raises:
        ProcessError: the lines do not fit into memory together.
    """
    what = f"the search of lines {num_before + 1} to {num_before + len(lines)}"
    advice = f"take max_tokens below {max_tokens}, or fewer beams"
    with fitting_into_memory(model.precision.device, lambda: what, advice):
        return model.nbest(lines)


def shown_lines(
    config: InteractiveConfig,
    model: TrainedModel,
    number: int,
    line: str,
    translations: list[Translation],
    seconds: float,
) -> Iterator[str]:
    """What is printed of a line.

    Args:
        number: of the sentence, from 0.
        seconds: that it took.
    """
    if config.format is Format.text:
        for each in translations:
            yield f"{each.score:.4f}\t{each.text}" if config.scores else each.text
        return
    text, *constraints = line.split("\t") if model.generator.sees_to_constraints else [line]
    content = sentence(number, text, translations)
    if config.format is Format.jsonl:
        yield json.dumps(content, ensure_ascii=False)
        return
    source, *rest = fairseq_lines(model.task, [content], config.alignment)
    yield from (source, f"W-{number}\t{seconds:.3f}\tseconds")
    yield from (f"C-{number}\t{phrase}" for phrase in constraints)
    yield from rest


def standard_input() -> Iterator[str]:
    """Lines of standard input; on a terminal they can be edited, and earlier ones be fetched back.

    Raises:
        UserError: a line is not UTF-8.
    """
    if sys.stdin.isatty():
        print("type a sentence and Enter; end with Ctrl-D", file=sys.stderr)
        if sys.stdout.isatty():
            importlib.import_module("readline")  # `input` then uses it
            yield from typed_lines()
            return
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UserError(f"standard input: line {number} is not valid UTF-8") from None


def typed_lines() -> Iterator[str]:
    """Lines of a terminal, until Ctrl-D."""
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return


def chunks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of `size` lines, the last perhaps shorter."""
    iterator = iter(lines)
    while chunk := list(islice(iterator, size)):
        yield chunk


def cli() -> None:
    run("interactive", InteractiveConfig, main, ["generator", "engine", "scorer"])


if __name__ == "__main__":
    cli()
