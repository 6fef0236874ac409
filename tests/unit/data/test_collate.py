import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from seqexp.corpora.parallel import ParallelCorpusConfig
from seqexp.data.collate import PaddingSide, PairCollater, shift_right
from seqexp.data.pairs import LongExamples, PairSplit
from seqexp.data.prepare import PrepareConfig, prepare

PAD, EOS = 1, 2
A, B, C = 4, 5, 6


@pytest.fixture
def split(
    make_config: Callable[..., PrepareConfig],
    write_corpus: Callable[..., ParallelCorpusConfig],
    catalog: Mapping[str, Mapping[str, str]],
) -> PairSplit:
    train = [("a a a", "b"), ("b", "a b c"), ("a b", "a a"), ("a", "c a")]
    directory: Path = prepare(make_config(corpus=write_corpus(train=train)), catalog).directory
    return PairSplit.load(directory, "train")


def test_padding_on_the_right(split: PairSplit) -> None:
    batch = PairCollater(split)(np.array([1, 2]))
    assert batch.indices.tolist() == [1, 2]
    assert batch.source_tokens.tolist() == [[B, EOS, PAD], [A, B, EOS]]
    assert batch.source_lengths.tolist() == [2, 3]
    assert batch.target_tokens is not None
    assert batch.previous_tokens is not None
    assert batch.target_tokens.tolist() == [[A, B, C, EOS], [A, A, EOS, PAD]]
    assert batch.previous_tokens.tolist() == [[EOS, A, B, C], [EOS, A, A, PAD]]
    assert batch.num_targets == 7
    assert batch.num_sentences == 2


def test_padding_on_the_left(split: PairSplit) -> None:
    collate = PairCollater(split, source_padding=PaddingSide.left, target_padding=PaddingSide.left)
    batch = collate(np.array([1, 2]))
    assert batch.source_tokens.tolist() == [[PAD, B, EOS], [A, B, EOS]]
    assert batch.target_tokens is not None
    assert batch.previous_tokens is not None
    assert batch.target_tokens.tolist() == [[A, B, C, EOS], [PAD, A, A, EOS]]
    assert batch.previous_tokens.tolist() == [[EOS, A, B, C], [PAD, EOS, A, A]]


def test_truncated_pairs_keep_their_end(split: PairSplit) -> None:
    batch = PairCollater(split.limited(3, 3, LongExamples.truncate))(np.array([0, 1]))
    assert batch.source_tokens.tolist() == [[A, A, EOS], [B, EOS, PAD]]
    assert batch.target_tokens is not None
    assert batch.target_tokens.tolist() == [[B, EOS, PAD], [A, B, EOS]]
    assert batch.num_targets == 5


def test_shifting() -> None:
    target = np.array([[7, EOS, PAD, PAD], [EOS, PAD, PAD, PAD], [7, 8, 9, EOS], [PAD, PAD, PAD, PAD]])
    sizes = np.array([2, 1, 4, 0])
    shifted = shift_right(target, sizes, EOS, PAD)
    assert shifted.tolist() == [[EOS, 7, PAD, PAD], [EOS, PAD, PAD, PAD], [EOS, 7, 8, 9], [PAD] * 4]
    left = np.array([[PAD, PAD, 7, EOS], [PAD, PAD, PAD, EOS], [7, 8, 9, EOS], [PAD, PAD, PAD, PAD]])
    shifted = shift_right(left, sizes, EOS, PAD, left=True)
    assert shifted.tolist() == [[PAD, PAD, EOS, 7], [PAD, PAD, PAD, EOS], [EOS, 7, 8, 9], [PAD] * 4]


def test_can_be_sent_to_another_process(split: PairSplit) -> None:
    collate = pickle.loads(pickle.dumps(PairCollater(split)))
    assert collate(np.array([0])).source_tokens.tolist() == [[A, A, A, EOS]]
