"""What the scorers that leave the counting to sacrebleu have in common."""

from sacrebleu.metrics.base import Metric

from seqexp.scorers.base import Score, Scorer


class CorpusScorer(Scorer):
    """Collects sentences for one of sacrebleu's metrics.

    Args:
        metric: sacrebleu's.
        higher_is_better: about its scores.
    """

    def __init__(self, metric: Metric, *, higher_is_better: bool) -> None:
        self._metric = metric
        self._higher_is_better = higher_is_better
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

    def result(self) -> Score:
        """The corpus's score.

        Raises:
            ValueError: there is no sentence.
        """
        if not self._hypotheses:
            raise ValueError("there is no sentence to score")
        streams = [list(stream) for stream in zip(*self._references, strict=True)]
        score = self._metric.corpus_score(self._hypotheses, streams)
        signature = str(self._metric.get_signature())
        text = score.format(width=1, signature=signature)
        return Score(score.score, signature, self._higher_is_better, text)
