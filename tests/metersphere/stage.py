"""One stock node with the JMeter image, and a slice on it, without a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from pytest_metersphere.dist.metersphere.exchange import Exchange
from pytest_metersphere.dist.metersphere.hub import JMeterHub, JMeterTerms
from pytest_metersphere.dist.metersphere.jmeter_node import JMeterClient, JMeterNode
from pytest_metersphere.dist.metersphere.node import StockNode, StockTerms
from pytest_metersphere.dist.wire import KafkaAccess, SliceInfo, StartRequest
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.messages import Part
from pytest_metersphere.scenario.model import Jmx
from tests.fakes.nodes import scenario, start_request
from tests.metersphere.engines import Engine
from tests.metersphere.jmx import FAST_HEAP, log_sender, new_topics
from tests.metersphere.stand_in import StandIn

RUN = "00112233445566aa"
SLICE = f"{RUN}-0"


@dataclasses.dataclass
class Stage:
    """A stock node for a plan.

    Attributes:
        engine: where its containers run.
        stand_in: its node-controller.
        node: the node, as a run has it.
        hub: what it needs here.
        kafka: how to reach Kafka.
        properties: JMeter properties of the plan.
    """

    engine: Engine
    stand_in: StandIn
    node: JMeterNode
    hub: JMeterHub
    kafka: KafkaAccess
    properties: dict[str, str]

    def begin(self) -> JMeterClient:
        """Start a slice of three users."""
        client = self.node.connect()
        client.start(self._request(), b"")
        return client

    def _request(self) -> StartRequest:
        jmx = Jmx(path="shop.jmx", properties=self.properties)
        part = Part(
            scenario=msgspec.structs.replace(scenario(), jmx=jmx),
            users=[1, 2, 3],
            share=Share(users=3, before=0, total=3, node=0, nodes=1),
        )
        plain = start_request(SLICE, 3, parts=[part])
        return msgspec.structs.replace(plain, run=RUN, kafka=self.kafka)


@contextmanager
def stage(folder: Path, plan: str, kafka: str, engine: Engine, image: str, port: int = 1) -> Iterator[Stage]:
    """Return a stock node for a plan, which is written into a folder."""
    (folder / "shop.jmx").write_text(plan)
    metrics, log = new_topics()
    with ExitStack() as stack:
        stand_in = stack.enter_context(StandIn(engine, stack.enter_context(log_sender(kafka))))
        terms = JMeterTerms(image=image, heap=FAST_HEAP, metrics_topic=metrics, log_topic=log, root=folder)
        hub = JMeterHub(terms)
        stack.callback(hub.close)
        access = KafkaAccess(servers=(kafka,))
        stock = StockTerms("", access, Exchange(), hub)
        node = StockNode("n1", "127.0.0.1", f"http://{stand_in.address}", 10, True, stock)
        yield Stage(engine, stand_in, JMeterNode(node), hub, access, {"port": str(port)})


def when(client: JMeterClient, state: str, patience: float = 30.0) -> SliceInfo:
    """Return how the slice stands when it is no longer in a state."""
    info = client.state(SLICE, wait_while=state, wait=patience)
    assert info.state != state
    return info
