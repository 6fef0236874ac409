"""Drawing subwords beside plain encoding, in one process: lines of the training text of a data directory per second.

python benchmarks/sampling.py data-bin/multi30k alpha=0.2
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from seqexp.catalog import CATALOG
from seqexp.data.encoding import encode_field
from seqexp.data.pairs import PairSamplingConfig, PairSplit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("option", nargs="+", help="dropout=, alpha= or nbest_size=")
    arguments = parser.parse_args()
    options = dict(option.split("=") for option in arguments.option)
    numbers = {name: int(value) if name == "nbest_size" else float(value) for name, value in options.items()}
    sampling = PairSamplingConfig(**numbers)  # type: ignore[arg-type]
    split = PairSplit.load(arguments.data, "train", catalog=CATALOG)
    split.require_sampling(sampling)
    for epoch in range(3):
        measure("plain", split, lambda: [encode_field(side) for side in sides(split)])
        measure("drawn", split, lambda epoch=epoch: split.drawn(sampling, seed=1, epoch=epoch, **UNLIMITED))


UNLIMITED = {"max_source_size": None, "max_target_size": None}


def sides(split: PairSplit) -> list:  # type: ignore[type-arg]
    return [side for side in (split.source_encoding, split.target_encoding) if side is not None]


def measure(name: str, split: PairSplit, work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    num_lines = 2 * len(split.source)
    print(f"{name}: {num_lines / wall:,.0f} lines per second, {num_lines / cpu:,.0f} per second of processor time")


if __name__ == "__main__":
    main()
