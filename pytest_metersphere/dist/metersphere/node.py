"""A node with a stock MeterSphere node-controller, and what it takes to run load there."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator

import pytest_metersphere
from pytest_metersphere.dist.metersphere.exchange import Exchange
from pytest_metersphere.dist.metersphere.hub import JMeterHub
from pytest_metersphere.dist.metersphere.rest import StockApi
from pytest_metersphere.dist.nodes import Node, SliceClient
from pytest_metersphere.dist.wire import PROTOCOL, KafkaAccess, NodeInfo
from pytest_metersphere.errors import NodeError

_RUNNER_IMAGE = "the image to run there (ini ms_runner_image, or PYTEST_MS_RUNNER_IMAGE)"
READY_LIMIT = 120.0
"""Seconds that a slice may take to be ready there."""


@dataclasses.dataclass(frozen=True, slots=True)
class StockTerms:
    """What a session has for the stock nodes in its pool.

    Attributes:
        image: image with its tag that they are to run, empty without one.
        kafka: the Kafka over which its containers are spoken to, None without one.
        exchange: the links to them.
        hub: what the stock JMeter image needs here, for test plans.
    """

    image: str = ""
    kafka: KafkaAccess | None = None
    exchange: Exchange = dataclasses.field(default_factory=Exchange)
    hub: JMeterHub = dataclasses.field(default_factory=JMeterHub)

    def close(self) -> None:
        """Close what is open."""
        self.exchange.close()
        self.hub.close()


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

    @property
    def tail(self) -> float:
        """Return that it tells of its load at once."""
        return 0.0

    @property
    def pulled(self) -> bool:
        """Return that its frames come as those of the whole run do."""
        return False

    def rejected(self, run: str) -> int:
        """Return how many records of others claimed to be messages of a run's slices, on all stock nodes."""
        return self.terms.exchange.rejected(run)

    @property
    def api(self) -> StockApi:
        """Return its node-controller."""
        return StockApi(self.name, self.url)

    @property
    def lack(self) -> str:
        """Return what is missing for any load to run there, and how to give it; empty when nothing is."""
        return self._lacking(self._missing())

    def lack_for(self, *, plans: bool, functions: bool) -> str:
        """Return what is missing for test plans, for tests in Python, or for both."""
        return self._lacking([*self._missing(), *self._missing_for(plans=plans, functions=functions)])

    def _lacking(self, found: Iterable[str]) -> str:
        missing = list(found)
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
        if not self.terms.image and not self.terms.hub.terms.image:
            yield _RUNNER_IMAGE

    def _missing_for(self, *, plans: bool, functions: bool) -> Iterator[str]:
        stock_jmeter = plans and bool(self.terms.hub.terms.image)
        if self.terms.hub.terms.image and not self.terms.image and (functions or not stock_jmeter):
            yield _RUNNER_IMAGE
        kafka = self.terms.kafka
        if stock_jmeter and kafka is not None and (kafka.tls or kafka.sasl):
            yield (
                "a listener of Kafka without login and TLS, as the JMeter image knows neither (or no"
                " ms_jmeter_image, and JMeter in the runner image)"
            )

    def connect(self) -> SliceClient:
        """Return a new client of the node, for use in one thread (NodeError when something is missing)."""
        from pytest_metersphere.dist.metersphere.client import StockClient

        if self.lack or self.capacity is None:
            raise NodeError(self.name, self.lack, kind="stock")
        return StockClient(self)


def node_info(node: StockNode) -> NodeInfo:
    """Return what a stock node is and holds: what the pool declares, less what our containers there have."""
    held, capacity = node.api.containers(), node.capacity or 0
    return NodeInfo(
        protocol=PROTOCOL,
        version=pytest_metersphere.__version__,
        name=node.name,
        python="",
        capacity=capacity,
        free=max(0, capacity - sum(each.users for each in held)),
        workers=0,
        clock=time.time(),
        pid=0,
        slices=[each.slice for each in held],
    )


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
