"""What becomes of a training of two processes when one of them breaks.

    python benchmarks/faults.py [--timeout 60] [--faults raise exit ...]

Each line of the table is a training of the embedded corpus in which rank 1 does harm in its third update. It shows the
seconds from then until the command had ended, its exit status, the processes that it left, the files with stacks of
ranks, and what it said.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

FAULTS = {
    "raise": "raises an exception",
    "exit": "calls os._exit(3)",
    "SIGKILL": "is killed",
    "SIGSTOP": "is stopped",
    "hang": "sticks in Python",
    "collective": "enters a collective of its own",
    "memory": "asks for too much memory",
    "worker": "loses its data worker",
}
PLUGIN = Path(__file__).parents[1] / "tests/integration"
OPTIONS = [
    *("plugins=[faulty]", "criterion=schema/faulty", "distributed=ddp", "distributed.num_processes=2"),
    *("batch.num_workers=1", "batch.micro_batches=2", "validation.scores=false", "tracker=[]"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timeout", type=float, default=60, help="distributed.timeout_seconds")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    options = parser.parse_args()
    timeout = options.timeout
    print(f"distributed.timeout_seconds={timeout:g}")
    print("| rank 1 | seconds | exit status | left processes | stacks | message |")
    print("|---|---|---|---|---|---|")
    for kind in options.faults:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {FAULTS[kind]} | {break_one(kind, timeout, Path(folder))} |", flush=True)


def break_one(kind: str, timeout: float, folder: Path) -> str:
    """The cells of a line of the table."""
    stamp, mark = folder / "stamp", f"seqexp-faults-{os.getpid()}-{kind}"
    path = os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "FAULT": f"{kind}:1:3", "FAULT_STAMP": str(stamp), "MARK": mark, "PYTHONPATH": path}
    options = [*OPTIONS, f"distributed.timeout_seconds={timeout}", f"run.dir={folder / 'run'}"]
    command = [sys.executable, "-m", "seqexp.train", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if not stamp.exists():
        raise SystemExit(f"{kind}: ended before the fault: {done.stderr}")
    seconds = time.time() - stamp.stat().st_mtime
    left = [process.pid for process in psutil.process_iter() if mark in environment_of(process)]
    stacks = " ".join(sorted(file.stem for file in (folder / "run").glob("stacks/*.txt")))
    message = " / ".join(line for line in done.stderr.splitlines() if line.startswith("error: "))
    return f"{seconds:.1f} | {done.returncode} | {len(left)} | {stacks} | {message.replace(str(folder), '...')}"


def environment_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.environ().values())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


if __name__ == "__main__":
    main()
