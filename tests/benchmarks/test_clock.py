"""The server with the clock tells the truth that reported times are held against."""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit

import pytest

from benchmarks.compare.clock import Clock, Truth
from benchmarks.compare.sections.fixed_rate import latency

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernel timestamps and epoll are Linux's")


def _clock() -> Clock:
    return Clock(max(os.sched_getaffinity(0)))


def _get(url: str, times: int) -> list[int]:
    """Return the nanoseconds that the server says each answer took."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10.0)
    took = []
    for _ in range(times):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        took.append(int(answer.headers["X-Took-Ns"]))
    connection.close()
    return took


def test_the_truth_is_what_the_answers_say() -> None:
    """Count and percentiles are those of the times that went out with the answers."""
    with _clock() as clock:
        took = _get(clock.url, 100)
        truth = clock.truth()

    assert truth is not None
    assert truth.count == 100
    assert truth.p50 == pytest.approx(sorted(took)[50] / 1e9)
    assert truth.p99 == pytest.approx(sorted(took)[99] / 1e9)
    assert min(took) >= 5_000_000
    assert max(took) >= 25_000_000


def test_the_truth_begins_anew() -> None:
    """What was told once is not told again; probes of the network are not counted."""
    with _clock() as clock:
        _get(clock.url, 3)
        first = clock.truth()
        network = clock.network(os.sched_getaffinity(0))

        assert first is not None
        assert first.count == 3
        assert network >= 0.0
        assert clock.truth() is None


def test_the_network_belongs_to_the_truth() -> None:
    """Only what the load generator itself adds is held against it."""
    found = latency(Truth(10_000, 2000.0, 0.005, 0.025), 0.0001, 0.0052, 0.0253, "")

    assert found.added_p50 == pytest.approx(0.0001)
    assert found.added_p99 == pytest.approx(0.0002)
