"""Whole sessions with test plans on stock nodes: the containers are played, Kafka and all else is real."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.nodes import eventually
from tests.metersphere.actor import Script, command
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.jmx import IMAGE, JMeterMachines, log_sender, new_prefix, new_topics, write_plan
from tests.metersphere.sessions import begin
from tests.metersphere.stand_in import StandIn
from tests.plugin.projects import Project
from tests.plugin.servers import SERVER

pytestmark = [pytest.mark.needs_kafka, pytest.mark.timeout(180)]
RUNNER = (sys.executable, "-P", "-m", "pytest_metersphere.dist.node.runner")
TEST = """
    import pytest

    @pytest.mark.load_scenario(jmx="plans/shop.jmx", users=6, hold="{hold}")
    def test_shop(load_result):
        assert load_result.requests == 100
"""
IN_PYTHON = """
    import pytest

    @pytest.mark.load_scenario(users=4, hold="1s", think="100ms")
    async def test_cart(vu, base_url):
        await vu.http.get(f"{base_url}/cart", label="cart")
"""


class Played(JMeterMachines):
    """Two stock nodes whose containers are played."""

    def play(self, script: Script) -> None:
        """Let the containers to come play another script."""
        for one in self.stand_ins:
            assert isinstance(one.engine, ProcessEngine)
            one.engine.known[IMAGE] = command(script)

    @property
    def names(self) -> list[str]:
        """Return the names of all containers that there are."""
        return [name for one in self.stand_ins for name in one.names()]


@pytest.fixture
def machines(kafka: str) -> Iterator[Played]:
    """Return two machines, each with a stock node-controller of its own."""
    with ExitStack() as stack:
        log = stack.enter_context(log_sender(kafka))
        found = []
        for _ in range(2):
            engine = ProcessEngine({IMAGE: command(Script()), "runner:test": RUNNER})
            stack.callback(engine.close)
            found.append(stack.enter_context(StandIn(engine, log)))
        yield Played(found, kafka, new_prefix(kafka), "", IMAGE, new_topics())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a test plan."""
    made = Project(tmp_path / "project")
    write_plan(made)
    made.write("test_shop.py", TEST.format(hold="1s"))
    return made


def test_a_plan(project: Project, machines: Played) -> None:
    """The preflight tries each node out; the run counts all rows, and nothing is left."""
    done = project.run(f"--ms-pool={machines.pool(9, 9)}", env=machines.env)

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert [(node.name, node.requests, node.status) for node in result.nodes] == [
        ("s1", 50, "ended"),
        ("s2", 50, "ended"),
    ]
    # nobody sees the CPU of a container, and how late JMeter's threads are
    assert [(node.cpu, node.loop_lag_p99) for node in result.nodes] == [(None, None), (None, None)]
    assert result.go_spread_s is not None
    assert result.go_spread_s < 1
    assert machines.names == []
    assert [len(one.started) for one in machines.stand_ins] == [2, 2]
    environment = machines.stand_ins[0].started[1]
    assert environment["RESOURCE_INDEX"] == "0"
    assert environment["BOOTSTRAP_SERVERS"] == machines.kafka
    assert environment["BACKEND_LISTENER"] == "true"


def test_settings_by_variables_and_by_an_ini_file(tmp_path: Path, machines: Played) -> None:
    """Image, heap and topics are set by either."""
    rows, logs = new_topics()
    lines = (
        f"ms_jmeter_image = {IMAGE}",
        "ms_jmeter_heap = -Xmx200m",
        f"ms_metrics_topic = {rows}",
        f"ms_log_topic = {logs}",
    )
    project = Project(tmp_path / "project", *lines)
    write_plan(project)
    project.write("test_shop.py", TEST.format(hold="1s"))
    kafka = {name: machines.env[name] for name in ("PYTEST_MS_KAFKA", "PYTEST_MS_KAFKA_PREFIX")}
    options = (f"--ms-pool={machines.pool(9, 9)}", "--ms-preflight=off")
    done = project.run(*options, env=kafka)
    assert done.counts == {"passed": 1}, done.text
    started = machines.stand_ins[0].started[-1]
    assert (started["HEAP"], started["LOG_TOPIC"]) == ("-Xmx200m", logs)

    other_rows, other_logs = new_topics()
    env = {
        "PYTEST_MS_JMETER_IMAGE": IMAGE,
        "PYTEST_MS_JMETER_HEAP": "-Xmx300m",
        "PYTEST_MS_METRICS_TOPIC": other_rows,
        "PYTEST_MS_LOG_TOPIC": other_logs,
    }
    done = project.run(*options, env=kafka | env)
    assert done.counts == {"passed": 1}, done.text
    started = machines.stand_ins[0].started[-1]
    assert (started["HEAP"], started["LOG_TOPIC"]) == ("-Xmx300m", other_logs)


def test_both_kinds_of_scenarios(project: Project, machines: Played) -> None:
    """A plan runs in the JMeter image and a test in Python in the runner image, one after the other."""
    project.write("conftest.py", SERVER)
    project.write("test_cart.py", IN_PYTHON)
    env = machines.env | {"PYTEST_MS_RUNNER_IMAGE": "runner:test"}
    done = project.run(f"--ms-pool={machines.pool(9, 9)}", env=env)

    assert done.counts == {"passed": 2}, done.text
    assert machines.names == []


def test_rows_that_do_not_add_up(project: Project, machines: Played) -> None:
    """The run is invalid, and every report says why."""
    machines.play(Script(beyond=3))
    done = project.run(f"--ms-pool={machines.pool(9, 9)}", "--ms-preflight=off", env=machines.env)

    assert done.counts == {"error": 1}, done.text
    result = done.scenario("test_shop")
    assert result.verdict == "invalid"
    assert len(result.validity.reasons) == 2
    assert result.validity.reasons[0].startswith(
        "node s1: JMeter's own summary says 54 samples, 0 of them failed"
    )
    assert result.totals.requests == 100
    for name in ("report.html", "junit.xml", "summary.md"):
        assert "own summary says 54 samples" in (done.reports / name).read_text()


@pytest.mark.parametrize(
    ("says", "verdict", "finding"),
    [
        (
            "INFO o.a.j.t.JMeterThread: Stop Test detected by thread: Buyers 1-1",
            "aborted",
            "aborted: the test plan ended itself: Stop Test detected by thread: Buyers 1-1",
        ),
        (
            "ERROR o.a.j.t.JMeterThread: java.lang.OutOfMemoryError: Java",
            "invalid",
            "Java's heap was too small",
        ),
    ],
)
def test_a_log_that_tells_of_trouble(
    project: Project, machines: Played, says: str, verdict: str, finding: str
) -> None:
    """Though each JMeter came to its end and all rows are there, the run has not passed."""
    machines.play(Script(says=says))
    done = project.run(f"--ms-pool={machines.pool(9, 9)}", "--ms-preflight=off", env=machines.env)

    result = done.scenario("test_shop")
    assert result.verdict == verdict, done.text
    assert finding in " ".join(result.findings)


def test_rows_that_are_late(project: Project, machines: Played) -> None:
    """They count in the second in which their samples ended, though that was reported long before."""
    machines.play(Script(samples=50, late=6.0))
    done = project.run(f"--ms-pool={machines.pool(9, 9)}", "--ms-preflight=off", env=machines.env)

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert result.totals.requests == 100
    assert len(result.series) <= 3
    assert sum(point.requests for point in result.series) == 100
    assert result.totals.duration_s < 3


def test_garbage_on_the_topics(project: Project, machines: Played) -> None:
    """It is counted in the ledger, and changes nothing."""
    machines.play(Script(garbage=8, strange=20, forged=1))
    done = project.run(f"--ms-pool={machines.pool(9, 9)}", "--ms-preflight=off", env=machines.env)

    assert done.counts == {"passed": 1}, done.text
    assert done.scenario("test_shop").ledger.rejected == 18


def test_an_interrupted_session(project: Project, machines: Played) -> None:
    """Ctrl-C kills the containers; what was counted is in the reports, as aborted."""
    machines.play(Script(samples=5000))
    project.write("test_shop.py", TEST.format(hold="60s"))
    with begin(
        project, f"--ms-pool={machines.pool(9, 9)}", "--ms-preflight=off", env=machines.env
    ) as session:
        session.under_load()
        session.send(signal.SIGINT)
        done = session.end()

    assert done.code == 2, done.text
    result = done.scenario("test_shop")
    assert result.verdict == "aborted"
    assert result.totals.requests > 0
    assert machines.names == []


def test_a_container_that_dies(project: Project, machines: Played) -> None:
    """The load of the others is ended, and the reason names the node."""
    project.write("test_shop.py", TEST.format(hold="60s"))
    machines.play(Script(samples=5000))
    with begin(
        project, f"--ms-pool={machines.pool(9, 9)}", "--ms-preflight=off", env=machines.env
    ) as session:
        session.under_load()
        machines.stand_ins[1].kill("-000001-")
        eventually(lambda: not machines.stand_ins[0].names("running"), "the end of the other", 20.0)
        done = session.end()

    result = done.scenario("test_shop")
    assert result.verdict == "invalid", done.text
    (reason,) = result.validity.reasons
    assert reason.startswith("node s2: its JMeter container is gone before its test had ended"), reason


def test_two_sessions_at_once(tmp_path: Path, machines: Played) -> None:
    """On the same nodes and topics neither sees the other's rows, or ends its containers."""
    machines.play(Script(samples=200))
    projects = [Project(tmp_path / name) for name in ("one", "two")]
    for project in projects:
        write_plan(project)
        project.write("test_shop.py", TEST.format(hold="5s").replace("== 100", "== 400"))
    pool = f"--ms-pool={machines.pool(20, 20)}"
    with ExitStack() as stack:
        begun = [
            stack.enter_context(begin(project, pool, "--ms-preflight=off", env=machines.env))
            for project in projects
        ]
        done = [session.end() for session in begun]

    assert [each.counts for each in done] == [{"passed": 1}] * 2, done[0].text + done[1].text
    assert machines.names == []
