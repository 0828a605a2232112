"""Containers that a MeterSphere server has a node of ours start, on a real Docker Engine."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.node.config import DockerConfig, MeterSphereConfig
from pytest_metersphere.errors import CapacityError
from tests.docker.engine import BASE, Engine
from tests.docker.slices import bundle
from tests.fakes.nodes import NodeThread, eventually, scripted, start_request
from tests.metersphere_api.conftest import Starter
from tests.metersphere_api.server import NODE, SCRIPT, SLEEP, FailedError, Server

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(120)]
NAME = "7f3a0c52-0b1e-4a8f-9f3d-0c8f4f1f2a11"
OURS = "ms-load-0123456789abcdef-000000-"


@pytest.fixture
def client(node: NodeThread) -> Iterator[NodeClient]:
    """Return a client of our own API."""
    with node.client() as client:
        yield client


@contextlib.contextmanager
def stranger(docker: Engine, name: str, labels: dict[str, str] | None = None) -> Iterator[Container]:
    """Run a container that this node has not started."""
    made = docker.client.containers.run(
        SCRIPT, name=name, environment={"SCRIPT": SLEEP}, labels=labels, detach=True, network="host"
    )
    try:
        yield made
    finally:
        with contextlib.suppress(NotFound):
            made.remove(force=True)


def container(docker: Engine, name: str = NAME) -> Container:
    """Return a container as Docker has it."""
    return docker.client.containers.get(name)


def test_a_life(server: Server, docker: Engine) -> None:
    """Started, seen as Docker tells of it, read, and stopped, upon which nothing is left of it."""
    assert server.start(NAME) == "OK"
    server.until_printed(NAME, "begun")
    (seen,) = server.status(NAME)
    assert server.stop(NAME) == "OK"

    assert (seen["Names"], seen["State"], seen["Image"]) == ([f"/{NAME}"], "running", SCRIPT)
    assert {"Command", "Created", "Id", "ImageID", "Ports", "Labels", "Status", "SizeRw", "Mounts"} <= set(
        seen
    )
    assert server.status(NAME) == []
    assert docker.containers(name=NAME) == []


def test_the_container_is_as_metersphere_wants_it(server: Server, docker: Engine) -> None:
    """Name, host network, the image's own program, and the variables as they are, whatever is in them."""
    odd = 'two words, "quotes"\nand a second line, 中文'
    server.start(NAME, HEAP="-Xms1g -Xmx1g", ODD=odd, NOTHING="")
    found = container(docker).attrs

    env = dict(variable.split("=", 1) for variable in found["Config"]["Env"])
    assert (env["HEAP"], env["ODD"], env["NOTHING"], env["TEST_ID"]) == ("-Xms1g -Xmx1g", odd, "", NAME)
    assert found["Name"] == f"/{NAME}"
    assert found["Config"]["Entrypoint"] == ["sh", "-c", 'eval "$SCRIPT"']
    assert found["Config"]["User"] == ""
    host = found["HostConfig"]
    assert (host["NetworkMode"], host["Memory"], host["NanoCpus"], host["Binds"]) == ("host", 0, 0, None)
    assert host["RestartPolicy"]["Name"] in ("", "no")


def test_the_limits_of_the_node_hold_for_it(begin: Starter, docker: Engine) -> None:
    """Memory, cores and processes that the node's operator gives a slice."""
    limits = DockerConfig(node=NODE, image=SCRIPT, memory=64 << 20, cpus=0.5, pids=77, env={"SHOP": "tea"})
    Server(begin(docker=limits).address).start(NAME)
    found = container(docker).attrs

    host = found["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 500_000_000, 77)
    assert not any(variable.startswith("SHOP=") for variable in found["Config"]["Env"])


def test_names_are_whole(server: Server, docker: Engine) -> None:
    """What a stock node-controller takes for one another: parts of names, and patterns."""
    names = ["load", "load-1", "x-load", "lo.d"]
    for name in names:
        server.start(name)
    assert all(map(server.runs, names))
    server.stop("load")

    assert [server.runs(name) for name in names] == [False, True, True, True]
    server.stop("lo.d")
    assert [server.runs(name) for name in names] == [False, True, True, False]
    assert [one["Names"] for one in server.status("loa")] == []
    server.stop("^load-1$")
    assert [server.runs(name) for name in names] == [False, False, True, False]


def test_containers_that_were_not_started_here_are_left_alone(server: Server, docker: Engine) -> None:
    """None is stopped, none replaced, and none is shown."""
    with stranger(docker, "a-database") as neighbour:
        assert server.stop("a-database") == "OK"
        with pytest.raises(
            FailedError, match="there is a container a-database on this machine that was not started"
        ):
            server.start("a-database")
        server.start("database")
        neighbour.reload()

        assert server.status("a-database") == []
        assert server.log("a-database") == ""
        assert neighbour.status == "running"


def test_an_empty_id_ends_nothing(server: Server) -> None:
    """Upon it a stock node-controller removes every container of its machine."""
    server.start(NAME)
    with pytest.raises(FailedError, match="TEST_ID is missing or empty"):
        server.start("")

    assert server.runs(NAME)


def test_the_same_id_again_replaces(server: Server, docker: Engine) -> None:
    """As when a test is run anew after its server was restarted: there is one container, the new one."""
    server.start(NAME, "echo first; exec sleep 300")
    first = container(docker).id
    server.start(NAME, "echo second; exec sleep 300")
    server.until_printed(NAME, "second")

    assert container(docker).id != first
    assert len(server.status(NAME)) == 1


def test_four_starts_at_once(server: Server) -> None:
    """All are answered, and one container is there."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda number: server.start(NAME, f"echo {number}; exec sleep 300"), range(4))
        )

    assert answers == ["OK"] * 4
    assert len(server.status(NAME)) == 1


def test_a_container_that_ends_leaves_its_words(
    server: Server, docker: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """It is removed; its last output and its exit code can still be asked for, and are in the node's log."""
    server.start(NAME, "echo out; echo err >&2; exit 3")
    server.until_ended(NAME)

    log = server.log(NAME)
    # the engine collects the two streams side by side
    assert set(log.splitlines()[:2]) == {"out", "err"}
    assert f"container {NAME} ended with exit code 3" in log
    assert f"container {NAME} of image {SCRIPT} ended with exit code 3" in caplog.text
    assert docker.containers(name=NAME) == []


def test_a_new_container_has_a_log_of_its_own(server: Server) -> None:
    """What its predecessor left is gone."""
    server.start(NAME, "echo old")
    server.until_ended(NAME)
    server.start(NAME, "exec sleep 300")

    assert server.log(NAME) == ""


def test_the_log_is_the_end_of_it(server: Server) -> None:
    """Of much output the last lines are kept, not the first."""
    server.start(NAME, "seq 1 200000; exec sleep 300")
    server.until_printed(NAME, "200000")
    log = server.log(NAME)

    assert log.endswith("199999\n200000\n")
    assert len(log) <= 256 << 10


def test_a_stop_asks_first(server: Server) -> None:
    """A program that takes SIGTERM ends by itself, and can say so."""
    server.start(NAME, "trap 'echo bye; exit 0' TERM; echo begun; while :; do sleep 0.1; done")
    server.until_printed(NAME, "begun")
    server.stop(NAME)

    assert "bye" in server.log(NAME)
    assert "ended with exit code 0" in server.log(NAME)


@pytest.mark.parametrize("how", ["pause", "kill", "remove"])
def test_what_others_do_to_a_container(how: str, server: Server, docker: Engine) -> None:
    """Paused it can be stopped; killed or removed it is gone, and its place is free."""
    server.start(NAME)
    getattr(container(docker), how)(**({"force": True} if how == "remove" else {}))
    if how == "pause":
        assert [one["State"] for one in server.status(NAME)] == ["paused"]
        server.stop(NAME)
    server.until_ended(NAME)

    eventually(lambda: "container" in server.log(NAME), "its last words")
    assert server.start(NAME) == "OK"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            "pytest-metersphere-test-script:2",
            "Image Not Found: pytest-metersphere-test-script:2: bring it to",
        ),
        ("pytest-metersphere-test-script", "Image Not Found: "),
        (BASE, "Docker refuses: .*[Nn]o command specified"),
    ],
)
def test_an_image_that_cannot_be_started(image: str, message: str, server: Server, docker: Engine) -> None:
    """Its name must be exact, tag included; the message is that of MeterSphere, with what to do behind it."""
    with pytest.raises(FailedError, match=message):
        server.start("shop", image=image)

    assert server.status("shop") == []
    assert docker.containers(name="^/shop$") == []


def test_a_failed_start_leaves_the_container_that_is_there(server: Server) -> None:
    """Whatever is wrong is found before anything is ended."""
    server.start(NAME)
    with pytest.raises(FailedError, match="Image Not Found"):
        server.start(NAME, image="nowhere:1")
    with pytest.raises(
        FailedError, match=r"Failed to connect to Kafka: 127\.0\.0\.1:1: the connection was refused"
    ):
        server.start(NAME, BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert server.runs(NAME)


def test_the_end_of_the_node_is_the_end_of_its_containers(begin: Starter, docker: Engine) -> None:
    """Nothing is left of them, as nothing is of slices."""
    with NodeThread(begin().config) as node:
        Server(node.address).start(NAME)

    assert docker.containers(name=NAME) == []


def test_what_a_node_left_is_swept_at_its_next_start(
    begin: Starter, docker: Engine, script_image: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the same node, and of no other, and no other container at all."""
    own = {"io.pytest-metersphere.node": NODE, "io.pytest-metersphere.guest": NAME}
    others = {"io.pytest-metersphere.node": f"{NODE}1", "io.pytest-metersphere.guest": "another"}
    with stranger(docker, NAME, own), stranger(docker, "another", others), stranger(docker, "stranger"):
        begin()
        left = {str(one.name) for one in docker.containers()}

    assert {"another", "stranger"} <= left
    assert NAME not in left
    assert f"container {NAME} of an earlier start of this node is removed" in caplog.text


def test_what_came_of_a_start_that_was_given_up(
    server: Server, docker: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Docker was too slow, and made the container after all: a stop ends it, as does the node by itself."""
    own = {"io.pytest-metersphere.node": NODE, "io.pytest-metersphere.guest": NAME}
    with stranger(docker, NAME, own):
        assert server.stop(NAME) == "OK"
        assert docker.containers(name=NAME) == []

    with stranger(docker, NAME), pytest.raises(FailedError, match=NAME):
        server.start(NAME)
    docker.client.containers.create(SCRIPT, name=NAME, labels=own)
    eventually(lambda: docker.containers(name=NAME) == [], "its end", 30.0)
    assert f"container {NAME} whose start failed is removed" in caplog.text


def test_the_node_is_theirs_while_nobody_knows_their_users(
    server: Server, client: NodeClient, node: NodeThread
) -> None:
    """A slice is refused beside a JMeter container, and says why; a second such container is not."""
    server.start(NAME)
    server.start(f"{NAME}-2")
    info = client.info()
    with pytest.raises(
        CapacityError, match=f"4 users asked for, 0 of 100 are free, as load of a Meter.*{NAME}"
    ):
        client.start(start_request(), scripted())

    assert (info.free, info.guests, info.slices) == (0, [NAME, f"{NAME}-2"], [])
    server.stop(NAME)
    server.stop(f"{NAME}-2")
    assert (client.info().free, client.info().guests) == (100, [])


def test_a_container_keeps_away_from_slices(begin: Starter, runner_image: str) -> None:
    """While users of ours run, a JMeter container is refused with their number."""
    node = begin(docker=DockerConfig(node=NODE, image=runner_image))
    with node.client() as client:
        client.start(start_request(users=40), bundle())
        with pytest.raises(FailedError, match="40 users of pytest-metersphere are on this node"):
            Server(node.address).start(NAME)
        client.delete("s1")
        Server(node.address).start(NAME)


def test_containers_that_say_their_users_share_the_node(server: Server, client: NodeClient) -> None:
    """Those of our runner do, by their names; so the node's capacity holds for all together."""
    server.start(f"{OURS}000000060")
    assert client.info().free == 40
    with pytest.raises(FailedError, match="41 users asked for, 40 of 100 are free"):
        server.start("ms-load-0123456789abcdef-000001-000000041")
    with pytest.raises(FailedError, match="60 users of pytest-metersphere are on this node"):
        server.start(NAME)
    server.start("ms-load-0123456789abcdef-000001-000000040")
    found = server.status("^ms-load-")

    assert client.info().free == 0
    assert len(found) == 2


def test_the_number_of_containers_is_limited(begin: Starter) -> None:
    """By --max-slices, which counts slices and containers together."""
    server = Server(begin(max_slices=2).address)
    server.start("first")
    server.start("second")
    with pytest.raises(FailedError, match="all 2 places of the node are taken"):
        server.start("third")

    server.start("second")


def test_those_who_may_ask(begin: Starter) -> None:
    """An address that is not allowed gets nothing done."""
    elsewhere = MeterSphereConfig(allowed=(ipaddress.ip_network("10.0.0.0/8"),))
    status, text = begin(metersphere=elsewhere).request("GET", f"/jmeter/task/status/{NAME}")

    assert status == 403
    assert b"--metersphere-allow" in text
