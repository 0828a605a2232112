"""Each way in which a stock MeterSphere node can be unfit for test plans has a message of its own."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.jmeter.plans import http, plan, shaping, threads
from tests.metersphere.actor import Script, command
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.jmx import IMAGE, log_sender, new_topics, write_plan
from tests.metersphere.stand_in import StandIn
from tests.plugin.projects import Project
from tests.preflight.messages import assert_told

pytestmark = [pytest.mark.needs_kafka, pytest.mark.timeout(120)]
RUNNER = (sys.executable, "-P", "-m", "pytest_metersphere.dist.node.runner")
SLEEPS = (sys.executable, "-c", "import time; time.sleep(100)")
TEST = """
    import pytest

    @pytest.mark.load_scenario(jmx="plans/shop.jmx", users=3, hold="5s")
    def test_shop():
        raise AssertionError("nothing must run")
"""


class Bench:
    """A stock node, and sessions on it that must not begin."""

    def __init__(self, folder: Path, kafka: str, engine: ProcessEngine, stand_in: StandIn) -> None:
        self.engine = engine
        self.stand_in = stand_in
        self.project = Project(folder)
        write_plan(self.project)
        self.project.write("test_shop.py", TEST)
        metrics, logs = new_topics()
        self.env = {
            "PYTEST_MS_KAFKA": kafka,
            "PYTEST_MS_KAFKA_PREFIX": f"test-{secrets.token_hex(6)}",
            "PYTEST_MS_JMETER_IMAGE": IMAGE,
            "PYTEST_MS_METRICS_TOPIC": metrics,
            "PYTEST_MS_LOG_TOPIC": logs,
        }

    def refuses(self, *options: str, **env: str) -> str:
        """Run pytest, which must end with exit code 4; return its only message."""
        pool = f"--ms-pool=n1@{self.stand_in.address}=9"
        done = self.project.run(pool, *options, env=self.env | env, limit=100.0)

        assert done.code == 4, done.text
        assert "Traceback" not in done.text
        assert not (done.reports / "results.json").exists()
        assert self.stand_in.names() == []
        found = done.text.partition("ERROR: ")[2].strip()
        for variable, topic in (("PYTEST_MS_METRICS_TOPIC", "METRICS"), ("PYTEST_MS_LOG_TOPIC", "LOGS")):
            found = found.replace(self.env[variable], f"JMETER_{topic}")
        return re.sub(r"http://127\.0\.0\.1:\d+(?=:? )", "http://10.0.0.5:18081", found)


@pytest.fixture
def bench(tmp_path: Path, kafka: str) -> Iterator[Bench]:
    """Return a stock node whose containers are played."""
    with ExitStack() as stack:
        engine = ProcessEngine({IMAGE: command(Script()), "runner:test": RUNNER})
        stack.callback(engine.close)
        log = stack.enter_context(log_sender(kafka))
        yield Bench(tmp_path / "project", kafka, engine, stack.enter_context(StandIn(engine, log)))


def test_no_image_for_plans(bench: Bench) -> None:
    """Without either image there is nothing to run a plan in."""
    message = bench.refuses(PYTEST_MS_JMETER_IMAGE="")

    assert bench.stand_in.started == []
    message = message.replace("http://10.0.0.5:18081", "http://10.0.0.11:8082")
    assert_told("Nodes", "a stock MeterSphere node without an image", message)


def test_a_runner_image_without_jmeter(bench: Bench) -> None:
    """With our runner image alone, that one must have JMeter."""
    message = bench.refuses(PYTEST_MS_JMETER_IMAGE="", PYTEST_MS_RUNNER_IMAGE="runner:test", PATH="/nowhere")

    assert "build runner:test anew" in message or "the load is a JMeter test plan" in message


def test_a_plan_that_cannot_wait_for_the_common_begin(bench: Bench) -> None:
    """It is refused with element and line before any container is started."""
    bench.project.write("plans/shop.jmx", plan(shaping([(1, 10, 60)]), threads(http("/cart"))))
    message = bench.refuses()

    assert bench.stand_in.started == []
    assert message.startswith(
        "test_shop.py::test_shop: plans/shop.jmx: VariableThroughputTimer 'shape' (line"
    )
    assert "put it into the thread group, or use our own nodes" in message


def test_the_jmeter_image_is_not_there(bench: Bench) -> None:
    """It is named, and how to bring it there is said."""
    message = bench.refuses(PYTEST_MS_JMETER_IMAGE="metersphere/jmeter-master:2")

    assert_told("Nodes", "the JMeter image is not on the stock MeterSphere node", message)


def test_a_container_that_does_not_call(bench: Bench) -> None:
    """The address that it should call is named, and the option by which it is set."""
    bench.engine.known[IMAGE] = SLEEPS
    message = bench.refuses()

    assert_told("Nodes", "the container of the JMeter image does not reach pytest", message)


def test_an_image_of_something_else(bench: Bench) -> None:
    """Its container ends without a call."""
    bench.engine.known[IMAGE] = ("true",)
    message = bench.refuses()

    assert_told("Nodes", "the JMeter image is none", message)


def test_a_jmeter_that_does_not_start(bench: Bench) -> None:
    """What its log says is in the message."""
    says = "ERROR o.a.j.JMeter: java.lang.ClassNotFoundException: a.b.Plugin"
    bench.engine.known[IMAGE] = command(Script(ends="gate", says=says))
    message = bench.refuses()

    message = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ", "", message)
    assert_told("Nodes", "JMeter does not start in its container", message)


def test_a_log_that_does_not_come(bench: Bench) -> None:
    """Without JMeter's own summary nobody could tell whether all rows came."""
    bench.engine.known[IMAGE] = command(Script(samples=0, logs=False, hangs=60.0))
    message = bench.refuses()

    assert_told("Nodes", "JMeter's log does not come over Kafka", message)


def test_a_clock_that_is_wrong(bench: Bench) -> None:
    """The row of the gate says what time it is on the node."""
    bench.engine.known[IMAGE] = command(Script(samples=0, ahead=7200.0))
    message = bench.refuses()

    assert re.fullmatch(
        r"node n1: its clock is (2h00m|1h59m\S*) ahead of the controller's; set both by the same time server"
        r" \(NTP\); at most 5 s are allowed",
        message,
    ), message
