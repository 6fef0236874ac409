"""What the scorers that are one of sacrebleu's metrics have in common: its own, and those of `metrics.py`."""

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.base import Score as MetricScore

from seqexp.scorers.base import Score, Scorer


class CorpusScorer(Scorer):
    """Collects sentences for one of sacrebleu's metrics.

    Args:
        metric: sacrebleu's.
        higher_is_better: about its scores.
        sentence_metric: the one for sentences by themselves; None for the same.
    """

    def __init__(self, metric: Metric, *, higher_is_better: bool, sentence_metric: Metric | None = None) -> None:
        self.metric = metric
        self.higher_is_better = higher_is_better
        self._sentence_metric = sentence_metric or metric
        self._hypotheses: list[str] = []
        self._references: list[list[str]] = []

    def add(self, hypothesis: str, references: list[str]) -> None:
        """Count one sentence.

        Raises:
            ValueError: it has no reference, or not as many as the first.
        """
        expected = len(self._references[0]) if self._references else max(len(references), 1)
        if len(references) != expected:
            raise ValueError(
                f"sentence {len(self._hypotheses)} has {len(references)} references and should have {expected}: "
                "all sentences of a corpus need the same number, at least one"
            )
        self._hypotheses.append(hypothesis)
        self._references.append(references)

    def result(self, num_resamples: int = 0) -> Score:
        """The corpus's score.

        Args:
            num_resamples: of a bootstrap for a confidence interval, whose seed is in SACREBLEU_SEED; 0 for none.

        Raises:
            ValueError: there is no sentence.
        """
        if not self._hypotheses:
            raise ValueError("there is no sentence to score")
        streams = [list(stream) for stream in zip(*self._references, strict=True)]
        score = self.metric.corpus_score(self._hypotheses, streams, n_bootstrap=num_resamples)
        return self._told(score, self.metric, num_resamples)

    def sentence(self, hypothesis: str, references: list[str]) -> Score:
        score = self._sentence_metric.sentence_score(hypothesis, references)
        return self._told(score, self._sentence_metric, 0)

    def _told(self, score: MetricScore, metric: Metric, num_resamples: int) -> Score:
        has_interval = num_resamples > 1
        if not has_interval:
            metric.n_bootstrap = metric.seed = None  # what an earlier bootstrap has left for the signature
        signature = str(metric.get_signature())
        return Score(
            value=float(score.score),
            signature=signature,
            higher_is_better=self.higher_is_better,
            text=score.format(width=1, signature=signature),
            mean=float(score._mean) if has_interval else None,
            interval=float(score._ci) if has_interval else None,
        )
