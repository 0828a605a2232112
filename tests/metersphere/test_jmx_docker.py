"""Test plans on stock nodes whose JMeter containers run in a real Docker Engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docker.engine import Engine
from tests.fakes.nodes import eventually
from tests.jmeter.home import jmeter_home
from tests.jmeter.plans import csv, http, pause, plan, says, threads
from tests.jmeter.target import Target
from tests.metersphere.engines import DockerEngine
from tests.metersphere.jmeter_image.build import jmeter_image
from tests.metersphere.jmx import (
    FAST_HEAP,
    SHOP,
    JMeterMachines,
    assert_closed,
    log_sender,
    new_prefix,
    new_topics,
    shop,
)
from tests.metersphere.sessions import begin
from tests.metersphere.stage import stage, when
from tests.metersphere.stand_in import StandIn
from tests.plugin.projects import Project
from tests.plugin.remote import TOKEN, remote_node

__all__ = ["jmeter_image"]
pytestmark = [
    pytest.mark.needs_kafka,
    pytest.mark.needs_docker,
    pytest.mark.needs_jmeter,
    pytest.mark.timeout(300),
]
LIMIT = 250.0
UNTRIED = "--ms-preflight=off"


@pytest.fixture
def machines(kafka: str, docker_engine: Engine, jmeter_image: str) -> Iterator[JMeterMachines]:
    """Return three node-controllers whose containers run in the same real Docker Engine."""
    with ExitStack() as stack:
        api = docker_engine.client.api
        log = stack.enter_context(log_sender(kafka))
        found = [stack.enter_context(StandIn(DockerEngine(api), log)) for _ in range(3)]
        yield JMeterMachines(found, kafka, new_prefix(kafka), "", jmeter_image, new_topics())
        for one in api.containers(all=True, filters={"name": "ms-load-"}):
            api.remove_container(one["Id"], force=True)


@pytest.fixture
def target() -> Iterator[Target]:
    """Return a server that runs."""
    with Target() as running:
        yield running


def test_a_test_plan_on_three_stock_nodes(tmp_path: Path, machines: JMeterMachines, target: Target) -> None:
    """The JMeter image runs each node's share; users are exact, and rows equal what the server has seen."""
    project = Project(tmp_path / "project")
    shop(project, target, 'users=10, ramp="1s", hold="5s", warmup="1s"')

    done = project.run(f"--ms-pool={machines.pool(40, 40, 20)}", env=machines.env, limit=LIMIT)

    assert_closed(done, target)
    result = done.scenario("test_shop")
    assert [(entry.node, entry.users) for entry in result.plan] == [("s1", 4), ("s2", 4), ("s3", 2)]
    assert [node.users for node in result.nodes] == [4, 4, 2]
    assert result.totals.users_max == 10
    assert result.ledger.warmup > 0
    assert result.go_spread_s is not None
    assert result.go_spread_s < 1
    assert machines.stand_ins[0].names() == []


def test_a_mixed_pool(
    tmp_path: Path, machines: JMeterMachines, target: Target, pytestconfig: pytest.Config
) -> None:
    """One plan runs on our node and on stock ones at the same time, each with its own JMeter."""
    project = Project(tmp_path / "project")
    shop(project, target, 'users=6, hold="5s"')
    home = {"PYTEST_MS_JMETER_HOME": str(jmeter_home(pytestconfig)), "JVM_ARGS": FAST_HEAP}
    with remote_node("--capacity=20", env=home) as ours:
        pool = f"n1@{ours}=20,{machines.pool(20, 20)}"
        env = machines.env | {"PYTEST_MS_TOKEN": TOKEN}
        done = project.run(f"--ms-pool={pool}", UNTRIED, env=env, limit=LIMIT)

    assert_closed(done, target)
    result = done.scenario("test_shop")
    assert [(node.name, node.users) for node in result.nodes] == [("n1", 2), ("s1", 2), ("s2", 2)]
    assert all(node.requests > 0 for node in result.nodes)
    assert result.go_spread_s is not None
    assert result.go_spread_s < 1


def test_files_of_a_plan(tmp_path: Path, machines: JMeterMachines, target: Target) -> None:
    """CSV rows are divided, attached files found, and failed assertions told as JMeter words them."""
    project = Project(tmp_path / "project")
    rows = csv("data/users.csv", recycle=False)
    asks = http("/user/${name}", says("delivered"), name="ask")
    greets = http("/say/${__FileToString(words/greeting.txt)}", name="greet")
    # what holds for the whole plan, holds for its gate as well, and must not keep that shut
    everywhere = says("queued")
    group = threads(rows, pause(10), asks, greets, count=2, loops=-1)
    project.write("plans/shop.jmx", plan(everywhere, group))
    project.write("plans/data/users.csv", "name\n" + "\n".join(f"u{number}" for number in range(20)))
    project.write("plans/words/greeting.txt", "").write_text("hello")
    project.write(
        "test_shop.py",
        f"""
        import pytest

        PORT = {{"port": {target.port}}}

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties=PORT, users=4, hold="20s")
        @pytest.mark.threshold("error_rate < 60%")
        def test_shop(load_result):
            assert load_result.labels["greet"].requests == 20
        """,
    )

    done = project.run(f"--ms-pool={machines.pool(20, 20)}", UNTRIED, env=machines.env, limit=LIMIT)

    assert done.counts == {"passed": 1}, done.text
    assert target.asked == {"/say/hello": 20} | {f"/user/u{number}": 1 for number in range(20)}
    (error,) = done.scenario("test_shop").errors
    assert (error.label, error.kind, error.count) == ("ask", "assert", 20)
    assert "delivered" in error.message


def test_a_container_that_is_killed(tmp_path: Path, machines: JMeterMachines, target: Target) -> None:
    """Of `docker kill` in the middle it is told within 15 s whose it was; the load of the others ends."""
    project = Project(tmp_path / "project")
    shop(project, target, 'users=6, hold="60s"')
    stand_in = machines.stand_ins[0]
    with begin(project, f"--ms-pool={machines.pool(20, 20, 20)}", UNTRIED, env=machines.env) as session:
        session.under_load()
        stand_in.kill("-000001-")
        session.tells_of_loss(goes_on=False)
        done = session.end()

    assert stand_in.names("running") == []
    result = done.scenario("test_shop")
    assert result.verdict == "invalid", done.text
    (reason,) = result.validity.reasons
    assert reason.startswith("node s2: its JMeter container is gone before its test had ended"), reason
    assert [one.name for one in result.nodes if one.status == "lost"] == ["s2"]


def test_pytest_is_gone_before_go(
    tmp_path: Path, kafka: str, docker_engine: Engine, jmeter_image: str, target: Target
) -> None:
    """A JMeter that waits at its gate ends without a request when nobody is there to open it."""
    engine = DockerEngine(docker_engine.client.api)
    with stage(tmp_path, SHOP, kafka, engine, jmeter_image, target.port) as one:
        client = one.begin()
        assert when(client, "starting", 120.0).state == "ready"
        one.hub.close()
        eventually(lambda: not one.stand_in.names("running"), "the end of the container", 30.0)

    assert target.count == 0
