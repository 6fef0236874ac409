import json
import threading
import time
from pathlib import Path

import pytest

from seqexp.runs.lock import STALE_SECONDS, Lock, claim, living_owner, this_process


def write_owner(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**this_process(), **values}))


def test_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    seen: list[int] = []

    def work() -> None:
        for _ in range(5):
            with Lock(tmp_path / "lock", wait_seconds=30):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 20
    assert list(tmp_path.iterdir()) == []


def test_of_many_who_claim_a_dead_owners_file_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(20):
        write_owner(path, started="0")
        answers: list[object] = []
        start = threading.Barrier(4)

        def work(start: threading.Barrier = start, answers: list[object] = answers) -> None:
            start.wait()
            answers.append(claim(path))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers.count(None) == 1
        path.unlink()
    assert list(tmp_path.iterdir()) == []


def test_waiting_has_an_end(tmp_path: Path) -> None:
    write_owner(tmp_path / "lock")
    with pytest.raises(TimeoutError, match="is held by process"), Lock(tmp_path / "lock", wait_seconds=0.1):
        pass
    assert living_owner(tmp_path / "lock") is not None


def test_on_another_host_the_heartbeat_decides(tmp_path: Path) -> None:
    write_owner(tmp_path / "lock", host="elsewhere", heartbeat=time.time())
    assert claim(tmp_path / "lock") is not None
    write_owner(tmp_path / "lock", host="elsewhere", heartbeat=time.time() - STALE_SECONDS - 1)
    assert living_owner(tmp_path / "lock") is None
    assert claim(tmp_path / "lock") is None


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    assert claim(tmp_path / "lock") is None
    assert claim(tmp_path / "lock") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
