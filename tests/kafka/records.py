"""What is on a topic, read and written without the code under test."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Mapping

from pytest_metersphere.dist.wire import KafkaAccess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def read_all(access: KafkaAccess, topic: str | None = None) -> list[tuple[bytes, bytes]]:
    """Return keys and values of all records of a topic, of that for results if none is named.

    Those of a partition are in order.
    """
    with contextlib.closing(KafkaConsumer(bootstrap_servers=list(access.servers))) as consumer:
        places = _places(consumer, topic or access.results_topic)
        ends = consumer.end_offsets(places)
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        found: list[tuple[bytes, bytes]] = []
        while len(found) < sum(ends.values()):
            for records in consumer.poll(timeout_ms=200).values():
                found += [(record.key or b"", record.value or b"") for record in records]
        return found


def write(
    address: str,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None]],
    partition: int | None = None,
) -> Mapping[int, int]:
    """Write keys and values, as a stranger could, and return the last offset by partition."""
    with contextlib.closing(KafkaProducer(bootstrap_servers=[address])) as producer:
        sent = [producer.send(topic, key=key, value=value, partition=partition) for key, value in records]
        done = [future.get(timeout=15) for future in sent]
        return {each.partition: each.offset for each in done}


def _places(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
