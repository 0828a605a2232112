"""A node's frames go to Kafka without ever holding up the load."""

from __future__ import annotations

import logging
import secrets
import threading

import pytest

from pytest_metersphere.dist.kafka import delivery
from pytest_metersphere.dist.kafka.delivery import LARGEST_FRAME, KafkaSink, end_offsets
from pytest_metersphere.dist.kafka.topics import ensure_topics
from pytest_metersphere.dist.wire import KafkaAccess
from tests.fakes import listeners
from tests.fakes.nodes import eventually, free_port
from tests.kafka.broker import Broker
from tests.kafka.conftest import USERS
from tests.kafka.records import read_all
from tests.kafka.rules import make_topic

pytestmark = pytest.mark.needs_kafka


@pytest.fixture
def ready(access: KafkaAccess) -> KafkaAccess:
    """Return the way to a topic that is there."""
    make_topic(access.servers[0], access.results_topic)
    return access


def own_topic(broker: Broker) -> KafkaAccess:
    """Return the way to a new topic on a broker of the module."""
    access = KafkaAccess(servers=(broker.address,), prefix=f"test-{secrets.token_hex(6)}")
    make_topic(broker.plain_address, access.results_topic)
    return access


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients give up after half a second, where the tests wait for just that."""
    monkeypatch.setattr(delivery, "_CONNECT", 0.5)


def nowhere() -> KafkaAccess:
    """Return the way to a broker that is not there."""
    return KafkaAccess(servers=(f"127.0.0.1:{free_port()}",))


def sinks() -> list[threading.Thread]:
    """Return the threads that sinks and their clients have now."""
    return [
        each for each in threading.enumerate() if "kafka" in each.name or "pytest-metersphere" in each.name
    ]


def test_frames_arrive_once_and_in_the_order_of_their_slice(ready: KafkaAccess) -> None:
    """Frames of two slices, put in turn, come out of Kafka each once, those of one slice in order."""
    sink = KafkaSink(ready)
    for number in range(200):
        sink.put(f"slice-{number % 2}", b"frame %d" % number)

    assert sink.flush(15.0)
    sink.close()

    records = read_all(ready)
    for half in (0, 1):
        mine = [value for key, value in records if key == b"slice-%d" % half]
        assert mine == [b"frame %d" % number for number in range(half, 200, 2)]
    assert (sink.delivered, sink.dropped, sink.trouble) == (200, 0, "")


def test_nothing_is_connected_before_the_first_frame(ready: KafkaAccess) -> None:
    """A sink that gets no frame has no thread, and can be flushed and closed."""
    before = sinks()
    sink = KafkaSink(ready)

    assert sinks() == before
    assert sink.flush(0.0)
    sink.close()


def test_a_broker_that_is_not_there_holds_up_nobody(hasty: None) -> None:
    """Frames are taken at once; what does not fit into the buffer is dropped and counted."""
    sink = KafkaSink(nowhere(), limit=1000)
    for _ in range(15):
        sink.put("s1", bytes(100))

    assert sink.dropped == 5
    eventually(lambda: "bootstrap" in sink.trouble, "the reason why nothing is sent")
    assert not sink.flush(0.1)
    sink.close()
    assert (sink.delivered, sink.dropped) == (0, 15)


def test_a_port_that_never_answers_holds_up_nobody(hasty: None) -> None:
    """Putting, and closing in the end, do not wait for a broker that keeps silent."""
    with listeners.listener(listeners.keeps_silent) as port:
        sink = KafkaSink(KafkaAccess(servers=(f"127.0.0.1:{port}",)))
        for _ in range(100_000):
            sink.put("s1", b"frame")
        assert (sink.delivered, sink.dropped) == (0, 0)
        sink.close()

    assert sink.dropped == 100_000


def test_frames_wait_for_a_broker_that_is_restarted(own_broker: Broker) -> None:
    """What was put before, during and after a stop of the broker arrives, once and in order."""
    access = own_topic(own_broker)
    sink = KafkaSink(access)
    sink.put("s1", b"before")
    assert sink.flush(15.0)
    own_broker.stop()
    for number in range(5):
        sink.put("s1", b"during %d" % number)
    assert not sink.flush(1.0)
    own_broker.start()
    sink.put("s1", b"after")

    assert sink.flush(30.0)
    sink.close()
    expected = [b"before", *(b"during %d" % number for number in range(5)), b"after"]
    assert [value for _, value in read_all(access)] == expected
    assert (sink.delivered, sink.dropped) == (7, 0)


def test_a_broker_that_is_gone_does_not_keep_a_sink_open(own_broker: Broker) -> None:
    """Closing with frames under way ends all threads and counts the frames as dropped."""
    before = set(sinks())
    sink = KafkaSink(own_topic(own_broker))
    sink.put("s1", b"before")
    assert sink.flush(15.0)
    own_broker.stop()
    try:
        sink.put("s1", b"under way")
        sink.close()
    finally:
        own_broker.start()

    assert set(sinks()) <= before
    assert (sink.delivered, sink.dropped) == (1, 1)


def test_a_frame_that_kafka_would_not_take_is_left_to_the_spool(ready: KafkaAccess) -> None:
    """A frame above the limit is dropped; the next one is sent."""
    sink = KafkaSink(ready)
    sink.put("s1", bytes(LARGEST_FRAME + 1))
    sink.put("s1", bytes(LARGEST_FRAME))

    assert sink.flush(15.0)
    sink.close()
    assert [len(value) for _, value in read_all(ready)] == [LARGEST_FRAME]
    assert (sink.delivered, sink.dropped) == (1, 1)


def test_a_frame_that_the_topic_refuses_is_dropped(access: KafkaAccess) -> None:
    """A topic that takes small messages only costs the large frames, not those behind them."""
    make_topic(access.servers[0], access.results_topic, {"max.message.bytes": "10000"})
    sink = KafkaSink(access)
    sink.put("s1", bytes(20_000))
    assert sink.flush(15.0)
    assert "MessageSizeTooLargeError" in sink.trouble
    sink.put("s1", b"small")

    assert sink.flush(15.0)
    sink.close()
    assert [value for _, value in read_all(access)] == [b"small"]
    assert (sink.delivered, sink.dropped, sink.trouble) == (1, 1, "")


def test_frames_wait_for_a_topic(hasty: None, access: KafkaAccess) -> None:
    """A topic that comes into being after the first frame gets that frame."""
    sink = KafkaSink(access)
    sink.put("s1", b"early")
    eventually(lambda: bool(sink.trouble), "the reason why nothing is sent")
    ensure_topics(access)

    assert sink.flush(15.0)
    sink.close()
    assert [value for _, value in read_all(access)] == [b"early"]


def test_a_closed_sink_takes_nothing(ready: KafkaAccess) -> None:
    """Frames after the end are dropped, and closing twice is harmless."""
    sink = KafkaSink(ready)
    sink.close()
    sink.put("s1", b"late")
    sink.close()

    assert (sink.delivered, sink.dropped) == (0, 1)


def test_a_login_over_tls_is_used(secret_broker: Broker) -> None:
    """The user, the password and the authority travel as values and open the way."""
    access = KafkaAccess(
        servers=(secret_broker.address,),
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        username="alice",
        password=USERS["alice"],
        ca=secret_broker.ca_pem,
        prefix="over-tls",
    )
    assert all(check.ok for check in ensure_topics(access))
    sink = KafkaSink(access)
    sink.put("s1", b"secret")

    assert sink.flush(15.0)
    sink.close()
    assert sum(end_offsets(access).values()) == 1


def test_the_client_s_loggers_keep_quiet(hasty: None, capfd: pytest.CaptureFixture[str]) -> None:
    """kafka-python's errors go nowhere while a sink is open, and its loggers are as before afterwards."""
    sink = KafkaSink(nowhere())
    sink.put("s1", b"frame")
    eventually(lambda: bool(sink.trouble), "the first failure")
    sink.close()

    assert capfd.readouterr().err == ""
    assert logging.getLogger("kafka").level == logging.NOTSET


def test_a_level_that_somebody_set_is_left(ready: KafkaAccess) -> None:
    """Who wants to see kafka-python's messages sets the level, and sees them."""
    logger = logging.getLogger("kafka")
    logger.setLevel(logging.INFO)
    try:
        end_offsets(ready)
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(logging.NOTSET)
