"""What tracking costs a training, and what it loses, whatever the server is doing.

    python benchmarks/tracking.py [--updates 1000] [--repeats 1]

For each state of an MLflow server on this machine a small model is trained, with every update logged. Printed are the
time of an update and what of it is the writing of the journal, all that tracking asks of a step (where a machine is
busy most of that is waiting for a processor, so its processor time stands beside it); how long the end of the run
waited; and how many of the values in the journal the server lacks before and after `python -m seqexp.sync`, or has
twice. `none` is a run without a tracker.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STATES = ("none", "up", "500 ms slow", "refused", "never answers", "killed in the middle")
SMALL = [
    *(f"model.{side}.{option}" for side in ("encoder", "decoder") for option in ("num_layers=1", "ffn_size=128")),
    *("batch.max_tokens=256", "log.every_updates=1", "validation.scores=false", "validation.final_splits=[]"),
    *("validation.every.updates=1000000", "checkpoint.every.updates=1000000", "model.encoder.hidden_size=64"),
    "model.decoder.hidden_size=64",
]
HEADER = (
    "server",
    "updates",
    "update p50 ms",
    "p99",
    "journal p50 ms",
    "p99",
    "its processor time p99",
    "end waits s",
    "exit",
)
HEADER_LOST = ("values", "missing", "after sync", "twice", "sync while it is so")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--timed", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.timed:
        timed_training(Path(options.timed[0]), options.timed[1:])
        return
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        train(Path(folder), ["stop.max_updates=1", "tracker=[]", "name=warm_up"])  # makes the corpus
        sys.stdout.write(" | ".join([*HEADER, *HEADER_LOST]) + "\n")
        for repeat in range(options.repeats):
            for state in STATES:
                row = measure(Path(folder), server, state, options.updates, f"{state.replace(' ', '_')}_{repeat}")
                sys.stdout.write(" | ".join(map(str, row)) + "\n")
                sys.stdout.flush()


def measure(folder: Path, server: "Server", state: str, updates: int, name: str) -> list[object]:
    """A row of the table."""
    if not server.is_up():
        server.start()
    with Proxy(server.port, state) as proxy:
        # A server that is killed is spoken to directly: its machine answers for it that there is nobody.
        uri = f"http://127.0.0.1:{server.port if state == 'killed in the middle' else proxy.port}"
        tracker = ["tracker=[]"] if state == "none" else ["tracker=[mlflow]", f"tracker.mlflow.uri={uri}"]
        arguments = [*tracker, f"stop.max_updates={updates}", f"name={name}"]
        killer = threading.Thread(target=server.kill_when, args=(folder / "outputs" / name, updates // 2))
        if state == "killed in the middle":
            killer.start()
        status, times = train(folder, arguments)
        if killer.ident is not None:
            killer.join()
        (run,) = (folder / "outputs" / name).iterdir()
        row: list[object] = [state, len(times["update"]), *percentiles(times["update"])]
        row += [
            *percentiles(times["journal"]),
            percentiles(times["journal_processor"])[1],
            round(times["end"][0], 1),
            status,
        ]
        if state == "none":
            return row
        followed_to_its_end(run)
        values = values_of(run)
        before = server.values(name)
        as_it_is = "not tried"
        if before < values:
            as_it_is = sync(folder, run).stderr.strip().splitlines()[-1]
        server.is_up() or server.start()
        proxy.state = "up"
        proxy.listen()
        for _ in range(2):
            assert sync(folder, run).returncode == 0
        after, distinct = server.values(name), server.values(name, "distinct")
        return [*row, values, values - before, values - distinct, after - distinct, as_it_is]


def train(folder: Path, arguments: list[str]) -> tuple[int, dict[str, list[float]]]:
    """Exit status, and seconds of every update, of every line of the journal and of the wait at the end."""
    times = folder / "times.json"
    command = [sys.executable, __file__, "--timed", str(times), *SMALL, *arguments]
    # One thread: more of them on busy cores say something about the machine only.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=600)
    return done.returncode, json.loads(times.read_text())


def timed_training(output: Path, arguments: list[str]) -> None:
    from seqexp import train
    from seqexp.runs.journal import Journal
    from seqexp.trackers.following import Following
    from seqexp.training.trainer import Trainer

    times: dict[str, list[float]] = {"update": [], "journal": [], "journal_processor": [], "end": []}
    write, after_attempt, leave = Journal.write, Trainer._after_attempt, Following.__exit__
    last = [0.0]

    def timed_write(self: Journal, kind: str, update: int, **values: Any) -> None:
        started, worked = time.perf_counter(), time.thread_time()
        write(self, kind, update, **values)
        times["journal"].append(time.perf_counter() - started)
        times["journal_processor"].append(time.thread_time() - worked)

    def timed_attempt(self: Trainer, *, made: bool) -> None:
        after_attempt(self, made=made)
        now = time.perf_counter()
        if last[0] and self.progress.stop_reason is None:
            times["update"].append(now - last[0])
        last[0] = now

    def timed_leave(self: Following, *error: Any) -> None:
        started = time.perf_counter()
        leave(self, *error)
        times["end"].append(time.perf_counter() - started)

    Journal.write, Trainer._after_attempt, Following.__exit__ = timed_write, timed_attempt, timed_leave  # type: ignore
    sys.argv = ["train", *arguments]
    try:
        train.cli()
    finally:
        output.write_text(json.dumps(times))


def percentiles(seconds: list[float]) -> list[str]:
    """Median and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
    return [f"{1000 * cuts[49]:.3f}", f"{1000 * cuts[98]:.3f}"]


def sync(folder: Path, run: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "seqexp.sync", f"run={run}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def followed_to_its_end(run: Path) -> None:
    """Wait for the process that sends: it may go on a little after the training, which does not wait for ever."""
    for _ in range(600):
        if not (run / "tracking/lease.json").exists():
            return
        time.sleep(0.1)


def values_of(run: Path) -> int:
    """Values of metrics in the journal, as trackers count them: the epoch is one."""
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return sum(len(line["metrics"]) + ("epoch" in line) for line in lines if "metrics" in line)


class Server:
    """A real MLflow server on the loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def start(self) -> None:
        database, address = self.folder / "server.db", ["--host", "127.0.0.1", "--port", str(self.port)]
        options = ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(self.folder / "kept")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *address, "--workers", "1", *options],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(1200):
            if self.is_up():
                return
            time.sleep(0.1)
        raise RuntimeError((self.folder / "server.txt").read_text())

    def is_up(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
            return True
        return False

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def kill_when(self, runs: Path, update: int) -> None:
        """Kill it when the only run in a folder has come to an update."""
        while True:
            for journal in runs.glob("*/journal.jsonl"):
                if f'"update": {update},' in journal.read_text():
                    self.kill()
                    return
            time.sleep(0.05)

    def values(self, experiment: str, distinct: str = "") -> int:
        """Values that it has of an experiment's runs; `distinct`: of each metric and step one."""
        counted = "distinct m.run_uuid || m.key || '@' || m.step" if distinct else "*"
        query = (
            f"select count({counted}) from metrics m join runs r on r.run_uuid = m.run_uuid "
            "join experiments e on e.experiment_id = r.experiment_id where e.name = ? and m.key not like 'system/%'"
        )
        with contextlib.closing(sqlite3.connect(self.folder / "server.db", timeout=30)) as database:
            return int(database.execute(query, [experiment]).fetchone()[0])


class Proxy:
    """Stands before the server and makes it slow, silent or absent."""

    def __init__(self, port: int, state: str) -> None:
        self.server_port, self.state = port, state
        self.port = free_port()
        self._listener: socket.socket | None = None

    def __enter__(self) -> "Proxy":
        if self.state != "refused":
            self.listen()
        return self

    def __exit__(self, *error: object) -> None:
        if self._listener is not None:
            self._listener.close()

    def listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.state == "never answers":
            time.sleep(600)
            return
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server_port)) as server:
            threading.Thread(target=copy, args=(server, client, lambda: 0.0), daemon=True).start()
            copy(client, server, lambda: 0.5 if self.state == "500 ms slow" else 0.0)


def copy(source: socket.socket, sink: socket.socket, delay: Any) -> None:
    with contextlib.suppress(OSError):
        for data in chunks(source):
            time.sleep(delay())
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def chunks(source: socket.socket) -> Iterator[bytes]:
    while data := source.recv(1 << 16):
        yield data


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
