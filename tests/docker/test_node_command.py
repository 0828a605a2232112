"""The options of `pytest-metersphere node` for slices in containers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker.conftest import Start
from tests.docker.engine import Engine
from tests.docker.slices import bundle, names
from tests.fakes.nodes import running, start_request, when
from tests.machines.conftest import Pool
from tests.plugin.remote import remote_node


@pytest.mark.needs_docker
@pytest.mark.timeout(300)
def test_each_option_reaches_the_container(start: Start, docker_engine: Engine, runner_image: str) -> None:
    """Network, memory, cores, processes and variables, given or handed on."""
    pool = start(
        "--launcher=docker",
        f"--image={runner_image}",
        "--pull=never",
        "--docker-network=none",
        "--memory=300m",
        "--cpus=0.5",
        "--pids=77",
        "--env=SHOP=tea",
        "--env=HOME",
        capacities=(40,),
    )
    (client,) = pool.clients
    running(client, bundle(), start_request("s7"))
    found = docker_engine.client.containers.get("pytest-metersphere-s7").attrs
    told = client.info()
    client.delete("s7")

    host = found["HostConfig"]
    assert (host["NetworkMode"], host["Memory"], host["MemorySwap"]) == ("none", 300 << 20, 300 << 20)
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 77)
    assert {"SHOP=tea", f"HOME={Path.home()}"} <= set(found["Config"]["Env"])
    assert (told.launcher, told.image, told.trouble) == ("docker", runner_image, "")
    assert names(docker_engine) == []


@pytest.mark.needs_docker
@pytest.mark.timeout(300)
def test_the_image_comes_from_the_environment(docker_engine: Engine, runner_image: str) -> None:
    """Where no option names it."""
    env = {"DOCKER_HOST": docker_engine.host, "PYTEST_MS_RUNNER_IMAGE": runner_image}
    with remote_node("--launcher=docker", env=env) as address:
        pool = Pool([address])
        info = pool.clients[0].info()
        pool.close()

    assert (info.image, info.trouble) == (runner_image, "")


@pytest.mark.needs_docker
@pytest.mark.timeout(300)
def test_a_missing_image_may_be_pulled(docker_engine: Engine, start: Start) -> None:
    """With --pull=missing its absence is no trouble yet; a registry that is not there is."""
    pool = start("--pull=missing", "--image=127.0.0.1:1/runner:1", capacities=(40,))
    (client,) = pool.clients
    assert client.info().trouble == ""
    client.start(start_request(), bundle())

    assert "Docker refuses" in when(client, "failed").reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image=runner:1"], "--image is about containers; add --launcher=docker, or leave it out"),
        (["--launcher=docker", "--image=No Image"], "--image: 'No Image' is no name of an image"),
        (["--launcher=docker", "--memory=lots"], "'lots' is no size of at least 6m"),
        (["--launcher=docker", "--memory=1k"], "'1k' is no size of at least 6m"),
        (["--launcher=docker", "--cpus=none"], "'none' is no number of cores"),
        (["--launcher=docker", "--cpus=9999"], "--cpus 9999: this machine has"),
        (["--launcher=docker", "--pids=3"], "'3' is no number of processes from 16"),
        (["--launcher=docker", "--env=7=x"], "--env: '7' is no name of a variable"),
        (["--launcher=docker", "--env=NOT_SET_HERE"], "--env NOT_SET_HERE: there is no such variable here"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: list[str], message: str) -> None:
    """With what is wrong, before the node listens."""
    command = [sys.executable, "-m", "pytest_metersphere", "node", "--port=0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)

    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
