"""JMeter test plans on nodes whose slices run in containers, from an image with a real JMeter."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_metersphere.reports.document import Ledger
from tests.docker.conftest import Start, pool
from tests.docker.engine import Engine
from tests.docker.slices import names
from tests.fakes.nodes import eventually
from tests.jmeter.conftest import FAST_JAVA
from tests.jmeter.plans import csv, http, pause, plan, threads, transaction
from tests.jmeter.target import Target
from tests.plugin.projects import Done, Project, environment
from tests.plugin.remote import TOKEN, remote_node

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_jmeter, pytest.mark.timeout(300)]
TEST = """
    import pytest

    @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": {port}}}, {keywords})
    def test_shop(load_result):
        assert load_result.requests
"""


@pytest.fixture
def start_jmeter(docker_engine: Engine, jmeter_image: str) -> Iterator[Start]:
    """Return a function that starts node-controllers of the image with JMeter, one for each capacity."""
    with ExitStack() as stack:
        yield lambda *options, capacities: stack.enter_context(
            pool(docker_engine, jmeter_image, *options, capacities=capacities)
        )


@pytest.fixture
def project(tmp_path: Path, target: Target) -> Project:
    """Return a project whose plan reads a CSV file, three rows a user."""
    made = Project(tmp_path / "project")
    made.write("plans/users.csv", "\n".join(["id", *map(str, range(21))]))
    request = transaction("buy", http("/cart?id=${id}"))
    made.write("plans/shop.jmx", plan(csv("users.csv"), threads(pause(100), request)))
    made.write("test_shop.py", TEST.format(port=target.port, keywords='users=7, hold="3s"'))
    return made


def test_three_nodes(start_jmeter: Start, project: Project, target: Target, docker_engine: Engine) -> None:
    """Users and rows are divided exactly, the server's count is ours, and no container stays."""
    nodes = start_jmeter(f"--env=JVM_ARGS={FAST_JAVA}", capacities=(8, 4, 4))

    done = project.run(f"--ms-pool={nodes.text}", env={"PYTEST_MS_TOKEN": TOKEN}, limit=170.0)

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert [entry.users for entry in result.plan] == [node.users for node in result.nodes] == [4, 2, 1]
    assert_closed(result.ledger, target)
    assert {path.partition("=")[2] for path in target.asked} == {str(row) for row in range(21)}
    assert [node.loop_lag_p99 for node in result.nodes] == [None, None, None]
    assert names(docker_engine) == []


def test_a_pool_of_both_kinds(start_jmeter: Start, project: Project, target: Target, home: Path) -> None:
    """A node in containers and one that has its machine's JMeter carry one run together."""
    contained = start_jmeter(f"--env=JVM_ARGS={FAST_JAVA}", capacities=(4,))
    env = {"PYTEST_MS_JMETER_HOME": str(home), "JVM_ARGS": FAST_JAVA}
    with remote_node("--capacity=3", env=env) as plain:
        pool_text = f"docker@{contained.text},process@{plain}"
        done = project.run(f"--ms-pool={pool_text}", env={"PYTEST_MS_TOKEN": TOKEN}, limit=170.0)

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert [(node.name, node.users) for node in result.nodes] == [("docker", 4), ("process", 3)]
    assert_closed(result.ledger, target)


def assert_closed(ledger: Ledger, target: Target) -> None:
    """Assert that nothing was lost or counted twice, and that the server's count is ours."""
    assert (ledger.lost, ledger.duplicates, ledger.rejected) == (0, 0, 0)
    assert ledger.exchanges == ledger.counted + ledger.interrupted == target.count > 0


def test_a_killed_container(
    start_jmeter: Start, project: Project, target: Target, docker_engine: Engine
) -> None:
    """The run is over within 15 s, is invalid, and says which container was killed."""
    nodes = start_jmeter(f"--env=JVM_ARGS={FAST_JAVA}", capacities=(1, 1))
    project.write("test_shop.py", TEST.format(port=target.port, keywords='users=2, hold="60s"'))
    with subprocess.Popen(
        project.command(f"--ms-pool={nodes.text}"),
        cwd=project.folder,
        env=environment() | {"PYTEST_MS_TOKEN": TOKEN},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as session:
        eventually(lambda: target.count > 20, "load", 100.0)
        (slice_id,) = nodes.clients[1].info().slices
        docker_engine.client.containers.get(f"pytest-metersphere-{slice_id}").kill()
        eventually(lambda: nodes.live == 0, "the end of the other's load", 15.0)
        code = session.wait(100.0)

    result = Done(project.folder, code, "", "").scenario("test_shop")
    (reason,) = result.validity.reasons
    assert result.verdict == "invalid"
    assert reason.startswith(f"node {nodes.clients[1].name} lost worker 0 ")
    assert f"container pytest-metersphere-{slice_id} was killed from outside (SIGKILL)" in reason
    assert names(docker_engine) == []


def test_java_without_memory(start_jmeter: Start, project: Project, docker_engine: Engine) -> None:
    """The kernel kills Java, not what watches it, and the reason is that there was no memory."""
    java = "-Xms256m -Xmx256m -XX:+AlwaysPreTouch"
    nodes = start_jmeter(f"--env=JVM_ARGS={java}", "--memory=200m", capacities=(8,))

    done = project.run(f"--ms-pool={nodes.text}", env={"PYTEST_MS_TOKEN": TOKEN})

    (finding,) = done.scenario("test_shop").findings
    assert "JMeter did not start (killed by the kernel for want of memory" in finding
    assert names(docker_engine) == []
