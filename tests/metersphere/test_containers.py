"""One container on a stock node, spoken to over a real Kafka; its workers are stand-ins."""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.dist.control import Command, GoCommand, StartCommand, partition_of, sealed
from pytest_metersphere.dist.kafka.client.admin import Admin
from pytest_metersphere.dist.kafka.topics import ensure_control_topic, ensure_topics
from pytest_metersphere.dist.metersphere import client as client_module
from pytest_metersphere.dist.metersphere.client import StockClient
from pytest_metersphere.dist.metersphere.exchange import Exchange
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.node import StockNode, StockTerms
from pytest_metersphere.dist.signing import new_key
from pytest_metersphere.dist.wire import KafkaAccess, SliceInfo, StartRequest
from pytest_metersphere.engine.messages import Second
from pytest_metersphere.errors import NodeError
from pytest_metersphere.metrics.frame import Tally
from tests.fakes.nodes import KEY, eventually, frame_of, scripted, start_request
from tests.fakes.worker import Script
from tests.kafka.broker import Recipe, broker
from tests.kafka.records import read_all, write
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.sessions import IMAGE
from tests.metersphere.stand_in import StandIn

pytestmark = pytest.mark.needs_kafka
RUN = "0123456789abcdef"
SLICE = f"{RUN}-0"
# the runner, with workers that do what a script in the bundle says
PROGRAM = f"""
import sys
from pytest_metersphere.dist.node import config, runner
command = (sys.executable, "-P", {str(Path(__file__).parents[1] / "fakes" / "worker.py")!r})
plain = runner.NodeConfig
runner.NodeConfig = lambda **known: plain(**known, worker_command=command)
sys.exit(runner.main())
"""
BEATING = Script(beats=True, ends=False)


@pytest.fixture
def access(kafka: str) -> KafkaAccess:
    """Return the way to topics of the test's own."""
    found = KafkaAccess(servers=(kafka,), prefix=f"test-{secrets.token_hex(6)}")
    assert ensure_control_topic(found).ok
    assert all(check.ok for check in ensure_topics(found))
    return found


@pytest.fixture
def client(stand_in: StandIn, processes: ProcessEngine) -> Iterator[StockClient]:
    """Return the client of a stock node for 100 users."""
    processes.known[IMAGE] = (sys.executable, "-c", PROGRAM)
    exchange = Exchange()
    terms = StockTerms(IMAGE, exchange=exchange)
    yield StockClient(StockNode("n1", "127.0.0.1", f"http://{stand_in.address}", 100, True, terms))
    exchange.close()


def request(access: KafkaAccess, lease: float = 60.0) -> StartRequest:
    """Return a request for four users."""
    plain = start_request(SLICE, lease=lease)
    return msgspec.structs.replace(plain, run=RUN, key=KEY, kafka=access)


def when(client: StockClient, state: str, patience: float = 20.0) -> SliceInfo:
    """Wait until the slice is in a state, and return how it stands."""
    deadline = time.monotonic() + patience
    info = client.state(SLICE)
    while info.state != state:
        assert time.monotonic() < deadline, info
        info = client.state(SLICE, wait_while=info.state, wait=1.0)
    return info


def running(
    client: StockClient, access: KafkaAccess, script: Script = BEATING, lease: float = 60.0
) -> SliceInfo:
    """Start a slice and let it go."""
    client.start(request(access, lease), scripted(script))
    when(client, "ready")
    return client.go(SLICE)


def test_a_life(client: StockClient, stand_in: StandIn, access: KafkaAccess) -> None:
    """Started, let go, stopped, with a manifest; nothing is left, and only its users were not free."""
    info = client.start(request(access), scripted(BEATING))
    assert (info.slice, info.run, info.users) == (SLICE, RUN, 4)
    assert client.info().free == 96
    assert client.info().slices == [SLICE]
    ready = when(client, "ready")
    assert ready.incarnation == info.incarnation
    assert client.go(SLICE).state == "running"
    assert client.go(SLICE).state == "running"
    assert client.stop(SLICE, 0.0).state == "stopping"
    manifest = when(client, "ended").manifest
    assert manifest is not None
    assert manifest.stopped
    client.delete(SLICE)

    assert stand_in.names() == []
    assert client.info().free == 100
    with pytest.raises(NodeError, match="there is no slice"):
        client.state(SLICE)


def test_secrets_are_in_the_environment_only(
    client: StockClient, stand_in: StandIn, access: KafkaAccess
) -> None:
    """The run's key is on no topic, and in nothing that the container prints."""
    running(client, access)
    container_log = stand_in.engine.printed(stand_in.engine.containers("", ("running",))[0]["Id"])
    client.delete(SLICE)
    control = read_all(access, access.control_topic)

    assert control
    assert not any(KEY in value for _, value in control)
    assert KEY.hex() not in container_log
    assert "PYTEST_MS_RUNNER" not in container_log


def test_workers_do_not_see_the_commission(client: StockClient, access: KafkaAccess) -> None:
    """Their environment has nothing of ours."""
    running(client, access, Script(prints_environment=True, ends=False))

    assert "PATH" in client.log(SLICE)
    assert "PYTEST_MS_RUNNER" not in client.log(SLICE)
    client.delete(SLICE)


def test_frames_are_sent_once_more(client: StockClient, access: KafkaAccess) -> None:
    """What a slice keeps can be asked for: from any sequence, in pieces, to the manifest."""
    seconds = [
        Second(second=number, phase="measured", complete=True, tallies=[Tally()]) for number in range(3)
    ]
    running(client, access, Script(seconds=seconds))
    last = when(client, "ended").last_sequence
    batch = client.frames(SLICE, after=0, wait=0.0)
    rest = client.frames(SLICE, after=last - 1, wait=0.0)
    client.delete(SLICE)

    assert last >= 3
    assert [frame_of(signed).sequence for signed in batch.frames] == list(range(1, last + 1))
    assert batch.manifest is not None
    assert [frame_of(signed).sequence for signed in rest.frames] == [last]


def test_a_controller_that_is_silent(client: StockClient, stand_in: StandIn, access: KafkaAccess) -> None:
    """The load ends with the lease, and the container by itself after it."""
    running(client, access, lease=4.0)
    info = when(client, "ended")

    assert info.manifest is not None
    assert "its controller was silent for 4 s" in info.manifest.reason
    eventually(lambda: not stand_in.names(), "the container's end", 20.0)
    with contextlib.suppress(NodeError):
        client.delete(SLICE)


def test_a_lease_that_is_renewed(client: StockClient, access: KafkaAccess) -> None:
    """It goes on for longer than one lease."""
    running(client, access, lease=4.0)
    begin = time.monotonic()
    while time.monotonic() - begin < 6.0:
        client.lease(SLICE)
        assert client.state(SLICE, wait_while="running", wait=1.0).state == "running"
    client.delete(SLICE)


def test_replays_are_passed_over(client: StockClient, access: KafkaAccess, kafka: str) -> None:
    """All that was said so far, said again by somebody else, changes nothing."""
    client.start(request(access), scripted(BEATING))
    when(client, "ready")
    client.go(SLICE)
    client.go(SLICE)
    seen = read_all(access, access.control_topic)
    write(kafka, access.control_topic, [*seen, *seen], partition_of(RUN, 6))
    client.lease(SLICE)
    client.go(SLICE)

    assert client.state(SLICE).state == "running"
    assert client._exchange.rejected(RUN) == 0
    client.delete(SLICE)


def test_commands_signed_with_another_key_are_counted(
    client: StockClient, access: KafkaAccess, kafka: str
) -> None:
    """A go and a start by a stranger: nothing happens, and both ends know of them."""
    client.start(request(access), scripted(BEATING))
    when(client, "ready")
    orders = (GoCommand(), StartCommand())
    strange = [
        (RUN.encode(), sealed(new_key(), Command(run=RUN, slice=SLICE, number=1000, order=order)))
        for order in orders
    ]
    write(kafka, access.control_topic, strange, partition_of(RUN, 6))

    eventually(lambda: client._exchange.rejected(RUN) == 4, "both are counted at both ends", 10.0)
    assert client.state(SLICE).state == "ready"
    client.delete(SLICE)


def test_a_slice_that_is_not_ready(client: StockClient, access: KafkaAccess, tmp_path: Path) -> None:
    """Go is refused in the words of a node-controller."""
    client.start(request(access), scripted(Script(waits_for=str(tmp_path / "never"))))

    with pytest.raises(NodeError, match="is starting, not ready") as error:
        client.go(SLICE)
    assert error.value.status == 409
    client.delete(SLICE)


def test_a_bundle_that_is_none(client: StockClient, access: KafkaAccess) -> None:
    """It is refused when it is to be unpacked."""
    with pytest.raises(NodeError, match="zip"):
        client.start(request(access), b"no zip at all")
    client.delete(SLICE)


def test_a_worker_that_fails(client: StockClient, access: KafkaAccess) -> None:
    """Why it failed comes with the state."""
    client.start(request(access), scripted(Script(broken="no such test")))
    info = when(client, "failed")

    # both fail, and either may be the first
    assert info.reason in {"worker 0: no such test", "worker 1: no such test"}
    client.delete(SLICE)


def test_a_container_that_is_killed(client: StockClient, stand_in: StandIn, access: KafkaAccess) -> None:
    """Nothing is heard of it, and the node-controller lists it no more: it is gone for good."""
    running(client, access)
    stand_in.kill("ms-load-")
    told: list[NodeError] = []

    def ask() -> bool:
        try:
            client.state(SLICE, wait_while="running", wait=0.5)
        except NodeError as error:
            told.append(error)
        return bool(told)

    eventually(ask, "it is told", 15.0)
    with pytest.raises(NodeError, match="is gone") as refused:
        client.frames(SLICE, after=0, wait=0.0)
    client.delete(SLICE)

    assert told[0].status == refused.value.status == 410
    assert str(told[0]).startswith(f"node n1: its container {container_name(SLICE, 4)} is gone")


def test_a_container_that_ends_at_once(
    client: StockClient, processes: ProcessEngine, access: KafkaAccess
) -> None:
    """Its image is another one; that is told long before the deadline."""
    processes.known[IMAGE] = ("true",)
    with pytest.raises(NodeError, match="ended before it said anything"):
        client.start(request(access), scripted(BEATING))
    client.delete(SLICE)


def test_a_container_that_says_nothing(
    client: StockClient, processes: ProcessEngine, access: KafkaAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it printed is in the message, the deadline too; and it is killed."""
    monkeypatch.setattr(client_module, "FIRST_WORD", 2.0)
    processes.known[IMAGE] = ("sh", "-c", "echo what is Kafka; sleep 60")
    with pytest.raises(NodeError, match="nothing came from it over Kafka within 2 s") as error:
        client.start(request(access), scripted(BEATING))
    client.delete(SLICE, 0.0)

    assert "it printed: what is Kafka" in str(error.value)
    assert processes.containers("", ("running",)) == []


def test_another_version_in_the_image(
    client: StockClient, processes: ProcessEngine, access: KafkaAccess
) -> None:
    """Both versions are named, and the image."""
    program = f"import pytest_metersphere; pytest_metersphere.__version__ = '9.9'\n{PROGRAM}"
    processes.known[IMAGE] = (sys.executable, "-c", program)
    with pytest.raises(NodeError, match=r"the node has version 9\.9 .*install the same version") as error:
        client.start(request(access), scripted(BEATING))
    client.delete(SLICE)

    assert IMAGE in str(error.value)


def test_kafka_is_not_there(client: StockClient, access: KafkaAccess, stand_in: StandIn) -> None:
    """No container is started for nothing."""
    nowhere = msgspec.structs.replace(access, servers=("127.0.0.1:1",))
    with pytest.raises(NodeError, match="n1: Kafka: "):
        client.start(request(nowhere), scripted(BEATING))
    assert stand_in.started == []


def test_a_runner_by_hand(processes: ProcessEngine) -> None:
    """Without its commission it says what it is, and ends."""
    for env in ({}, {"PYTEST_MS_RUNNER": "nonsense"}):
        identity = processes.create(f"by-hand-{len(env)}", IMAGE, env)
        processes.start(identity)
        processes.wait(identity)
        assert processes.printed(identity).startswith("pytest-metersphere ")
        assert "Traceback" not in processes.printed(identity)


def test_a_login_over_tls_travels(client: StockClient, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """The container logs in as the session does, by values, and trusts whom it trusts."""
    recipe = Recipe(security="SASL_SSL", users={"alice": "alices-secret"})
    with broker(pytestconfig, tmp_path, recipe) as running_broker:
        way = KafkaAccess(
            servers=(running_broker.address,),
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            username="alice",
            password="alices-secret",
            ca=running_broker.ca_pem,
        )
        assert ensure_control_topic(way).ok
        assert all(check.ok for check in ensure_topics(way))
        assert running(client, way).state == "running"
        client.delete(SLICE)


def test_a_broker_that_keeps_messages_for_a_minute(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """As MeterSphere v2.10's: the topics are made with a retention of their own."""
    recipe = Recipe(settings={"log.retention.ms": "60000", "log.retention.check.interval.ms": "1000"})
    with broker(pytestconfig, tmp_path, recipe) as forgetful:
        way = KafkaAccess(servers=(forgetful.address,))
        assert ensure_control_topic(way).ok
        with contextlib.closing(Admin(way, 10.0)) as admin:
            topic = admin.topic(way.control_topic)

    assert topic is not None
    assert topic.settings is not None
    assert topic.settings["retention.ms"] == "3600000"
    assert topic.settings["message.timestamp.type"] == "LogAppendTime"
