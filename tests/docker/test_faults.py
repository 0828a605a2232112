"""What goes wrong under load in containers, and how whole sessions tell it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pytest_metersphere.dist.node.config import DockerConfig
from tests.docker.conftest import Start
from tests.docker.engine import BASE, Engine
from tests.docker.slices import NODE, names, node
from tests.fakes.nodes import NodeThread, config, eventually, free_port
from tests.machines.conftest import LIMIT, Shopping
from tests.plugin.remote import TOKEN

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(300)]
NODE_LABEL = "io.pytest-metersphere.node"
BROWSE = ("examples/test_shop.py::test_browse", "--ms-kafka=none", "--ms-users=25", "--ms-ramp=1s")


@pytest.mark.parametrize("policy", ["fail", "continue"])
def test_a_killed_container_is_told(
    policy: str, start: Start, shopping: Shopping, docker_engine: Engine
) -> None:
    """Within 15 s the run is over, or it goes on; it is invalid and says which container was killed."""
    pool = start()
    hold = "60s" if policy == "fail" else "12s"
    session = shopping.begin(
        *BROWSE, f"--ms-pool={pool.text}", f"--ms-hold={hold}", f"--ms-on-node-loss={policy}"
    )
    shopping.under_load()
    victim = pool.clients[1]
    (slice_id,) = victim.info().slices
    name = f"pytest-metersphere-{slice_id}"
    docker_engine.client.containers.get(name).kill()

    deadline = time.monotonic() + 15.0
    told = "the load is stopped" if policy == "fail" else "the load goes on"
    eventually(lambda: told in shopping.output, "what has happened", 15.0)
    if policy == "fail":
        eventually(lambda: pool.live == 0, "the end of the others' load", deadline - time.monotonic())
    assert session.wait(LIMIT) == 1, shopping.output
    result = shopping.result
    (reason,) = result.validity.reasons
    assert result.verdict == "invalid"
    assert reason.startswith(f"node {victim.name} lost worker 0 ")
    assert f"container {name} was killed from outside (SIGKILL)" in reason
    assert reason in shopping.output
    assert names(docker_engine) == []


def test_an_image_that_is_not_there_ends_before_any_load(start: Start, shopping: Shopping) -> None:
    """With its exact name and tag, and with how it comes to the node; status says so, too."""
    pool = start("--image=pytest-metersphere-runner:nowhere", capacities=(40,))
    code = shopping.run(*BROWSE, f"--ms-pool={pool.text}")
    (client,) = pool.clients
    status = subprocess.run(
        [sys.executable, "-m", "pytest_metersphere", "status", f"--pool={pool.text}"],
        env=os.environ | {"PYTEST_MS_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
    )

    advice = (
        "image pytest-metersphere-runner:nowhere is not on this machine; build it (deploy/runner.Dockerfile)"
    )
    assert code == 4
    assert advice in " ".join(shopping.output.split())
    assert advice in client.info().trouble
    assert status.returncode == 1
    (row,) = (line for line in status.stdout.splitlines() if line.startswith(pool.text))
    assert {"unwell", "docker"} <= set(row.split())
    assert advice in " ".join(status.stdout.split())


def test_packages_must_be_in_the_image(docker_engine: Engine, start: Start, shopping: Shopping) -> None:
    """An image without pytest-metersphere cannot run slices, and its own words say so."""
    pool = start(f"--image={BASE}", capacities=(40,))
    code = shopping.run(*BROWSE, f"--ms-pool={pool.text}")

    assert code == 4
    assert f"image {BASE} cannot run slices: " in " ".join(shopping.output.split())
    assert names(docker_engine) == []


@pytest.fixture
def foreign(docker_engine: Engine, runner_image: str) -> Iterator[list[str]]:
    """Return the names of containers that only look like ours, each not yet started."""
    looks = {
        "pytest-metersphere-s1-of-somebody": {},
        "pytest-metersphere-of-a-neighbour": {NODE_LABEL: f"{NODE}1"},
        "pytest-metersphere-of-another": {NODE_LABEL: f"other-{NODE}"},
    }
    made = [
        docker_engine.client.containers.create(runner_image, "true", name=name, labels=labels)
        for name, labels in looks.items()
    ]
    yield sorted(looks)
    for each in made:
        each.remove(force=True)


def test_a_restart_sweeps_only_what_is_its_own(
    foreign: list[str], docker_engine: Engine, runner_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and labels that merely begin or end alike are left alone."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    docker_engine.client.containers.create(
        runner_image, "true", name="pytest-metersphere-left", labels={NODE_LABEL: NODE}
    )
    assert sorted(names(docker_engine)) == sorted([*foreign, "pytest-metersphere-left"])
    with node(runner_image) as own, own.client() as client:
        assert client.info().trouble == ""
        assert sorted(names(docker_engine)) == foreign


def test_a_killed_node_leaves_no_load(start: Start, shopping: Shopping, docker_engine: Engine) -> None:
    """Its container ends by itself, and is removed when the node starts again."""
    port = free_port()
    options = (f"--port={port}", "--name=n1")
    pool = start(*options, capacities=(40,))
    session = shopping.begin(*BROWSE, f"--ms-pool={pool.text}", "--ms-hold=60s")
    shopping.under_load()
    (client,) = pool.clients
    (slice_id,) = client.info().slices
    found = docker_engine.client.containers.get(f"pytest-metersphere-{slice_id}")
    os.kill(client.info().pid, signal.SIGKILL)

    def ended() -> bool:
        found.reload()
        return bool(found.status == "exited")

    eventually(ended, "the end of the container", 15.0)
    assert session.wait(LIMIT) == 1
    start(*options, capacities=(40,))
    eventually(lambda: names(docker_engine) == [], "the sweep")


def test_docker_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node starts without it, and says what is the matter and what to do."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    image = DockerConfig(node=NODE, image="any:1")
    with NodeThread(config(docker=image)) as own, own.client() as client:
        trouble = client.info().trouble

    assert trouble == (
        "Docker does not answer on unix:///nowhere/docker.sock: No such file or directory; start it"
        " (systemctl start docker), and let the user of this node speak to it (usermod -aG docker), or set"
        " DOCKER_HOST"
    )


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices share folders with their node."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.9:2375")
    image = DockerConfig(node=NODE, image="any:1")
    with NodeThread(config(docker=image)) as own, own.client() as client:
        trouble = client.info().trouble

    assert trouble.startswith("DOCKER_HOST=tcp://10.0.0.9:2375 is no engine of this machine")
