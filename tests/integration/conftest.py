"""A toy corpus and the commands, run in this process as from a shell."""

import importlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORDS = {
    "one": "eins",
    "two": "zwei",
    "three": "drei",
    "four": "vier",
    "five": "fünf",
    "six": "sechs",
    "seven": "sieben",
}

Command = Callable[..., tuple[str, str]]

TINY = [
    "model.encoder.num_layers=1",
    "model.decoder.num_layers=1",
    *(f"model.{side}.{option}" for side in ("encoder", "decoder") for option in ("hidden_size=32", "ffn_size=64")),
    *(f"model.{side}.num_heads=2" for side in ("encoder", "decoder")),
    "lr_scheduler.warmup_updates=5",
    "optimizer.lr=0.01",
    "batch.max_tokens=200",
    "generator.max_length_b=4",
    "generator.beam_size=2",
    "validation.num_samples=1",
    "tracker=[]",
]
"""A model that trains in a second."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command with its arguments; gives what it printed on standard output and standard error."""

    def run(name: str, *arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capsys.readouterr()
        module = importlib.import_module(f"seqexp.{name}")
        if hasattr(module, "__path__"):
            module = importlib.import_module(f"seqexp.{name}.__main__")
        module.cli()
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train, valid and test in two languages: numbers, translated word by word."""
    folder = tmp_path_factory.mktemp("text")
    chance = random.Random(0)
    for split, count in (("train", 300), ("valid", 20), ("test", 15)):
        pairs = [[chance.choice(list(WORDS.items())) for _ in range(chance.randint(2, 6))] for _ in range(count)]
        for side, language in enumerate(("en", "de")):
            lines = "".join(" ".join(pair[side] for pair in pairs_of_line) + ".\n" for pairs_of_line in pairs)
            (folder / f"{split}.{language}").write_text(lines, encoding="utf-8")
    return folder


def prepared(text: Path, destination: Path, **options: Any) -> Path:
    from seqexp.catalog import CATALOG
    from seqexp.corpora.parallel import ParallelCorpusConfig
    from seqexp.data.prepare import PrepareConfig, prepare
    from seqexp.tokenizers.whitespace import WhitespaceConfig

    prefixes = {split: str(text / split) for split in ("train", "valid", "test")}
    config = PrepareConfig(
        corpus=ParallelCorpusConfig(source_lang="en", target_lang="de", **prefixes),
        tokenizer=WhitespaceConfig(),
        destination=str(destination),
        num_workers=1,
        **options,
    )
    return prepare(config, CATALOG).directory


@pytest.fixture(scope="session")
def data(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared data directory of `text`, at a path that the test may only read."""
    from seqexp.tokenizers.sentencepiece import SentencePieceConfig

    return prepared(text, tmp_path_factory.mktemp("data") / "numbers", subword=SentencePieceConfig(vocabulary_size=36))


@pytest.fixture(scope="session")
def bpe_data(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in so few merges that single letters are tokens."""
    from seqexp.tokenizers.subword_nmt import SubwordNMTConfig

    return prepared(text, tmp_path_factory.mktemp("data") / "bpe", subword=SubwordNMTConfig(num_operations=20))


@pytest.fixture(scope="session")
def raw_data(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as `bpe_data` with raw text only."""
    from seqexp.tokenizers.subword_nmt import SubwordNMTConfig

    destination = tmp_path_factory.mktemp("data") / "raw"
    return prepared(text, destination, subword=SubwordNMTConfig(num_operations=20), stores=False)
