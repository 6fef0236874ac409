import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqexp.runs import lease as lease_module
from seqexp.runs.lease import Lease
from seqexp.runs.lock import STALE_SECONDS
from seqexp.runtime.errors import UserError


def write_lease(directory: Path, **values: object) -> None:
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": "0", "job": None, "restart": 0}
    lease = {**owner, "heartbeat": time.time()}
    (directory / "lease.json").write_text(json.dumps({**lease, **values}))


def test_a_living_owner_keeps_the_run(tmp_path: Path) -> None:
    with Lease(tmp_path), pytest.raises(UserError, match=rf"in use by process {os.getpid()}"), Lease(tmp_path):
        pass
    assert not (tmp_path / "lease.json").exists()


def test_the_lease_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write_lease(tmp_path, pid=dead.pid)
    with Lease(tmp_path):
        pass


def test_a_process_number_used_again_is_not_the_owner(tmp_path: Path) -> None:
    write_lease(tmp_path, started="0")
    with Lease(tmp_path):
        pass


def test_on_another_host_the_heartbeat_decides(tmp_path: Path) -> None:
    write_lease(tmp_path, host="elsewhere")
    with pytest.raises(UserError, match="on elsewhere"), Lease(tmp_path):
        pass
    write_lease(tmp_path, host="elsewhere", heartbeat=time.time() - STALE_SECONDS - 1)
    with Lease(tmp_path):
        pass


def test_a_job_that_was_started_again_takes_its_own_lease_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    write_lease(tmp_path, host="elsewhere", job="7", restart=0)
    with pytest.raises(UserError, match="in use"), Lease(tmp_path):
        pass
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with Lease(tmp_path) as lease:
        assert lease.taken_from is not None
        assert "job 7 was started again" in lease.taken_from


def test_who_lost_the_lease_writes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "CHECK_SECONDS", 0.0)
    with Lease(tmp_path) as lease:
        lease.require()
        write_lease(tmp_path, host="elsewhere")
        with pytest.raises(UserError, match="taken over by another process"):
            lease.require()
        (tmp_path / "lease.json").unlink()
        with pytest.raises(UserError, match="taken over"):  # once lost, it stays so
            lease.require()
    write_lease(tmp_path, host="elsewhere")
    with pytest.raises(UserError, match="in use"), Lease(tmp_path):
        pass
    assert (tmp_path / "lease.json").exists()


def test_a_damaged_lease_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text("{")
    with Lease(tmp_path):
        pass
