"""What goes wrong in preprocessing, told in one line; nothing is left behind."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seqexp.data.indexed import TokenStoreWriter

from .conftest import Command

ARGUMENTS = {
    "corpus": "parallel",
    "corpus.source_lang": "en",
    "corpus.target_lang": "de",
    "corpus.train": "train",
    "corpus.valid": "valid",
    "subword": "none",
    "num_workers": "1",
    "destination": "made/data",
}


def write(name: str, content: bytes) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(content)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small corpus in the present folder."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "valid"):
        Path(f"{split}.en").write_text("the dog\na cat runs\nyes\n")
        Path(f"{split}.de").write_text("der Hund\neine Katze rennt\nja\n")


def snapshot() -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def refused(command: Command, capsys: pytest.CaptureFixture[str], **options: str) -> str:
    """The line that the command ends with; it has changed no file."""
    arguments = [f"{key}={value}" for key, value in {**ARGUMENTS, **options}.items()]
    before = snapshot()
    with pytest.raises(SystemExit) as caught:
        command("preprocess", *arguments)
    assert caught.value.code == 2
    assert snapshot() == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


FILES: dict[str, tuple[Callable[[], object], str]] = {
    "missing": (lambda: Path("valid.de").unlink(), "corpus: split valid: there is no file valid.de"),
    "directory": (
        lambda: (Path("valid.de").unlink(), Path("valid.de").mkdir()),
        "corpus: split valid: valid.de is a directory, not a text file",
    ),
    "unequal": (
        write("valid.de", b"ja\n"),
        "valid.en has 3 lines, valid.de has 1; line i of each must belong to the same example",
    ),
    "not UTF-8": (
        write("valid.de", b"ja\nM\xfcll\nja\n"),
        "valid.de:2: not UTF-8 (invalid start byte); convert the file to UTF-8",
    ),
    "UTF-16": (
        write("train.de", "ja\n".encode("utf-16")),
        "train.de:1: not UTF-8 (invalid start byte); convert the file to UTF-8",
    ),
    "empty": (write("valid.en", b""), "valid.en is empty"),
    "empty train": (write("train.de", b""), "train.de is empty"),
    "destination is a file": (
        lambda: (Path("made").mkdir(), Path("made/data").touch()),
        "destination=made/data exists and is not a data directory; choose another name",
    ),
    "destination of something else": (
        lambda: (Path("made/data").mkdir(parents=True), Path("made/data/thesis.tex").touch()),
        "destination=made/data exists and is not a data directory; choose another name",
    ),
    "destination below a file": (
        lambda: Path("made").touch(),
        "destination=made/data: made cannot be written: Not a directory",
    ),
}


@pytest.mark.parametrize(("change", "expected"), FILES.values(), ids=FILES)
def test_files(
    command: Command, capsys: pytest.CaptureFixture[str], change: Callable[[], object], expected: str
) -> None:
    change()
    line = refused(command, capsys)
    if "cannot be written" in expected:  # systems differ in which path they name
        assert line.startswith("error: destination=made/data: ")
        assert line.endswith("cannot be written: Not a directory")
    else:
        assert line == f"error: {expected}"


LINES = [
    ("train.de", b"der Hund\n\nja\n", {"lines.empty": "error"}, "train.de:2: no tokens, as in 1 lines"),
    ("valid.de", b"der Hund\n \t\nja\n", {"lines.empty": "error"}, "valid.de:2: no tokens, as in 1 lines"),
    (
        "train.de",
        b"der Hund\na b c d e\nja\n",
        {"lines.long": "error", "lines.max_tokens": "4"},
        "train.de:2: more than 4 tokens in 'a b c d e', as in 1 lines",
    ),
    (
        "train.de",
        b"\n\n\n",
        {},
        "train.en: the `lines` policy leaves no example to train on",
    ),
]


@pytest.mark.parametrize(("name", "content", "options", "expected"), LINES)
def test_lines(
    command: Command,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    options: dict[str, str],
    expected: str,
) -> None:
    Path(name).write_bytes(content)
    assert refused(command, capsys, **options).startswith(f"error: {expected}")


VOCABULARIES = [
    (b"<unk>\t0\nthe\t-3.5\n", "given:1: a line must be `token count [#fairseq:overwrite]`, not '<unk>\\t0'"),
    (b"the 3\ndog\n", "given:2: a line must be `token count [#fairseq:overwrite]`, not 'dog'"),
    (b"the 3\nthe 2\n", "given:2: duplicate token 'the'"),
    (b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\xff", "given:"),
]


@pytest.mark.parametrize(("content", "expected"), VOCABULARIES)
def test_vocabularies_of_another_format(
    command: Command, capsys: pytest.CaptureFixture[str], content: bytes, expected: str
) -> None:
    Path("given").write_bytes(content)
    assert refused(command, capsys, **{"vocabulary.source": "given"}).startswith(f"error: {expected}")


OPTIONS = [
    ({"corpus.train": "[]"}, "corpus.train=[] is not valid: a prefix or a list of them"),
    ({"corpus.train": "3"}, "corpus.train=3 is not valid: a prefix or a list of them"),
    ({"corpus.train": "null"}, "corpus.train=null: text stages and vocabularies are learnt from it"),
    ({"corpus.valid": "{train: valid}"}, "corpus.valid={'train': 'valid'} is not valid: the name train is taken"),
    ({"corpus.target_lang": "en"}, "corpus.target_lang=en is not valid: a language other than"),
    ({"corpus.alignments": "align"}, "corpus: split train: there is no file train.align"),
    ({"vocabulary.source": "missing"}, "missing: the vocabulary cannot be read: No such file or directory"),
    ({"vocabulary.threshold": "-1"}, "vocabulary.threshold=-1 is not valid: a count from 0"),
    ({"vocabulary.max_size": "4"}, "vocabulary.max_size=4 is not valid: more than 4, or null"),
    (
        {"vocabulary.threshold": "{source: 1, target: 2}"},
        "vocabulary.threshold={'source': 1, 'target': 2} is not valid",
    ),
    ({"vocabulary.multiple_of": "0"}, "vocabulary.multiple_of=0 is not valid: a positive number"),
    ({"vocabulary.multiple_of": "many"}, "vocabulary.multiple_of: Value 'many'"),
    ({"lines.max_tokens": "1"}, "lines.max_tokens=1 is not valid: more than 1, or null"),
    ({"lines.empty": "keeep"}, "lines.empty: Invalid value 'keeep', expected one of [error, drop, keep]"),
    ({"num_workers": "0"}, "num_workers=0 is not valid: positive, or null"),
    ({"num_workers": "two"}, "num_workers: Value 'two'"),
    ({"reuse": "missing"}, "missing: not a prepared data directory"),
    ({"vocabulary.threshhold": "2"}, "unknown key vocabulary.threshhold; did you mean vocabulary.threshold?"),
]


@pytest.mark.parametrize(("options", "expected"), OPTIONS, ids=[" ".join(options) for options, _ in OPTIONS])
def test_options(command: Command, capsys: pytest.CaptureFixture[str], options: dict[str, str], expected: str) -> None:
    assert refused(command, capsys, **options).startswith(f"error: {expected}")


def test_alignment_pairs_out_of_range(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.align").write_text("0-0\n2-2 3-0\n0-0\n")
    line = refused(command, capsys, **{"corpus.alignments": "align"})
    assert line.startswith("error: train.align:2: the pair 3-0 is out of range: after all text stages the source has 3")


def test_other_content_at_the_destination(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("preprocess", *(f"{key}={value}" for key, value in ARGUMENTS.items()))
    line = refused(command, capsys, **{"vocabulary.threshold": "2"})
    assert line == (
        "error: destination=made/data was made from other options or text: choose another name or set overwrite=true"
    )


def test_a_full_disk(command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(TokenStoreWriter, "write", fail)
    line = refused(command, capsys)
    assert line.endswith("cannot be written: No space left on device")
    assert line.startswith("error: destination=made/data: ")
