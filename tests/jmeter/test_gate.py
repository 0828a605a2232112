"""A real JMeter that waits for go with a timer that counts from its start."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pytest_metersphere.engine.jmeter.home import find_home
from pytest_metersphere.engine.jmeter.plan import JmxPlan
from pytest_metersphere.engine.jmeter.process import JMeter, Task
from pytest_metersphere.engine.jmeter.results import Row
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.jmeter.source import write_divided
from tests.jmeter.conftest import FAST_JAVA
from tests.jmeter.plans import http, plan, precise_throughput, threads
from tests.jmeter.target import Target

pytestmark = [pytest.mark.needs_jmeter, pytest.mark.timeout(120)]
WAIT = 3.0
RATE = 20


def rows_of(jmeter: JMeter) -> list[Row]:
    """Let it wait for a while, let it go, and return what it did."""
    assert jmeter.wait_until_ready(lambda: True)
    threading.Event().wait(WAIT)
    assert jmeter.running
    jmeter.begin()
    rows: list[Row] = []
    while True:
        running = jmeter.running
        rows += jmeter.read()
        if not running:
            return rows
        jmeter.wait()


def test_what_was_due_before_go_is_not_made_up_for(
    tmp_path: Path, home: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Precise Throughput Timer's rate begins with the load, however long JMeter has waited for it."""
    monkeypatch.setenv("PYTEST_MS_JMETER_HOME", str(home))
    monkeypatch.setenv("JVM_ARGS", FAST_JAVA)
    shop = plan(threads(precise_throughput(RATE), http("/cart"), count=3, loops=-1, duration=4))
    share = Share(users=3, total=3)
    divided = JmxPlan(shop.encode()).divided(share, None, lambda _name: b"")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    own = write_divided(divided, tmp_path / "shop.jmx")
    jmeter = JMeter(
        find_home(), Task(own, scratch, {"port": str(target.port)}, gated=divided.gated), lambda _line: None
    )
    try:
        begin = time.time() + WAIT
        rows = rows_of(jmeter)
    finally:
        jmeter.close()

    assert divided.gated
    assert len(rows) == target.count
    assert min(row.start for row in rows) / 1000 > begin
    # four seconds of it; what was due in the wait would be three seconds' more, in the first moment
    assert RATE * 2 < len(rows) < RATE * 6
