"""A server that stalls: what was due meanwhile has waited, and scheduled starts report that."""

from __future__ import annotations

import time
from typing import Any

from pytest_metersphere.engine.part import Callee
from pytest_metersphere.metrics.histogram import Histogram, highest_in
from tests.engine.loads import Kind, Steps, callee, level, run, scenario

STALL = 0.6
LONG = 0.3


def stalling(kind: Kind = "async", **asked: Any) -> Callee:
    """Return a load of 80 iterations a second on a server that answers nobody for a while, else at once."""
    begun = time.monotonic()

    def steps(vu: Any) -> Steps:
        with vu.sample("step"):
            yield 0.001
            while 0.2 <= time.monotonic() - begun < 0.2 + STALL:
                yield 0.005

    return callee(scenario(kind, steps), **asked)


def long_ones(times: Histogram) -> int:
    """Return how many lasted longer than LONG seconds."""
    return sum(count for bucket, count in times.counts.items() if highest_in(bucket) > LONG * 1e6)


def test_users_that_keep_a_pace_report_what_wrk2_would() -> None:
    """Each of four misses a dozen starts and catches up: what follows on the stall was late, not quick."""
    paced = run(stalling(users=4, hold=1.5, pacing=0.05)).tally().labels["step"]

    # of the starts within the stall, all but those of its last LONG seconds waited for longer than that
    assert long_ones(paced.response) >= 4 * (STALL - LONG) / 0.05 * 0.6
    assert long_ones(paced.service) <= 8


def test_users_that_think_coordinate_with_the_server() -> None:
    """Each of them has met the stall once, however many others would have come: that is the closed model."""
    thinking = run(stalling(users=4, hold=1.5, think=0.05)).tally().labels["step"]

    assert 4 <= long_ones(thinking.response) <= 8


def test_arrivals_do_not_wait_for_the_server() -> None:
    """In the open model every request that was due in the stall is sent, and has waited for itself."""
    outcome = run(stalling(users=400, arrivals=level(80, 1.5)))
    step = outcome.tally().labels["step"]

    assert outcome.starts() == (120, 120, 0)
    assert long_ones(step.response) >= 80 * (STALL - LONG) * 0.6
