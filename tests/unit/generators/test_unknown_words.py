import re
from pathlib import Path

import pytest

from seqexp.config.base import OptionError
from seqexp.generators.attention import attending
from seqexp.generators.beam import BeamSearchConfig
from seqexp.generators.mbr import MBRConfig
from seqexp.generators.unknown_words import UnknownWords
from seqexp.runtime.errors import UserError

SOURCE = ["a", "Mr", "Smith"]
ALIGNMENT = [(0, 0), (2, 1), (1, 2)]


def test_source_words_are_copied() -> None:
    words = UnknownWords.of("copy")
    assert words.replaced(["ein", "<unk>", "<unk>", "</s>"], SOURCE, ALIGNMENT) == ["ein", "Smith", "Mr", "</s>"]
    assert words.replaced(["ein", "Herr", "</s>"], SOURCE, ALIGNMENT) == ["ein", "Herr", "</s>"]


def test_dictionary(tmp_path: Path) -> None:
    (tmp_path / "dictionary").write_text("Mr Herr\nXY ZZ\n", encoding="utf-8")
    words = UnknownWords.of(str(tmp_path / "dictionary"))
    assert words.replaced(["<unk>", "<unk>", "<unk>", "</s>"], SOURCE, ALIGNMENT) == ["a", "Smith", "Herr", "</s>"]


def test_words_without_alignment_stay() -> None:
    """As where the source was cut. A `</s>` in the middle is not counted."""
    words = UnknownWords.of("copy")
    assert words.replaced(["<unk>", "<unk>"], SOURCE, [(7, 1)]) == ["<unk>", "<unk>"]
    assert words.replaced(["x", "</s>", "<unk>", "</s>"], ["a", "</s>", "b"], [(0, 0), (1, 1)])[2] == "b"


def test_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "dictionary"
    with pytest.raises(UserError, match=f"replace_unknown={re.escape(str(path))}"):
        UnknownWords.of(str(path))
    path.write_text("a b\nc\n")
    with pytest.raises(UserError, match=r"dictionary: line 2 has 1 columns; give two, .*"):
        UnknownWords.of(str(path))


def test_a_search_is_made_to_give_attention() -> None:
    config = BeamSearchConfig(beam_size=7)
    assert attending(config, "x=1") == BeamSearchConfig(beam_size=7, return_attention=True)
    assert not config.return_attention
    with pytest.raises(OptionError, match="x=1 is not valid: MBRConfig has no option return_attention"):
        attending(MBRConfig(), "x=1")
