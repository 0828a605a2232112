"""A node with a stock MeterSphere node-controller, and what it takes to run load there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pytest_metersphere.dist.metersphere.exchange import Exchange
from pytest_metersphere.dist.metersphere.rest import StockApi
from pytest_metersphere.dist.nodes import Node, SliceClient
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import NodeError

READY_LIMIT = 120.0
"""Seconds that a slice may take to be ready there."""


@dataclasses.dataclass(frozen=True, slots=True)
class StockTerms:
    """What a session has for the stock nodes in its pool.

    Attributes:
        image: image with its tag that they are to run, empty without one.
        kafka: the Kafka over which its containers are spoken to, None without one.
        exchange: the links to them.
    """

    image: str = ""
    kafka: KafkaAccess | None = None
    exchange: Exchange = dataclasses.field(default_factory=Exchange)


@dataclasses.dataclass(frozen=True, slots=True)
class StockNode:
    """A stock node.

    Attributes:
        name: its name in the pool.
        host: host name or address, without brackets.
        url: `http://host:port`.
        capacity: what the pool says of it; it cannot say so itself.
        loopback: only this machine can reach it.
        terms: what the session has for it.
    """

    name: str
    host: str
    url: str
    capacity: int | None
    loopback: bool
    terms: StockTerms

    @property
    def ready_limit(self) -> float | None:
        """Return the seconds that a slice may take to be ready."""
        return READY_LIMIT

    def rejected(self, run: str) -> int:
        """Return how many records of others claimed to be messages of a run's slices, on all stock nodes."""
        return self.terms.exchange.rejected(run)

    @property
    def api(self) -> StockApi:
        """Return its node-controller."""
        return StockApi(self.name, self.url)

    @property
    def lack(self) -> str:
        """Return what is missing for load to run there, and how to give it; empty when nothing is."""
        missing = list(self._missing())
        if not missing:
            return ""
        listed = "; ".join(missing)
        return (
            f"a stock MeterSphere node-controller listens on {self.url}, and load on it needs more: {listed}"
        )

    def _missing(self) -> Iterator[str]:
        if self.capacity is None:
            yield f"its capacity, as it can't say so itself (in the pool, {self.name}=1000)"
        if self.terms.kafka is None:
            yield "Kafka, over which its container is spoken to (--ms-kafka=HOST:9092)"
        if not self.terms.image:
            yield "the image to run there (ini ms_runner_image, or PYTEST_MS_RUNNER_IMAGE)"

    def connect(self) -> SliceClient:
        """Return a new client of the node, for use in one thread (NodeError when something is missing)."""
        from pytest_metersphere.dist.metersphere.client import StockClient

        if self.lack or self.capacity is None:
            raise NodeError(self.name, self.lack, kind="stock")
        return StockClient(self.name, self.api, self.capacity, self.terms.image, self.terms.exchange)


def stock_twin(node: Node, terms: StockTerms) -> StockNode | None:
    """Return a node as a stock one, if that is what it is; None when it is ours, something else, or silent.

    Stock node-controllers speak plain HTTP, whatever ours in the same pool do. No token is sent to them.
    """
    plain = dataclasses.replace(node, url=node.url.replace("https://", "http://", 1), token="", cafile=None)
    try:
        with plain.connect() as client:
            client.info()
    except NodeError as error:
        if error.kind == "stock":
            return StockNode(node.name, node.host, plain.url, node.capacity, node.loopback, terms)
    return None
