"""What the controller gets from the topic, when others use it, misuse it, or it is not well."""

from __future__ import annotations

import threading

import pytest

from pytest_metersphere.dist.kafka.delivery import CHECK_KEY, KafkaFeed, end_offsets
from pytest_metersphere.dist.kafka.topics import ensure_topics
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError
from tests.fakes.feeds import Taken
from tests.fakes.nodes import eventually, free_port
from tests.kafka.records import write
from tests.kafka.rules import change_topic, make_topic, operator

pytestmark = pytest.mark.needs_kafka
RUN = "00112233445566aa"
OURS = f"{RUN}-0".encode()


@pytest.fixture
def ready(access: KafkaAccess) -> KafkaAccess:
    """Return the way to a topic of ours that is there."""
    assert all(check.ok for check in ensure_topics(access))
    return access


def put(access: KafkaAccess, *records: tuple[bytes | None, bytes | None]) -> None:
    """Write records as a stranger could, all to the same partition."""
    write(access.servers[0], access.results_topic, records, partition=2)


def test_only_what_comes_after_the_saved_offsets_is_delivered(ready: KafkaAccess) -> None:
    """What was on the topic before is not; what came before the feed was made is."""
    put(ready, (OURS, b"of yesterday"))
    start = end_offsets(ready)
    put(ready, (OURS, b"early"))

    with Taken(KafkaFeed(ready, start)) as taken:
        put(ready, (OURS, b"late"))
        assert taken.frames(2) == [b"early", b"late"]


def test_frames_of_other_runs_are_passed_over(ready: KafkaAccess) -> None:
    """A concurrent session's frames and the records of preflights are counted, not delivered."""
    feed = KafkaFeed(ready, end_offsets(ready), lambda name: name.startswith("ffffffffffffffff-"))
    with Taken(feed) as taken:
        put(
            ready,
            (b"ffffffffffffffff-0", b"theirs"),
            (CHECK_KEY, b"nonce"),
            (b"eeeeeeeeeeeeeeee-0", b"of a run that is over"),
            (OURS, b"ours"),
        )
        assert taken.frames(2) == [b"of a run that is over", b"ours"]

    assert feed.foreign == 2


def test_everything_else_is_handed_through(ready: KafkaAccess) -> None:
    """Records of strangers, with any key or none, empty ones too, are for the collector to reject."""
    with Taken(KafkaFeed(ready, end_offsets(ready), lambda _name: True)) as taken:
        put(ready, (None, b"no key"), (b"\xff\x00", b"odd key"), (b"key", None), (b"k", bytes(900_000)))
        assert taken.frames(4) == [b"no key", b"odd key", b"", bytes(900_000)]


def test_many_small_records_come_in_few_arrivals(ready: KafkaAccess) -> None:
    """Cost goes with what is in the records, not with how many there are."""
    start = end_offsets(ready)
    put(ready, *((OURS, b"%d" % number) for number in range(3000)))

    with Taken(KafkaFeed(ready, start)) as taken:
        assert taken.frames(3000) == [b"%d" % number for number in range(3000)]
        assert len(taken.arrivals) < 100


def test_strangers_cannot_send_what_cannot_be_unpacked(ready: KafkaAccess) -> None:
    """The broker itself unpacks on a topic of ours: gzip of a stranger arrives plain."""
    import contextlib
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kafka import KafkaProducer
    with Taken(KafkaFeed(ready, end_offsets(ready))) as taken:
        producer = KafkaProducer(bootstrap_servers=list(ready.servers), compression_type="gzip")
        with contextlib.closing(producer):
            producer.send(ready.results_topic, key=OURS, value=bytes(2 << 20)[:500_000]).get(timeout=15)
        assert taken.frames(1) == [bytes(500_000)]


def test_records_that_cannot_be_unpacked_do_not_end_the_feed(access: KafkaAccess) -> None:
    """On a topic that packs with what is not installed here, the feed skips to what can be read."""
    make_topic(access.servers[0], access.results_topic, {"compression.type": "lz4"})
    feed = KafkaFeed(access, end_offsets(access))
    with Taken(feed) as taken:
        put(access, (OURS, b"packed"))
        eventually(lambda: "lz4" in feed.trouble.lower(), "the reason why nothing comes")
        change_topic(access.servers[0], access.results_topic, {"compression.type": "uncompressed"})
        eventually(lambda: _sent_and_seen(access, taken), "a frame behind the packed one")

    assert b"packed" not in taken.all


def _sent_and_seen(access: KafkaAccess, taken: Taken) -> bool:
    """Send a frame and return whether any was delivered; those sent before the skip may be lost."""
    put(access, (OURS, b"plain"))
    taken.look()
    return b"plain" in taken.all


def test_offsets_that_are_gone_begin_with_what_is_there(ready: KafkaAccess) -> None:
    """Frames that Kafka has deleted meanwhile do not keep those behind them from coming."""
    put(ready, (OURS, b"one"), (OURS, b"two"), (OURS, b"three"))
    with operator(ready.servers[0]) as admin:
        _delete_before(admin, ready.results_topic, 2)

    with Taken(KafkaFeed(ready, dict.fromkeys(range(6), 0))) as taken:
        assert taken.frames(1) == [b"three"]


def _delete_before(admin: object, topic: str, offset: int) -> None:
    from kafka import KafkaAdminClient, TopicPartition

    assert isinstance(admin, KafkaAdminClient)
    admin.delete_records({TopicPartition(topic, 2): offset})


def test_a_topic_that_is_not_there_is_told_at_once(access: KafkaAccess) -> None:
    """Offsets of a topic that nobody has made are an error that names it."""
    with pytest.raises(BrokerError, match=f"no topic '{access.results_topic}'"):
        end_offsets(access)


def test_a_broker_that_is_not_there_is_told(access: KafkaAccess) -> None:
    """Offsets cannot be had without a broker, and the error says so in time."""
    nowhere = KafkaAccess(servers=(f"127.0.0.1:{free_port()}",))

    with pytest.raises(BrokerError, match="bootstrap"):
        end_offsets(nowhere, limit=0.5)


def test_a_feed_without_a_broker_waits_and_ends(ready: KafkaAccess) -> None:
    """A feed never raises; it says what the trouble is, and closing it ends its threads."""
    before = set(threading.enumerate())
    feed = KafkaFeed(KafkaAccess(servers=(f"127.0.0.1:{free_port()}",)), {0: 0})

    assert feed.receive(0.05) == []
    eventually(lambda: bool(feed.trouble), "the reason why nothing comes")
    feed.close()
    assert set(threading.enumerate()) <= before


def test_a_collector_that_is_slow_is_waited_for(ready: KafkaAccess) -> None:
    """What is not received stays in Kafka: a bounded number of arrivals wait in memory."""
    start = end_offsets(ready)
    for _ in range(12):
        put(ready, *((OURS, bytes(10)) for _ in range(1000)))
    feed = KafkaFeed(ready, start)
    eventually(feed._arrivals.full, "arrivals up to the limit")

    with Taken(feed) as taken:
        assert len(taken.frames(12_000)) == 12_000
