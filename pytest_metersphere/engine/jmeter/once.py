"""Functional mode of a test plan: JMeter runs once, each thread group with one thread and one iteration."""

from __future__ import annotations

import dataclasses
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

_NODE = "functional"


@dataclasses.dataclass(frozen=True, slots=True)
class Once:
    """What came of it; `duration` in seconds, from the first thread's begin to the last sample's end."""

    tally: Tally
    duration: float


def run_once(scenario: Scenario, root: Path) -> Once:
    """Run a scenario's test plan once and count what it did; writes nothing below the rootdir.

    Raises:
        ConfigError: there is no Java or JMeter here, or a file of the plan is not there.
        JMeterError: JMeter failed, or ran no sample.
    """
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
            return _counted(jmeter, divided.helpers)
        finally:
            jmeter.close()


def _counted(jmeter: JMeter, helpers: tuple[str, ...]) -> Once:
    recorder = Recorder([0.0])
    counting = Counting(recorder, _NODE, helpers)
    jmeter.wait_until_ready(lambda: True)
    begin = time.monotonic()
    recorder.begin(begin)
    jmeter.begin()
    running = True
    while running:
        running = jmeter.running
        for row in jmeter.read():
            counting.add(row)
        if running:
            jmeter.wait()
    jmeter.check_end(counting.seen)
    if not counting.seen.samples:
        raise jmeter.failure("JMeter ran to its end without a single sample")
    tally = Tally()
    for cut in recorder.cut(int(time.monotonic() - begin) + 2):
        tally.merge(cut.tallies[0])
    return Once(tally, max(0.0, counting.last_end - begin))
