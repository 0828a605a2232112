"""Follows a topic that others write to, from now on: every record once, and whether all by now has come."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, Protocol

from pytest_metersphere.dist.kafka.client.consumer import Offsets, ValueConsumer
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

ReaderName = Literal["", "kafka-python", "confluent-kafka"]

_CONNECT = 10.0
_PAUSE = 1.0
_POLL = 0.1
_END = 5.0


class Reader(Protocol):
    """Reads all partitions of one topic; see `client.ValueConsumer`."""

    trouble: str

    def end_offsets(self) -> dict[int, int]:
        """Return where the next records will be."""

    def start_at(self, offsets: Offsets) -> None:
        """Read from these offsets on."""

    def values(self, seconds: float) -> list[bytes]:
        """Return the values of what comes within so many seconds."""

    def positions(self) -> dict[int, int]:
        """Return which record of each partition comes next."""

    def close(self) -> None:
        """End its connections."""


class Follower:
    """Hands on what comes on a topic, in a thread of its own, without a consumer group.

    Attributes:
        records: how many have come.
        size: bytes of their values.
        trouble: why nothing comes now; empty while all is well.
    """

    def __init__(
        self,
        access: KafkaAccess,
        topic: str,
        take: Callable[[list[bytes]], None],
        start: Offsets | None = None,
        reader: ReaderName = "",
    ) -> None:
        """Begin to follow.

        Args:
            access: how to reach Kafka.
            topic: what to follow.
            take: gets the values, in the thread.
            start: from where, the topic's end if nothing is said.
            reader: the package to read with; if nothing is said, the faster one that is installed.

        Raises:
            BrokerError: Kafka cannot be reached, or has no such topic.
        """
        self.records = 0
        self.size = 0
        self.trouble = ""
        self._access = access
        self._topic = topic
        self._take = take
        self._mark = self._passed = 0
        self._closing = threading.Event()
        self._reader = reader or ("confluent-kafka" if find_spec("confluent_kafka") else "kafka-python")
        with contextlib.closing(self._consumer()) as consumer:
            self._next = consumer.end_offsets() if start is None else dict(start)
        self._thread = threading.Thread(target=self._run, name=f"follow-{topic}", daemon=True)
        self._thread.start()

    def mark(self) -> int:
        """Ask whether all that is on the topic by now has been handed on; `has_passed` answers."""
        self._mark += 1
        return self._mark

    def has_passed(self, mark: int) -> bool:
        """Return whether all that was on the topic at a mark has been handed on."""
        return self._passed >= mark

    def close(self) -> None:
        """End the thread and the connection."""
        self._closing.set()
        self._thread.join(_CONNECT + _END)

    def _consumer(self) -> Reader:
        if self._reader == "confluent-kafka":
            from pytest_metersphere.dist.kafka.confluent import ConfluentConsumer

            return ConfluentConsumer(self._access, self._topic, _CONNECT)
        return ValueConsumer(self._access, self._topic, _CONNECT)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with contextlib.closing(self._consumer()) as consumer:
                    # after a failure behind what was handed on
                    consumer.start_at(self._next)
                    self._follow_past(consumer)
            except BrokerError as error:
                self.trouble = str(error)
                self._closing.wait(_PAUSE)

    def _follow_past(self, consumer: Reader) -> None:
        """Follow; when something cannot be read at all, the next time begins behind what is there by then.

        Not so when Kafka is only away: that is no error of reading, or one of connecting.
        """
        begun = self._next
        try:
            self._follow(consumer)
        except BrokerError:
            if begun == self._next:
                self._next = consumer.end_offsets()
            raise

    def _follow(self, consumer: Reader) -> None:
        goal, ends = 0, dict(self._next)
        while not self._closing.is_set():
            values = consumer.values(_POLL)
            self.trouble = consumer.trouble
            if values:
                self._next = consumer.positions()
                self.records += len(values)
                self.size += sum(map(len, values))
                self._take(values)
            if goal < self._mark:
                goal, ends = self._mark, consumer.end_offsets()
            if self._passed < goal:
                self._next = consumer.positions()
                if all(self._next.get(part, end) >= end for part, end in ends.items()):
                    self._passed = goal
