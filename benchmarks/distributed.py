"""What layouts of several processes cost on this machine, and that they compute the same.

    python benchmarks/distributed.py [--updates 20] [--speed-updates 8] [--repeats 3]

The first table trains a small model on the embedded corpus in 64 bits, with dropout and Adam, and compares its weights
with those of one process. The second trains a larger one in 32 bits: target tokens per second (the median over updates
but the first third, and over runs), and the largest memory that any process had. Processes share the processors, each
with its part of the threads.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from seqexp.checkpoint.layout import open_checkpoint

LAYOUTS = {
    "single": ["batch.micro_batches=2"],
    "ddp x2": ["batch.micro_batches=2", "distributed=ddp", "distributed.num_processes=2"],
    "zero x2": ["batch.micro_batches=2", "distributed=zero", "distributed.num_processes=2"],
    "fsdp x2": ["batch.micro_batches=2", "distributed=fsdp", "distributed.num_processes=2"],
    "single, accumulation": ["batch.micro_batches=8"],
    "ddp x2, accumulation": ["batch.micro_batches=8", "distributed=ddp", "distributed.num_processes=2"],
    "fsdp x2, accumulation": ["batch.micro_batches=8", "distributed=fsdp", "distributed.num_processes=2"],
}
OPTIONS = ["tracker=[]", "validation.scores=false", "validation.final_splits=[]", "validation.sanity=0"]
SMALL = [
    "precision=fp64",
    "batch.max_tokens=400",
    *(f"model.{side}.{option}" for side in ("encoder", "decoder") for option in ("num_layers=1", "ffn_size=64")),
    *(f"model.{side}.{option}" for side in ("encoder", "decoder") for option in ("hidden_size=32", "num_heads=2")),
]
LARGE = [
    "batch.max_tokens=1000",
    "validation.every.updates=1000",
    *(f"model.{side}.{option}" for side in ("encoder", "decoder") for option in ("num_layers=3", "ffn_size=2048")),
    *(f"model.{side}.{option}" for side in ("encoder", "decoder") for option in ("hidden_size=512", "num_heads=8")),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--speed-updates", type=int, default=8, help="of the larger model")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        differences = largest_differences(Path(folder), options.updates)
        speeds: dict[str, list[float]] = {name: [] for name in LAYOUTS}
        memory: dict[str, float] = dict.fromkeys(LAYOUTS, 0.0)
        for repeat in range(options.repeats):
            for name in LAYOUTS:
                run = Path(folder) / f"speed-{repeat}-{folder_name(name)}"
                memory[name] = max(memory[name], train(run, name, LARGE, options.speed_updates))
                speeds[name].append(speed(run))
    sys.stdout.write("| layout | largest difference of a weight | MB of a process | target tokens per second |\n")
    sys.stdout.write("|---|---|---|---|\n")
    for name in LAYOUTS:
        shown = f"{statistics.median(speeds[name]):,.0f}"
        sys.stdout.write(f"| {name} | {differences[name]:.1e} | {memory[name]:,.0f} | {shown} |\n")


def largest_differences(folder: Path, updates: int) -> dict[str, float]:
    """Of each layout's weights from those of one process with the same batches."""
    found, weights = {}, {}
    for name in LAYOUTS:
        run = folder / folder_name(name)
        train(run, name, SMALL, updates)
        weights[name] = open_checkpoint(run / f"checkpoints/update-{updates:08d}").weights()
        alone = weights[re.sub(r"\w+ x2", "single", name)]
        found[name] = max(float((value - alone[key]).abs().max()) for key, value in weights[name].items())
    return found


def folder_name(layout: str) -> str:
    """Without the comma, which on the command line would mean a sweep."""
    return layout.replace(", ", "-").replace(" ", "-")


def train(run: Path, layout: str, model: list[str], updates: int) -> float:
    """Train; the largest resident memory in MB that a process had. That of one which only looks after others is less
    than theirs."""
    arguments = [*OPTIONS, *LAYOUTS[layout], *model, f"stop.max_updates={updates}", "log.every_updates=1"]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-m", "seqexp.train", *arguments, f"run.dir={run}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    largest = [0.0]
    watcher = threading.Thread(target=watch_memory, args=(process, largest))
    watcher.start()
    if process.wait() != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    watcher.join()
    return largest[0]


def watch_memory(process: subprocess.Popen[bytes], largest: list[float]) -> None:
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            for each in (parent, *parent.children(recursive=True)):
                largest[0] = max(largest[0], each.memory_info().rss / 1e6)
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.05)


def speed(run: Path) -> float:
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    values = [line["metrics"]["tokens_per_second"] for line in lines if line["kind"] == "train"]
    return statistics.median(values[len(values) // 3 :])


if __name__ == "__main__":
    main()
