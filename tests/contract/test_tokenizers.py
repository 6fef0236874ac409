"""What holds for every text stage."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.catalog import CATALOG, import_config
from seqexp.config.build import build
from seqexp.tokenizers.base import Tokenizer

LINES = ["the dog runs in the park.", "a dog and a cat ran", "the cat sleeps in the house", "dogs sleep, cats run."] * 5
ODD = [
    "",
    "   ",
    "漢字 と かな",
    "שלום عليكم नमस्ते สวัสดี",
    "dog 😀👩‍👩‍👧 🇩🇪",
    "e\u0301 é \u0344",
    "▁ ▁▁ @@ ## Ġ",
    "<s> </s> <unk> <pad> [UNK] [MASK]",
    "a\0b\x1cc",
    "\ufeffdog\u200b",
    "\U0010ffff\ue000",
]
EXACT = {"bytes", "byte_bpe", "characters", "gpt2", "huggingface"}
"""Decoding gives back every character, apart from runs of white space."""
STAGES = [f"{group}/{name}" for group in ("tokenizer", "subword") for name in CATALOG[group]]


def options(name: str, directory: Path) -> dict[str, Any]:
    """What a stage needs to be trained on the few lines above."""
    if name in ("sentencepiece", "byte_bpe"):
        return {"vocabulary_size": 28 if name == "sentencepiece" else 32}
    if name == "huggingface":
        return {"vocabulary_size": 280}
    if name == "bert":
        return {"vocabulary_size": 60}
    if name == "fastbpe":
        (directory / "given.codes").write_text("t h 9\nth e</w> 8\nd o 7\ndo g</w> 5\n")
        return {"codes": str(directory / "given.codes")}
    if name == "gpt2":
        learnt = build(import_config(CATALOG["subword"]["huggingface"])(), directory=directory, language="en")
        learnt.train(LINES)
        model = json.loads((directory / "tokenizer.json").read_text())["model"]
        (directory / "given.json").write_text(json.dumps(model["vocab"]))
        merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
        (directory / "given.bpe").write_text(f"#version: 0.2\n{merges}")
        return {"encoder_json": str(directory / "given.json"), "vocab_bpe": str(directory / "given.bpe")}
    return {}


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Tokenizer]:
    """A stage with its name, built anew from what a data directory keeps of it."""
    group, name = request.param.split("/")
    directory = tmp_path_factory.mktemp(name)
    config = import_config(CATALOG[group][name])(**options(name, directory))
    made = build(config, directory=directory, language="en")
    for path in made.inputs():
        assert path.exists()
    made.train(iter(LINES))
    for path in made.inputs():
        path.unlink()
    assert all((directory / file).exists() for file in made.files())
    return name, build(config.portable(), directory=directory, language="en")


def test_plain_text_comes_back(stage: tuple[str, Tokenizer]) -> None:
    _, tokenizer = stage
    assert [tokenizer.decode(tokens) for tokens in tokenizer.encode_lines(LINES)] == LINES


def test_many_lines_are_as_one_by_one(stage: tuple[str, Tokenizer]) -> None:
    _, tokenizer = stage
    assert tokenizer.encode_lines(LINES + ODD) == [tokenizer.encode(line) for line in LINES + ODD]
    assert tokenizer.encode_lines([]) == []


@pytest.mark.parametrize("text", ODD)
def test_odd_text_is_encoded_on_one_line(stage: tuple[str, Tokenizer], text: str) -> None:
    name, tokenizer = stage
    encoded = tokenizer.encode(" ".join(text.split()))
    assert encoded.split() == (encoded.split(" ") if encoded else [])
    decoded = tokenizer.decode(encoded)
    if name in EXACT:
        assert decoded == " ".join(text.split())


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_is_encoded_on_one_line(stage: tuple[str, Tokenizer], text: str) -> None:
    name, tokenizer = stage
    encoded = tokenizer.encode(text)
    assert encoded.split() == (encoded.split(" ") if encoded else [])
    decoded = tokenizer.decode(encoded)
    if name in EXACT:
        assert " ".join(decoded.split()) == " ".join(text.split())
