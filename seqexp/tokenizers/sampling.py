"""Subword sampling: the same text in other pieces every time.

All randomness comes from a `random.Random` that the caller seeds for each line, so that a line's pieces depend on
nothing else: not on the lines before it, nor on which process has it.
"""

import functools
import math
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random

from seqexp.config.base import require

Symbols = tuple[str, ...]
Sampler = Callable[[str, Random], str]
"""Encodes a line, its subwords drawn at random."""
Vocabulary = Container[str]
"""The tokens that have an index of their own."""

MAX_SYMBOLS = 250
"""A longer word is cut there, and nothing merged across the cut: the time that a word takes grows with its square."""
MAX_REMEMBERED_SYMBOLS = 24
"""Longer words are rare, and what is remembered of a word grows with its length."""
AVOIDED = -1e6
"""Logarithm of the weight of what is not to be drawn."""
MAX_REDRAWS = 20
"""Of a word with a piece that the vocabulary lacks, before it is left as it is without dropout."""
MAX_STATES = 1 << 17
"""To remember, of all words together; about half a kilobyte each."""


@dataclass
class SamplingConfig:
    """Draws the subwords of the training text anew in every epoch. By `dropout` or by `alpha`, as the data's subwords
    are BPE or of a unigram model; without either they are the same in every epoch. Only subwords of the vocabulary are
    drawn."""

    dropout: float = 0.0
    """For BPE (`sentencepiece` of that type, `byte_bpe`, `subword_nmt`, `fastbpe`): the probability that a merge is
    passed over, each time that it is the next; 0.1 is usual, 1 leaves single characters."""
    alpha: float | None = None
    """For a unigram model (`sentencepiece`): the pieces of a sentence are drawn with a probability in proportion to
    the model's, to this power. The smaller, the more alike are all ways to cut it; 0.1 to 0.5 are usual, null draws
    nothing."""
    nbest_size: int = -1
    """With `alpha`: draw only among so many best ways to cut a sentence, which takes longer; -1: among all."""

    def __post_init__(self) -> None:
        require(0 <= self.dropout <= 1, "dropout", self.dropout, "from 0 to 1")
        require(self.alpha is None or self.alpha >= 0, "alpha", self.alpha, "a number from 0, or null")
        both = self.dropout > 0 and self.alpha is not None
        require(not both, "dropout", self.dropout, "either dropout, for BPE, or alpha, for a unigram model")
        require(self.nbest_size == -1 or self.nbest_size > 1, "nbest_size", self.nbest_size, "more than 1, or -1")
        unused = self.nbest_size != -1 and self.alpha is None
        require(not unused, "nbest_size", self.nbest_size, "it goes together with alpha")

    @property
    def is_on(self) -> bool:
        return self.dropout > 0 or self.alpha is not None


class _State:
    """Where the merging of a word stands."""

    __slots__ = ("following", "places", "symbols")

    def __init__(self, symbols: Symbols, places: list[int]) -> None:
        self.symbols = symbols
        self.places = places
        """Of the left symbols of pairs that may be merged, the best pair first, the left one of equals."""
        self.following: list[_State | None] = [None] * len(places)
        """What each merge leads to, as far as it has been made before."""


class MergeSampler:
    """BPE-dropout (Provilkov et al. 2020, https://aclanthology.org/2020.acl-main.170).

    In every step each possible merge is passed over with a certain probability, and of the others the best is made; a
    word is finished when none is left. Since only the best counts, merges are asked in order until one is made. Words
    recur, and with them the states between two merges, so these are remembered.
    """

    def __init__(
        self,
        ranks: Mapping[tuple[str, str], float],
        dropout: float,
        is_known: Callable[[Symbols], bool] = lambda symbols: True,
    ) -> None:
        """
        Args:
            ranks: for every pair of symbols that may be merged a number, the smaller the sooner.
            is_known: whether the vocabulary has these symbols of a word; of others there is another draw.
        """
        self.ranks, self.dropout, self.is_known = ranks, dropout, is_known
        self._states: dict[Symbols, _State] = {}

    def __call__(self, symbols: Symbols, random: Random) -> Symbols:
        """Merge the symbols of one word."""
        if len(symbols) > MAX_SYMBOLS:
            parts = range(0, len(symbols), MAX_SYMBOLS)
            return tuple(symbol for i in parts for symbol in self(symbols[i : i + MAX_SYMBOLS], random))
        beginning = self._states.get(symbols) or self._state(symbols)
        for _ in range(MAX_REDRAWS):
            merged = self._draw(beginning, random.random, self.dropout)
            if self.is_known(merged):
                return merged
        return self._draw(beginning, random.random, 0.0)

    def _draw(self, state: _State, draw: Callable[[], float], dropout: float) -> Symbols:
        while True:
            for number, place in enumerate(state.places):
                if draw() >= dropout:
                    state = state.following[number] or self._merge(state, number, place)
                    break
            else:
                return state.symbols

    def _merge(self, state: _State, number: int, place: int) -> _State:
        old = state.symbols
        symbols = (*old[:place], old[place] + old[place + 1], *old[place + 2 :])
        state.following[number] = new = self._states.get(symbols) or self._state(symbols)
        return new

    def _state(self, symbols: Symbols) -> _State:
        ranks = [(self.ranks.get(pair), place) for place, pair in enumerate(pairwise(symbols))]
        state = _State(symbols, [place for _, place in sorted((rank, i) for rank, i in ranks if rank is not None)])
        if len(self._states) >= MAX_STATES:
            self._states.clear()
        if len(symbols) <= MAX_REMEMBERED_SYMBOLS:
            self._states[symbols] = state
        return state


class LatticeSampler:
    """Draws among all ways to cut a word into pieces (Kudo 2018, https://aclanthology.org/P18-1007).

    A way has the probability exp(alpha * sum of its pieces' scores), normalised. Forward filtering, backward sampling.
    """

    def __init__(
        self, scores: Mapping[str, float], unknown_score: float, alpha: float, avoided: Iterable[str] = ()
    ) -> None:
        """
        Args:
            scores: log-probability of each piece; a character that is none has `unknown_score`.
            avoided: characters that are taken as pieces where there is no other way only.
        """
        self.weights = {piece: alpha * score for piece, score in scores.items()} | dict.fromkeys(avoided, AVOIDED)
        self.unknown_weight = alpha * unknown_score
        self.max_length = max(map(len, self.weights), default=1)
        self._remembered = functools.lru_cache(maxsize=1 << 15)(self._table)

    def __call__(self, word: str, random: Random) -> list[str]:
        table = self._remembered(word) if len(word) <= MAX_REMEMBERED_SYMBOLS else self._table(word)
        pieces, end = [], len(word)
        while end > 0:
            starts, cumulative = table[end - 1]
            start = starts[bisect_right(cumulative, random.random())] if len(starts) > 1 else starts[0]
            pieces.append(word[start:end])
            end = start
        pieces.reverse()
        return pieces

    def _table(self, word: str) -> list[tuple[list[int], list[float]]]:
        """For each end of a piece, where the piece may begin, and the cumulative probabilities of it but the last."""
        log_sums = [0.0]  # by end, of all ways to cut what is before it
        table = []
        for end in range(1, len(word) + 1):
            starts, weights = [], []
            for start in range(max(0, end - self.max_length), end):
                weight = self.weights.get(word[start:end], self.unknown_weight if end - start == 1 else None)
                if weight is not None:
                    starts.append(start)
                    weights.append(log_sums[start] + weight)
            largest = max(weights)
            shares = [math.exp(weight - largest) for weight in weights]
            total = math.fsum(shares)
            log_sums.append(largest + math.log(total))
            table.append((starts, [cumulative / total for cumulative in accumulate(shares[:-1])]))
        return table


def draw(weights: list[float], random: Random) -> int:
    """An index, drawn with probabilities in proportion to exp(weight)."""
    largest = max(weights)
    return random.choices(range(len(weights)), [math.exp(weight - largest) for weight in weights])[0]
