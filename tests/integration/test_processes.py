"""Several processes: the same result as one, resumed exactly, ended together."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.checkpoint.layout import open_checkpoint
from seqexp.distributed.ddp import DDPConfig
from seqexp.distributed.launch import in_processes
from seqexp.runs.journal import Journal, read_journal
from seqexp.runtime.errors import ProcessError

from .conftest import TINY, Command
from .test_resume import metrics_of, weights_of

HERE = Path(__file__).parent
OPTIONS = [
    *TINY,
    "stop.max_updates=20",
    "log.every_updates=7",
    "validation.every.updates=9",
    "validation.final_splits=[]",
    "checkpoint.every.updates=4",
]
FAULTY = ["plugins=[faulty]", "criterion=schema/faulty", "batch.max_tokens=100", "batch.micro_batches=2"]
TWO = ["distributed=ddp", "distributed.num_processes=2"]


@pytest.fixture(autouse=True)
def _faulty_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    return open_checkpoint(sorted(run.glob("checkpoints/update-*"))[-1]).weights()


def journal_of(run: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_journal(run / "journal.jsonl") if line["kind"] == kind]


def assert_close(one: Path, other: Path, tolerance: float) -> None:
    """Weights and figures are equal but for rounding."""
    for name, value in last_weights(one).items():
        torch.testing.assert_close(last_weights(other)[name], value, rtol=tolerance, atol=tolerance)
    figures, others = metrics_of(one), metrics_of(other)
    assert figures.keys() == others.keys()
    for key, metrics in figures.items():
        assert others[key] == pytest.approx(metrics, rel=tolerance)


@pytest.mark.parametrize(
    ("layout", "micro_batches"), [("ddp", 3), ("zero", 2)], ids=["ddp-shares-of-two-and-one", "zero-one-has-nothing"]
)
def test_in_64_bits_three_or_two_processes_are_one(
    tmp_path: Path, data: Path, command: Command, layout: str, micro_batches: int
) -> None:
    """Adam, dropout, accumulation, ragged ends of epochs, scores of validation. With `zero`, the checkpoint of three
    processes is taken up by one."""
    options = [*OPTIONS, "precision=fp64", f"batch.micro_batches={micro_batches}", f"task.data={data}"]
    number = 2 if layout == "ddp" else 3
    several = [f"distributed={layout}", f"distributed.num_processes={number}"]
    command("train", *options, f"run.dir={tmp_path / 'one'}")
    command("train", *options, f"run.dir={tmp_path / 'several'}", *several)
    assert_close(tmp_path / "one", tmp_path / "several", 1e-9)
    assert journal_of(tmp_path / "several", "valid")[-1]["metrics"]["bleu"] > 1
    provenance = [json.loads((tmp_path / name / "provenance.json").read_text()) for name in ("one", "several")]
    assert provenance[0]["key"] == provenance[1]["key"]
    if layout == "zero":
        for name in ("one", "several"):
            (tmp_path / name / "result.json").unlink()
            for newer in sorted((tmp_path / name).glob("checkpoints/*"))[-1:]:
                shutil.rmtree(newer)
            command("train", *options, f"run.dir={tmp_path / name}")
            assert "resuming after update" in (tmp_path / name / "log.txt").read_text()
        assert_close(tmp_path / "one", tmp_path / "several", 1e-9)


def test_resumed_by_two_it_ends_as_if_never_interrupted(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A death and a SIGTERM of rank 1, with the state of fp16's loss scale; bit for bit."""
    options = [*OPTIONS, *FAULTY, *TWO, "precision=fp16", "precision.window=3", f"task.data={data}"]
    # Updates are so short here that a checkpoint written beside them might not be there at the death.
    options.append("checkpoint.asynchronous=false")
    command("train", *options, f"run.dir={tmp_path / 'whole'}")
    arguments = [*options, f"run.dir={tmp_path / 'broken'}"]
    monkeypatch.setenv("FAULT", "exit:1:7")
    with pytest.raises(SystemExit) as left:
        command("train", *arguments)
    assert left.value.code == 1
    error = capsys.readouterr().err
    assert "rank 1 (update 6, epoch 1, micro-batch 12) ended with exit status 3" in error
    assert journal_of(tmp_path / "broken", "failed")
    monkeypatch.setenv("FAULT", "SIGTERM:1:9")
    with pytest.raises(SystemExit) as left:
        command("train", *arguments)
    assert left.value.code == 143
    assert journal_of(tmp_path / "broken", "checkpoint")[-1]["update"] == 13
    monkeypatch.delenv("FAULT")
    command("train", *arguments)
    assert weights_of(tmp_path / "broken") == weights_of(tmp_path / "whole")
    assert metrics_of(tmp_path / "broken") == metrics_of(tmp_path / "whole")


def test_what_is_not_finite_is_so_for_all(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes go back and leave out what one would, and say who had the batch; its text is saved once."""
    monkeypatch.setenv("FAULT", "nan:any:17")
    options = [*OPTIONS, *FAULTY, "non_finite.policy=rollback", "validation.scores=false", "stop.max_epochs=2"]
    for name, layout in (("one", []), ("two", TWO)):
        command("train", *options, *layout, f"task.data={data}", f"run.dir={tmp_path / name}")
    assert_close(tmp_path / "one", tmp_path / "two", 1e-4)
    (one, *_), (two, *others) = (journal_of(tmp_path / name, "non_finite") for name in ("one", "two"))
    assert len(others) == len(journal_of(tmp_path / "one", "non_finite")) - 1
    same = ("update", "epoch", "batch", "num_examples", "policy")
    assert {name: one[name] for name in same} == {name: two[name] for name in same}
    assert len(journal_of(tmp_path / "two", "rollback")) == len(others) + 1
    (path,) = (tmp_path / "two/non_finite").glob(f"update-{two['update']:08d}-epoch-1-*/batch.json")
    report, (alone,) = (
        json.loads(path.read_text()),
        [json.loads(p.read_text()) for p in (tmp_path / "one/non_finite").glob(f"{path.parent.name}/batch.json")],
    )
    assert report["in_micro_batch"] == alone["in_micro_batch"]
    assert report["rank"] == report["in_micro_batch"] % 2
    assert two["message"].startswith(f"rank {report['rank']}: update {two['update']}: the output of criterion")
    assert [e["id"] for part in report["micro_batches"] for e in part["examples"] if e["id"] == 17] == [17]


def test_options_of_layouts() -> None:
    """Shares, accumulation, idle processes, skipped layers, a criterion with a parameter, all with 64 bits; fewer on
    the way; averages of weights."""
    for name in ("layouts", "averaging"):
        sys.modules.pop(name, None)
    import layouts

    found = in_processes(DDPConfig(num_processes=2), layouts.differences)
    for name in ("static", "unused", "copied", "sharded", "offloaded", "powersgd later"):
        assert found[name] < 1e-12, name
    for name in ("plain", "slowmo", "bmuf", "nesterov"):
        assert found[name] < 1e-12, name
        assert found[f"{name}, average"] < 1e-12, name
    assert found["period 1 and ddp"] < 1e-12
    assert 1e-6 < found["fp16"] < 1e-2
    assert 1e-4 < found["powersgd"] < 1
    assert [found[f"seen by, {name}"] for name in ("ddp", "local_sgd", "before it")] == [2, 2, 2]
    assert found["after a bad gradient"] == 1


def test_the_journal_says_why_though_the_first_process_cannot(tmp_path: Path) -> None:
    sys.modules.pop("layouts", None)
    import layouts

    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.write("start", 0)
        journal.write("train", 3)
    config = DDPConfig(num_processes=2, timeout_seconds=12)
    with pytest.raises(ProcessError, match=r"^rank 1 \(a place\) ended with exit status 3$"):
        in_processes(config, layouts.rank_0_sticks, str(tmp_path))
    (line,) = journal_of(tmp_path, "failed")
    assert (line["attempt"], line["error"]) == (1, "rank 1 (a place) ended with exit status 3")


FAULTS = {
    "raise": ["rank 1 (update 2, epoch 1, micro-batch 4): RuntimeError: the criterion broke"],
    "exit": ["rank 1 (update 2, epoch 1, micro-batch 4) ended with exit status 3"],
    "SIGKILL": ["rank 1 (update 2, epoch 1, micro-batch 4) was ended by SIGKILL"],
    "SIGSTOP": ["rank 1 (update 2, epoch 1, micro-batch 4)", "no sign of life"],
    "hang": ["rank 1 (update 2, epoch 1, micro-batch 4) did not meet the others within"],
    "collective": ["rank"],
    "memory": ["rank 1: update 2: epoch 1, micro-batch 2 of 2 (", "does not fit into memory: the same command with"],
    "worker": ["rank 1 (update 2, epoch 1, micro-batch 4)"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_one_process_ends_all(tmp_path: Path, data: Path, kind: str) -> None:
    run = tmp_path / "run"
    options = [*TINY, *FAULTY, *TWO, "distributed.timeout_seconds=10", f"task.data={data}", f"run.dir={run}"]
    more = ["validation.scores=false"] + (["batch.num_workers=1"] if kind == "worker" else [])
    mark = f"MARK={tmp_path}"
    done = subprocess.run(
        [sys.executable, "-m", "seqexp.train", *options, *more],
        env={**os.environ, "FAULT": f"{kind}:1:3", "MARK": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    # Python itself may say after it that a dead data worker left semaphores behind.
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for part in FAULTS[kind]:
        assert part in line
    assert processes_with(mark) == []
    stacks = {path.name for path in (run / "stacks").iterdir()}
    assert stacks == {"0.txt"} if kind in ("exit", "SIGKILL", "SIGSTOP") else stacks == {"0.txt", "1.txt"}
    if kind == "hang":
        assert "in harm" in (run / "stacks/1.txt").read_text()
    failures = journal_of(run, "failed")
    assert failures and "rank" in failures[-1]["error"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "status"), [("parent-SIGINT", 130), ("parent-SIGUSR2", 140), ("parent-SIGKILL", -9)])
def test_who_started_them_is_stopped(tmp_path: Path, data: Path, kind: str, status: int) -> None:
    """A signal is passed on, and all is saved; where the starter just dies, they end with it."""
    run = tmp_path / "run"
    options = [*TINY, *FAULTY, *TWO, "validation.scores=false", f"task.data={data}", f"run.dir={run}"]
    environment = {**os.environ, "FAULT": f"{kind}:1:3", "MARK": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "seqexp.train", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.wait() == status
    while processes_with(f"MARK={tmp_path}"):
        time.sleep(0.1)
    saved = journal_of(run, "checkpoint")
    if status == -9:
        assert saved == []
    else:
        assert saved[-1]["update"] in (3, 4)
    assert not (run / "result.json").exists()
    assert not (run / "lease.json").exists()


def processes_with(variable: str) -> list[int]:
    """Processes whose environment has it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_under_torchrun_a_restart_goes_on_from_the_newest_checkpoint(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    # Updates are so short here that a checkpoint written beside them might not be there yet.
    options = [*OPTIONS, *FAULTY, "distributed=ddp", "validation.scores=false", "checkpoint.asynchronous=false"]
    options += [f"task.data={data}", f"run.dir={run}"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    environment = {**os.environ, "FAULT": "SIGKILL:1:7", "MARK": str(tmp_path)}
    command = [sys.executable, *launcher, "-m", "seqexp.train", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "result.json").read_text())["updates"] == 20
    assert [line["attempt"] for line in journal_of(run, "start")] == [1, 2]
    log = (run / "log.txt").read_text()
    assert "resuming after update 4" in log
    assert "taken over from process" in log
    assert processes_with(f"MARK={tmp_path}") == []


@pytest.mark.slow
def test_as_srun_starts_it(tmp_path: Path, data: Path) -> None:
    """Two tasks of a step; a mistake is told by the first of them only."""
    step = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "localhost"}
    tasks = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NTASKS": "2"}
    options = [*TINY, "validation.scores=false", "stop.max_updates=3", f"task.data={data}"]

    def srun(*more: str) -> list[tuple[int, str]]:
        processes = []
        for rank in ("0", "1"):
            environment = {**os.environ, **step, **tasks, "SLURM_PROCID": rank, "SLURM_LOCALID": rank}
            command = [sys.executable, "-m", "seqexp.train", *options, *more]
            processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return [(process.communicate()[1], process.wait())[::-1] for process in processes]

    (first, error), (second, silence) = srun(f"run.dir={tmp_path / 'alone'}")
    assert (first, second) == (2, 2)
    assert error.startswith("error: distributed=single, and srun has started 2 processes")
    assert silence == ""
    assert not (tmp_path / "alone").exists()
    (first, error), (second, silence) = srun(f"run.dir={tmp_path / 'run'}", "distributed=ddp")
    assert (first, second) == (0, 0), error + silence
    assert "train | update 3" in error
    assert silence == ""
    assert json.loads((tmp_path / "run/result.json").read_text())["updates"] == 3
