"""Words of a tokenised text, and how likely they were: sums over their tokens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from seqexp.data.stages import TextStages
from seqexp.data.vocabulary import EOS
from seqexp.runtime.files import atomic_path


@dataclass(frozen=True)
class Word:
    """One word of a text."""

    text: str
    log_prob: float
    """In nats, the sum over its tokens."""
    num_tokens: int


def words_of_line(tokens: Sequence[str], log_probs: Sequence[float], stages: TextStages) -> list[Word]:
    """The words of a line; `</s>` at its end is one.

    Args:
        tokens: the line after all text stages, `</s>` included.
        log_probs: of each of them.

    Raises:
        UserError: the text stages do not tell where words begin.
    """
    begins = stages.word_starts(tokens)
    edges = [0, *(number for number in range(1, len(tokens)) if begins[number]), len(tokens)]
    spans = list(pairwise(edges))
    return [Word(_text(tokens[first:end], stages), sum(log_probs[first:end]), end - first) for first, end in spans]


def _text(tokens: Sequence[str], stages: TextStages) -> str:
    return EOS if list(tokens) == [EOS] else stages.stages[-1].decode(" ".join(tokens)).strip()


class WordStatistics:
    """What is known of each word of a text."""

    def __init__(self) -> None:
        self._rows: dict[str, list[float]] = {}

    def add(self, words: Iterable[Word]) -> None:
        """Count the words of a line, in order."""
        line = list(words)
        for number, word in enumerate(line):
            row = self._rows.setdefault(word.text, [0, 0.0, 0, 0.0, 0])
            row[0] += 1
            row[1] += word.log_prob
            row[2] = max(row[2], word.num_tokens)
            if number + 1 < len(line):
                row[3] += line[number + 1].log_prob
                row[4] += 1

    def rows(self) -> Iterator[tuple[str, int, float, int, float, int]]:
        """Word, how often it occurs, sum of its log-probabilities, most tokens, sum of those of the words after it, and
        how many there are; the most frequent first."""
        for word, row in sorted(self._rows.items(), key=lambda item: (-item[1][0], item[0])):
            yield word, int(row[0]), row[1], int(row[2]), row[3], int(row[4])

    def save(self, path: Path) -> None:
        """As a table with a line of headings."""
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write("word\tcount\tlog_prob\tmost_tokens\tnext_log_prob\tnum_next\n")
            for word, count, log_prob, most, following, num_following in self.rows():
                file.write(f"{word}\t{count}\t{log_prob:.4f}\t{most}\t{following:.4f}\t{num_following}\n")
