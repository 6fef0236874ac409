"""METEOR (Banerjee and Lavie 2005) as NLTK computes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqexp.config.base import require
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra
from seqexp.scorers.base import ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer
from seqexp.scorers.metrics import Quotient
from seqexp.scorers.words import require_tokenizer, splitter


@dataclass
class METEORConfig(ScorerConfig):
    """The defaults are those of NLTK and fairseq: English, words are what white space separates."""

    _target_: str = "seqexp.scorers.meteor.METEOR"
    tokenize: str = "none"
    """sacrebleu's tokenizer: none, 13a, intl, zh, ..."""
    synonyms: bool = True
    """Words with a common meaning in WordNet match too; NLTK needs its data: `python -m nltk.downloader wordnet`."""
    alpha: float = 0.9
    """Weight of precision; 1 - alpha is that of recall."""
    beta: float = 3.0
    """Shape of the penalty for scattered matches."""
    gamma: float = 0.5
    """Largest penalty for scattered matches."""

    def __post_init__(self) -> None:
        require_tokenizer(self.tokenize)
        for name in ("alpha", "gamma"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "it must be between 0 and 1")
        require(self.beta >= 0, "beta", self.beta, "it must not be negative")


class METEOR(CorpusScorer):
    """The mean of the sentences' scores, from 0 to 100; of several references of a sentence, the best one's.

    Words match if they are equal in lower case, have the same stem (Porter's), or a common synonym.

    Raises:
        UserError: NLTK or WordNet is not there.
    """

    def __init__(self, config: METEORConfig) -> None:
        super().__init__(_Alignment(config), higher_is_better=config.higher_is_better)


class _Alignment(Quotient):
    def __init__(self, config: METEORConfig) -> None:
        numbers = {name: getattr(config, name) for name in ("alpha", "beta", "gamma")}
        super().__init__("METEOR", {"tok": config.tokenize, "syn": config.synonyms, **numbers}, "nltk")
        self._score = import_extra("nltk.translate.meteor_score", "nltk").meteor_score
        self._options = {**numbers, "wordnet": _wordnet() if config.synonyms else _NoSynonyms()}
        self._split = splitter(config.tokenize)

    def compare(self, hypothesis: str, references: Sequence[str]) -> tuple[float, float]:
        targets = [self._split(reference) for reference in references]
        return self._score(targets, self._split(hypothesis), **self._options), 1.0


class _NoSynonyms:
    """Stands for WordNet."""

    def synsets(self, word: str) -> list[Any]:
        return []


def _wordnet() -> Any:
    wordnet = import_extra("nltk.corpus", "nltk").wordnet
    try:
        wordnet.ensure_loaded()
    except LookupError:
        raise UserError(
            "scorer.meteor.synonyms=true: NLTK has no WordNet here; python -m nltk.downloader wordnet brings it, "
            "or take scorer.meteor.synonyms=false"
        ) from None
    return wordnet
