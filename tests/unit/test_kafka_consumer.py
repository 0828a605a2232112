"""What a consumer makes of Kafka's failures while it reads: those that may pass are told, and waited for."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import pytest

from pytest_metersphere.dist.kafka.client import consumer as module
from pytest_metersphere.dist.kafka.client.consumer import Consumer
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

# behind the import above, which keeps what kafka-python deprecates quiet
kafka_errors = importlib.import_module("kafka.errors")


class FakeKafka:
    """In the place of kafka-python's consumer; what a poll comes to is taken from a list."""

    def __init__(self, **options: Any) -> None:
        del options
        self.outcomes: list[Exception | dict[Any, list[Any]]] = []

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Return the only partition."""
        del topic
        return {0}

    def poll(self, timeout_ms: int) -> dict[Any, list[Any]]:
        """Return or raise what is next."""
        del timeout_ms
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[Consumer, FakeKafka]:
    """Return a consumer and what stands for Kafka."""
    kafka = FakeKafka()
    monkeypatch.setattr(module, "KafkaConsumer", lambda **_options: kafka)
    monkeypatch.setattr(module, "Opening", lambda _access, _limit: contextlib.nullcontext({}))
    return Consumer(KafkaAccess(servers=("kafka:9092",), prefix="ms"), "results", 1.0), kafka


def test_a_failure_that_may_pass_is_told_while_it_lasts(made: tuple[Consumer, FakeKafka]) -> None:
    """Nothing comes of the poll; the next one that works takes it back."""
    consumer, kafka = made
    kafka.outcomes = [kafka_errors.NotLeaderForPartitionError("it moves"), {}]

    assert consumer.poll(0.01) == []
    assert consumer.trouble == "it moves (NotLeaderForPartitionError)"
    assert consumer.poll(0.01) == []
    assert consumer.trouble == ""


def test_a_failure_that_stays_is_raised(made: tuple[Consumer, FakeKafka]) -> None:
    """Whoever reads has to do something about it."""
    consumer, kafka = made
    kafka.outcomes = [kafka_errors.TopicAuthorizationFailedError("results")]

    with pytest.raises(BrokerError, match=r"results \(TopicAuthorizationFailedError\)"):
        consumer.poll(0.01)
