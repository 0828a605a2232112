"""The only place that knows confluent-kafka, which is optional: it reads rows with a quarter of the CPU time.

What goes wrong there comes out as BrokerError. It does not log.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pytest_metersphere.dist.kafka.client.consumer import Offsets
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

MOST = 5000
"""Records that are taken at once."""

_GROUP = "pytest-metersphere"
"""It wants the name of a group, though none is ever joined."""
_NO_LEADER_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
_PAUSE = 0.1
_NOWHERE = logging.getLogger(__name__)
_NOWHERE.disabled = True


class ConfluentConsumer:
    """Reads all partitions of one topic, as `client.ValueConsumer` does."""

    def __init__(self, access: KafkaAccess, topic: str, limit: float) -> None:
        """Connect (BrokerError after `limit` seconds, or when there is no such topic)."""
        self.trouble = ""
        self._topic = topic
        self._limit = limit
        with _told():
            self._consumer = Consumer(_options(access), logger=_NOWHERE)
        try:
            self._partitions = self._numbers()
        except BaseException:
            self._consumer.close()
            raise
        self._start: dict[int, int] = {}

    def _numbers(self) -> list[int]:
        with _told():
            found = self._consumer.list_topics(self._topic, timeout=self._limit).topics[self._topic]
        if found.error is not None or not found.partitions:
            raise BrokerError(f"Kafka has no topic {self._topic!r}")
        return sorted(found.partitions)

    def end_offsets(self) -> dict[int, int]:
        """Return where the next records will be."""
        deadline = time.monotonic() + self._limit
        with _told():
            return {number: self._end(number, deadline) for number in self._partitions}

    def _end(self, number: int, deadline: float) -> int:
        """Return where a partition ends; one that is just made, or moved, gets time to have a leader."""
        while True:
            left = max(_PAUSE, deadline - time.monotonic())
            try:
                place = TopicPartition(self._topic, number)
                end: int = self._consumer.get_watermark_offsets(place, timeout=left)[1]
            except KafkaException as error:
                if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return end

    def start_at(self, offsets: Offsets) -> None:
        """Read from these offsets on; partitions without one are not read."""
        self._start = dict(offsets)
        places = [
            TopicPartition(self._topic, number, offsets[number])
            for number in self._partitions
            if number in offsets
        ]
        with _told():
            self._consumer.assign(places)

    def values(self, seconds: float) -> list[bytes]:
        """Return the values of what comes within so many seconds, empty ones for none."""
        with _told():
            messages = self._consumer.consume(MOST, timeout=seconds)
        # what else it tells of, such as brokers that are away, it gets over by itself
        errors = [error for message in messages if (error := message.error()) is not None]
        self.trouble = errors[-1].str() if len(errors) == len(messages) and errors else ""
        return [message.value() or b"" for message in messages if message.error() is None]

    def positions(self) -> dict[int, int]:
        """Return which record of each partition that is read comes next."""
        with _told():
            found = self._consumer.position(self._consumer.assignment())
        # what has not delivered anything yet has no position
        return {
            place.partition: place.offset if place.offset >= 0 else self._start[place.partition]
            for place in found
        }

    def close(self) -> None:
        """End its threads and connections."""
        with _told():
            self._consumer.close()


def _options(access: KafkaAccess) -> dict[str, str | int | bool]:
    options: dict[str, str | int | bool] = {
        "bootstrap.servers": ",".join(access.servers),
        "client.id": "pytest-metersphere",
        "group.id": _GROUP,
        "security.protocol": access.security_protocol,
        "sasl.mechanism": access.sasl_mechanism,
        "sasl.username": access.username,
        "sasl.password": access.password,
        "ssl.ca.pem": access.ca,
        "ssl.certificate.pem": access.certificate,
        "ssl.key.pem": access.key or access.certificate,
    }
    return {name: value for name, value in options.items() if value} | {
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        "fetch.wait.max.ms": 100,
    }


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Let errors of confluent-kafka out as BrokerError."""
    try:
        yield
    except (KafkaException, RuntimeError) as error:
        raise BrokerError(str(error.args[0]) if error.args else str(error)) from error
