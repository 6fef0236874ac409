import os
import signal

import pytest

from seqexp.distributed.preemption import SIGNALS, StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_the_first_is_noted_and_the_second_interrupts(number: signal.Signals) -> None:
    with StopRequest() as request:
        os.kill(os.getpid(), number)
        assert request.signal is number
        with pytest.raises(SystemExit) as left:
            os.kill(os.getpid(), number)
    assert left.value.code == 128 + number


def test_what_another_process_was_asked() -> None:
    request, other = StopRequest(), StopRequest()
    assert not request.agreed([0.0] * len(SIGNALS))
    other.signal = signal.SIGUSR1
    assert request.agreed(other.flags())
    assert request.signal is signal.SIGUSR1


def test_who_had_a_handler_gets_the_signal_when_all_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """As submitit has, which then queues the job again."""
    calls: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: calls.append(number))
    try:
        with StopRequest() as request:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert calls == []
            with pytest.raises(SystemExit):
                request.leave()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert calls == [signal.SIGUSR2]


def test_somebody_else_is_told() -> None:
    told: list[signal.Signals] = []
    with StopRequest(on_signal=told.append):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
    assert told == [signal.SIGTERM] * 3
