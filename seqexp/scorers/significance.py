"""Whether systems differ by more than chance: sacrebleu's paired tests, with the numbers that its command gives."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest

SEED = "SACREBLEU_SEED"
"""The environment variable by which sacrebleu is told."""


class Significance(StrEnum):
    """Tests of the hypothesis that a system is as good as the baseline."""

    none = "none"
    paired_bootstrap = "paired_bootstrap"
    """Koehn 2004: the difference on resamples of the sentences."""
    approximate_randomization = "approximate_randomization"
    """Riezler and Maxwell 2005: the difference when sentences change sides at random."""


@dataclass(frozen=True)
class Comparison:
    """What a test says of a system."""

    p_value: float | None
    """How likely so large a difference to the baseline is by chance; None of the baseline itself."""
    mean: float | None
    """Of the scores of bootstrap resamples, where there are any."""
    interval: float | None
    """Half the width of their 95 % confidence interval."""


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Context in which sacrebleu draws from this seed."""
    before = os.environ.get(SEED)
    os.environ[SEED] = str(seed)
    try:
        yield
    finally:
        os.environ.pop(SEED)
        if before is not None:
            os.environ[SEED] = before


def compare(
    metric: Metric,
    systems: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    test: Significance,
    *,
    num_trials: int,
    num_resamples: int,
) -> tuple[str, dict[str, Comparison]]:
    """Test the systems by one metric against the first of them.

    Args:
        systems: hypotheses of each, sentence by sentence.
        references: all first references, all second ones, ...
        num_trials: of the test.
        num_resamples: for confidence intervals beside approximate randomization; 0 for none.

    Returns:
        The signature with the test in it, and what it says of each system.
    """
    paired = PairedTest(
        list(systems.items()),
        {"metric": metric},
        references,
        test_type="bs" if test is Significance.paired_bootstrap else "ar",
        n_samples=num_trials,
        n_ar_confidence=num_resamples if test is Significance.approximate_randomization and num_resamples else -1,
    )
    signatures, results = paired()
    (name,) = signatures
    found = {}
    for system, result in zip(systems, results[name], strict=True):
        assert not isinstance(result, str)
        numbers = (None if value is None else float(value) for value in (result.p_value, result.mean, result.ci))
        found[system] = Comparison(*numbers)
    return str(signatures[name]), found
