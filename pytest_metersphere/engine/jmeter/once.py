"""Functional mode of a test plan: JMeter runs once, each thread group with one thread and one iteration."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
import time
from pathlib import Path

from pytest_metersphere.engine.jmeter.home import find_home
from pytest_metersphere.engine.jmeter.process import JMeter, Task
from pytest_metersphere.engine.jmeter.results import Counting
from pytest_metersphere.engine.jmeter.source import files_of, read_plan, write_divided
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.units import format_duration

LIMIT = 600.0
"""Seconds that it may take, unless the scenario's load takes longer by itself."""
_NODE = "functional"
_GRACE = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Once:
    """What came of it; `duration` in seconds, from the first thread's begin to the last sample's end."""

    tally: Tally
    duration: float


def run_once(scenario: Scenario, root: Path, limit: float = LIMIT) -> Once:
    """Run a scenario's test plan once and count what it did; writes nothing below the rootdir.

    Args:
        scenario: its load is a test plan.
        root: the rootdir.
        limit: seconds that it may take, or as long as the load takes if that is longer.

    Raises:
        ConfigError: there is no Java or JMeter here, or a file of the plan is not there.
        JMeterError: JMeter failed, ran no sample, or did not come to an end.
    """
    load = scenario.profile.duration + scenario.profile.graceful_stop
    limit = max(limit, load) if load < math.inf else limit
    jmx = scenario.jmx
    assert jmx is not None, "only of a scenario with a test plan"
    home = find_home()
    divided = read_plan(scenario, root).once()
    with tempfile.TemporaryDirectory(prefix="pytest-metersphere-") as folder:
        tree, scratch = Path(folder, "tree"), Path(folder, "jmeter")
        scratch.mkdir()
        for path in files_of(scenario, root):
            target = tree / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        plan = write_divided(divided, tree / jmx.path)
        jmeter = JMeter(home, Task(plan, scratch, jmx.properties), lambda _line: None)
        try:
            return _counted(jmeter, divided.helpers, limit)
        finally:
            jmeter.close()


def _counted(jmeter: JMeter, helpers: tuple[str, ...], limit: float) -> Once:
    recorder = Recorder([0.0])
    counting = Counting(recorder, _NODE, helpers)
    jmeter.wait_until_ready(lambda: True)
    begin = time.monotonic()
    recorder.begin(begin)
    jmeter.begin()
    if not _read_until(jmeter, counting, begin + limit):
        jmeter.tell("StopTestNow")
        _read_until(jmeter, counting, time.monotonic() + _GRACE)
        raise jmeter.failure(
            f"JMeter was stopped as it did not end within {format_duration(limit)}, with one iteration of "
            'each thread group; end the loops within it, or give a longer hold=, as hold="1h"'
        )
    jmeter.check_end(counting.seen)
    if not counting.seen.samples:
        raise jmeter.failure("JMeter ran to its end without a single sample")
    tally = Tally()
    # a sample may end later than now, by a clock that was set meanwhile
    for cut in recorder.cut(int(max(time.monotonic(), counting.last_end) - begin) + 2):
        tally.merge(cut.tallies[0])
    return Once(tally, max(0.0, counting.last_end - begin))


def _read_until(jmeter: JMeter, counting: Counting, limit: float) -> bool:
    """Count rows until JMeter has ended or the clock is at the limit; return whether it has ended."""
    while True:
        running = jmeter.running
        for row in jmeter.read():
            counting.add(row)
        if not running:
            return True
        if time.monotonic() >= limit:
            return False
        jmeter.wait()
