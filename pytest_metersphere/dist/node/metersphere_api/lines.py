"""What MeterSphere is told over Kafka of a container's end: lines on its topic of logs.

Four parts with blanks between: the report, `none` for the resource (it is not JMeter that speaks), 0 for
its index, and the text.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pytest_metersphere.dist.node.metersphere_api.order import Order
from pytest_metersphere.dist.node.metersphere_api.threads import Threads
from pytest_metersphere.dist.wire import KafkaAccess

if TYPE_CHECKING:
    from pytest_metersphere.dist.kafka.delivery import KafkaSink

END = "Remove container completed"
"""The line that every container ends with."""
NO_MEMORY = "There is insufficient memory for the Java Runtime Environment to continue."
"""What a JVM prints that cannot start; MeterSphere's server ends the report with an error upon it."""
DELIVERY = 60.0
"""Seconds for the lines to be on Kafka."""

_PARTITION = 0
_POLL = 0.1


class Lines:
    """The lines about one container, in order, each once.

    Without a report or without Kafka nobody would read them, and none is sent.
    """

    def __init__(self, order: Order, threads: Threads) -> None:
        """Prepare; nothing is connected before the first line."""
        self._order = order
        self._threads = threads
        self._sink: KafkaSink | None = None
        self._said = 0
        self._deadline = 0.0

    async def say(self, text: str) -> None:
        """Begin to send a line."""
        if not self._order.report or not self._order.servers:
            return
        kind = await self._threads.do(_kind_of_sink)
        if self._sink is None:
            access = KafkaAccess(servers=self._order.servers)
            # lines without a key go anywhere, and out of order, unless they share a partition
            self._sink = kind(access, topic=self._order.topic, partition=_PARTITION)
        self._said += 1
        self._deadline = time.monotonic() + DELIVERY
        self._sink.put("", f"{self._order.report} none 0 {text}".encode())

    def hurry(self, seconds: float) -> None:
        """Leave the lines so many seconds from now, not more."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    async def arrive(self) -> str:
        """Wait until all lines are on Kafka, and close the connections; return what went wrong, if any."""
        sink = self._sink
        if sink is None:
            return ""
        # the sink lives in threads, and has no event for a loop
        while sink.delivered + sink.dropped < self._said and time.monotonic() < self._deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)
        lost = self._said - sink.delivered
        trouble = sink.trouble or "it took too long"
        await self._threads.do(sink.close)
        topic = self._order.topic
        return f"{lost} of its lines did not come to Kafka's topic {topic}: {trouble}" if lost else ""


def _kind_of_sink() -> type[KafkaSink]:
    # kafka-python is imported only where Kafka is used
    from pytest_metersphere.dist.kafka.delivery import KafkaSink

    return KafkaSink
