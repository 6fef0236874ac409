import pytest

from seqexp.training.intervals import Interval, Mark, is_due


@pytest.mark.parametrize(
    ("interval", "now", "due"),
    [
        (Interval(updates=10), Mark(update=9), False),
        (Interval(updates=10), Mark(update=10), True),
        (Interval(updates=10), Mark(update=1, epoch=5, seconds=1e6), False),
        (Interval(epochs=2), Mark(epoch=1), False),
        (Interval(epochs=2), Mark(epoch=2), True),
        (Interval(minutes=0.5), Mark(seconds=29), False),
        (Interval(minutes=0.5), Mark(seconds=30), True),
        (Interval(updates=10, epochs=1), Mark(update=3, epoch=1), True),
        (Interval(), Mark(update=1000), False),
        (Interval(), Mark(epoch=1), True),
    ],
)
def test_due_when_one_has_passed_and_every_epoch_by_default(interval: Interval, now: Mark, due: bool) -> None:
    assert is_due(interval, Mark(), now) is due


def test_counted_from_the_last_time() -> None:
    assert not is_due(Interval(updates=10), Mark(update=95), Mark(update=104))
    assert is_due(Interval(updates=10), Mark(update=95), Mark(update=105))


def test_must_be_positive() -> None:
    with pytest.raises(ValueError, match="minutes=0"):
        Interval(minutes=0)
