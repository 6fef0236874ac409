import json

import pytest

from seqexp.precisions.loss_scale import LossScale

GOOD, BAD = "g", "b"


def run(scale: LossScale, events: str) -> list[float]:
    """The scale after each update."""
    values = []
    for event in events:
        if event == GOOD:
            scale.succeeded()
        else:
            assert scale.overflowed()
        values.append(scale.value)
    return values


def by_the_rules(events: str, *, scale: float, window: int, tolerance: float) -> list[float]:
    """The rules as they are written down for fairseq: by the numbers of iterations, not by counts."""
    last_overflow = last_rescale = -1
    overflows, values = 0, []
    for iteration, event in enumerate(events):
        if event == BAD:
            last_overflow = iteration
            overflows += 1
            if overflows / (iteration - last_rescale) >= tolerance:
                scale, last_rescale, overflows = scale / 2, iteration, 0
        elif (iteration - last_overflow) % window == 0:
            scale, last_rescale, overflows = scale * 2, iteration, 0
        values.append(scale)
    return values


def test_it_grows_after_a_window_without_overflow() -> None:
    assert run(LossScale(128, window=3), "gggggggbgggg") == [128, 128, 256, 256, 256, 512, 512, 256, 256, 256, 512, 512]


def test_every_overflow_lowers_it_by_default() -> None:
    assert run(LossScale(128, window=4), "bbgbgggb") == [64, 32, 32, 16, 16, 16, 16, 8]


def test_a_tolerance_looks_at_the_part_that_overflowed_since_the_last_change() -> None:
    # shares after each overflow: 1/3, 2/4, then anew 1/4, 2/5, 3/6
    assert run(LossScale(128, window=100, tolerance=0.5), "ggbbgggbbb") == [128, 128, 128, 64, 64, 64, 64, 64, 64, 32]


@pytest.mark.parametrize("tolerance", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("events", ["ggbgggbbgggggggbgggb", "bgbgbgbgggggggggbbbb", "gggggggggggggggbbbbb", "b" * 20])
def test_it_follows_the_rules(events: str, tolerance: float) -> None:
    expected = by_the_rules(events, scale=128, window=4, tolerance=tolerance)
    assert run(LossScale(128, window=4, tolerance=tolerance, floor=0), events) == expected


def test_another_factor() -> None:
    assert run(LossScale(10, factor=10, window=2), "ggbb") == [10, 100, 10, 1]


def test_at_its_lower_bound_it_only_skips() -> None:
    scale = LossScale(8, lower_bound=3, max_overflows_in_a_row=4)
    assert run(scale, "bbbb") == [4, 3, 3, 3]
    assert not scale.overflowed()  # many in a row: skipping more does not help
    scale.succeeded()
    assert scale.overflowed()


def test_the_floor_is_never_reached() -> None:
    scale = LossScale(128, floor=1e-4)
    halvings = 0
    while scale.overflowed():
        halvings += 1
    assert halvings == 20  # 2^-13 = 1.22e-4 is above, 2^-14 = 0.61e-4 is not
    assert scale.value == 2**-13
    assert not scale.overflowed()
    assert scale.value == 2**-13


@pytest.mark.parametrize("cut", range(0, 20, 3))
def test_the_state_carries_everything(cut: int) -> None:
    events = "ggbgggbbgggggggbgggb"
    first = LossScale(1 / 3, factor=1.7, window=4, tolerance=0.4)
    second = LossScale(128, factor=1.7, window=4, tolerance=0.4)
    run(first, events[:cut])
    second.load(json.loads(json.dumps(first.state())))
    assert run(second, events[cut:]) == run(first, events[cut:])
    assert second.state() == first.state()
