"""Seconds and memory for the batches of an epoch of ten million examples.

    python benchmarks/batching.py [--num-examples 10000000] [--max-tokens 4096] [--max-sentences 0]

The memory is what the process needed at its peak beyond what it had before: the sizes and the imports do not count.
"""

import argparse
import resource
import time

import numpy as np

from seqexp.data.batching import BatchLimits, EpochPlan, Order, batch_by_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-examples", type=int, default=10_000_000)
    parser.add_argument("--max-tokens", type=int, default=4096)
    parser.add_argument("--max-sentences", type=int, default=0, help="0 for any number")
    options = parser.parse_args()
    source, target = make_sizes(options.num_examples)
    limits = BatchLimits(options.max_tokens, options.max_sentences or None, multiple_of=8)
    before = peak_megabytes()
    started = time.perf_counter()
    plan = EpochPlan(source, target, limits, order=Order.shuffled, seed=1, epoch=1)
    seconds = time.perf_counter() - started
    print(f"epoch plan: {len(plan):,} batches in {seconds:.2f} s, {peak_megabytes() - before:.0f} MB more at the peak")
    costs = np.maximum(source, target)
    started = time.perf_counter()
    batch_by_size(plan.examples, costs, max_tokens=limits.max_tokens, multiple_of=8, max_sentences=limits.max_sentences)
    print(f"of which batch_by_size: {time.perf_counter() - started:.2f} s")


def make_sizes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths as of sentences: log-normal, those of a pair alike."""
    random = np.random.default_rng(1)
    source = np.clip(random.lognormal(3.0, 0.6, count), 2, 250).astype(np.int32)
    target = np.clip(source * random.normal(1.0, 0.2, count), 2, 250).astype(np.int32)
    return source, target


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
