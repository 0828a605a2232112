"""Following a topic that others write to: every record once, and whether all up to a moment has come."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from pytest_metersphere.dist.kafka.client.admin import Admin
from pytest_metersphere.dist.kafka.client.producer import Producer
from pytest_metersphere.dist.kafka.follower import Follower, ReaderName
from pytest_metersphere.dist.kafka.topics import ensure_jmeter_topic
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError
from tests.fakes.nodes import eventually
from tests.kafka.broker import broker
from tests.parts import lack

pytestmark = pytest.mark.needs_kafka
Put = Callable[..., None]


@pytest.fixture(params=["kafka-python", "confluent-kafka"])
def reader(request: pytest.FixtureRequest) -> ReaderName:
    """Return a package to read with."""
    name: ReaderName = request.param
    if name == "confluent-kafka" and not find_spec("confluent_kafka"):
        lack(request.config, "confluent-kafka: pip install confluent-kafka")
    return name


class Topic:
    """A topic of a test's own, and what was taken from it."""

    def __init__(self, address: str) -> None:
        self.access = KafkaAccess(servers=(address,))
        self.name = f"rows-{secrets.token_hex(6)}"
        self.taken: list[bytes] = []
        assert ensure_jmeter_topic(self.access, self.name).ok

    def put(self, *values: bytes) -> None:
        """Send values, and return when they are there."""
        with contextlib.closing(Producer(self.access, 10.0)) as producer:
            for number, value in enumerate(values):
                producer.send(self.name, b"", value, lambda _error: None, number % 4)
            producer.close(10.0)

    def follow(self, reader: ReaderName) -> Follower:
        """Follow it."""
        return Follower(self.access, self.name, self.taken.extend, reader=reader)


@pytest.fixture
def topic(kafka: str) -> Topic:
    """Return a topic."""
    return Topic(kafka)


@contextlib.contextmanager
def following(topic: Topic, reader: ReaderName) -> Iterator[Follower]:
    """Follow a topic."""
    with contextlib.closing(topic.follow(reader)) as follower:
        yield follower


def test_from_now_on(topic: Topic, reader: ReaderName) -> None:
    """What was there before is not for us; what comes is there once, and at a mark all of it has come."""
    topic.put(b"before", b"before")
    with following(topic, reader) as follower:
        topic.put(*(b"%d" % number for number in range(1000)))
        mark = follower.mark()
        eventually(lambda: follower.has_passed(mark), "the mark")

        assert sorted(map(int, topic.taken)) == list(range(1000))
        assert follower.records == 1000
        assert follower.size == sum(map(len, topic.taken))
        assert not follower.has_passed(mark + 1)
        assert follower.trouble == ""


def test_a_mark_where_nothing_comes(topic: Topic, reader: ReaderName) -> None:
    """It has been passed as soon as somebody has looked."""
    with following(topic, reader) as follower:
        for _ in range(3):
            mark = follower.mark()
            eventually(lambda mark=mark: follower.has_passed(mark), "the mark")  # type: ignore[misc]

    assert topic.taken == []


def test_a_broker_that_is_restarted(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, reader: ReaderName
) -> None:
    """It is gone for a while; what comes afterwards is there once, and so is what came before."""
    with broker(pytestconfig, tmp_path_factory.mktemp("kafka")) as own:
        topic = Topic(own.address)
        with following(topic, reader):
            topic.put(b"1", b"2", b"3")
            eventually(lambda: len(topic.taken) == 3, "the first records")
            own.stop()
            own.start()
            topic.put(b"4", b"5")
            eventually(lambda: len(topic.taken) >= 5, "the records behind the restart", 40.0)

    assert sorted(topic.taken) == [b"1", b"2", b"3", b"4", b"5"]


def test_no_topic(kafka: str, reader: ReaderName) -> None:
    """A topic that is not there is told at once, with its name."""
    with pytest.raises(BrokerError, match="no topic 'rows-nowhere'"):
        Follower(KafkaAccess(servers=(kafka,)), "rows-nowhere", print, reader=reader)


def test_compressed_rows(topic: Topic, reader: ReaderName, kafka: str) -> None:
    """A topic that keeps what is compressed as it is gives it up unpacked."""
    name = f"packed-{secrets.token_hex(6)}"
    with contextlib.closing(Admin(topic.access, 10.0)) as admin:
        admin.create(name, 4, 1, {"compression.type": "gzip"})
    topic.name = name
    with following(topic, reader):
        topic.put(*[b"x" * 500] * 40)
        eventually(lambda: len(topic.taken) == 40, "the records")

    assert set(topic.taken) == {b"x" * 500}


@pytest.mark.parametrize("packing", ["zstd", "lz4"])
def test_a_topic_that_cannot_be_read(kafka: str, packing: str) -> None:
    """A topic of others that packs what is written to it in a way that is not known here is told."""
    access, name = KafkaAccess(servers=(kafka,)), f"packed-{secrets.token_hex(6)}"
    with contextlib.closing(Admin(access, 10.0)) as admin:
        admin.create(name, 1, 1, {"compression.type": packing})
    check = ensure_jmeter_topic(access, name)

    assert not check.ok
    assert f"compression.type={packing}" in check.detail


def test_a_topic_of_metersphere(kafka: str) -> None:
    """One that keeps records for a minute only is taken as it is."""
    access, name = KafkaAccess(servers=(kafka,)), f"metersphere-{secrets.token_hex(6)}"
    with contextlib.closing(Admin(access, 10.0)) as admin:
        admin.create(name, 1, 1, {"retention.ms": "60000"})

    assert ensure_jmeter_topic(access, name).ok
