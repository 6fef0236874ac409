"""A random sample of text that is too long to hold."""

import math
import random
from collections.abc import Iterable
from itertools import islice


def sample_lines(lines: Iterable[str], count: int | None, seed: int = 1) -> Iterable[str]:
    """At most `count` of the lines, each as likely as any other; None for all. The same ones for the same seed.

    Only the sample is in memory: algorithm L of Li (1994, https://dl.acm.org/doi/10.1145/198429.198435), which draws
    how many lines to pass over rather than a number for each.
    """
    if count is None:
        return lines
    remaining, draw = iter(lines), random.Random(seed).random
    sample = list(islice(remaining, count))
    weight = 1.0
    while len(sample) == count:
        weight *= math.exp(math.log(1.0 - draw()) / count)
        skipped = math.floor(math.log(1.0 - draw()) / math.log1p(-weight)) if weight < 1.0 else 0
        line = next(islice(remaining, skipped, None), None)
        if line is None:
            break
        sample[int(draw() * count)] = line
    return sample
