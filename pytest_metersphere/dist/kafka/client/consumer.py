"""Reading records, whole ones or only their values."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, RetriableError

from pytest_metersphere.dist.kafka.batches import BatchError, plain_values
from pytest_metersphere.dist.kafka.client.opening import QUIET, Opening, told
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

Offsets = Mapping[int, int]
"""Positions in a topic: offset by partition."""

MAX_RECORDS = 1000
"""Records that one poll returns at most."""

_BATCH = 256 << 10
_FETCH = 4 << 20
_PAUSE = 0.1


class Consumer:
    """Reads all partitions of one topic.

    Attributes:
        trouble: why the last poll found nothing, if Kafka failed in a way that may pass; else empty.
    """

    def __init__(
        self,
        access: KafkaAccess,
        topic: str,
        limit: float,
        *,
        hasty: bool = False,
    ) -> None:
        """Connect (BrokerError after `limit` seconds, or when there is no such topic).

        A hasty one is told of each record at once, where others wait a moment for more.
        """
        self.trouble = ""
        self._topic = topic
        with Opening(access, limit) as options:
            self._consumer = KafkaConsumer(
                **options,
                allow_auto_create_topics=False,
                enable_auto_commit=False,
                # what was deleted before it could be read is gone; the rest is not to be skipped
                auto_offset_reset="earliest",
                # a record that was damaged fails the check of its signature
                check_crcs=False,
                fetch_min_bytes=1 if hasty else _BATCH,
                fetch_max_wait_ms=100,
                max_partition_fetch_bytes=_FETCH,
                max_poll_records=MAX_RECORDS,
                metrics_enabled=False,
            )
            try:
                self._partitions = [TopicPartition(topic, number) for number in self._numbers()]
            except BaseException:
                self._consumer.close(autocommit=False)
                raise

    def _numbers(self) -> list[int]:
        numbers = self._consumer.partitions_for_topic(self._topic)
        if not numbers:
            raise BrokerError(
                f"Kafka has no topic {self._topic!r}: make it, or let the preflight make it"
                " (--ms-preflight=auto)"
            )
        return sorted(numbers)

    def end_offsets(self) -> dict[int, int]:
        """Return where the next records will be."""
        with told():
            found = self._consumer.end_offsets(self._partitions)
            return {place.partition: offset for place, offset in found.items()}

    def start_at(self, offsets: Offsets) -> None:
        """Read from these offsets on; partitions without one are not read."""
        with told():
            places = [place for place in self._partitions if place.partition in offsets]
            self._consumer.assign(places)
            for place in places:
                self._consumer.seek(place, offsets[place.partition])

    def poll(self, seconds: float) -> list[tuple[bytes, bytes]]:
        """Return the keys and values of what comes within so many seconds, empty ones for none.

        Raises:
            BrokerError: something on the topic cannot be read; do not poll again, begin behind it.
        """
        batches = self._batches(seconds)
        return [(_blob(record.key), _blob(record.value)) for batch in batches for record in batch]

    def _batches(self, seconds: float) -> Iterable[list[Any]]:
        try:
            with told():
                found = self._consumer.poll(timeout_ms=int(seconds * 1000)).values()
        except BrokerError as error:
            if not isinstance(error.__cause__, RetriableError):
                raise
            self.trouble = str(error)
            time.sleep(min(seconds, _PAUSE))
            return []
        self.trouble = ""
        return found

    def positions(self) -> dict[int, int]:
        """Return which record of each partition that is read comes next."""
        with told():
            found = {place.partition: self._consumer.position(place) for place in self._consumer.assignment()}
            return {partition: offset for partition, offset in found.items() if offset is not None}

    def close(self) -> None:
        """End its thread and connections."""
        self._consumer.close(autocommit=False, timeout_ms=1000)
        QUIET.end()


class ValueConsumer(Consumer):
    """Reads all partitions of one topic, and of its records only the values, with a third of the CPU time.

    What kafka-python has fetched is unpacked here, where that is plain; all else stays as it is.
    """

    def __init__(self, access: KafkaAccess, topic: str, limit: float) -> None:
        """Connect (BrokerError after `limit` seconds, or when there is no such topic)."""
        super().__init__(access, topic, limit)
        self._consumer._fetcher.PartitionRecords = _PlainRecords  # type: ignore[attr-defined]  # noqa: SLF001

    def values(self, seconds: float) -> list[bytes]:
        """Return the values of what comes within so many seconds, empty ones for none; see `poll`.

        That is all that was fetched of a partition, some megabytes at most.
        """
        found: list[bytes] = []
        for batch in self._batches(seconds):
            if batch and not isinstance(batch[0], bytes):
                found += [_blob(record.value) for record in batch]
            else:
                found += batch
        return found


class _PlainRecords(Fetcher.PartitionRecords):
    """What was fetched of one partition; gives up the values of all of it at once."""

    def __init__(self, fetch_offset: int, tp: TopicPartition, records: Any, **known: Any) -> None:
        super().__init__(fetch_offset, tp, records, **known)
        self._buffer: Any = records._buffer  # noqa: SLF001

    def take(self, n: int | None = None) -> list[Any]:
        """Return what is there; `n` only counts for what is not plain."""
        buffer, self._buffer = self._buffer, b""
        try:
            found = plain_values(bytes(buffer), self.fetch_offset)
        except BatchError as error:
            raise CorruptRecordError(str(error)) from None
        if found is None or not found.values:
            return super().take(n)
        self.next_fetch_offset = found.following
        self.drain()
        return found.values


def _blob(content: object) -> bytes:
    return content if isinstance(content, bytes) else b""
