"""Memory and speed of `python -m seqexp.preprocess` on much text, with a kill in the middle and a restart.

    python benchmarks/preprocess_scale.py [--num-lines 5000000] [--num-workers 2] [--kill-seconds 60]

The text is made by `synthetic_text.py`. SentencePiece is trained on a sample of it. The command runs once to the end
and once more into another directory, where it is killed with SIGKILL (every process of it) in the middle of a step and
started again; both results are compared file by file. Memory is read from /proc (Linux): of each process the largest
resident set, and the largest sum over the processes of the proportional set size, in which shared pages count once.
"""

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_text import write_pairs

ROOT = Path(__file__).resolve().parents[1]
SECONDS_BETWEEN_SAMPLES = 0.2
STEP = re.compile(r"(.+): ([0-9.]+) s")


@dataclass
class Measurement:
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds of each step that was finished."""
    messages: list[str] = field(default_factory=list)
    peaks: dict[int, float] = field(default_factory=dict)
    """Largest resident set of each process, MiB."""
    anonymous: dict[int, float] = field(default_factory=dict)
    """Its largest part that no file backs, MiB."""
    peak_sum: float = 0.0
    """Largest sum of the proportional set sizes, MiB."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-lines", type=int, default=5_000_000)
    parser.add_argument("--num-workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=100_000, help="lines that SentencePiece is trained on")
    parser.add_argument("--kill-after", default="training", help="kill some time after a step of this name ended")
    parser.add_argument("--kill-seconds", type=float, default=60.0)
    parser.add_argument("--directory", type=Path, help="where the text and results go; a temporary one by default")
    parser.add_argument("--skip-restart", action="store_true", help="only the run to the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as temporary:
        directory = Path(temporary)
        raw = make_text(directory / "raw" / "train", options)
        whole = run(command(directory, "whole", options))
        report("to the end", whole, options, raw)
        if not options.skip_restart:
            restart(directory, options)


def make_text(prefix: Path, options: argparse.Namespace) -> list[Path]:
    started = time.perf_counter()
    write_pairs(prefix, options.num_lines, seed=1)
    write_pairs(prefix.with_name("valid"), 3000, seed=2)
    files = [prefix.with_name(f"train.{language}") for language in ("en", "de")]
    size = sum(file.stat().st_size for file in files) / 2**20
    print(
        f"text: {options.num_lines:,} pairs, {size:,.0f} MiB, made in {time.perf_counter() - started:.0f} s", flush=True
    )
    return files


def command(directory: Path, name: str, options: argparse.Namespace) -> list[str]:
    raw = directory / "raw"
    return [
        *(
            sys.executable,
            "-m",
            "seqexp.preprocess",
            "corpus=parallel",
            "corpus.source_lang=en",
            "corpus.target_lang=de",
        ),
        *(f"corpus.train={raw / 'train'}", f"corpus.valid={raw / 'valid'}", "subword.vocabulary_size=8000"),
        *(f"subword.max_training_lines={options.sample}", "subword=sentencepiece", "lines.max_tokens=100"),
        *(f"num_workers={options.num_workers}", f"destination={directory / name}"),
    ]


def run(arguments: list[str], kill_after: str | None = None, kill_seconds: float = 0.0) -> Measurement:
    """Run to the end, or until the whole process group is killed."""
    measured, started = Measurement(), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watcher = threading.Thread(target=watch, args=(process, measured))
    watcher.start()
    assert process.stderr is not None
    for line in process.stderr:
        measured.messages.append(line.rstrip())
        if match := STEP.fullmatch(line.strip()):
            measured.steps[match[1]] = float(match[2])
            if kill_after is not None and match[1].startswith(kill_after):
                time.sleep(kill_seconds)
                os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    watcher.join()
    measured.seconds = time.perf_counter() - started
    if code != (0 if kill_after is None else -signal.SIGKILL):
        raise SystemExit("\n".join([*measured.messages, f"the command ended with {code}"]))
    return measured


def watch(process: "subprocess.Popen[str]", measured: Measurement) -> None:
    while process.poll() is None:
        total = 0.0
        for pid in [process.pid, *children_of(process.pid)]:
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:  # ended meanwhile
                continue
            resident, shared, anonymous = (kibibytes(rollup, name) / 1024 for name in ("Rss", "Pss", "Anonymous"))
            measured.peaks[pid] = max(measured.peaks.get(pid, 0), resident)
            measured.anonymous[pid] = max(measured.anonymous.get(pid, 0), anonymous)
            total += shared
        measured.peak_sum = max(measured.peak_sum, total)
        time.sleep(SECONDS_BETWEEN_SAMPLES)


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kibibytes(rollup: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(match[1]) if match else 0


def restart(directory: Path, options: argparse.Namespace) -> None:
    arguments = command(directory, "restarted", options)
    killed = run(arguments, options.kill_after, options.kill_seconds)
    report(f"killed {options.kill_seconds:.0f} s after {options.kill_after!r}", killed, options)
    again = run(arguments)
    report("started again", again, options)
    print(next(message for message in again.messages if "going on" in message))
    first, second = contents(directory / "whole"), contents(directory / "restarted")
    print(f"{len(first)} files, {'all the same' if first == second else 'NOT THE SAME'}")
    print(f"left beside them: {sorted(path.name for path in directory.glob('.*')) or 'nothing'}")


def contents(directory: Path) -> dict[str, str]:
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[str(path.relative_to(directory))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def report(title: str, measured: Measurement, options: argparse.Namespace, raw: list[Path] | None = None) -> None:
    print(f"\n{title}: {measured.seconds:.1f} s")
    num_lines = 2 * options.num_lines
    for step, seconds in measured.steps.items():
        cores = 1 if step.startswith("training") else options.num_workers
        rate = "" if seconds < 1 else f", {num_lines / seconds / cores:,.0f} lines/s/core"
        print(f"  {step}: {seconds:.1f} s{rate}")
    peaks = ", ".join(f"{value:,.0f}" for value in measured.peaks.values())
    anonymous = ", ".join(f"{value:,.0f}" for value in measured.anonymous.values())
    print(
        f"  peak memory: {measured.peak_sum:,.0f} MiB together; each process {peaks} MiB, without files {anonymous} MiB"
    )
    if raw is not None:
        rate = num_lines / measured.seconds / options.num_workers
        print(f"  {rate:,.0f} lines/s/core on the whole, the two lines of a pair counted as two", flush=True)


if __name__ == "__main__":
    main()
