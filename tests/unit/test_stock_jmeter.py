"""What came from one stock JMeter, without Kafka and without a container: how its end is judged."""

from __future__ import annotations

import asyncio
import json
import weakref

import pytest

from pytest_metersphere.dist.metersphere.hub import JMeterHub
from pytest_metersphere.dist.metersphere.jmeter import JMeterSlice, new_identity
from pytest_metersphere.dist.metersphere.logs import read_lines
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.package import Package
from pytest_metersphere.dist.metersphere.rows import rows_by_report
from pytest_metersphere.dist.wire import Manifest
from tests.fakes.nodes import KEY

SLICE = "00112233445566aa-0"
ENDED = "INFO o.a.j.e.StandardJMeterEngine: Notifying test listeners of end of test"
TOTAL = "INFO o.a.j.r.Summariser: ms-summary =      2 in 00:00:05 = 24.0/s Avg: 1 Err:     0 (0.00%)"


def new() -> JMeterSlice:
    """Return one that was just started."""
    return JMeterSlice(new_identity(SLICE, "n1", container_name(SLICE, 3)), JMeterHub(), KEY, 0.0)


@pytest.fixture
def jmeter() -> JMeterSlice:
    """Return a JMeter whose gate was opened, and one of whose samples has come."""
    made = new()
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


def test_an_image_that_does_not_apply_properties(jmeter: JMeterSlice) -> None:
    """Its summary has JMeter's own name: that is said, and not that the log does not come."""
    say(jmeter, TOTAL.replace("ms-summary", "summary"), ENDED)

    (doubt,) = jmeter.finish(stopped=False).doubts
    assert "came over JMETER_LOGS as `summary =`" in doubt
    assert "`properties=` of a mark has no effect" in doubt


def test_a_log_of_errors_only(jmeter: JMeterSlice) -> None:
    """Of an image that sends no more of its log JMeter's words about its end cannot be expected."""
    say(jmeter, "ERROR o.a.j.JMeter: something is wrong")

    assert jmeter.ended_soundly
    say(jmeter, "INFO o.a.j.t.JMeterThread: Thread is running")
    assert not jmeter.ended_soundly


def test_the_gate_is_behind_it() -> None:
    """A JMeter that took go waits there no longer, and from then on it is to be heard of."""
    jmeter = new()
    before = jmeter.heard_at

    async def wait_there() -> None:
        waiting = asyncio.create_task(jmeter.pass_gate())
        await asyncio.sleep(0)
        assert jmeter.is_at_gate
        jmeter.passed()
        assert not jmeter.is_at_gate
        waiting.cancel()

    asyncio.run(wait_there())
    assert jmeter.heard_at == jmeter.went_at != before


class Watched(Package):
    """A package of which can be known whether anybody has it still."""


def test_a_package_is_let_go(jmeter: JMeterSlice) -> None:
    """Once JMeter is ready nobody may download it, and its bytes are not kept for the whole run."""
    package = Watched(b"PK", (), ())
    kept = weakref.ref(package)
    jmeter.offer(package)
    assert jmeter.package() == b"PK"
    del package
    jmeter.missing()

    assert jmeter.package() is None
    assert kept() is None
