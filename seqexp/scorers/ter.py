"""Translation edit rate (Snover et al. 2006) as sacrebleu computes it."""

from dataclasses import dataclass
from typing import ClassVar

from sacrebleu.metrics import ter

from seqexp.scorers.base import ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer


@dataclass
class TERConfig(ScorerConfig):
    """The defaults are those of the sacrebleu command, which ignores case."""

    higher_is_better: ClassVar[bool] = False

    _target_: str = "seqexp.scorers.ter.TER"
    normalized: bool = False
    """Tokenise as Tercom does before counting edits."""
    no_punct: bool = False
    """Leave out punctuation."""
    asian_support: bool = False
    """With `normalized`, split Asian characters."""
    case_sensitive: bool = False
    """Tell upper from lower case."""


class TER(CorpusScorer):
    """Edits per hundred reference words: 0 is best, there is no upper limit."""

    def __init__(self, config: TERConfig) -> None:
        metric = ter.TER(
            normalized=config.normalized,
            no_punct=config.no_punct,
            asian_support=config.asian_support,
            case_sensitive=config.case_sensitive,
        )
        super().__init__(metric, higher_is_better=config.higher_is_better)
