"""The sentence pairs of each split."""

from __future__ import annotations

from collections.abc import Iterator

from seqexp.corpora.grammar.clauses import Clause, sentence
from seqexp.corpora.grammar.dice import Dice
from seqexp.corpora.grammar.holdout import is_held_out, split_of_held_out
from seqexp.corpora.grammar.sentences import random_sentence
from seqexp.runtime.errors import UserError

SPLITS = ("train", "valid", "test")
MIN_WORDS, MAX_WORDS = 4, 18
# Rejected candidates in a row after which the grammar counts as exhausted.
PATIENCE = 100_000


def sentence_pairs(split: str, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield `count` distinct pairs of an English sentence and its German translation.

    A combination of words for which `is_held_out` holds never occurs in "train"; every sentence of "valid" and
    "test" contains at least one. The splits share no sentence, whatever their sizes and seeds. The same arguments
    always yield the same pairs.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    return _distinct_pairs(split, count, Dice(f"{seed}:{split}"))


def _distinct_pairs(split: str, count: int, dice: Dice) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    rejected = 0
    while len(seen) < count:
        pair = _candidate(split, dice)
        if pair is None or pair[0] in seen:
            rejected += 1
            if rejected > PATIENCE:
                raise UserError(f"corpus.num_{split}={count}: the grammar has fewer sentences; {len(seen)} at most")
            continue
        rejected = 0
        seen.add(pair[0])
        yield pair


def _candidate(split: str, dice: Dice) -> tuple[str, str] | None:
    """Build one sentence, or nothing when it belongs to another split or is too short or too long."""
    clause, mark = random_sentence(dice)
    has_held_out = contains_held_out(clause)
    if has_held_out == (split == "train"):
        return None
    pair = sentence(clause, mark)
    if not MIN_WORDS <= pair[0].count(" ") + 1 <= MAX_WORDS:
        return None
    if has_held_out and split_of_held_out(pair[0]) != split:
        return None
    return pair


def contains_held_out(clause: Clause) -> bool:
    """Whether some combination in the clause is kept out of training."""
    return any(map(is_held_out, clause.combinations))
