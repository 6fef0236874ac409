"""`python -m seqexp.generate`: translate a split, or a file, with a trained model."""

import contextlib
import logging
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from seqexp.catalog import component_name
from seqexp.config.base import one_or_more, require
from seqexp.config.saved import to_saved
from seqexp.data.split import Split
from seqexp.distributed.base import ProcessesConfig
from seqexp.distributed.launch import in_processes
from seqexp.distributed.place import launched
from seqexp.distributed.world import World
from seqexp.generation.config import TranslatingConfig
from seqexp.generation.formats import Format, fairseq_lines
from seqexp.generation.record import FINISHED, Record
from seqexp.generation.work import share_of, translate_share
from seqexp.generators.unknown_words import UnknownWords
from seqexp.models.base import Seq2SeqModel
from seqexp.plugins import load_plugins, run
from seqexp.pretrained import DataPlace, TrainedModel, find_checkpoint, load_data
from seqexp.runs.directory import read_json
from seqexp.runs.identity import digest
from seqexp.runs.output import output_directory
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import atomic_path, lines_in, read_lines, write_json, write_text
from seqexp.runtime.logs import show_messages, show_no_messages
from seqexp.runtime.memory import use_large_pages
from seqexp.scorers.base import ScorerConfig
from seqexp.training.evaluation import score

logger = logging.getLogger("seqexp.generate")

STANDARD_INPUT = "-"


@dataclass
class GenerateConfig(TranslatingConfig):
    split: str = "test"
    """Split to translate."""
    input: str | None = None
    """File of raw text to translate instead, a sentence a line; `-` is standard input."""
    references: Any = None
    """File of references to score with, line by line, or a list of them; null: the split's own."""
    task: DataPlace = field(default_factory=DataPlace)
    scorer: dict[str, ScorerConfig] = field(default_factory=dict)
    num_processes: int | None = None
    """Processes that share the work on this machine; null: one for each GPU, or one on a CPU. Under torchrun or srun,
    which start them themselves, leave it null."""
    num_threads: int | None = None
    """Of each process on a CPU; null: the processes share out the processors."""
    shard: str = "1/1"
    """`i/n`: translate the i-th of n shares only; whoever is last puts all of them together. For jobs that know
    nothing of each other but the directory."""
    format: Format = Format.jsonl
    """`fairseq` writes the lines of fairseq-generate too."""
    rerun: bool = False
    """Translate again what is translated already."""
    output: str | None = None
    """Directory for the results; null: one below the run's directory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_lines(self.format.value)
        if self.references is not None:
            self.references = one_or_more("references", self.references, "file")
        for name in ("num_processes", "num_threads"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "a count above 0, or null")
        _, num_shares = self.share()
        right = "it would delete what other shards have translated; delete the directory instead"
        require(not self.rerun or num_shares == 1, "rerun", self.rerun, right)

    def share(self) -> tuple[int, int]:
        """The number of this share, from 0, and how many there are."""
        number, _, total = self.shard.partition("/")
        is_share = number.isdecimal() and total.isdecimal() and 0 < int(number) <= int(total)
        require(is_share, "shard", self.shard, "i/n with i from 1 to n, such as 2/8")
        return int(number) - 1, int(total)


def main(config: GenerateConfig) -> dict[str, float]:
    """Translate, in as many processes as the config says; gives the scores."""
    use_large_pages()
    refuse_what_is_for_one_process(config)
    config.complete()
    lines = None
    if config.input is not None:
        from_input = config.input == STANDARD_INPUT
        lines = (
            lines_in(sys.stdin.buffer.read(), "standard input")
            if from_input
            else read_lines(Path(config.input), "input")
        )
    processes = ProcessesConfig(device=config.device, num_processes=config.num_processes)
    scores: dict[str, float] = in_processes(processes, generate_in_world, config, lines)
    return scores


def refuse_what_is_for_one_process(config: GenerateConfig) -> None:
    """
    Raises:
        UserError: torchrun or srun has started this process and others, and an option says that this command would.
    """
    place = launched()
    if place is None:
        return
    message = None
    if config.num_processes is not None:
        message = f"num_processes={config.num_processes}: {place.launcher} has started the processes; leave it null"
    elif config.input == STANDARD_INPUT:
        message = f"input=-: {place.launcher} has started {place.size} processes; give them a file"
    if message is not None:
        error = UserError(message)
        error.told = place.rank > 0
        raise error


def generate_in_world(world: World, config: GenerateConfig, lines: list[str] | None) -> dict[str, float]:
    """What each process does: its share of the sentences. The first begins the directory and puts all together.

    Args:
        lines: the raw text to translate; None for the split.
    """
    (show_messages if world.is_first else show_no_messages)()
    load_plugins(config.plugins)  # a process that was started for this has read no command line
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    job = Job(config, lines)
    done_before = world.from_first(job.finished)
    if done_before is not None:
        if world.is_first:
            job.tell(done_before)
        return {name: each["score"] for name, each in done_before.get("scores", {}).items()}
    model = config.load()
    split = job.split(model)
    references = job.references(split)
    world.from_first(job.begin)
    world.at("translating")
    number, total = config.share()
    record = Record(job.output)
    rank, num_shares = number * world.size + world.rank, total * world.size
    batches = share_of(model, split, record.read().keys(), rank, num_shares)
    started = time.monotonic()
    try:
        num_done = sum(world.gather(translate_share(model, split, batches, record, world)))
    except Exception:
        if world.is_first:
            job.withdraw(record)
        raise
    seconds = time.monotonic() - started
    if not world.is_first:
        return world.from_first(dict)
    found = job.finish(record, model, split, references, num_done, seconds)
    return world.from_first(lambda: found)


class Job:
    """What is translated, and where the results lie."""

    def __init__(self, config: GenerateConfig, lines: list[str] | None) -> None:
        """
        Raises:
            UserError: a run or its data is not there, or the results' place holds something else.
        """
        self.config, self.lines = config, lines
        checkpoints = [find_checkpoint(path, config.checkpoint, config.trust) for path in config.run]
        self.task = None if lines is not None else load_data(checkpoints[0], config.task.data, config.trust)
        content = {
            "generator": to_saved(config.generator, component_name),
            "engine": to_saved(config.engine, component_name),
            "weights": [checkpoint.content_of(config.weights) for checkpoint in checkpoints],
            "input": config.split if lines is None else digest(lines),
            "data": None if self.task is None else self.task.identity,
        }
        if config.keep_dropout:  # else not, so that what lies there keeps its key
            content["dropout"] = [config.keep_dropout, config.dropout_seed]
        if config.replace_unknown is not None:
            content["unknown"] = dict(UnknownWords.of(config.replace_unknown).dictionary)
        self.key = digest(content)[:12]
        self.name = config.split if config.input is None else Path(config.input).name
        if config.input == STANDARD_INPUT:
            self.name = "stdin"
        default = Path(config.run[0]) / "generate" / f"{self.name}-{self.key}"
        self.output = output_directory(config.output, default, self.key)
        self.given = [read_lines(Path(path), "references") for path in config.references or []]
        asked = {
            "scorer": to_saved(config.scorer, component_name),
            "references": digest(self.given),
            "format": config.format.value,
        }
        if config.alignment is not None:
            asked["alignment"] = config.alignment.value
        self.request = digest(asked)[:12]

    def split(self, model: TrainedModel) -> Split:
        if self.lines is not None:
            return model.encode(self.lines)
        if not isinstance(model.models[0], Seq2SeqModel):
            raise UserError(
                f"split={self.config.split}: a language model goes on with lines of text; give them with input=FILE"
            )
        assert self.task is not None
        return self.task.load_split(self.config.split, model.models[0])

    def references(self, split: Split) -> Callable[[int], list[str]] | None:
        """Those of each sentence; None where there are none.

        Raises:
            UserError: a file of them has another number of lines.
        """
        for path, lines in zip(self.config.references or [], self.given, strict=True):
            if len(lines) != len(split):
                raise UserError(
                    f"references={path} has {len(lines)} lines, and there are {len(split)} sentences to translate"
                )
        if self.given:
            return lambda number: [lines[number] for lines in self.given]
        return split.references if split.has_references else None

    def finished(self) -> dict[str, Any] | None:
        """The result of the same command, if it has been given before and is not to be done again."""
        result = read_json(self.output / "result.json")
        if self.config.rerun or result is None or result.get("status") != "finished":
            return None
        is_same = result["key"] == self.key and result.get("request") == self.request
        return result if is_same and (self.output / FINISHED).exists() else None

    def tell(self, result: dict[str, Any]) -> None:
        logger.info("translated already: rerun=true translates again")
        for line in result.get("lines", []):
            print(line)
        print(f"result: {self.output / 'result.json'}")

    def begin(self) -> None:
        """Make the directory, or go on in it."""
        self.output.mkdir(parents=True, exist_ok=True)
        record = Record(self.output)
        if self.config.rerun:
            record.clear()
        elif num_done := len(record.read()):
            logger.info("going on: %d sentences are translated already", num_done)
        write_json(self.output / "result.json", {"status": "unfinished", "key": self.key})

    def withdraw(self, record: Record) -> None:
        """After a mistake: leave no directory with nothing in it yet. Where there are shards, others may be at work."""
        if self.config.share()[1] > 1 or record.read():
            return
        shutil.rmtree(self.output)
        if self.config.output is None:
            with contextlib.suppress(OSError):  # others are there
                self.output.parent.rmdir()

    def finish(
        self,
        record: Record,
        model: TrainedModel,
        split: Split,
        references: Callable[[int], list[str]] | None,
        num_done: int,
        seconds: float,
    ) -> dict[str, float]:
        """Put the translations together, if all are there, and score them."""
        missing = len(split) - len(record.read())
        if missing:
            logger.info("share %s is done; %d sentences of others are not", self.config.shard, missing)
            print(f"result: {self.output / 'result.json'}")
            return {}
        record.finish(references)
        best = {each["id"]: best_of(each) for each in record.translations()}
        write_text(self.output / "hypotheses.txt", "".join(f"{text}\n" for text in best.values()))
        figures: dict[str, Any] = {
            "status": "finished",
            "key": self.key,
            "request": self.request,
            "sentences": len(split),
            "seconds": round(seconds, 2),
            "sentences_per_second": round(num_done / max(seconds, 1e-9), 1),
            "hypotheses": str(self.output / "hypotheses.txt"),
        }
        if self.config.format is Format.fairseq:
            path = self.output / f"generate-{self.name}.txt"
            with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(
                    f"{line}\n" for line in fairseq_lines(model.task, record.translations(), self.config.alignment)
                )
            figures["fairseq"] = str(path)
        scores = {}
        if references is not None and best:
            figures["references"] = self._write_references(references, len(split))
            scores = score(best, references, self.config.scorer)
            figures["scores"] = {name: {"score": s.value, "signature": s.signature} for name, s in scores.items()}
            figures["lines"] = [each.text for each in scores.values()]
        for each in scores.values():
            print(each.text)
        write_json(self.output / "result.json", figures)
        print(f"result: {self.output / 'result.json'}")
        return {name: each.value for name, each in scores.items()}

    def _write_references(self, references: Callable[[int], list[str]], num_sentences: int) -> str | list[str]:
        """Into a file for the first of each sentence, one for the second, ...; their paths."""
        paths = []
        for place in range(len(references(0))):
            path = self.output / ("references.txt" if place == 0 else f"references.{place}.txt")
            write_text(path, "".join(f"{references(number)[place]}\n" for number in range(num_sentences)))
            paths.append(str(path))
        return paths if len(paths) > 1 else paths[0]


def best_of(sentence: dict[str, Any]) -> str:
    """Text of a sentence's best hypothesis; empty where the search found none, as with weights that are not finite."""
    hypotheses = sentence["hypotheses"]
    return str(hypotheses[0]["text"]) if hypotheses else ""


def cli() -> None:
    run("generate", GenerateConfig, main, ["generator", "engine", "scorer"])


if __name__ == "__main__":
    cli()
