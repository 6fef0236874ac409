from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqexp.data.batching import BatchLimits, Order
from seqexp.data.block_split import BlockOptions, BlockSplit, Targets
from seqexp.data.blocks import Blocks, Shorten
from seqexp.data.indexed import TokenStore, TokenStoreWriter
from seqexp.data.padding import Padding
from seqexp.data.pairs import LongExamples
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError

BOS, PAD, EOS = 0, 1, 2
LINES = [[10, 11, EOS], [12, EOS], [13, 14, 15, 16, EOS]]
WORDS = Vocabulary([f"w{number}" for number in range(13)])


@pytest.fixture
def text(tmp_path: Path) -> TokenStore:
    with TokenStoreWriter(tmp_path / "train.en", np.dtype("<u2")) as writer:
        writer.write(np.concatenate(LINES), np.array([len(line) for line in LINES]))
    return TokenStore(tmp_path / "train.en")


def split(text: TokenStore, blocks: Blocks = Blocks.none, size: int = 4, **options: Any) -> BlockSplit:
    return BlockSplit.make("train", text, WORDS, BlockOptions(blocks, size, **options))


def rows(split: BlockSplit) -> tuple[list[list[int]], list[list[int]]]:
    """What is read and what is predicted, without padding."""
    batch = split.collate(np.arange(len(split.bounds)))
    assert batch.target_tokens is not None
    read, predicted = (
        [[token for token in row if token != PAD] for row in x.tolist()]
        for x in (batch.previous_tokens, batch.target_tokens)
    )
    assert batch.num_targets == sum(map(len, predicted))
    return read, predicted


def test_a_block_within_a_line_begins_with_what_stands_before_it(text: TokenStore) -> None:
    read, predicted = rows(split(text))
    assert predicted == [[10, 11, 2, 12], [2, 13, 14, 15], [16, 2]]
    assert read == [[2, 10, 11, 2], [12, 2, 13, 14], [15, 16]]


def test_whole_lines_begin_with_the_end_of_the_one_before(text: TokenStore) -> None:
    read, predicted = rows(split(text, Blocks.eos))
    assert predicted == LINES
    assert read == [[2, 10, 11], [2, 12], [2, 13, 14, 15, 16]]
    assert rows(split(text, Blocks.complete, 5))[1] == [LINES[0] + LINES[1], LINES[2]]


def test_a_beginning_of_its_own(text: TokenStore) -> None:
    read, predicted = rows(split(text, add_bos=True))
    assert read == [[0, 10, 11, 2], [0, 2, 13, 14], [0, 16]]
    assert predicted == rows(split(text))[1]


def test_other_targets(text: TokenStore) -> None:
    read, predicted = rows(split(text, Blocks.eos, targets=Targets.self))
    assert read == predicted == [[2, *line] for line in LINES]
    read, predicted = rows(split(text, Blocks.eos, targets=Targets.past))
    assert read == [[2, *line] for line in LINES]
    assert predicted == [[2, *line[:-1]] for line in LINES]
    read, predicted = rows(split(text, targets=Targets.self))
    assert read == predicted == rows(split(text))[0]


def test_tokens_before_a_block_are_read_besides(text: TokenStore) -> None:
    read, predicted = rows(split(text, context=2))
    assert predicted == [[10, 11, 2, 12], [2, 13, 14, 15], [16, 2]]
    assert read == [[2, 10, 11, 2], [11, 2, 12, 2, 13, 14], [13, 14, 15, 16]]
    assert split(text, context=2).collate(np.array([1])).target_tokens.tolist() == [[1, 1, 2, 13, 14, 15]]


def test_lines_are_shortened_before_there_are_blocks(text: TokenStore) -> None:
    assert rows(split(text, Blocks.none, 3, shorten=Shorten.truncate))[1] == [[10, 11, 2], [12, 2, 13], [14, 2]]


def test_each_epoch_crops_anew_and_a_repeated_one_alike(text: TokenStore) -> None:
    cropped = split(text, Blocks.eos, 3, shorten=Shorten.random_crop)

    def drawn(epoch: int) -> list[list[int]]:
        return rows(cropped.epoch(1, epoch, BatchLimits()))[1]

    assert drawn(3) == drawn(3)
    assert {tuple(drawn(epoch)[2]) for epoch in range(20)} == {(13, 14, 2), (14, 15, 2), (15, 16, 2)}
    plain = split(text)
    assert plain.epoch(1, 2, BatchLimits()) is plain


def test_sequences_longer_than_the_model(text: TokenStore, caplog: pytest.LogCaptureFixture) -> None:
    lines = split(text, Blocks.eos)
    assert lines.limited(5, LongExamples.error) is lines
    with pytest.raises(UserError, match=r"train: 1 of 3 examples \(2\) are longer than 4 tokens: take task.too_long"):
        lines.limited(4, LongExamples.error)
    dropped = lines.limited(4, LongExamples.drop)
    assert len(dropped) == 2
    plan = dropped.plan(BatchLimits(max_sentences=9), order=Order.by_length)
    assert plan[0].tolist() == [1, 0]
    assert rows(lines.limited(4, LongExamples.truncate))[1] == [*LINES[:2], [13, 14, 15, 16]]
    with pytest.raises(UserError, match="none is left"):
        lines.limited(1, LongExamples.drop)
    assert "train: 1 of 3 examples (2) are longer than 4 tokens, dropped" in caplog.text


def test_padding(text: TokenStore) -> None:
    wide = split(text, Blocks.eos).padded(Padding(multiple=4), longest=7)
    batch = wide.collate(np.array([1, 2]))
    assert batch.previous_tokens.tolist() == [[2, 12, 1, 1, 1, 1, 1], [2, 13, 14, 15, 16, 1, 1]]
    assert wide.plan(BatchLimits(), order=Order.as_is).largest_size == 7


def test_a_block_for_people(text: TokenStore) -> None:
    assert split(text).source_text(1) == "</s> w9 w10 w11"
