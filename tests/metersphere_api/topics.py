"""MeterSphere's topic of logs on a real Kafka, read without the code under test."""

from __future__ import annotations

import contextlib
import secrets
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from pytest_metersphere.dist.kafka.client.admin import Admin
from pytest_metersphere.dist.wire import KafkaAccess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kafka import KafkaConsumer, TopicPartition


class Record(NamedTuple):
    """What is on the topic."""

    key: bytes | None
    value: str
    headers: Sequence[object]


class LogTopic:
    """A topic of a test's own.

    Attributes:
        kafka: bootstrap server.
        name: its name.
    """

    def __init__(self, kafka: str) -> None:
        """Make it, with the four partitions that MeterSphere's have."""
        self.kafka = kafka
        self.name = f"JMETER_LOGS-{secrets.token_hex(6)}"
        with contextlib.closing(Admin(KafkaAccess(servers=(kafka,)), 10.0)) as admin:
            admin.create(self.name, 4, 1, {})

    @property
    def env(self) -> dict[str, str]:
        """Return the variables of a container whose end is to be told there."""
        return {"BOOTSTRAP_SERVERS": self.kafka, "LOG_TOPIC": self.name}

    def records(self) -> list[Record]:
        """Return all that is there, in the order of its time."""
        with contextlib.closing(KafkaConsumer(bootstrap_servers=[self.kafka])) as consumer:
            places = [TopicPartition(self.name, number) for number in range(4)]
            ends = consumer.end_offsets(places)
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            found: list[Any] = []
            while len(found) < sum(ends.values()):
                for records in consumer.poll(timeout_ms=200).values():
                    found += records
        found.sort(key=lambda record: record.timestamp)
        return [Record(record.key, record.value.decode(), record.headers) for record in found]

    def lines(self) -> list[str]:
        """Return the texts of all that is there, in the order of their time."""
        return [record.value for record in self.records()]
