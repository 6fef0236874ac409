"""`python -m seqexp.eval_lm`: how likely a language model holds a split, or a file, per token, word and character."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqexp.config.base import require
from seqexp.data.batch import TextBatch
from seqexp.data.block_split import BlockOptions, BlockSplit
from seqexp.data.blocks import Blocks
from seqexp.data.encoding import store_of_lines
from seqexp.data.indexed import TokenStore
from seqexp.data.pairs import LongExamples
from seqexp.data.words import Word, WordStatistics, words_of_line
from seqexp.generators.batches import evaluation_batches
from seqexp.generators.scoring import target_log_probs
from seqexp.models.base import LanguageModel
from seqexp.plugins import run
from seqexp.pretrained import DataPlace, TrainedModel, TrainedModelConfig, find_checkpoint, load_data
from seqexp.runs.identity import digest
from seqexp.runs.output import output_directory
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import atomic_path, read_lines, sha256_of_file, write_json
from seqexp.runtime.logs import show_messages
from seqexp.runtime.memory import use_large_pages
from seqexp.tasks.language_modeling import LanguageModelingTask


@dataclass
class EvalLMConfig(TrainedModelConfig):
    split: str = "test"
    """Split to evaluate on."""
    input: str | None = None
    """File of raw text to evaluate on instead."""
    task: DataPlace = field(default_factory=DataPlace)
    blocks: Blocks | None = None
    """How the text is cut into sequences, as `task.blocks`; null: as in training."""
    tokens_per_sample: int | None = None
    """Most tokens of a sequence, those of the context included; null: as in training."""
    context_window: int = 0
    """So many tokens before each sequence are read besides, so that its first tokens have a past, too. Sequences get
    shorter by so much: more work, and a lower perplexity."""
    words: bool = False
    """Write what each word of the text, and each different word, was given: `words.jsonl` and `words.tsv`."""
    output: str | None = None
    """Directory for the results; null: one below the run's directory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.tokens_per_sample
        require(size is None or size > 0, "tokens_per_sample", size, "a count above 0")
        require(self.context_window >= 0, "context_window", self.context_window, "a count from 0")


@dataclass(frozen=True)
class Text:
    """What is evaluated on."""

    name: str
    lines: list[str]
    """Raw."""
    store: TokenStore
    """The same as indices."""


def main(config: EvalLMConfig) -> dict[str, float]:
    show_messages()
    use_large_pages()
    model = config.load()
    task = model.task
    if not isinstance(task, LanguageModelingTask):
        raise UserError(f"run={config.run[0]} is no language model; python -m seqexp.validate evaluates it")
    text, identity = load_text(config, task)
    split = cut(config, task, model, text)
    key = output_key(config, split.options, identity)
    output = output_directory(config.output, Path(config.run[0]) / "eval_lm" / f"{text.name}-{key}", key)
    if config.words:
        task.stages.word_starts([])  # a mistake shows before the work
    started = time.monotonic()
    log_probs = score(model, split)
    seconds = time.monotonic() - started
    figures = summary(text, log_probs)
    if config.words:
        write_words(output, text, log_probs, task)
    result = {
        "status": "finished",
        "key": key,
        "text": text.name,
        "blocks": split.options.blocks.value,
        "tokens_per_sample": split.options.size + split.options.context,
        "context_window": split.options.context,
        **figures,
        "seconds": round(seconds, 2),
        "tokens_per_second": round(figures["tokens"] / seconds),
    }
    write_json(output / "result.json", result)
    print(
        f"{text.name}: {figures['tokens']} tokens, {figures['bits_per_token']:.4f} bits each, perplexity "
        f"{figures['perplexity']:.2f}; {figures['words']} words, perplexity {figures['perplexity_per_word']:.2f}"
    )
    print(f"result: {output / 'result.json'}")
    return {name: float(value) for name, value in figures.items()}


def load_text(config: EvalLMConfig, task: LanguageModelingTask) -> tuple[Text, str]:
    """The split, or the file, and a hash of it.

    Raises:
        UserError: it is not there, or its vocabularies are not those of the model.
    """
    if config.input is not None:
        path = Path(config.input)
        lines = read_lines(path, "input")
        return Text(path.name, lines, store_of_lines(task.indices(lines), len(task.vocabulary))), sha256_of_file(path)
    checkpoint = find_checkpoint(config.run[0], config.checkpoint, config.trust)
    data = load_data(checkpoint, config.task.data, config.trust)
    assert isinstance(data, LanguageModelingTask)
    return Text(config.split, data.raw_text(config.split), data.stored_text(config.split, config.blocks)), data.identity


def cut(config: EvalLMConfig, task: LanguageModelingTask, model: TrainedModel, text: Text) -> BlockSplit:
    """The text in blocks; no token of it is left out.

    Raises:
        OptionError: the model cannot take so long sequences.
        UserError: a line is longer, or there is no text.
    """
    limits = [each.max_target_positions for each in model.models if isinstance(each, LanguageModel)]
    most = min(limits)
    blocks = config.blocks or task.config.blocks
    size = config.tokens_per_sample or min(task.config.tokens_per_sample, most)
    require(size <= most, "tokens_per_sample", size, f"the model takes {most} tokens at most")
    right = f"less than the {size} tokens of a sequence"
    require(config.context_window < size, "context_window", config.context_window, right)
    across = config.context_window == 0 or blocks is not Blocks.complete_doc
    require(across, "context_window", config.context_window, "with blocks=complete_doc there is none before a document")
    options = BlockOptions(
        blocks, size - config.context_window, add_bos=task.config.add_bos, context=config.context_window
    )
    split = BlockSplit.make(text.name, text.store, task.vocabulary, options)
    if not len(split):
        raise UserError(f"{text.name}: there is no text")
    if int(split.sizes.max()) > most:
        raise UserError(
            f"{text.name}: a line and its context have {int(split.sizes.max())} tokens, the model takes {most} at "
            "most; give blocks=none"
        )
    return split.limited(most, LongExamples.error)


def output_key(config: EvalLMConfig, options: BlockOptions, identity: str) -> str:
    """Hash of what the output depends on."""
    checkpoints = [find_checkpoint(path, config.checkpoint, config.trust) for path in config.run]
    content = {
        "weights": [checkpoint.content_of(config.weights) for checkpoint in checkpoints],
        "text": [config.split if config.input is None else None, identity],
        "blocks": options.blocks.value,
        "size": options.size,
        "context": options.context,
        "words": config.words,
    }
    return digest(content)[:12]


def score(model: TrainedModel, split: BlockSplit) -> NDArray[np.float32]:
    """ln p of each token of the text, float32 [number of tokens]; nan for those that are in no block."""
    log_probs = np.full(split.text.num_tokens, np.nan, dtype=np.float32)
    precision = model.precision
    for batch in evaluation_batches(split, model.limits):
        assert isinstance(batch, TextBatch)
        moved = batch.to(precision.device)
        assert moved.target_tokens is not None
        with precision.autocast():
            found = target_log_probs(model.models, moved, moved.target_tokens, split.vocabulary.pad)
        places = [np.arange(*split.bounds[number]) for number in batch.indices.tolist()]
        log_probs[np.concatenate(places)] = found.cpu().to(torch.float32).numpy()
    return log_probs


def summary(text: Text, log_probs: NDArray[np.float32]) -> dict[str, Any]:
    """Counts and means. Words are what white space separates in the raw text, and each end of a line is one, as it is a
    token and a character."""
    scored = ~np.isnan(log_probs)
    lines = [line for line, end in zip(text.lines, text.store.offsets[1:].tolist(), strict=True) if scored[end - 1]]
    total = -float(log_probs[scored].sum(dtype=np.float64))
    counts = {
        "token": int(scored.sum()),
        "word": sum(len(line.split()) + 1 for line in lines),
        "character": sum(len(line) + 1 for line in lines),
    }
    figures: dict[str, Any] = {f"{unit}s": count for unit, count in counts.items()}
    figures["loss"] = total / counts["token"]
    for unit, count in counts.items():
        figures[f"bits_per_{unit}"] = total / count / math.log(2)
    figures["perplexity"] = _exp(total / counts["token"])
    figures["perplexity_per_word"] = _exp(total / counts["word"])
    return figures


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf


def write_words(output: Path, text: Text, log_probs: NDArray[np.float32], task: LanguageModelingTask) -> None:
    """Each line's words with their log-probabilities, and a table of different words."""
    statistics = WordStatistics()
    path = output / "words.jsonl"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for number, words in _lines_of_words(text, log_probs, task):
            statistics.add(words)
            pairs = [[word.text, round(word.log_prob, 6)] for word in words]
            file.write(json.dumps({"line": number, "words": pairs}, ensure_ascii=False) + "\n")
    statistics.save(output / "words.tsv")


def _lines_of_words(
    text: Text, log_probs: NDArray[np.float32], task: LanguageModelingTask
) -> Iterator[tuple[int, Sequence[Word]]]:
    offsets = text.store.offsets.tolist()
    for number, (start, end) in enumerate(pairwise(offsets)):
        own = log_probs[start:end]
        if not np.isnan(own).any():
            tokens = task.symbols(torch.from_numpy(text.store[number].astype(np.int64)))
            yield number, words_of_line(tokens, own.tolist(), task.stages)


def cli() -> None:
    run("eval_lm", EvalLMConfig, main, [])


if __name__ == "__main__":
    cli()
