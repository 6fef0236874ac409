from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.data import merge, text
from seqexp.data.binarize import FINAL, BlockEncoder, StageSpec, binarize_texts, encode_texts
from seqexp.data.indexed import TokenStore
from seqexp.data.ledger import Ledger
from seqexp.data.manifest import DroppedRecord
from seqexp.data.merge import merge_field, sizes_of
from seqexp.data.policies import LinePolicyConfig, LongLines, Survey
from seqexp.data.text import Text, Workers, inspect_files, split_file
from seqexp.data.vocabulary import Vocabulary
from seqexp.tokenizers.characters import CharactersConfig
from seqexp.tokenizers.whitespace import WhitespaceConfig

WORDS = ["a", "bb", "ä", "漢", "</s>", "<pad>", "\0", "\x01"]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and chunks of a few bytes, so that small files have several; the workers are forked and see it too."""
    monkeypatch.setattr(text, "BLOCK_BYTES", 40)
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 60)
    monkeypatch.setattr(merge, "SEQUENCES_AT_ONCE", 3)


def make_lines(seed: int, count: int = 200) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(0, 6))) for _ in range(count)]


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=5), min_size=1), st.booleans())
def test_a_block_is_its_lines_one_by_one(lines: list[list[str]], is_ended: bool) -> None:
    vocabulary = Vocabulary.from_counts(dict.fromkeys(WORDS, 1))
    block = "\n".join(" ".join(words) for words in lines) + ("\n" if is_ended else "")
    if not block:
        return
    tokens, sizes = BlockEncoder(vocabulary.text_indices, vocabulary.unk, vocabulary.eos).encode(block)
    expected = [vocabulary.encode(words) for words in lines]
    if not is_ended and not lines[-1] and len(lines) > 1:
        expected.pop()  # an empty line needs its end to be one
    assert sizes.tolist() == [len(line) for line in expected]
    assert tokens.tolist() == np.concatenate(expected).tolist()


@pytest.mark.parametrize("num_workers", [1, 2, 3])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encoding_text_keeps_lines_in_order(tmp_path: Path, num_workers: int, end: str) -> None:
    source = write(tmp_path / "source", ["", *make_lines(1), "a\u2028b"], end)
    stages = [StageSpec(WhitespaceConfig(), tmp_path, "en"), StageSpec(CharactersConfig(), tmp_path, "en")]
    with Workers(num_workers) as workers:
        texts = {"train": {"en": split_file(source)}}
        chunks = encode_texts(texts, {"en": stages}, FINAL, tmp_path, Ledger(tmp_path, workers))["train"]["en"]
    assert len(chunks) > 10
    characters = [" ".join("▁".join(line.split())) for line in ["", *make_lines(1), "a b"]]
    assert b"".join(chunk.path.read_bytes() for chunk in chunks).decode() == "".join(f"{line}\n" for line in characters)


def binarized(directory: Path, policy: LinePolicyConfig, num_workers: int, is_train: bool = True) -> dict[str, bytes]:
    """Binarize random pairs and join them; gives the content of the files made."""
    scratch, output = directory / f"scratch{num_workers}", directory / f"output{num_workers}"
    scratch.mkdir()
    output.mkdir()
    vocabulary = Vocabulary.from_counts(dict.fromkeys(WORDS[:-1], 1))
    with Workers(num_workers) as workers:
        paths = [write(scratch / side, make_lines(seed)) for seed, side in enumerate(("en", "de"))]
        texts = {
            path.name: Text((file,)) for path, file in zip(paths, inspect_files(paths, workers, scratch), strict=True)
        }
        chunks = {"train": {side: text.chunks for side, text in texts.items()}}
        stores = binarize_texts(chunks, dict.fromkeys(texts, vocabulary), scratch, Ledger(scratch, workers))
        fields = [*stores["train"].values()]
        survey = Survey(texts, policy, is_train=is_train)
        selection = survey.run(sizes_of(fields), scratch / "dropped", scratch / "kept")
        changing = policy if selection.dropped else None
        figures = {
            side: merge_field(fields, number, output / f"train.{side}", len(vocabulary), changing)
            for number, side in enumerate(texts)
        }
    expected: dict[str, list[list[int]]] = {"en": [], "de": []}
    changed: dict[str, list[int]] = {}
    for number, pair in enumerate(zip(make_lines(0), make_lines(1), strict=True), start=1):
        rows = [vocabulary.encode(line).tolist() for line in pair]
        maximum = policy.max_tokens or 100
        if is_train and any(len(row) == 1 for row in rows):
            changed.setdefault("empty", []).append(number)
        if is_train and any(len(row) > maximum for row in rows):
            changed.setdefault("truncated", []).append(number)
            rows = [row if len(row) <= maximum else [*row[: maximum - 1], vocabulary.eos] for row in rows]
        if not is_train or all(len(row) > 1 for row in rows):
            for side, row in zip(expected, rows, strict=True):
                expected[side].append(row)
    assert selection.dropped == {reason: DroppedRecord(len(rows), rows[:10]) for reason, rows in changed.items()}
    for side, rows in expected.items():
        store = TokenStore(output / f"train.{side}")
        assert [store[number].tolist() for number in range(len(store))] == rows
        assert figures[side].num_sequences == len(rows)
        assert figures[side].num_tokens == sum(map(len, rows))
        assert figures[side].num_unknown == sum(row.count(vocabulary.unk) for row in rows)
        assert figures[side].lengths == dict(sorted(Counter(map(len, rows)).items()))
    return {path.name: path.read_bytes() for path in output.iterdir()}


@pytest.mark.parametrize("is_train", [True, False])
@pytest.mark.parametrize("policy", [LinePolicyConfig(), LinePolicyConfig(long=LongLines.truncate, max_tokens=4)])
def test_the_number_of_workers_does_not_matter(tmp_path: Path, policy: LinePolicyConfig, is_train: bool) -> None:
    one, two = (binarized(tmp_path, policy, num_workers, is_train) for num_workers in (1, 2))
    assert one == two
    assert set(one) == {"train.en.bin", "train.en.idx", "train.de.bin", "train.de.idx"}
