"""The API of a stock node-controller, with every fault that it has; the containers are processes."""

from __future__ import annotations

import socket
import sys

import pytest

from pytest_metersphere.dist.metersphere import rest
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.rest import StockApi, kafka_lists
from pytest_metersphere.errors import NodeError
from tests.fakes.listeners import (
    Handler,
    dropping_port,
    greets_as_ssh,
    hangs_up,
    keeps_silent,
    listener,
    says,
)
from tests.fakes.nodes import eventually, free_port
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.stand_in import StandIn

RUN = "0123456789abcdef"
SLEEPER = "sleeper:1"


@pytest.fixture
def api(stand_in: StandIn, processes: ProcessEngine) -> StockApi:
    """Return the client of a node-controller that knows an image which prints and sleeps."""
    program = "import time; print('line\\n' * 9000, flush=True); time.sleep(60)"
    processes.known[SLEEPER] = (sys.executable, "-c", program)
    processes.known["done:1"] = (sys.executable, "-c", "")
    return StockApi("n1", f"http://{stand_in.address}")


def answering(body: bytes) -> Handler:
    """Return what answers every request with this body and HTTP 200."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return says(head.encode() + body)


def start(api: StockApi, slice_id: str, users: int = 5, image: str = SLEEPER) -> str:
    """Start a container and return its name."""
    name = container_name(slice_id, users)
    api.start(image, {"TEST_ID": name, "REPORT_ID": name, "BOOTSTRAP_SERVERS": ""})
    return name


def test_a_life(api: StockApi, stand_in: StandIn) -> None:
    """Started, seen, and stopped; stopping what is not there is no error."""
    api.status()
    name = start(api, f"{RUN}-0")

    assert api.is_running(name)
    assert api.containers() == [(f"{RUN}-0", 5)]
    api.stop(name)
    api.stop(name)
    assert not api.is_running(name)
    assert api.containers() == []
    assert stand_in.names() == []


def test_neighbours_are_left_alone(api: StockApi, stand_in: StandIn) -> None:
    """Slices 1 and 10 of one run, and a run whose id goes on from them, do not disturb each other.

    By their ids alone each of them would: the stand-in looks for parts of names, as the real one does.
    """
    slices = [f"{RUN}-1", f"{RUN}-10", f"{RUN}-100", f"{RUN[1:]}0-1"]
    started = [start(api, slice_id) for slice_id in slices]

    assert sorted(stand_in.names("running")) == sorted(started)
    api.stop(started[0])
    assert sorted(stand_in.names("running")) == sorted(started[1:])
    assert [each.slice for each in api.containers()] == slices[:0:-1]


def test_a_stand_in_that_is_asked_for_nothing_removes_everything(api: StockApi, stand_in: StandIn) -> None:
    """So the fault is there, and the client never asks for it."""
    name = start(api, f"{RUN}-0")
    with pytest.raises(ValueError, match="must not be started"):
        api.start(SLEEPER, {"BOOTSTRAP_SERVERS": ""})
    with pytest.raises(ValueError, match="must not be started"):
        api.start(SLEEPER, {"TEST_ID": "", "BOOTSTRAP_SERVERS": ""})
    assert stand_in.names("running") == [name]

    body = b'{"image": "sleeper:1", "env": {"TEST_ID": "", "BOOTSTRAP_SERVERS": ""}}'
    stand_in.answer("POST", "/jmeter/container/start", body)
    assert name not in stand_in.names()


def test_a_container_that_a_restarted_controller_forgot(api: StockApi, stand_in: StandIn) -> None:
    """It is still listed, as exited; that is not running."""
    name = start(api, f"{RUN}-0")
    stand_in.restart()
    stand_in.kill(name)

    eventually(lambda: stand_in.names("exited") == [name], "the container stays")
    assert not api.is_running(name)
    assert api.containers() == []


def test_a_container_that_ended_is_gone(api: StockApi, stand_in: StandIn) -> None:
    """Its exit code, its log, all of it; an end line is sent, without a word which machine it was."""
    name = start(api, f"{RUN}-0", image="done:1")

    eventually(lambda: not stand_in.names(), "the container is removed")
    assert not api.is_running(name)
    assert api.log(name) == ""
    eventually(lambda: len(stand_in.end_lines) == 1, "the end line")
    assert stand_in.end_lines == [f"{name} none 0 Remove container completed"]


def test_the_log_is_its_beginning(api: StockApi) -> None:
    """What came last is cut off."""
    name = start(api, f"{RUN}-0")

    eventually(lambda: len(api.log(name)) > 1000, "something is printed")
    assert len(api.log(name).splitlines()) < 9000


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("sleeper:2", "Image Not Found: sleeper:2: the image is not on that machine"),
        ("sleeper:1@sha256:0", "Image Not Found"),
    ],
)
def test_an_image_that_is_not_there(api: StockApi, image: str, told: str) -> None:
    """Though the status is 200; what to do is said."""
    with pytest.raises(NodeError, match="docker save IMAGE") as error:
        start(api, f"{RUN}-0", image=image)

    assert told in str(error.value)
    assert error.value.kind == "unwell"


def test_no_image_at_all(api: StockApi, processes: ProcessEngine) -> None:
    """The machine has been wiped."""
    processes.known.clear()
    with pytest.raises(NodeError, match="Image List is empty: the image is not on that machine"):
        start(api, f"{RUN}-0")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("java.net.SocketException: No such file or directory", "does not reach Docker"),
        ("Status 409: conflict", "its node-controller says: Status 409: conflict"),
    ],
)
def test_errors_with_status_200(api: StockApi, stand_in: StandIn, message: str, told: str) -> None:
    """Docker is down, while /status says that all is well."""
    stand_in.refuse_all = message
    api.status()
    with pytest.raises(NodeError, match=told) as error:
        api.containers()
    assert (error.value.kind, error.value.status) == ("unwell", None)


def test_an_error_without_a_message() -> None:
    """As after a null-pointer error."""
    body = b'{"success": false, "message": null, "data": null}'
    with (
        listener(answering(body)) as port,
        pytest.raises(NodeError, match="failed and gave no reason"),
    ):
        StockApi("n1", f"http://127.0.0.1:{port}").containers()


def test_a_variable_that_linux_would_not_take(api: StockApi, stand_in: StandIn) -> None:
    """The node-controller would say OK, and the container die."""
    env = {"TEST_ID": container_name(f"{RUN}-0", 1), "BOOTSTRAP_SERVERS": "", "BIG": "x" * 131_000}
    with pytest.raises(NodeError, match="the variable BIG would have more than"):
        api.start(SLEEPER, env)
    assert stand_in.started == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"success": "yes"}',
        b'{"success": true, "data": {"no": "list"}}',
        b'{"success": true, "data": [{"Names": 3, "State": "running"}]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_answers_that_make_no_sense(body: bytes) -> None:
    """They are told of, and nothing else happens."""
    with listener(answering(body)) as port, pytest.raises(NodeError) as error:
        StockApi("n1", f"http://127.0.0.1:{port}").containers()

    assert str(error.value).startswith("node n1: ")
    # what follows a run is patient with whoever gave no status
    assert error.value.status is None


@pytest.mark.parametrize("handle", [hangs_up, greets_as_ssh], ids=["hangs up", "ssh"])
def test_somebody_else_is_there(handle: Handler) -> None:
    """Asked twice, and then told of."""
    with listener(handle) as port, pytest.raises(NodeError) as error:
        StockApi("n1", f"http://127.0.0.1:{port}").status()

    assert error.value.kind == "no answer"


def test_nobody_is_there() -> None:
    """The words are those for any node."""
    with pytest.raises(NodeError, match="refused the connection"):
        StockApi("n1", f"http://127.0.0.1:{free_port()}").status()


def test_nobody_takes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit that is told of is that for a connection, not that for an answer."""
    monkeypatch.setattr(rest, "CONNECT_LIMIT", 0.3)
    with dropping_port() as port, pytest.raises(NodeError, match="took no connection within 300 ms") as error:
        StockApi("n1", f"http://127.0.0.1:{port}").stop("x")

    assert error.value.kind == "no answer"


def test_a_start_is_never_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one would remove what the first has started."""
    monkeypatch.setattr(rest, "START_LIMIT", 0.3)
    calls: list[str] = []

    def handle(sock: socket.socket) -> None:
        calls.append("called")
        keeps_silent(sock)

    with listener(handle) as port, pytest.raises(NodeError, match="gave no answer within"):
        StockApi("n1", f"http://127.0.0.1:{port}").start("x:1", {"TEST_ID": container_name(f"{RUN}-0", 1)})

    assert calls == ["called"]


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is limited."""
    monkeypatch.setattr(rest, "MAX_ANSWER", 1000)
    body = b'{"success": true, "data": "' + b"x" * 2000 + b'"}'
    with listener(answering(body)) as port, pytest.raises(NodeError, match="larger than"):
        StockApi("n1", f"http://127.0.0.1:{port}").status()


def test_a_broker_that_is_down(api: StockApi, stand_in: StandIn) -> None:
    """The node-controller is told the truth first, then of one broker at a time, and at last of none."""
    dead, alive = f"127.0.0.1:{free_port()}", stand_in.address
    told = []
    for servers, needed in (([alive, dead], True), ([dead], False), ([dead, dead], False)):
        name = container_name(f"{RUN}-0", 5)
        api.start_with(kafka_lists(servers, needed=needed), SLEEPER, {"TEST_ID": name, "REPORT_ID": name})
        assert api.is_running(name)
        api.stop(name)
        told.append([env["BOOTSTRAP_SERVERS"] for env in stand_in.started])
        stand_in.started.clear()

    assert told == [[f"{alive},{dead}", alive], [dead, ""], [f"{dead},{dead}", dead, dead, ""]]


def test_all_brokers_are_down(api: StockApi, stand_in: StandIn) -> None:
    """A container that knows no other brokers is not started without; what to do is said."""
    dead, name = f"127.0.0.1:{free_port()}", container_name(f"{RUN}-0", 5)
    with pytest.raises(NodeError, match="name only brokers that run, as IPv4 or a name with port"):
        api.start_with(kafka_lists([dead], needed=True), SLEEPER, {"TEST_ID": name})

    assert [env["BOOTSTRAP_SERVERS"] for env in stand_in.started] == [dead]


def test_another_refusal_is_the_last_word(api: StockApi, stand_in: StandIn) -> None:
    """It may have removed what was there, so the start is not tried with other brokers."""
    name, here = container_name(f"{RUN}-0", 5), stand_in.address
    with pytest.raises(NodeError, match="Image Not Found"):
        api.start_with(kafka_lists([here, here], needed=False), "sleeper:2", {"TEST_ID": name})

    assert len(stand_in.started) == 1


def test_a_refusal_may_take_its_time(api: StockApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one after the boot of a node-controller takes longer than other answers."""
    monkeypatch.setattr(rest, "READ_LIMIT", 1e-6)

    assert api.refusal(SLEEPER, "") == ""
    assert rest.REFUSAL_LIMIT > 5.6 + 1


def test_what_would_be_refused_is_known_without_a_start(api: StockApi, stand_in: StandIn) -> None:
    """Kafka, then the image; what would be started is refused by its name, so nothing is made or removed."""
    name = start(api, f"{RUN}-0")
    dead = f"127.0.0.1:{free_port()}"

    assert api.refusal(SLEEPER, "") == ""
    assert api.refusal("sleeper:2", "").startswith("Image Not Found: sleeper:2")
    assert api.refusal("sleeper:2", dead).startswith("Failed to connect to Kafka")
    assert api.refusal(SLEEPER, stand_in.address) == ""
    assert stand_in.names() == [name]
    assert len({env["TEST_ID"] for env in stand_in.started}) == len(stand_in.started)
