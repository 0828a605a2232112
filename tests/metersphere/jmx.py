"""What sessions with test plans in the JMeter image share: the settings, the plan, what must add up."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import Callable, Iterator

from pytest_metersphere.dist.kafka.client.producer import Producer
from pytest_metersphere.dist.kafka.topics import ensure_topics
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError
from tests.jmeter.plans import http, pause, plan, threads, transaction
from tests.jmeter.target import Target
from tests.metersphere.sessions import Machines
from tests.plugin.projects import Done, Project

IMAGE = "metersphere/jmeter-master:played"
FAST_HEAP = "-Xms64m -Xmx256m -XX:TieredStopAtLevel=1"
SHOP = plan(threads(pause(50), transaction("buy", http("/cart"))))
TEST = """
    import pytest

    @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": {port}}}, {keywords})
    def test_shop(load_result):
        assert load_result.labels["buy"].kind == "transaction"
        assert load_result.requests == load_result.labels["GET /cart"].requests
"""


@dataclasses.dataclass(frozen=True)
class JMeterMachines(Machines):
    """Stock nodes with the JMeter image.

    Attributes:
        jmeter_image: what containers run for test plans.
        topics: of rows and of logs.
    """

    jmeter_image: str = ""
    topics: tuple[str, str] = ("JMETER_METRICS", "JMETER_LOGS")

    @property
    def env(self) -> dict[str, str]:
        """Return the variables by which a session can use them."""
        metrics, log = self.topics
        return {
            "PYTEST_MS_KAFKA": self.kafka,
            "PYTEST_MS_KAFKA_PREFIX": self.prefix,
            "PYTEST_MS_JMETER_IMAGE": self.jmeter_image,
            "PYTEST_MS_JMETER_HEAP": FAST_HEAP,
            "PYTEST_MS_METRICS_TOPIC": metrics,
            "PYTEST_MS_LOG_TOPIC": log,
        }


def new_prefix(kafka: str) -> str:
    """Return a prefix for topics, with that for frames, so that sessions need no preflight."""
    prefix = f"test-{secrets.token_hex(6)}"
    assert all(check.ok for check in ensure_topics(KafkaAccess(servers=(kafka,), prefix=prefix)))
    return prefix


def new_topics() -> tuple[str, str]:
    """Return names of topics that nobody else has."""
    name = secrets.token_hex(6)
    return f"METRICS-{name}", f"LOGS-{name}"


@contextlib.contextmanager
def log_sender(kafka: str) -> Iterator[Callable[[str, str], None]]:
    """Return what sends a text to a topic, as node-controllers do."""
    producer = Producer(KafkaAccess(servers=(kafka,)), 10.0)
    try:
        yield lambda topic, text: _sent(producer, topic, text)
    finally:
        producer.close(5.0)


def _sent(producer: Producer, topic: str, text: str) -> None:
    # a node-controller may say something when the test is over
    with contextlib.suppress(BrokerError):
        producer.send(topic, b"", text.encode(), lambda _error: None)


def write_plan(project: Project) -> None:
    """Write a test plan of one thread group."""
    project.write("plans/shop.jmx", SHOP)


def shop(project: Project, target: Target, keywords: str) -> None:
    """Write a test plan that asks a server, and the test."""
    write_plan(project)
    project.write("test_shop.py", TEST.format(port=target.port, keywords=keywords))


def assert_closed(done: Done, target: Target) -> None:
    """Assert that a session passed, and that report, ledger and server have the same count."""
    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert result.verdict == "passed", done.text
    assert result.validity.valid
    ledger = result.ledger
    assert ledger.sent == ledger.received > 0
    assert (ledger.lost, ledger.duplicates, ledger.rejected) == (0, 0, 0)
    assert ledger.exchanges == ledger.counted + ledger.warmup + ledger.interrupted == target.count
    assert result.totals.requests == ledger.counted
    assert sum(node.requests for node in result.nodes) == ledger.counted
