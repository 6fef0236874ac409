from pathlib import Path

import pytest

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.fastbpe import FastBPEConfig, FastBPETokenizer

CODES = "l o 12\nlo w</w> 9\nlo w 8\ne r</w> 5\nlow er</w> 4\nn e 3\nne w</w> 2\n"


def tokenizer(directory: Path, codes: str = CODES) -> FastBPETokenizer:
    (directory / "given").write_text(codes, encoding="utf-8")
    made = FastBPETokenizer(FastBPEConfig(codes=str(directory / "given")), directory=directory, language="en")
    made.train([])
    return made


@pytest.mark.parametrize(
    ("text", "tokens"),
    [  # what `fast applybpe` makes of them
        ("low lower new newer", "low lower new ne@@ w@@ er"),
        ("slow", "s@@ low"),
        ("lowest", "low@@ e@@ s@@ t"),
        ("漢字 x", "漢@@ 字 x"),
        ("", ""),
    ],
)
def test_known_cases(tmp_path: Path, text: str, tokens: str) -> None:
    made = tokenizer(tmp_path)
    assert made.encode(text) == tokens
    assert made.decode(tokens) == text
    assert (tmp_path / "codes.bpe").read_text() == CODES


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^subword.codes is needed: a codes file of fastBPE$"):
        FastBPETokenizer(FastBPEConfig(), directory=tmp_path, language="en").inputs()
    missing = FastBPEConfig(codes="/nowhere")
    with pytest.raises(UserError, match=r"subword.codes=/nowhere cannot be read"):
        FastBPETokenizer(missing, directory=tmp_path, language="en").train([])
    for codes in ("#version: 0.2\nl o\n", "l o\n", "l o many\n"):
        with pytest.raises(UserError, match=r"codes.bpe:1: fastBPE's lines are `left right count`"):
            tokenizer(tmp_path, codes).encode("low")
