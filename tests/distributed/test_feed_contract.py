"""What a collector may rely on, wherever frames come from: the same tests for spools and for Kafka."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from typing import Protocol

import msgspec
import pytest

from pytest_metersphere.dist.collect import Collector, SliceData
from pytest_metersphere.dist.feed import Feed, SpoolFeed
from pytest_metersphere.dist.kafka.delivery import KafkaFeed, end_offsets
from pytest_metersphere.dist.kafka.topics import ensure_topics
from pytest_metersphere.dist.signing import new_key, sign
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.metrics.frame import VERSION, Frame, Tally
from tests.fakes.feeds import Taken
from tests.fakes.frame_server import FrameServer
from tests.fakes.nodes import eventually
from tests.kafka.broker import Broker, broker
from tests.kafka.records import write

RUN = "00112233445566aa"
SLICES = (f"{RUN}-0", f"{RUN}-1")
KEY = new_key()


class Source(Protocol):
    """Where frames come from."""

    def publish(self, slice_id: str, *frames: bytes) -> None:
        """Put frames of a slice there, in order."""

    def feed(self) -> Feed:
        """Return a feed of everything that was published since the source was made."""

    def restart(self) -> None:
        """Stop and start again what serves the frames."""

    def close(self) -> None:
        """End what serves the frames."""


class Spools:
    """A node that keeps its frames."""

    def __init__(self) -> None:
        self._server = FrameServer()

    def publish(self, slice_id: str, *frames: bytes) -> None:
        self._server.publish(slice_id, *frames)

    def feed(self) -> Feed:
        return SpoolFeed(dict.fromkeys(SLICES, self._server.client))

    def restart(self) -> None:
        self._server.stop()
        self._server.start()

    def close(self) -> None:
        self._server.stop()


class Kafka:
    """A topic of its own on a real broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._access = KafkaAccess(servers=(broker.address,), prefix=f"test-{secrets.token_hex(6)}")
        assert all(check.ok for check in ensure_topics(self._access))
        self._start = end_offsets(self._access)

    def publish(self, slice_id: str, *frames: bytes) -> None:
        records = [(slice_id.encode(), frame) for frame in frames]
        write(self._broker.address, self._access.results_topic, records)

    def feed(self) -> Feed:
        return KafkaFeed(self._access, self._start)

    def restart(self) -> None:
        self._broker.stop()
        self._broker.start()

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def running_broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return a broker that may be stopped."""
    with broker(pytestconfig, tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(params=["spools", pytest.param("kafka", marks=pytest.mark.needs_kafka)])
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    """Return each of the places that frames come from."""
    made: Source = Spools() if request.param == "spools" else Kafka(request.getfixturevalue("running_broker"))
    yield made
    made.close()


def frame(slice_id: str, sequence: int, *, key: bytes = KEY, run: str = RUN) -> bytes:
    """Return a signed frame of one iteration."""
    made = Frame(
        version=VERSION,
        run=run,
        slice=slice_id,
        incarnation=1,
        sequence=sequence,
        second=sequence - 1,
        phase="measured",
        complete=True,
        tallies=[Tally(users=1, iterations=1)],
    )
    return sign(key, msgspec.msgpack.encode(made))


def collector() -> Collector:
    """Return a collector of this run."""
    return Collector(RUN, KEY, {each: SliceData("n1", 1) for each in SLICES}, 1)


def collected(taken: Taken, count: int) -> Collector:
    """Return what a collector makes of the first `count` messages."""
    made = collector()
    for message in taken.frames(count):
        made.add(message)
    return made


def test_frames_of_a_slice_come_in_order(source: Source) -> None:
    """Frames of two slices, published in turn, arrive each in the order of its slice."""
    with Taken(source.feed()) as taken:
        for number in range(10):
            for slice_id in SLICES:
                source.publish(
                    slice_id, f"{slice_id} {2 * number}".encode(), f"{slice_id} {2 * number + 1}".encode()
                )
        got = taken.frames(40)

    for slice_id in SLICES:
        mine = [message for message in got if message.startswith(slice_id.encode())]
        assert mine == [f"{slice_id} {number}".encode() for number in range(20)]


def test_frames_from_before_the_feed_was_made_come_too(source: Source) -> None:
    """A feed that is made after go has the frames from go on."""
    source.publish(SLICES[0], b"early")
    with Taken(source.feed()) as taken:
        source.publish(SLICES[0], b"late")

        assert taken.frames(2) == [b"early", b"late"]


def test_without_frames_nothing_comes(source: Source) -> None:
    """Receiving waits as long as it may, and returns an empty list."""
    with Taken(source.feed()) as taken:
        taken.look(0.0)
        taken.look(0.3)

    assert taken.arrivals == []


def test_no_frame_is_lost_or_counted_twice(source: Source) -> None:
    """Frames that were published twice are merged once, and told as duplicates."""
    with Taken(source.feed()) as taken:
        for sequence in range(1, 6):
            source.publish(SLICES[0], frame(SLICES[0], sequence))
        source.publish(SLICES[0], frame(SLICES[0], 2), frame(SLICES[0], 5))
        made = collected(taken, 7)

    data = made.slices[SLICES[0]]
    assert (data.received, data.lost, made.duplicates, made.rejected) == (5, 0, 2, 0)
    assert made.scenarios[0].measured.iterations == 5


def test_what_is_no_frame_of_the_run_is_left_to_the_collector(source: Source) -> None:
    """Garbage, oversized messages and frames of strangers neither stop a feed nor reach the result."""
    strangers = [
        b"",
        b"\xc1garbage",
        bytes(900_000),
        frame(SLICES[0], 1, key=new_key()),
        frame(SLICES[0], 1, run="another run"),
        frame("another slice", 1),
        frame(SLICES[0], 1)[:-1],
    ]
    with Taken(source.feed()) as taken:
        source.publish(SLICES[0], *strangers, frame(SLICES[0], 1))
        made = collected(taken, len(strangers) + 1)

    assert (made.rejected, made.duplicates) == (len(strangers), 0)
    assert made.slices[SLICES[0]].received == 1
    assert made.scenarios[0].measured.iterations == 1


def test_frames_go_on_after_a_restart(source: Source) -> None:
    """Whatever serves the frames may be gone for seconds: those before and after arrive, in order."""
    with Taken(source.feed()) as taken:
        source.publish(SLICES[0], b"before")
        assert taken.frames(1) == [b"before"]
        source.restart()
        source.publish(SLICES[0], b"after")

        assert list(dict.fromkeys(taken.frames(2, patience=30.0))) == [b"before", b"after"]


def test_a_feed_that_is_made_while_nothing_serves_frames_catches_up(source: Source) -> None:
    """Frames from before a restart come to a feed that was made before it and received nothing yet."""
    source.publish(SLICES[0], b"before")
    feed = source.feed()
    source.restart()
    with Taken(feed) as taken:
        assert taken.frames(1, patience=30.0)[0] == b"before"


def test_closing_ends_the_threads(source: Source) -> None:
    """A closed feed leaves no thread, whether frames were received or still wait."""
    before = set(threading.enumerate())
    feed = source.feed()
    source.publish(SLICES[0], *(b"frame %d" % number for number in range(100)))
    eventually(lambda: bool(feed.receive(0.1)), "the first frames")
    feed.close()

    eventually(lambda: set(threading.enumerate()) <= before, "the end of the feed's threads")


def test_closing_twice_is_harmless(source: Source) -> None:
    """A feed that has delivered nothing can be closed, and closed again."""
    feed = source.feed()
    feed.close()
    feed.close()

    assert feed.receive(0.0) == []
