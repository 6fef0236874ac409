"""Small corpora and data directories."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from seqexp.corpora.parallel import ParallelCorpusConfig
from seqexp.data.prepare import PrepareConfig
from seqexp.tokenizers.whitespace import WhitespaceConfig

CATALOG = {
    "tokenizer": {
        "moses": "seqexp.tokenizers.moses:MosesConfig",
        "whitespace": "seqexp.tokenizers.whitespace:WhitespaceConfig",
    },
    "subword": {
        "characters": "seqexp.tokenizers.characters:CharactersConfig",
        "sentencepiece": "seqexp.tokenizers.sentencepiece:SentencePieceConfig",
        "subword_nmt": "seqexp.tokenizers.subword_nmt:SubwordNMTConfig",
    },
}

TEXTS = {
    "train": [("the dog runs", "der Hund rennt"), ("a cat", "eine Katze"), ("the cat runs .", "die Katze rennt .")] * 4,
    "valid": [("the dog", "der Hund"), ("a bird", "ein Vogel")],
    "test": [("a cat runs", "eine Katze rennt"), ("", ""), ("the dog", "der Hund")],
}


@pytest.fixture
def catalog() -> Mapping[str, Mapping[str, str]]:
    return CATALOG


@pytest.fixture
def write_corpus(tmp_path: Path) -> Callable[..., ParallelCorpusConfig]:
    """Write pairs of lines, the standard ones unless others are given, and give the corpus of train, valid and test."""

    def write(**texts: list[tuple[str, str]]) -> ParallelCorpusConfig:
        prefixes = {}
        for split, pairs in {**TEXTS, **texts}.items():
            prefixes[split] = str(tmp_path / split)
            for side, language in enumerate(("en", "de")):
                lines = "".join(pair[side] + "\n" for pair in pairs)
                (tmp_path / f"{split}.{language}").write_bytes(lines.encode())
        return ParallelCorpusConfig(source_lang="en", target_lang="de", **{split: prefixes[split] for split in TEXTS})

    return write


@pytest.fixture
def make_config(tmp_path: Path, write_corpus: Callable[..., ParallelCorpusConfig]) -> Callable[..., PrepareConfig]:
    """The config of preparing the standard corpus into `data`, in this process, with some options changed."""

    def make(**options: Any) -> PrepareConfig:
        options.setdefault("corpus", None)
        options["corpus"] = options["corpus"] or write_corpus()
        defaults = {
            "tokenizer": WhitespaceConfig(),
            "subword": WhitespaceConfig(),
            "destination": str(tmp_path / "data"),
            "num_workers": 1,
        }
        return PrepareConfig(**{**defaults, **options})

    return make
