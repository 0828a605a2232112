"""Whole sessions on stock nodes: the containers are processes here, Kafka and all else is real."""

from __future__ import annotations

import contextlib
import secrets
import signal
from pathlib import Path

import pytest

from pytest_metersphere.dist import control
from pytest_metersphere.dist.control import Command, StopCommand
from pytest_metersphere.dist.signing import new_key
from tests.fakes.nodes import eventually
from tests.kafka.broker import broker
from tests.kafka.records import write
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.sessions import Machines, assert_lost, assert_whole, begin, shop
from tests.plugin.projects import Project, mentions
from tests.plugin.remote import TOKEN, remote_node

pytestmark = [pytest.mark.needs_kafka, pytest.mark.timeout(240)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a server and a scenario."""
    return shop(tmp_path / "project")


def test_a_scenario_on_three_stock_nodes(project: Project, machines: Machines) -> None:
    """Users by capacity, a closed ledger, the server's own count, and nothing left behind."""
    done = project.run(f"--ms-pool={machines.pool(40, 40, 20)}", env=machines.env)

    assert_whole(done)
    result = done.scenario("test_cart")
    assert [(entry.node, entry.users) for entry in result.plan] == [("s1", 4), ("s2", 4), ("s3", 2)]
    assert [node.users for node in result.nodes] == [4, 4, 2]
    assert [stand_in.names() for stand_in in machines.stand_ins] == [[], [], []]


def test_settings_by_an_ini_file(tmp_path: Path, machines: Machines) -> None:
    """The image is an ini value, too; the token of our nodes goes to no stock one."""
    project = Project(tmp_path / "project", f"ms_runner_image = {machines.image}")
    shop(tmp_path / "shop")
    for name in ("conftest.py", "test_shop.py"):
        project.write(name, (tmp_path / "shop" / name).read_text())
    env = machines.env | {"PYTEST_MS_RUNNER_IMAGE": "", "PYTEST_MS_TOKEN": TOKEN}

    assert_whole(project.run(f"--ms-pool={machines.pool(40)}", "--ms-hold=1s", env=env))
    assert all(TOKEN not in "".join(env.values()) for env in machines.stand_ins[0].started)


def test_a_mixed_pool(project: Project, machines: Machines) -> None:
    """Ours and stock ones carry one run together, each its share."""
    with remote_node("--capacity=40") as ours:
        pool = f"{machines.pool(40)},ours@{ours},{machines.pool(1, 20).partition(',')[2]}"
        done = project.run(f"--ms-pool={pool}", env=machines.env | {"PYTEST_MS_TOKEN": TOKEN})

    assert_whole(done)
    result = done.scenario("test_cart")
    assert [(node.name, node.users) for node in result.nodes] == [("s1", 4), ("ours", 4), ("s2", 2)]
    assert result.go_spread_s is not None


def test_two_sessions_on_the_same_nodes(tmp_path: Path, machines: Machines) -> None:
    """They start, run and end without disturbing each other, and share what the nodes may carry."""
    pool = f"--ms-pool={machines.pool(6, 6, 8)}"
    first, second = shop(tmp_path / "first"), shop(tmp_path / "second")
    with begin(first, pool, "--ms-hold=12s", env=machines.env) as early:
        early.under_load()
        with begin(second, pool, env=machines.env) as late:
            whole = [late.end(), early.end()]
    for done in whole:
        assert_whole(done)
    (late_result, early_result) = (done.scenario("test_cart") for done in whole)

    assert [entry.users for entry in early_result.plan] == [3, 3, 4]
    # what the other one had was not free
    assert [entry.capacity for entry in late_result.plan] == [3, 3, 4]


def test_no_room_is_told(project: Project, machines: Machines) -> None:
    """The users of containers that run count against what the pool declares."""
    done = project.run(f"--ms-pool={machines.pool(4, 4)}", env=machines.env)

    assert done.code == 4, done.text
    assert mentions(done.text, "test_cart", "s1 4", "s2 4")


@pytest.mark.parametrize("policy", ["fail", "continue"])
def test_a_container_that_is_killed(project: Project, machines: Machines, policy: str) -> None:
    """The run is invalid and says whose container is gone; the load of the others ends, or goes on."""
    hold = "60s" if policy == "fail" else "15s"
    options = [f"--ms-pool={machines.pool(40, 40, 20)}", f"--ms-hold={hold}", f"--ms-on-node-loss={policy}"]
    with begin(project, *options, env=machines.env) as session:
        session.under_load()
        machines.stand_ins[1].kill("ms-load-")
        if policy == "fail":
            others = (machines.stand_ins[0], machines.stand_ins[2])
            eventually(lambda: not any(each.names("running") for each in others), "the others' end", 20.0)
        done = session.end()

    assert_lost(done, "s2")
    statuses = [node.status for node in done.scenario("test_cart").nodes]
    assert statuses == (["stopped", "lost", "stopped"] if policy == "fail" else ["ended", "lost", "ended"])


def test_a_killed_session_takes_its_containers_with_it(project: Project, machines: Machines) -> None:
    """Their leases run out, and nobody has to stop them."""
    options = [f"--ms-pool={machines.pool(40, 40)}", "--ms-hold=120s"]
    with begin(project, *options, env=machines.env) as session:
        session.under_load()
        session.send(signal.SIGKILL)
        eventually(lambda: not any(each.names() for each in machines.stand_ins), "the containers' end", 40.0)
    asked = [path for each in machines.stand_ins for path in each.asked if "/stop/" in path]
    assert len(asked) == 2  # those of the preflight


def test_an_interrupted_session(project: Project, machines: Machines) -> None:
    """Ctrl-C ends the load, what was measured is reported, and no container stays."""
    options = [f"--ms-pool={machines.pool(40, 40)}", "--ms-hold=120s"]
    with begin(project, *options, env=machines.env) as session:
        session.under_load()
        session.send(signal.SIGINT)
        done = session.end()

    assert done.code == 2, done.text
    result = done.scenario("test_cart")
    assert result.verdict == "aborted"
    assert result.ledger.lost == 0
    assert result.totals.requests > 0
    assert not any(each.names() for each in machines.stand_ins)


def test_strangers_on_the_control_topic_change_nothing(project: Project, machines: Machines) -> None:
    """What they say in the run's name is counted; what they say in others' is nobody's business."""
    options = [f"--ms-pool={machines.pool(40, 40)}", "--ms-hold=8s"]
    topic = f"{machines.prefix}.control"
    with begin(project, *options, env=machines.env) as session:
        session.under_load()
        run = machines.stand_ins[0].names("running")[0].split("-")[2]
        stop = Command(run=run, slice="", number=10_000_000, order=StopCommand(grace=0.0))
        strange = [b"", b"garbage", bytes(900_000), control.sealed(new_key(), stop)]
        elsewhere = [(None, b"x"), (b"ffffffffffffffff", control.sealed(new_key(), stop))]
        records = [*elsewhere, *((run.encode(), value) for value in strange)]
        write(machines.kafka, topic, records, control.partition_of(run, 6))
        done = session.end()

    # each was heard by the controller and by both containers
    assert_whole(done, rejected=3 * len(strange))


def test_a_bundle_in_many_chunks(project: Project, machines: Machines) -> None:
    """Several megabytes that cannot be packed get to every container."""
    (project.folder / "noise.bin").write_bytes(secrets.token_bytes(3 << 20))
    project.write("pytest.ini", "[pytest]\nms_bundle = noise.bin")
    options = [f"--ms-pool={machines.pool(40, 40)}", "--ms-hold=1s"]

    assert_whole(project.run(*options, env=machines.env))


def test_a_project_that_fails_on_the_nodes(project: Project, machines: Machines) -> None:
    """The traceback of a worker comes over Kafka; the containers are gone then."""
    project.write(
        "test_shop.py",
        """
        import os

        import pytest

        if "ms-load" in os.environ.get("TEST_ID", ""):
            raise RuntimeError("not on this machine")

        @pytest.mark.load_scenario(users=2, hold="1s")
        async def test_cart(vu):
            await vu.sleep(0.1)
        """,
    )
    done = project.run(f"--ms-pool={machines.pool(40, 40)}", env=machines.env)

    assert done.code == 1, done.text
    assert mentions(done.text, "the load did not start", "RuntimeError: not on this machine")
    assert not any(each.names() for each in machines.stand_ins)


def test_without_a_preflight(project: Project, machines: Machines) -> None:
    """Nothing is tried out, and stock nodes are recognised all the same."""
    options = [f"--ms-pool={machines.pool(40)}", "--ms-hold=1s"]
    assert_whole(project.run(*options, env=machines.env))
    before = len(machines.stand_ins[0].started)
    assert_whole(project.run(*options, "--ms-preflight=off", env=machines.env))

    assert len(machines.stand_ins[0].started) == before + 1


def test_an_image_of_something_else(project: Project, machines: Machines) -> None:
    """A container that ends at once is told of, with what it can do nothing about."""
    engine = machines.stand_ins[0].engine
    assert isinstance(engine, ProcessEngine)
    engine.known[machines.image] = ("echo", "hello")
    with contextlib.ExitStack():
        done = project.run(f"--ms-pool={machines.pool(40)}", env=machines.env)

    assert done.code == 4, done.text
    assert mentions(done.text, machines.image, "ended before it answered", "docker run --rm")


def test_a_broker_that_is_restarted(
    project: Project, machines: Machines, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    """The load goes on to its end, and what was under way arrives afterwards, however late."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with broker(pytestconfig, folder) as fragile:
        env = machines.env | {"PYTEST_MS_KAFKA": fragile.address}
        options = [f"--ms-pool={machines.pool(40, 40)}", "--ms-hold=8s"]
        with begin(project, *options, env=env) as session:
            session.under_load()
            fragile.stop()
            fragile.start()
            done = session.end()

    assert_whole(done)
