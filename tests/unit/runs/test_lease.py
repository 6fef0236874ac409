import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqexp.runs.lease import Lease
from seqexp.runs.lock import STALE_SECONDS
from seqexp.runtime.errors import UserError


def write_lease(directory: Path, **values: object) -> None:
    lease = {"host": socket.gethostname(), "pid": os.getpid(), "started": "0", "heartbeat": time.time()}
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


def test_a_damaged_lease_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text("{")
    with Lease(tmp_path):
        pass
