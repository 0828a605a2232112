"""Sessions on stock nodes whose containers run in a real Docker Engine."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.dist.kafka.topics import ensure_control_topic, ensure_topics
from pytest_metersphere.dist.metersphere.client import StockClient
from pytest_metersphere.dist.metersphere.exchange import Exchange
from pytest_metersphere.dist.metersphere.node import StockNode, StockTerms
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.inspection.values import DoctorReport, StatusReport
from tests.docker.conftest import Start
from tests.docker.engine import Engine
from tests.docker.slices import bundle, names
from tests.fakes.nodes import KEY, start_request
from tests.metersphere.sessions import Machines, assert_lost, assert_whole, begin, shop
from tests.plugin.commands import run_command
from tests.plugin.projects import Project, mentions
from tests.plugin.remote import TOKEN, remote_node

pytestmark = [pytest.mark.needs_kafka, pytest.mark.needs_docker, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a server and a scenario."""
    return shop(tmp_path / "project")


def test_a_scenario_on_three_stock_nodes(project: Project, docker_machines: Machines) -> None:
    """The runner image needs nothing but its name and an environment; users exact, ledger closed."""
    done = project.run(f"--ms-pool={docker_machines.pool(40, 40, 20)}", env=docker_machines.env)

    assert_whole(done)
    result = done.scenario("test_cart")
    assert [(entry.node, entry.users) for entry in result.plan] == [("s1", 4), ("s2", 4), ("s3", 2)]
    assert [node.users for node in result.nodes] == [4, 4, 2]
    assert docker_machines.stand_ins[0].names() == []


def test_a_pool_of_every_kind(
    project: Project, docker_machines: Machines, start: Start, docker_engine: Engine
) -> None:
    """Ours as processes, ours in containers and a stock one carry one run, each its share."""
    (contained,) = start(capacities=(40,)).text.split(",")
    with remote_node("--capacity=20") as plain:
        pool = f"{docker_machines.pool(40)},docker@{contained},process@{plain}"
        done = project.run(f"--ms-pool={pool}", env=docker_machines.env | {"PYTEST_MS_TOKEN": TOKEN})

    assert_whole(done)
    result = done.scenario("test_cart")
    assert [(node.name, node.users) for node in result.nodes] == [("s1", 4), ("docker", 4), ("process", 2)]
    assert result.go_spread_s is not None
    assert names(docker_engine) == []


@pytest.mark.parametrize("policy", ["fail", "continue"])
def test_a_container_that_is_killed(project: Project, docker_machines: Machines, policy: str) -> None:
    """Of `docker kill` in the middle it is told within 15 s whose it was; the others end, or go on."""
    hold = "60s" if policy == "fail" else "20s"
    pool = f"--ms-pool={docker_machines.pool(40, 40, 20)}"
    stand_in = docker_machines.stand_ins[0]
    with begin(
        project, pool, f"--ms-hold={hold}", f"--ms-on-node-loss={policy}", env=docker_machines.env
    ) as session:
        session.under_load()
        # the second node's slice: all three node-controllers see the same machine
        stand_in.kill("-000001-")
        session.tells_of_loss(goes_on=policy == "continue")
        done = session.end()

    assert stand_in.names("running") == []
    assert_lost(done, "s2")
    others = "stopped" if policy == "fail" else "ended"
    assert [node.status for node in done.scenario("test_cart").nodes] == [others, "lost", others]


def test_two_sessions_on_one_machine(tmp_path: Path, docker_machines: Machines) -> None:
    """Their containers stand beside each other, and each session counts what its own server has served."""
    # each node-controller sees what all three have started
    pool = f"--ms-pool={docker_machines.pool(20, 20, 20)}"
    first, second = shop(tmp_path / "first"), shop(tmp_path / "second")
    with begin(first, pool, "--ms-hold=15s", env=docker_machines.env) as early:
        early.under_load()
        with begin(second, pool, env=docker_machines.env) as late:
            whole = [late.end(), early.end()]

    for done in whole:
        assert_whole(done)
        assert [entry.users for entry in done.scenario("test_cart").plan] == [4, 3, 3]


def test_slices_whose_ids_are_part_of_others(docker_machines: Machines) -> None:
    """Of two runs at once: starts, stops and ends of 1 do nothing to 10 and 11, nor to the other run's 1."""
    access = KafkaAccess(servers=(docker_machines.kafka,), prefix=docker_machines.prefix)
    assert ensure_control_topic(access).ok
    assert all(check.ok for check in ensure_topics(access))
    run, other = "0000000000000001", "1000000000000000"
    ids = [f"{run}-10", f"{run}-11", f"{other}-1", f"{other}-10", f"{run}-1"]
    with contextlib.closing(Exchange()) as exchange:
        url = f"http://{docker_machines.stand_ins[0].address}"
        terms = StockTerms(image=docker_machines.image, exchange=exchange)
        client = StockClient(StockNode("s1", "127.0.0.1", url, 100, loopback=True, terms=terms))
        for slice_id in ids:
            start_slice(client, slice_id, access)
        started = {slice_id: client.state(slice_id).state for slice_id in ids}
        client.stop(ids[-1], 0.0)
        client.delete(ids[-1])
        left = {slice_id: client.state(slice_id).state for slice_id in ids[:-1]}
        there = sorted(client.info().slices)
        for slice_id in ids:
            client.delete(slice_id)

    assert started == dict.fromkeys(ids, "running")
    assert left == dict.fromkeys(ids[:-1], "running")
    assert there == sorted(ids[:-1])


def start_slice(client: StockClient, slice_id: str, access: KafkaAccess) -> None:
    """Start a slice of one user that naps, and let it go."""
    plain = start_request(slice_id, users=1)
    request = msgspec.structs.replace(plain, run=slice_id.partition("-")[0], key=KEY, kafka=access)
    client.start(request, bundle())
    deadline = time.monotonic() + 60.0
    while (info := client.state(slice_id)).state == "starting":
        assert time.monotonic() < deadline
        client.state(slice_id, wait_while="starting", wait=1.0)
    assert info.state == "ready", info
    client.go(slice_id)


def test_an_image_that_is_not_there(project: Project, docker_machines: Machines) -> None:
    """Nothing is started, and how to bring it there is said."""
    env = docker_machines.env | {"PYTEST_MS_RUNNER_IMAGE": "pytest-metersphere-runner:none"}
    done = project.run(f"--ms-pool={docker_machines.pool(40)}", env=env)

    assert done.code == 4, done.text
    assert "Image Not Found: pytest-metersphere-runner:none" in done.text
    assert "docker load" in done.text


def test_what_doctor_and_status_know_of_an_image(docker_machines: Machines, tmp_path: Path) -> None:
    """One that is there is tried out; of one that is not, its name and how to bring it there are said."""
    stand_in = docker_machines.stand_ins[0]
    env = {"PYTEST_MS_KAFKA": docker_machines.kafka, "PYTEST_MS_KAFKA_PREFIX": docker_machines.prefix}
    pool = f"--ms-pool=s1@{stand_in.address}=40"
    for image, code in ((docker_machines.image, 0), ("pytest-metersphere-runner:none", 1)):
        chosen = env | {"PYTEST_MS_RUNNER_IMAGE": image}
        status = run_command("status", pool, "--json", folder=tmp_path, env=chosen)
        doctor = run_command("doctor", pool, "--json", folder=tmp_path, env=chosen)
        (row,) = msgspec.json.decode(status.out, type=StatusReport).nodes
        wrong = [each for each in msgspec.json.decode(doctor.out, type=DoctorReport).checks if not each.ok]

        assert (status.code, doctor.code) == (code, code), doctor.text
        assert (row.docker, row.image, row.kafka) == ("up", image, "port open")
        assert row.image_state == ("missing" if code else "there")
        assert stand_in.names() == []

    (finding,) = wrong
    assert finding.subject == "node s1"
    for text in (row.detail, finding.detail):
        assert mentions(text, "Image Not Found: pytest-metersphere-runner:none", "docker save", "docker load")
