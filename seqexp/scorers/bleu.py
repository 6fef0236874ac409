"""BLEU (Papineni et al. 2002) as sacrebleu computes it (Post 2018, arXiv 1804.08771)."""

from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import bleu

from seqexp.config.base import require
from seqexp.scorers.base import ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer


@dataclass
class BLEUConfig(ScorerConfig):
    """The defaults are those of the sacrebleu command."""

    _target_: str = "seqexp.scorers.bleu.BLEU"
    tokenize: str = "13a"
    """sacrebleu's tokenizer, for hypotheses and references: 13a, intl, char, zh, ja-mecab, ko-mecab, flores200, ...;
    none for text that is tokenised already (whose scores compare with no one else's)."""
    lowercase: bool = False
    """Ignore case."""
    smooth_method: str = "exp"
    """For n-grams without a match: exp, floor, add-k or none."""
    smooth_value: float | None = None
    """Of floor and add-k; null is sacrebleu's default."""
    effective_order: bool = False
    """Leave out orders of n-gram without a match. Scores of single sentences always do."""
    max_ngram_order: int = 4
    """Longest n-grams that are counted."""

    def __post_init__(self) -> None:
        right = f"use one of {', '.join(sorted(bleu.BLEU.TOKENIZERS))}"
        require(self.tokenize in bleu.BLEU.TOKENIZERS, "tokenize", self.tokenize, right)
        right = f"use one of {', '.join(bleu.BLEU.SMOOTH_DEFAULTS)}"
        require(self.smooth_method in bleu.BLEU.SMOOTH_DEFAULTS, "smooth_method", self.smooth_method, right)
        require(self.max_ngram_order > 0, "max_ngram_order", self.max_ngram_order, "it must be positive")


class BLEU(CorpusScorer):
    """Corpus BLEU, from 0 to 100."""

    def __init__(self, config: BLEUConfig) -> None:
        options: dict[str, Any] = {
            "tokenize": config.tokenize,
            "lowercase": config.lowercase,
            "smooth_method": config.smooth_method,
            "smooth_value": config.smooth_value,
            "max_ngram_order": config.max_ngram_order,
        }
        super().__init__(
            bleu.BLEU(**options, effective_order=config.effective_order),
            higher_is_better=config.higher_is_better,
            # As the sacrebleu command does it with --sentence-level.
            sentence_metric=bleu.BLEU(**options, effective_order=True),
        )
