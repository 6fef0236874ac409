"""Word error rate, and with single characters the character error rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from seqexp.runtime.extras import import_extra
from seqexp.scorers.base import ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer
from seqexp.scorers.metrics import Quotient
from seqexp.scorers.words import require_tokenizer, splitter


@dataclass
class WERConfig(ScorerConfig):
    """The defaults are those of fairseq: words are what white space separates."""

    higher_is_better: ClassVar[bool] = False

    _target_: str = "seqexp.scorers.wer.WER"
    tokenize: str = "none"
    """sacrebleu's tokenizer: none, 13a, intl, zh, ja-mecab, ..."""
    lowercase: bool = False
    """Ignore case."""
    remove_punctuation: bool = False
    """Leave out tokens of nothing but punctuation."""
    characters: bool = False
    """Count characters instead of words, spaces between words among them."""

    def __post_init__(self) -> None:
        require_tokenizer(self.tokenize)


class WER(CorpusScorer):
    """Insertions, deletions and substitutions per hundred words of the references: 0 is best, there is no upper limit.

    Of several references of a sentence, the one with the fewest of them per word.
    """

    def __init__(self, config: WERConfig) -> None:
        super().__init__(_WordErrors(config), higher_is_better=config.higher_is_better)


class _WordErrors(Quotient):
    def __init__(self, config: WERConfig) -> None:
        options = {
            "case": "lc" if config.lowercase else "mixed",
            "tok": config.tokenize,
            "punct": not config.remove_punctuation,
        }
        super().__init__("CER" if config.characters else "WER", options, "rapidfuzz")
        self._distance = import_extra("rapidfuzz.distance", "wer").Levenshtein.distance
        self._split = splitter(
            config.tokenize,
            lowercase=config.lowercase,
            keep_punctuation=not config.remove_punctuation,
            characters=config.characters,
        )

    def compare(self, hypothesis: str, references: Sequence[str]) -> tuple[float, float]:
        words = self._split(hypothesis)
        targets = [self._split(reference) for reference in references]
        compared = [(self._distance(words, target), len(target)) for target in targets]
        return min(compared, key=lambda pair: (pair[0] / max(pair[1], 1), pair[0]))
