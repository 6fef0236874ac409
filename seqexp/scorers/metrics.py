"""Scores that are a quotient of sums over sentences, as metrics of sacrebleu: so they have its confidence intervals,
its significance tests and its form of a signature."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from sacrebleu.metrics.base import Metric, Score, Signature


class Quotient(Metric):
    """100 times the sum of the sentences' numerators over that of their denominators; 0 where there is nothing.

    Args:
        name: of the score.
        options: what the signature says of it, by short names.
        library: the distribution that computes it; the signature has its version.
    """

    def __init__(self, name: str, options: Mapping[str, object], library: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.name, self.options, self.library = name, options, library
        self.num_refs = 0

    @abstractmethod
    def compare(self, hypothesis: str, references: Sequence[str]) -> tuple[float, float]:
        """Numerator and denominator of one sentence."""

    def compare_all(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Sequence[tuple[float, float]]:
        """Those of all sentences; `references` are those of each sentence."""
        return [self.compare(*pair) for pair in zip(hypotheses, references, strict=True)]

    def get_signature(self) -> Signature:
        signature = Signature({"num_refs": self.num_refs, "n_bootstrap": self.n_bootstrap, "seed": self.seed})
        for key, value in self.options.items():
            signature.update(key, value)
        signature.update("version", f"{self.library}-{version(self.library)}")
        return signature

    def _extract_corpus_statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]] | None
    ) -> list[list[float]]:
        assert references is not None
        self.num_refs = len(references)
        of_sentences = [list(several) for several in zip(*references, strict=True)]
        return [list(pair) for pair in self.compare_all(hypotheses, of_sentences)]

    def _aggregate_and_compute(self, stats: Any) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])

    def _compute_score_from_stats(self, stats: Any) -> Score:
        numerator, denominator = (float(value) for value in stats)
        return Score(self.name, 100 * numerator / denominator if denominator else 0.0)

    # What sacrebleu's way to the statistics, which is not taken here, would ask for.

    def _preprocess_segment(self, sent: str) -> str:
        return sent

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        return {"references": refs}

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, Any]) -> list[float]:
        return list(self.compare(hypothesis, ref_kwargs["references"]))
