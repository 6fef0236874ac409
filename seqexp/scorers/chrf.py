"""chrF and chrF++ (Popovic 2015, 2017) as sacrebleu computes them."""

from dataclasses import dataclass

from sacrebleu.metrics import chrf

from seqexp.config.base import require
from seqexp.scorers.base import ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer


@dataclass
class ChrFConfig(ScorerConfig):
    """The defaults are those of the sacrebleu command: chrF2."""

    _target_: str = "seqexp.scorers.chrf.ChrF"
    char_order: int = 6
    """Longest n-gram of characters."""
    word_order: int = 0
    """Longest n-gram of words; 2 is chrF++."""
    beta: int = 2
    """How many times as important recall is as precision."""
    lowercase: bool = False
    """Ignore case."""
    whitespace: bool = False
    """Keep spaces in n-grams of characters."""
    eps_smoothing: bool = False
    """Smooth as chrF++.py, NLTK and Moses do, instead of leaving out orders without n-grams."""

    def __post_init__(self) -> None:
        for name in ("char_order", "word_order"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "it must not be negative")
        require(self.beta > 0, "beta", self.beta, "it must be positive")


class ChrF(CorpusScorer):
    """Corpus chrF, from 0 to 100."""

    def __init__(self, config: ChrFConfig) -> None:
        metric = chrf.CHRF(
            char_order=config.char_order,
            word_order=config.word_order,
            beta=config.beta,
            lowercase=config.lowercase,
            whitespace=config.whitespace,
            eps_smoothing=config.eps_smoothing,
        )
        super().__init__(metric, higher_is_better=config.higher_is_better)
