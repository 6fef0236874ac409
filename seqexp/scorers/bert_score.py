"""BERTScore (Zhang et al. 2020, arXiv 1904.09675) as the library bert-score computes it."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqexp.config.base import require
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra
from seqexp.scorers.base import ScorerConfig
from seqexp.scorers.corpus_scorer import CorpusScorer
from seqexp.scorers.metrics import Quotient


@dataclass
class BERTScoreConfig(ScorerConfig):
    """The model must be on this machine: nothing is downloaded."""

    _target_: str = "seqexp.scorers.bert_score.BERTScore"
    model: str | None = None
    """A directory in Hugging Face's format, or the name of a model in its cache; null: bert-score's for `lang`."""
    lang: str = "en"
    """Language of the text, by which bert-score chooses a model."""
    num_layers: int | None = None
    """The layer whose states are compared; null: the one that bert-score names for the model."""
    batch_size: int = 64
    """Sentences that the model reads together."""

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "batch_size", self.batch_size, "a count above 0")
        given = self.num_layers is None or self.num_layers > 0
        require(given, "num_layers", self.num_layers, "a count above 0, or null")


class BERTScore(CorpusScorer):
    """The mean of the sentences' F1, from 0 to 100; of several references of a sentence, the best one's.

    Raises:
        UserError: bert-score is not installed.
    """

    def __init__(self, config: BERTScoreConfig) -> None:
        super().__init__(_States(config), higher_is_better=config.higher_is_better)


class _States(Quotient):
    def __init__(self, config: BERTScoreConfig) -> None:
        library = import_extra("bert_score", "bert-score")
        utils = import_extra("bert_score.utils", "bert-score")
        name = config.model or utils.lang2model[config.lang]
        self._model = str(Path(name).resolve()) if Path(name).is_dir() else name
        layers = config.num_layers or utils.model2layers.get(name)
        if layers is None:
            raise UserError(f"scorer.bert_score.model={name}: bert-score names no layer for it; give num_layers")
        super().__init__("BERTScore", {"model": Path(name).name, "layer": layers}, "bert-score")
        self._make = library.BERTScorer
        self._arguments = {"num_layers": layers, "batch_size": config.batch_size, "lang": config.lang}

    def compare(self, hypothesis: str, references: Sequence[str]) -> tuple[float, float]:
        return self.compare_all([hypothesis], [references])[0]

    def compare_all(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Sequence[tuple[float, float]]:
        # An empty line counts 0, as it does in bert-score, which newer tokenizers fail on it.
        kept = [[reference for reference in several if reference.strip()] for several in references]
        full = [n for n, hypothesis in enumerate(hypotheses) if hypothesis.strip() and kept[n]]
        found = dict.fromkeys(range(len(hypotheses)), 0.0)
        if full:
            _, _, f1 = self._scorer.score([hypotheses[n] for n in full], [kept[n] for n in full])
            found.update(zip(full, f1.tolist(), strict=True))
        return [(value, 1.0) for value in found.values()]

    @cached_property
    def _scorer(self) -> Any:
        """
        Raises:
            UserError: the model is not on this machine.
        """
        try:
            with _offline():
                return self._make(model_type=self._model, **self._arguments)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"scorer.bert_score.model={self._model} cannot be loaded from this machine ({reason}): put it into "
                "Hugging Face's cache, or give the directory where it is"
            ) from None


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """No request to the hub, and none of its warnings that a model's head is not used."""
    constants = import_extra("huggingface_hub.constants", "bert-score")
    logger = logging.getLogger("transformers")
    before, level = constants.HF_HUB_OFFLINE, logger.level
    constants.HF_HUB_OFFLINE = True
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        logger.setLevel(level)
