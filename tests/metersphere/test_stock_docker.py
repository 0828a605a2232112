"""Sessions on stock nodes whose containers run in a real Docker Engine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.inspection.values import DoctorReport, StatusReport
from tests.fakes.nodes import eventually
from tests.metersphere.sessions import Machines, assert_lost, assert_whole, begin, shop
from tests.plugin.commands import run_command
from tests.plugin.projects import Project, mentions

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


def test_a_container_that_is_killed(project: Project, docker_machines: Machines) -> None:
    """`docker kill` in the middle ends the load of the others; the run is invalid, and says whose it was."""
    options = [f"--ms-pool={docker_machines.pool(40, 40, 20)}", "--ms-hold=60s"]
    stand_in = docker_machines.stand_ins[0]
    with begin(project, *options, env=docker_machines.env) as session:
        session.under_load()
        # the second node's slice: all three node-controllers see the same machine
        stand_in.kill("-000001-")
        eventually(lambda: not stand_in.names("running"), "the end of the others' load", 15.0)
        done = session.end()

    assert_lost(done, "s2")


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
