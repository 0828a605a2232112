"""Sending records."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from kafka import KafkaProducer
from kafka.errors import KafkaError, RetriableError

from pytest_metersphere.dist.kafka.client.opening import QUIET, REQUEST_LIMIT, Opening, told
from pytest_metersphere.dist.wire import KafkaAccess

DELIVERY_LIMIT = 60.0
"""Seconds after which a record that no broker takes is given up."""

_BATCH = 256 << 10


class Producer:
    """Sends records, each of them once and in order (an idempotent producer).

    Attributes:
        broken: a broker refused a record; kafka-python then gives up all that follow, so make another.
    """

    def __init__(self, access: KafkaAccess, limit: float) -> None:
        """Connect (BrokerError after `limit` seconds)."""
        self.broken = False
        with Opening(access, limit) as options:
            self._producer = KafkaProducer(
                **options,
                allow_auto_create_topics=False,
                delivery_timeout_ms=DELIVERY_LIMIT * 1000,
                max_block_ms=int(limit * 1000),
                batch_size=_BATCH,
                metrics_enabled=False,
            )

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        done: Callable[[Exception | None], None],
        partition: int | None = None,
    ) -> None:
        """Queue a record; `done` is called, in a thread of the client, when it is there or given up.

        Without a partition the key chooses it, without either chance does.

        Raises:
            BrokerError: the topic is not known, or the record too large; `done` is not called.
        """
        with told():
            future = self._producer.send(topic, key=key, value=value, partition=partition)
        future.add_callback(lambda _metadata: done(None))
        future.add_errback(lambda error: self._failed(error, done))

    def _failed(self, error: Exception, done: Callable[[Exception | None], None]) -> None:
        self.broken = self.broken or not isinstance(error, RetriableError)
        done(error)

    def close(self, limit: float = 0.0) -> None:
        """Give records that are under way `limit` seconds, then end the threads and connections."""
        with contextlib.suppress(KafkaError):
            self._producer.flush(limit)
        # close() would give up waiting for a broker that is gone, and leave its thread
        sender = self._producer._sender  # type: ignore[attr-defined]  # noqa: SLF001
        sender.force_close()
        sender.join(REQUEST_LIMIT)
        with contextlib.suppress(KafkaError):
            self._producer.close(0)
        QUIET.end()
