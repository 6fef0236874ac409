from pathlib import Path

import pytest

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.byte_bpe import ByteBPEConfig, ByteBPETokenizer

LINES = ["das Mädchen läuft", "die Mädchen laufen", "ein Käfer läuft"] * 5


def tokenizer(directory: Path, **options: object) -> ByteBPETokenizer:
    config = ByteBPEConfig(**{"vocabulary_size": 40, **options})  # type: ignore[arg-type]
    return ByteBPETokenizer(config, directory=directory, language="de")


def test_pieces_are_of_bytes(tmp_path: Path) -> None:
    made = tokenizer(tmp_path)
    made.train(LINES)
    tokens = made.encode("das Mädchen läuft")
    assert not any("Ã¤" in piece for piece in tokens.split())
    assert made.decode(tokens) == "das Mädchen läuft"
    assert made.decode(made.encode("漢字 ½ ﬁ ²")) == "漢字 ½ ﬁ ²"  # nothing is unified
    free = tokenizer(tmp_path, split_by_script=False)
    free.train(LINES)
    assert any("Ã¤" in piece for piece in free.encode("das Mädchen läuft").split())
    assert free.decode(free.encode("das Mädchen läuft")) == "das Mädchen läuft"


def test_an_existing_model_is_copied(tmp_path: Path) -> None:
    made = tokenizer(tmp_path)
    made.train(LINES)
    (tmp_path / "copy").mkdir()
    model = tmp_path / made.files()[0]
    again = tokenizer(tmp_path / "copy", model=str(model), joint=False)
    assert again.inputs() == [model]
    again.train([])
    assert again.encode(LINES[0]) == made.encode(LINES[0])
    assert ByteBPEConfig(model=str(model)).portable().model is None


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vocabulary_size=5 is too small"):
        tokenizer(tmp_path, vocabulary_size=5).train(LINES)
    with pytest.raises(ValueError, match="vocabulary_size=2"):
        ByteBPEConfig(vocabulary_size=2)
