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
