import logging
import re

import pytest

from seqexp.data import progress as module
from seqexp.data.progress import progress


def test_a_log_file_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    with caplog.at_level(logging.INFO), progress("encoding", 200) as advance:
        advance(50)
        advance(100)
    assert [record.message for record in caplog.records][:2] == ["encoding: 25%", "encoding: 75%"]
    assert re.fullmatch(r"encoding: \d+\.\d s", caplog.records[-1].message)


def test_a_short_step_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), progress("encoding", 200) as advance:
        advance(200)
    assert len(caplog.records) == 1


def test_how_many_a_second(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    with caplog.at_level(logging.INFO), progress("translating", 200, "sentences") as advance:
        advance(50)
    assert re.fullmatch(r"translating: 25%, \d+\.\d sentences per second", caplog.records[0].message)


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it looks like is rich's affair; it counts and says the rate."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress("translating", 4, "sentences") as advance:
        advance(1)
        advance(3)
