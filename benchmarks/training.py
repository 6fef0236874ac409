"""Target tokens per second of training, and of fairseq's on the same text, model and batches.

    python benchmarks/training.py DATA [--peer path/to/fairseq-train --peer-data BINARIZED] [--updates 60] [--repeats 3]

DATA is a directory made by `python -m seqexp.preprocess`, BINARIZED one made by fairseq-preprocess from the same text.
The model has 4+4 layers, 128 wide, 256 inside, 4 heads; an update has at most 4,096 tokens. Runs of the two alternate,
so that a busy machine is fair to both. A run's speed is the median over its updates but the first third; the median
over runs is printed.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SIDES = ("encoder", "decoder")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--peer", help="fairseq-train of an environment that has fairseq")
    parser.add_argument("--peer-data")
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.3)
    options = parser.parse_args()
    measures: dict[str, Callable[[argparse.Namespace, Path], float]] = {"seqexp": ours}
    if options.peer:
        measures["fairseq"] = peer
    speeds: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(options.repeats):
        for name, measure in measures.items():
            with tempfile.TemporaryDirectory() as folder:
                speeds[name].append(measure(options, Path(folder)))
    for name, values in speeds.items():
        shown = ", ".join(f"{value:,.0f}" for value in values)
        sys.stdout.write(f"{name}: {statistics.median(values):,.0f} target tokens per second (runs: {shown})\n")
    if options.peer:
        ratio = statistics.median(a / b for a, b in zip(speeds["seqexp"], speeds["fairseq"], strict=True))
        sys.stdout.write(f"seqexp / fairseq: {ratio:.2f}\n")


def ours(options: argparse.Namespace, folder: Path) -> float:
    sizes = [f"model.{side}.{option}" for side in SIDES for option in ("num_layers=4", "ffn_size=256")]
    norms = [f"model.{side}.normalize_before=false" for side in SIDES]
    command = [
        *(sys.executable, "-m", "seqexp.train", f"task.data={options.data}", f"run.dir={folder / 'run'}"),
        *(*sizes, *norms, f"model.dropout={options.dropout}", "lr_scheduler=inverse_sqrt", "clip_norm=null"),
        *("batch.max_tokens=4096", f"stop.max_updates={options.updates}", "log.every_updates=1"),
        *("validation.scores=false", "validation.final_splits=[]", "tracker=[]"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    lines = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
    return settled([line["metrics"]["tokens_per_second"] for line in lines if line["kind"] == "train"])


def peer(options: argparse.Namespace, folder: Path) -> float:
    sizes = {"embed-dim": 128, "ffn-embed-dim": 256, "layers": 4, "attention-heads": 4}
    command = [
        *(options.peer, options.peer_data, "--arch", "transformer", "--share-all-embeddings", "--cpu"),
        *(part for side in SIDES for option, value in sizes.items() for part in (f"--{side}-{option}", str(value))),
        *("--dropout", str(options.dropout), "--max-tokens", "4096", "--required-batch-size-multiple", "1"),
        *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--lr", "0.005", "--lr-scheduler", "inverse_sqrt"),
        *("--warmup-updates", "2000", "--criterion", "label_smoothed_cross_entropy", "--label-smoothing", "0.1"),
        *(
            "--max-update",
            str(options.updates),
            "--log-interval",
            "1",
            "--log-format",
            "simple",
            "--disable-validation",
        ),
        *("--no-epoch-checkpoints", "--save-dir", str(folder), "--num-workers", "1"),
    ]
    printed = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    return settled([float(speed) for speed in re.findall(r"train_inner.* wps=([0-9.]+)", printed)])


def settled(speeds: list[float]) -> float:
    return statistics.median(speeds[len(speeds) // 3 :])


if __name__ == "__main__":
    main()
