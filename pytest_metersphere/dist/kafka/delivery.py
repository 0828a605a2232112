"""Frames over Kafka: from a node through a KafkaSink, to the controller through a KafkaFeed."""

from __future__ import annotations

import collections
import contextlib
import queue
import re
import threading
from collections.abc import Callable

from pytest_metersphere.dist.feed import Arrival
from pytest_metersphere.dist.kafka.client.consumer import Consumer, Offsets
from pytest_metersphere.dist.kafka.client.producer import Producer
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

BUFFER = 32 << 20
"""Bytes of frames that wait for the broker at most: half an hour of a node that sends 16 KiB a second."""
LARGEST_FRAME = 1_000_000
"""Bytes above which a frame is left to the spool: Kafka's clients and topics take about a megabyte."""
CHECK_KEY = b"ms-preflight"
"""Key of the records by which the way through Kafka is tried."""

_CONNECT = 5.0
_PAUSE = 1.0
_POLL = 0.25
_END = 5.0
_BATCHES = 8
_SLICE = re.compile(rb"[0-9a-f]{16}-[0-9]+")


def end_offsets(access: KafkaAccess, limit: float = 10.0) -> dict[int, int]:
    """Return where the next frames will be on the results topic, to be taken before go.

    Raises:
        BrokerError: Kafka cannot be reached within `limit` seconds, or has no such topic.
    """
    with contextlib.closing(Consumer(access, access.results_topic, limit)) as consumer:
        return consumer.end_offsets()


class KafkaSink:
    """Sends the frames of slices to Kafka, in a thread of its own, and never holds up who has them.

    What finds no room, or no broker, is dropped and counted: it is still in the spool. Frames of a slice
    arrive in order, as its id is their key.

    Attributes:
        delivered: number of frames that the broker has taken.
        dropped: number of frames that were given up.
        trouble: why the last one was given up or has to wait; empty while all is well.
    """

    def __init__(
        self,
        access: KafkaAccess,
        limit: int = BUFFER,
        topic: str | None = None,
        partition: int | None = None,
    ) -> None:
        """Prepare a buffer; nothing is connected before the first frame.

        Args:
            access: how to reach Kafka.
            limit: size of the buffer in bytes.
            topic: where to send, None for that of the results.
            partition: which one of the topic, None for one by the slice's id.
        """
        self.delivered = 0
        self.dropped = 0
        self.trouble = ""
        self._access = access
        self._limit = limit
        self._topic = topic or access.results_topic
        self._partition = partition
        self._waiting: collections.deque[tuple[bytes | None, bytes]] = collections.deque()
        self._held = 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, slice_id: str, frame: bytes) -> None:
        """Take a frame to be sent, or drop it; returns at once. Without a slice its record has no key."""
        with self._changed:
            too_much = len(frame) > LARGEST_FRAME or self._held + len(frame) > self._limit
            if too_much or self._closing.is_set():
                self.dropped += 1
                return
            self._held += len(frame)
            self._waiting.append((slice_id.encode() or None, frame))
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kafka-sink", daemon=True)
                self._thread.start()

    def flush(self, deadline: float) -> bool:
        """Wait up to `deadline` seconds until nothing waits any more; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held == 0, deadline)

    def close(self) -> None:
        """Give up what still waits, and end the thread and the connections; flush first."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_CONNECT + _END)

    def _run(self) -> None:
        producer: Producer | None = None
        while self._next() is not None:
            producer = self._fit(producer)
            if producer is not None:
                self._send(producer)
        with self._changed:
            for _, frame in self._waiting:
                self._settle(len(frame), "closed")
            self._waiting.clear()
        if producer is not None:
            producer.close()

    def _fit(self, producer: Producer | None) -> Producer | None:
        """Return a producer that works, None when there is none to be had now."""
        if producer is not None and not producer.broken:
            return producer
        if producer is not None:
            producer.close()
        try:
            return Producer(self._access, _CONNECT)
        except BrokerError as error:
            self._wait(error)
            return None

    def _next(self) -> tuple[bytes | None, bytes] | None:
        """Wait for a frame and return it, without taking it away; None once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            return None if self._closing.is_set() else self._waiting[0]

    def _send(self, producer: Producer) -> None:
        """Hand the next frame to the client; when it does not take it, it stays the next."""
        key, frame = self._waiting[0]
        try:
            producer.send(
                self._topic, key, frame, lambda error: self._done(len(frame), error), self._partition
            )
        except BrokerError as error:
            self._wait(error)
        else:
            self._waiting.popleft()

    def _wait(self, error: BrokerError) -> None:
        self.trouble = str(error)
        self._closing.wait(_PAUSE)

    def _done(self, size: int, error: Exception | None) -> None:
        with self._changed:
            self._settle(size, "" if error is None else str(error) or type(error).__name__)

    def _settle(self, size: int, trouble: str) -> None:
        """Count a frame that is there (no trouble), or given up."""
        self._held -= size
        self.trouble = trouble
        if trouble:
            self.dropped += 1
        else:
            self.delivered += 1
        self._changed.notify_all()


class KafkaFeed:
    """Delivers the frames on Kafka from saved offsets on, each at least once, of a slice in order.

    Everything on the topic is handed through for the collector to judge, except what concurrent sessions
    put there for themselves: records whose key is a neighbour's slice, and those of a preflight. When
    something on the topic cannot be read at all, what is there by then is skipped; as after any loss, the
    spools have it.

    Attributes:
        foreign: number of records of others.
        trouble: why nothing comes; empty while all is well.
    """

    def __init__(
        self, access: KafkaAccess, start: Offsets, is_neighbour: Callable[[str], bool] | None = None
    ) -> None:
        """Read from `start` (`end_offsets` before go) on.

        Args:
            access: how to reach Kafka.
            start: first offset by partition.
            is_neighbour: tells of a slice's id, in the feed's thread, whether it is another live run's.
        """
        self.foreign = 0
        self.trouble = ""
        self._access = access
        self._start = dict(start)
        self._is_neighbour = is_neighbour
        self._arrivals: queue.Queue[Arrival] = queue.Queue(_BATCHES)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-feed", daemon=True)
        self._thread.start()

    def receive(self, timeout: float) -> list[Arrival]:
        """Wait up to `timeout` seconds for something to come; return all that is there.

        The slice of an Arrival is empty: its frames are of several slices, and say so themselves.
        """
        arrivals: list[Arrival] = []
        with contextlib.suppress(queue.Empty):
            arrivals.append(self._arrivals.get(timeout=timeout))
            while True:
                arrivals.append(self._arrivals.get_nowait())
        return arrivals

    def close(self) -> None:
        """Stop delivering; end the thread and the connections."""
        self._closing.set()
        self._thread.join(_CONNECT + _END)

    def _run(self) -> None:
        position: dict[int, int] | None = self._start
        while not self._closing.is_set():
            try:
                with contextlib.closing(
                    Consumer(self._access, self._access.results_topic, _CONNECT)
                ) as consumer:
                    consumer.start_at(consumer.end_offsets() if position is None else position)
                    position = None
                    self._follow(consumer)
            except BrokerError as error:
                self.trouble = str(error)
                self._closing.wait(_PAUSE)

    def _follow(self, consumer: Consumer) -> None:
        while not self._closing.is_set():
            records = consumer.poll(_POLL)
            self.trouble = consumer.trouble
            frames = [value for key, value in records if not self._is_foreign(key)]
            self.foreign += len(records) - len(frames)
            if frames:
                self._hand_over(Arrival("", frames))

    def _is_foreign(self, key: bytes) -> bool:
        if key == CHECK_KEY:
            return True
        return bool(self._is_neighbour and _SLICE.fullmatch(key) and self._is_neighbour(key.decode()))

    def _hand_over(self, arrival: Arrival) -> None:
        """Wait until the collector has room; Kafka keeps what it is too slow for."""
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._arrivals.put(arrival, timeout=_POLL)
                return
