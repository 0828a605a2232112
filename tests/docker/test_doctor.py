"""`status` and `doctor` where Docker is: MeterSphere's containers here, and nodes that need an image."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docker.errors import NotFound

from pytest_metersphere.inspection.values import ContainerStatus, DoctorReport, HostStatus, StatusReport
from tests.docker.engine import Engine
from tests.fakes.nodes import free_port
from tests.plugin.commands import run_command
from tests.plugin.projects import Done, mentions
from tests.plugin.remote import TOKEN, remote_node

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(200)]
NAMES = ("kafka", "ms-node-controller", "zookeeper")
PATIENCE = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty pytest.ini."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


class Machine:
    """This machine, with containers that have the names of MeterSphere's."""

    def __init__(self, engine: Engine, image: str) -> None:
        self._engine = engine
        self._image = image
        self.env = {"DOCKER_HOST": engine.host}

    def run(self, name: str, command: str, **options: Any) -> None:
        """Start a container whose process is a shell's command."""
        self._engine.client.containers.run(
            self._image,
            ["-c", command],
            entrypoint="sh",
            name=name,
            detach=True,
            network_mode="none",
            **options,
        )

    def wait(self, name: str, state: str, health: str = "") -> None:
        """Wait until it is so."""
        found = self._engine.client.containers.get(name)
        deadline = time.monotonic() + PATIENCE
        while found.status != state or health not in str(found.attrs["State"].get("Health", "")):
            assert time.monotonic() < deadline, found.attrs["State"]
            time.sleep(0.05)
            found.reload()

    def remove(self) -> None:
        """Let none of them be left."""
        for name in NAMES:
            try:
                self._engine.client.containers.get(name).remove(force=True)
            except NotFound:
                continue


@pytest.fixture
def machine(docker_engine: Engine, runner_image: str) -> Iterator[Machine]:
    """Return this machine without any of these containers; there are none afterwards."""
    found = Machine(docker_engine, runner_image)
    taken = [each.name for each in docker_engine.containers() if each.name in NAMES]
    if taken:
        pytest.skip(f"this machine's own containers have the names {', '.join(taken)}")
    with ExitStack() as stack:
        stack.callback(found.remove)
        yield found


def host_of(done: Done, kind: type[StatusReport | DoctorReport] = StatusReport) -> HostStatus:
    """Return what --json says of this machine."""
    host = msgspec.json.decode(done.out, type=kind).host
    assert host is not None
    return host


def by_name(host: HostStatus) -> dict[str, ContainerStatus]:
    """Return the containers by their names."""
    return {each.name: each for each in host.containers}


def test_the_containers_of_metersphere(machine: Machine, folder: Path) -> None:
    """State, health, how it ended, and its last words without what looks like a secret; nobody else's."""
    machine.run("kafka", "echo starting; echo 'sasl.password=geheim, giving up'; exit 3")
    healthcheck = {"test": ["CMD", "false"], "interval": 200_000_000, "retries": 1}
    machine.run("ms-node-controller", "echo listening on 8082; sleep 60", healthcheck=healthcheck)
    machine.run("zookeeper", "sleep 60")
    machine.wait("kafka", "exited")
    machine.wait("ms-node-controller", "running", "unhealthy")
    done = run_command("status", "--ms-pool=local", "--json", folder=folder, env=machine.env)
    shown = run_command("status", "--ms-pool=local", folder=folder, env=machine.env)
    found = by_name(host_of(done))

    assert (done.code, shown.code) == (0, 0), "they do not count beside a pool"
    assert list(found) == ["kafka", "ms-node-controller", "zookeeper"]
    assert [(one.state, one.health, one.ok) for one in found.values()] == [
        ("exited", None, False),
        ("running", "unhealthy", False),
        ("running", None, True),
    ]
    assert found["kafka"].log == ["starting", "sasl.password=***, giving up"]
    assert mentions(found["kafka"].detail, "exit code 3", "docker start kafka", "docker logs --tail 50 kafka")
    assert mentions(found["ms-node-controller"].detail, "its own check fails", "docker restart")
    assert "  kafka | sasl.password=***, giving up" in shown.out
    assert "  ms-node-controller | listening on 8082" in shown.out
    assert "geheim" not in done.text + shown.text


def test_without_pool_and_kafka_the_containers_are_looked_at(machine: Machine, folder: Path) -> None:
    """As by `msctl status`: then they decide the exit code."""
    machine.run("kafka", "sleep 60")
    well = run_command("status", folder=folder, env=machine.env)
    machine.run("zookeeper", "exit 1")
    machine.wait("zookeeper", "exited")
    done = run_command("status", folder=folder, env=machine.env)
    doctor = run_command("doctor", folder=folder, env=machine.env)

    assert (well.code, done.code, doctor.code) == (0, 1, 1), done.text
    assert well.out.splitlines()[-1] == "all is well"
    assert done.out.splitlines()[-1] == doctor.out.splitlines()[-1] == "not well: container zookeeper"


def test_docker_without_metersphere(machine: Machine, folder: Path) -> None:
    """One line says so; alone it is nothing to look at."""
    shown = run_command("status", "--ms-pool=local", folder=folder, env=machine.env)
    nothing = run_command("status", folder=folder, env=machine.env)

    assert shown.code == 0, shown.text
    assert "runs no container of MeterSphere's" in shown.line("this machine: Docker")
    assert nothing.code == 4
    assert "no container here has the name of a part of it" in nothing.err


def test_the_broker_is_a_container_that_has_ended(machine: Machine, folder: Path) -> None:
    """It is the cause, with its last words; the command starts it."""
    machine.run("kafka", "echo no space left on device; exit 1")
    machine.wait("kafka", "exited")
    options = ["doctor", f"--kafka=127.0.0.1:{free_port()}", "--json"]
    done = run_command(*options, folder=folder, env=machine.env)
    (step,) = msgspec.json.decode(done.out, type=DoctorReport).steps

    assert (done.code, step.question, step.ok) == (1, "process", False)
    assert step.detail == "container kafka is exited; the last that it said: no space left on device"
    assert step.commands == ["docker start kafka", "docker logs --tail 50 kafka"]


def test_a_node_whose_image_is_not_there(docker_engine: Engine, folder: Path) -> None:
    """Its name and tag, and how it comes there; Docker is up, and status tells the two apart."""
    image = "pytest-metersphere-runner:9.9"
    options = ("--launcher=docker", f"--image={image}")
    with remote_node(*options, env={"DOCKER_HOST": docker_engine.host}) as address:
        env = {"PYTEST_MS_TOKEN": TOKEN}
        status = run_command("status", f"--ms-pool=n1@{address}", "--json", folder=folder, env=env)
        doctor = run_command("doctor", f"--ms-pool=n1@{address}", "--json", folder=folder, env=env)
        shown = run_command("status", f"--ms-pool=n1@{address}", folder=folder, env=env)
    (row,) = msgspec.json.decode(status.out, type=StatusReport).nodes
    (wrong,) = [each for each in msgspec.json.decode(doctor.out, type=DoctorReport).checks if not each.ok]

    assert (status.code, doctor.code) == (1, 1)
    assert (row.launcher, row.docker, row.image, row.image_state) == ("docker", "up", image, "missing")
    assert shown.line("n1 ", "unwell").split()[-5:-2] == ["docker", "up", "missing"]
    assert (wrong.subject, wrong.name) == ("node n1", "image")
    for text in (row.detail, wrong.detail):
        assert mentions(text, f"image {image} is not on this machine", f"docker save {image}", "docker load")


def test_a_node_whose_docker_is_down(folder: Path) -> None:
    """Then nothing is known of the image."""
    with remote_node("--launcher=docker", env={"DOCKER_HOST": "unix:///nowhere/docker.sock"}) as address:
        env = {"PYTEST_MS_TOKEN": TOKEN}
        done = run_command("status", f"--ms-pool=n1@{address}", "--json", folder=folder, env=env)
    (row,) = msgspec.json.decode(done.out, type=StatusReport).nodes

    assert (done.code, row.state, row.docker, row.image_state) == (1, "unwell", "down", None)
    assert "systemctl start docker" in row.detail


@pytest.mark.needs_kafka
def test_a_node_whose_image_is_there(
    docker_engine: Engine, runner_image: str, kafka: str, folder: Path
) -> None:
    """Docker, the image, and Kafka as it is seen from there."""
    options = ("--launcher=docker", f"--image={runner_image}")
    with remote_node(*options, env={"DOCKER_HOST": docker_engine.host}) as address:
        env = {"PYTEST_MS_TOKEN": TOKEN}
        pool, broker = f"--ms-pool=n1@{address}", f"--ms-kafka={kafka}"
        done = run_command("status", pool, broker, "--json", folder=folder, env=env)
    (row,) = msgspec.json.decode(done.out, type=StatusReport).nodes

    assert done.code == 0, done.text
    assert (row.docker, row.image_state, row.kafka) == ("up", "there", "reached")
