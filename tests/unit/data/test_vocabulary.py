from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError

COUNTS = Counter("ABCDBCDCDD")


def test_specials_come_first() -> None:
    vocabulary = Vocabulary()
    assert vocabulary.symbols == ["<s>", "<pad>", "</s>", "<unk>"]
    assert (vocabulary.bos, vocabulary.pad, vocabulary.eos, vocabulary.unk) == (0, 1, 2, 3)
    assert Vocabulary(extra_specials=["<mask>"]).index("<mask>") == 4


def test_more_frequent_tokens_come_first() -> None:
    vocabulary = Vocabulary.from_counts(COUNTS, multiple_of=1)
    assert vocabulary.symbols[4:] == ["D", "C", "B", "A"]
    assert vocabulary.counts[4:] == [4, 3, 2, 1]


def test_ties_are_in_code_point_order() -> None:
    vocabulary = Vocabulary.from_counts({"b": 1, "ä": 1, "B": 1, "a": 1, "z": 2}, multiple_of=1)
    assert vocabulary.symbols[4:] == ["z", "B", "a", "b", "ä"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"threshold": 2}, ["D", "C", "B"]),
        ({"threshold": 3}, ["D", "C"]),
        ({"max_size": 6}, ["D", "C"]),
        ({"max_size": 4}, []),
        ({"max_size": 2}, []),
        ({"max_size": 100}, ["D", "C", "B", "A"]),
        ({"max_size": 7, "threshold": 3}, ["D", "C"]),
    ],
)
def test_limits(options: dict[str, int], expected: list[str]) -> None:
    assert Vocabulary.from_counts(COUNTS, multiple_of=1, **options).symbols[4:] == expected


def test_padding_to_a_multiple() -> None:
    vocabulary = Vocabulary.from_counts({"a": 1, "madeupword0000": 1}, multiple_of=8)
    assert vocabulary.symbols[4:] == ["a", "madeupword0000", "madeupword0001", "madeupword0002"]
    assert vocabulary.counts[4:] == [1, 1, 0, 0]
    assert len(Vocabulary.from_counts(COUNTS, multiple_of=8)) == 8
    assert len(Vocabulary.from_counts(COUNTS, multiple_of=0)) == 8


def test_special_tokens_in_text_are_unknown_and_not_counted() -> None:
    vocabulary = Vocabulary.from_counts({"a": 1, "</s>": 9, "<pad>": 9}, multiple_of=1)
    assert vocabulary.symbols[4:] == ["a"]
    assert vocabulary.encode("a </s> <pad> <s> <unk> b").tolist() == [4, 3, 3, 3, 3, 3, 2]
    assert vocabulary.index("</s>") == 2


def test_encode_and_decode() -> None:
    vocabulary = Vocabulary.from_counts(COUNTS, multiple_of=1)
    encoded = vocabulary.encode("D  C\tx")
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [4, 5, 3, 2]
    assert vocabulary.encode(["A"], append_eos=False).tolist() == [7]
    assert vocabulary.encode("").tolist() == [2]
    assert vocabulary.decode([0, 4, 5, 3, 2, 1]) == "D C <unk>"
    assert vocabulary.decode(encoded, unknown="<<unk>>") == "D C <<unk>>"


def test_looking_up() -> None:
    vocabulary = Vocabulary.from_counts(COUNTS, multiple_of=1)
    assert vocabulary[7] == "A"
    assert vocabulary[8] == "<unk>"
    assert vocabulary.index("nothing") == vocabulary.unk
    assert "A" in vocabulary
    assert "E" not in vocabulary
    vocabulary.encode("E")
    vocabulary.add("E")
    assert vocabulary.encode("E").tolist() == [8, 2]


def test_file_holds_a_line_for_each_token(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "dict.txt"
    Vocabulary.from_counts(COUNTS, multiple_of=5).save(path)
    assert path.read_text() == "D 4\nC 3\nB 2\nA 1\nmadeupword0000 0\nmadeupword0001 0\n"


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1), st.integers(0, 10**9)))
def test_saving_and_loading_gives_the_same(tmp_path_factory: pytest.TempPathFactory, counts: dict[str, int]) -> None:
    path = tmp_path_factory.mktemp("vocabulary") / "dict.txt"
    vocabulary = Vocabulary.from_counts(counts)
    vocabulary.save(path)
    loaded = Vocabulary.load(path)
    assert loaded == vocabulary
    assert loaded.symbols == vocabulary.symbols
    assert loaded.counts[4:] == vocabulary.counts[4:]
    assert loaded.content_hash() == vocabulary.content_hash()


def test_odd_lines_that_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_bytes("  5\r\na\u2028b 3  \n1 2".encode())
    vocabulary = Vocabulary.load(path)
    assert vocabulary.symbols[4:] == [" ", "a\u2028b", "1"]
    assert vocabulary.counts[4:] == [5, 3, 2]


def test_overwriting_takes_a_token_over(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_text("a 1\n<unk> 7 #fairseq:overwrite\na 5 #fairseq:overwrite\n")
    vocabulary = Vocabulary.load(path)
    assert vocabulary.symbols == ["<s>", "<pad>", "</s>", "<unk>", "a", "<unk>", "a"]
    assert vocabulary.index("a") == 6
    assert vocabulary.index("<unk>") == 5
    assert vocabulary.unk == 3
    vocabulary.save(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_text() == path.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\nb\n", r"dict.txt:2: a line must be `token count"),
        (b"a 1\n\nb 2\n", r"dict.txt:2: a line must be"),
        (b"a x\n", r"dict.txt:1: a line must be"),
        (b"a 1.5\n", r"dict.txt:1: a line must be"),
        (b"a 1\nb 1\na 2\n", r"dict.txt:3: duplicate token 'a'; append ` #fairseq:overwrite`"),
        (b"<unk> 1\n", r"dict.txt:1: duplicate token '<unk>'"),
        (b"a 1\nb\xff 1\n", r"dict.txt:2: not UTF-8"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dict.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        Vocabulary.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dict.txt: the vocabulary cannot be read: No such file"):
        Vocabulary.load(tmp_path / "dict.txt")


def test_equality_ignores_counts() -> None:
    one, two = Vocabulary.from_counts({"a": 2, "b": 1}), Vocabulary.from_counts({"a": 9, "b": 3})
    assert one == two
    assert one.content_hash() == two.content_hash()
    assert one != Vocabulary.from_counts({"a": 1, "b": 2})
    assert one.content_hash() != Vocabulary.from_counts({"a": 1, "b": 2}).content_hash()
