from __future__ import annotations

import threading

import pytest

from orchestrator.domain.progress import no_progress
from orchestrator.errors import Canceled
from orchestrator.imaging.strips import for_each_strip, strips


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 1_000_000), (4000, 3000), (3, 50)])
def test_strips_cover_every_row_exactly_once(height, width):
    rows = [row for strip in strips(height, width) for row in range(strip.top, strip.bottom)]
    assert rows == list(range(height))


def test_results_are_in_order_and_the_progress_reaches_1():
    image_strips = strips(100, 10, pixels=30)
    fractions = []
    tops = for_each_strip(lambda strip: strip.top, image_strips, lambda fraction, _: fractions.append(fraction), "work")
    assert tops == [strip.top for strip in image_strips]
    assert fractions == sorted(fractions)
    assert len(fractions) == len(image_strips)
    assert fractions[-1] == 1.0


def test_a_cancellation_stops_the_work():
    image_strips = strips(1000, 10, pixels=10)
    done = []

    def cancel(*_):
        raise Canceled("the caller canceled the job")

    with pytest.raises(Canceled):
        for_each_strip(lambda strip: done.append(strip.top), image_strips, cancel, "work")
    assert len(done) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("strip")]


def test_an_error_in_a_strip_is_raised():
    def fail(strip):
        raise ValueError(strip.top)

    with pytest.raises(ValueError, match="0"):
        for_each_strip(fail, strips(10, 10, pixels=10), no_progress, "work")
