"""What came from one stock JMeter, without Kafka and without a container: how its end is judged."""

from __future__ import annotations

import json

import pytest

from pytest_metersphere.dist.metersphere.hub import JMeterHub
from pytest_metersphere.dist.metersphere.jmeter import JMeterSlice, new_identity
from pytest_metersphere.dist.metersphere.logs import read_lines
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.rows import rows_by_report
from pytest_metersphere.dist.wire import Manifest
from tests.fakes.nodes import KEY

SLICE = "00112233445566aa-0"
ENDED = "INFO o.a.j.e.StandardJMeterEngine: Notifying test listeners of end of test"
TOTAL = "INFO o.a.j.r.Summariser: ms-summary =      2 in 00:00:05 = 24.0/s Avg: 1 Err:     0 (0.00%)"


@pytest.fixture
def jmeter() -> JMeterSlice:
    """Return a JMeter whose gate was opened, and one of whose samples has come."""
    made = JMeterSlice(new_identity(SLICE, "n1", container_name(SLICE, 3)), JMeterHub(), KEY, 0.0)
    made.passed()
    rows = [
        {
            "SampleLabel": label,
            "ThreadName": f"{label} 1-1",
            "ResponseTime": 10,
            "AllThreads": 1,
            "SampleStartTime": f"2026-11-26T10:00:0{second}.000+0800",
            "URL": "http://127.0.0.1/cart",
            "Success": True,
        }
        for second, label in enumerate((made.identity.gate_label, "GET /cart"))
    ]
    found, garbage = rows_by_report([json.dumps(row).encode() for row in rows])
    assert not garbage
    made.take_rows(found[""])
    return made


def say(jmeter: JMeterSlice, *texts: str) -> None:
    """Let lines of its log come."""
    for text in texts:
        for line in read_lines(f"{jmeter.report_id} {SLICE} 0 2026-11-26 10:00:05,123 {text}\n".encode()):
            jmeter.take_line(line)


def ended(jmeter: JMeterSlice, *texts: str) -> Manifest:
    """Return how it ended, with these lines before JMeter's words of a sound end."""
    say(jmeter, *texts, ENDED, TOTAL)
    assert jmeter.ended_soundly
    return jmeter.finish(stopped=False)


def test_a_sound_end(jmeter: JMeterSlice) -> None:
    """Nothing speaks against it."""
    manifest = ended(jmeter, "WARN java.lang.ClassNotFoundException: a.b.NotNeeded")

    assert manifest.doubts == []
    assert (manifest.aborted, manifest.stopped) == ("", False)
    assert manifest.totals.requests == 1


def test_a_jmeter_that_broke(jmeter: JMeterSlice) -> None:
    """Though JMeter came to its end and all rows are there: what it did is not what was asked for."""
    said = "Caused by: java.lang.IllegalArgumentException: File users.csv must exist and be readable"

    (doubt,) = ended(jmeter, said).doubts
    assert doubt.startswith("JMeter misses a file: ")
    assert said in doubt


def test_a_plan_that_ended_itself(jmeter: JMeterSlice) -> None:
    """It is aborted, with JMeter's words, unless it was told to stop from here."""
    manifest = ended(jmeter, "INFO o.a.j.t.JMeterThread: Stop Test detected by thread: Buyers 1-1")

    assert manifest.aborted == "the test plan ended itself: Stop Test detected by thread: Buyers 1-1"
    assert manifest.doubts == []
    assert jmeter.finish(stopped=True).aborted == ""
