"""ROUGE (Lin 2004), as Google's rouge-score computes it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqexp.config.base import require
from seqexp.runtime.extras import import_extra
from seqexp.scorers.base import ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer
from seqexp.scorers.metrics import Quotient
from seqexp.scorers.words import require_tokenizer, splitter


@dataclass
class ROUGEConfig(ScorerConfig):
    """The defaults are those of rouge-score: English text."""

    _target_: str = "seqexp.scorers.rouge.ROUGE"
    kind: str = "rougeL"
    """What is compared: n-grams (rouge1 to rouge9) or longest common subsequences (rougeL)."""
    tokenize: str = "rouge"
    """`rouge`, which keeps nothing but a-z and 0-9; for other languages one of sacrebleu's: 13a, intl, zh, ..."""
    stem: bool = False
    """Porter's stemmer for English; of tokenize=rouge."""

    def __post_init__(self) -> None:
        is_kind = re.fullmatch("rouge[1-9L]", self.kind) is not None
        require(is_kind, "kind", self.kind, "use rouge1 to rouge9 or rougeL")
        if self.tokenize != "rouge":
            require_tokenizer(self.tokenize)
            require(not self.stem, "stem", self.stem, f"it belongs to tokenize=rouge, not tokenize={self.tokenize}")


class ROUGE(CorpusScorer):
    """The mean of the sentences' F1, from 0 to 100; of several references of a sentence, the best one's."""

    def __init__(self, config: ROUGEConfig) -> None:
        super().__init__(_Overlap(config), higher_is_better=config.higher_is_better)


class _Overlap(Quotient):
    def __init__(self, config: ROUGEConfig) -> None:
        super().__init__(config.kind.upper(), {"tok": config.tokenize, "stem": config.stem}, "rouge-score")
        module = import_extra("rouge_score.rouge_scorer", "rouge")
        tokenizer = None if config.tokenize == "rouge" else _Words(config.tokenize)
        self._kind = config.kind
        self._scorer: Any = module.RougeScorer([config.kind], use_stemmer=config.stem, tokenizer=tokenizer)

    def compare(self, hypothesis: str, references: Sequence[str]) -> tuple[float, float]:
        return self._scorer.score_multi(list(references), hypothesis)[self._kind].fmeasure, 1.0


class _Words:
    """What rouge-score takes for a tokenizer."""

    def __init__(self, tokenize: str) -> None:
        self.tokenize = splitter(tokenize, lowercase=True)
