"""A slice in a container: how it is made, watched and ended."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from docker.errors import NotFound

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.wire import KafkaAccess
from tests.docker.engine import Engine
from tests.docker.slices import GLUTTON, NODE, SLEEPER, TALKER, bundle, container_of, names, node
from tests.fakes.nodes import KEY, all_frames, eventually, free_port, running, start_request, when

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(300)]
PATIENCE = 30.0


@pytest.fixture(autouse=True)
def host(docker_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nodes of this process speak to the engine."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)


@pytest.fixture
def client(runner_image: str) -> Iterator[NodeClient]:
    """Return a client of a node without limits."""
    with node(runner_image) as own, own.client() as client:
        yield client


def test_a_container_may_do_no_more_than_it_needs(docker_engine: Engine, runner_image: str) -> None:
    """No privileges, nothing to write to but a /tmp of its own, and limits; and no secret can be seen."""
    access = KafkaAccess(
        servers=(f"127.0.0.1:{free_port()}",),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        username="alice",
        password="the-brokers-password",
    )
    request = msgspec.structs.replace(start_request(), kafka=access)
    limits = {"memory": 512 << 20, "cpus": 1.5, "env": {"SHOP": "tea"}}
    with node(runner_image, **limits) as own, own.client() as client:
        running(client, bundle(), request)
        found = container_of(docker_engine).attrs
        client.delete("s1")

    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["Privileged"] is False
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert [Path(place).name for place in host["Tmpfs"]] == ["tmp"]
    assert all(mount["RW"] is False for mount in found["Mounts"] if mount["Type"] == "bind")
    assert (host["NetworkMode"], host["PidsLimit"]) == ("host", 4096 + 2 * 4)
    assert (host["Memory"], host["NanoCpus"]) == (512 << 20, 1_500_000_000)
    assert found["Config"]["User"] == "10082:10082"
    assert "SHOP=tea" in found["Config"]["Env"]
    text = json.dumps(found)
    for secret in ("the-brokers-password", KEY.decode("latin-1"), KEY.hex(), base64.b64encode(KEY).decode()):
        assert secret not in text


def test_what_workers_print_is_in_the_log(client: NodeClient) -> None:
    """And what they print says that they are nobody, in the unpacked bundle."""
    running(client, bundle(TALKER))

    eventually(lambda: "user 1 is 10082 in /bundle/project\n" in client.log("s1"), "the output", PATIENCE)


def test_a_stopped_slice_leaves_frames_and_no_container(client: NodeClient, docker_engine: Engine) -> None:
    """The frames are complete, and the container is gone before the slice has ended."""
    running(client, bundle())
    eventually(lambda: client.state("s1").last_sequence >= 2, "two frames", PATIENCE)
    client.stop("s1", 0.5)
    info = when(client, "ended")

    assert names(docker_engine) == []
    assert (info.losses, info.reason) == ([], "")
    assert info.manifest is not None
    frames = all_frames(client)
    assert (
        sum(tally.iterations for frame in frames for tally in frame.tallies)
        == info.manifest.totals.iterations
    )


def test_a_lost_lease_ends_the_container(client: NodeClient, docker_engine: Engine) -> None:
    """When the controller is silent, even a container that does not listen is gone."""
    running(client, bundle(), start_request(lease=2.0))
    container_of(docker_engine).pause()

    eventually(lambda: names(docker_engine) == [], "the end of the container", PATIENCE)
    assert client.state("s1").reason == "its controller was silent for 2 s"


def test_a_killed_container_is_told_as_what_it_was(client: NodeClient, docker_engine: Engine) -> None:
    """Both of its workers are lost, and the log has the reason, too."""
    running(client, bundle())
    container_of(docker_engine).kill()
    info = when(client, "ended")

    told = "container pytest-metersphere-s1 was killed from outside (SIGKILL)"
    assert [loss.reason for loss in info.losses] == [told, told]
    assert told in client.log("s1")
    assert names(docker_engine) == []


def test_a_removed_container_is_told_as_what_it_was(client: NodeClient, docker_engine: Engine) -> None:
    """As `docker rm --force` does."""
    running(client, bundle())
    container_of(docker_engine).remove(force=True)
    info = when(client, "ended")

    assert {loss.reason for loss in info.losses} == {
        "container pytest-metersphere-s1 is lost: it was removed"
    }


def test_a_worker_without_memory_is_told_with_the_limit(runner_image: str) -> None:
    """The kernel kills it, and the reason says why and what to do."""
    with node(runner_image, memory=256 << 20) as own, own.client() as client:
        running(client, bundle(GLUTTON), start_request(users=1))
        info = when(client, "ended")

    (loss,) = info.losses
    why = "killed by the kernel: its container ran out of memory, at its limit of 256 MiB"
    assert loss.reason == f"{why}; raise --memory of the node, or use fewer users on it"


def test_a_container_that_cannot_start_says_why(runner_image: str) -> None:
    """Docker's own words, and nothing is left."""
    with node(runner_image, network="no-such-network") as own, own.client() as client:
        client.start(start_request(), bundle())
        info = when(client, "failed")

    assert "no-such-network" in info.reason


def test_a_program_that_ends_at_once_is_quoted(docker_engine: Engine, runner_image: str) -> None:
    """An image without pytest-metersphere: the last lines of its output, and how it ended."""
    with node("pytest-metersphere-test-base:bookworm") as own, own.client() as client:
        client.start(start_request(), bundle())
        info = when(client, "failed")

    assert "ended with exit code 1" in info.reason
    assert "No module named" in info.reason
    assert names(docker_engine) == []


def test_a_name_that_is_taken_is_left_alone(
    docker_engine: Engine, client: NodeClient, runner_image: str
) -> None:
    """Somebody else's container of the same name stays, and the slice says whose it cannot be."""
    taken = docker_engine.client.containers.create(runner_image, "true", name="pytest-metersphere-s1")
    try:
        client.start(start_request(), bundle())
        info = when(client, "failed")
        client.delete("s1")
        assert names(docker_engine) == ["pytest-metersphere-s1"]
    finally:
        taken.remove(force=True)

    assert "pytest-metersphere-s1" in info.reason


def test_what_an_earlier_node_left_is_removed_once_docker_answers(
    docker_engine: Engine, runner_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine was not there when the node began; nothing of the node's own runs before that is done."""
    left = docker_engine.client.containers.create(
        runner_image, "true", name="left-behind", labels={"io.pytest-metersphere.node": NODE}
    )
    door = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{door}")
    try:
        with node(runner_image) as own, own.client() as client:
            assert "docker.sock" in client.info().trouble
            door.symlink_to(docker_engine.host.removeprefix("unix://"))
            client.start(start_request(), bundle())
            when(client, "ready")
            assert names(docker_engine) == ["pytest-metersphere-s1"]
            client.delete("s1")
    finally:
        with contextlib.suppress(NotFound):
            left.remove(force=True)


def test_an_end_of_the_node_leaves_no_container(docker_engine: Engine, runner_image: str) -> None:
    """Whatever runs."""
    with node(runner_image) as own, own.client() as client:
        running(client, bundle(SLEEPER))
        assert names(docker_engine) == ["pytest-metersphere-s1"]

    assert names(docker_engine) == []
