"""Lines per second of `python -m seqexp.preprocess`, and of fairseq's command on the same text.

    python benchmarks/preprocess.py [--peer path/to/fairseq-preprocess] [--repeats 3] [--num-workers 2]

Each run is a fresh process; the time is of the whole process, interpreter start and vocabulary included. Runs of the
two commands alternate, so that a busy machine is fair to both; the median is printed. The text is the Tatoeba corpus of
the reference data (SEQEXP_SHARED, ../shared by default), or what `--train` and `--valid` name.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SEQEXP_SHARED", ROOT.parent / "shared"))
TEXT = SHARED / "data" / "tatoeba" / "en-de"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="fairseq-preprocess of an environment that has fairseq")
    parser.add_argument("--train", default=str(TEXT / "train"), help="prefix of the training text")
    parser.add_argument("--valid", default=str(TEXT / "valid"), help="prefix of the validation text")
    parser.add_argument("--languages", nargs=2, default=["en", "de"])
    parser.add_argument("--num-workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    commands = {"seqexp": our_command(options)}
    if options.peer:
        commands["fairseq"] = peer_command(options)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            seconds[name].append(measure(command))
    report(seconds, count_lines(options))


def our_command(options: argparse.Namespace) -> list[str]:
    source, target = options.languages
    return [
        *(sys.executable, "-m", "seqexp.preprocess", "corpus=parallel", "tokenizer=whitespace", "subword=none"),
        *(f"corpus.source_lang={source}", f"corpus.target_lang={target}"),
        *(f"corpus.train={options.train}", f"corpus.valid={options.valid}"),
        *(f"num_workers={options.num_workers}", "destination={destination}"),
    ]


def peer_command(options: argparse.Namespace) -> list[str]:
    source, target = options.languages
    return [
        *(options.peer, "-s", source, "-t", target, "--trainpref", options.train, "--validpref", options.valid),
        *("--joined-dictionary", "--workers", str(options.num_workers), "--destdir", "{destination}"),
    ]


def measure(command: list[str]) -> float:
    """Seconds of one run into a directory that does not exist yet."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as directory:
        filled = [part.replace("{destination}", f"{directory}/data") for part in command]
        started = time.perf_counter()
        subprocess.run(filled, cwd=ROOT, env=environment, check=True, capture_output=True)
        return time.perf_counter() - started


def count_lines(options: argparse.Namespace) -> int:
    """Lines of all files: the sides of a pair count as two."""
    paths = [Path(f"{prefix}.{side}") for prefix in (options.train, options.valid) for side in options.languages]
    return sum(path.read_bytes().count(b"\n") for path in paths)


def report(seconds: dict[str, list[float]], num_lines: int) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        runs = " ".join(f"{value:.2f}" for value in values)
        print(f"{name}: {medians[name]:.2f} s of {runs}; {num_lines / medians[name]:,.0f} lines/s")
    if "fairseq" in medians:
        print(f"ratio: {medians['fairseq'] / medians['seqexp']:.1f} times as many lines per second")


if __name__ == "__main__":
    main()
