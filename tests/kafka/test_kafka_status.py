"""What status and doctor tell of brokers that ask for a login, or send their clients astray."""

from __future__ import annotations

import secrets

import msgspec
import pytest

from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.inspection.doctor import examine
from pytest_metersphere.inspection.kafka import kafka_status
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.status import status_of
from pytest_metersphere.inspection.values import KafkaStatus, TopicStatus
from tests.fakes.nodes import free_port
from tests.kafka.broker import Broker, Recipe
from tests.kafka.conftest import Start
from tests.kafka.rules import allow, make_topic, operator

pytestmark = pytest.mark.needs_kafka
PASSWORD = "alices-secret"


def to(broker: Broker, password: str = PASSWORD) -> KafkaAccess:
    """Return the way to a broker, for a user if it asks for one."""
    access = KafkaAccess(servers=(broker.address,), prefix=f"test-{secrets.token_hex(6)}")
    if broker.recipe.security == "PLAINTEXT":
        return access
    return msgspec.structs.replace(
        access,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        username="alice",
        password=password,
    )


def topic_of(status: KafkaStatus) -> TopicStatus:
    """Return what was found of the topic."""
    assert status.topic is not None
    return status.topic


def test_a_login_is_made_on_the_way(login_broker: Broker) -> None:
    """All is well with the right password."""
    status = kafka_status(to(login_broker))

    assert status.ok
    assert status.security_protocol == "SASL_PLAINTEXT"
    assert [(server.address, server.state) for server in status.servers] == [(login_broker.address, "up")]
    assert topic_of(status).state == "missing"


def test_a_wrong_password_is_told_and_not_shown(login_broker: Broker) -> None:
    """In status and in doctor; nothing is asked further."""
    target = Target(None, to(login_broker, "not-alices-secret"))
    status, findings = status_of(target), examine(target)

    assert not status.ok
    assert not findings.ok
    assert status.kafka is not None
    assert [server.state for server in status.kafka.servers] == ["login refused"]
    assert (status.kafka.brokers, status.kafka.topic) == ([], None)
    assert "not-alices-secret" not in f"{status}{findings}{target}"


def test_an_advertised_listener_that_leads_nowhere(start: Start) -> None:
    """The bootstrap server is up, the broker that it names is not; the topic cannot be asked for."""
    advertised = f"127.0.0.1:{free_port()}"
    status = kafka_status(to(start(Recipe(advertised=advertised))))

    assert not status.ok
    assert [server.state for server in status.servers] == ["up"]
    assert [(broker.address, broker.state) for broker in status.brokers] == [(advertised, "refused")]
    assert "set advertised.listeners" in status.brokers[0].detail
    assert status.topic is None


def test_no_topic_is_made_even_where_asking_makes_one(start: Start) -> None:
    """Brokers may make a topic for whoever asks for it; status asks otherwise."""
    broker = start(Recipe(settings={"auto.create.topics.enable": "true"}))
    access = to(broker)

    assert topic_of(kafka_status(access)).state == "missing"
    assert topic_of(kafka_status(access)).state == "missing"
    with operator(broker.address) as admin:
        assert admin.list_topics() == []


def test_a_topic_that_wants_more_replicas_than_there_are(access: KafkaAccess) -> None:
    """It is there, and takes nothing."""
    settings = {"min.insync.replicas": "2", "message.timestamp.type": "LogAppendTime"}
    make_topic(access.servers[0], access.results_topic, settings)
    topic = topic_of(kafka_status(access))

    assert (topic.state, topic.ok, topic.in_sync) == ("takes nothing", False, 1)
    assert "min.insync.replicas=2, but only 1 are in sync" in topic.detail


def test_a_topic_that_may_not_be_looked_at(strict_broker: Broker) -> None:
    """It is not known; one whose settings alone are hidden counts as there."""
    hidden, half = to(strict_broker), to(strict_broker)
    make_topic(strict_broker.plain_address, half.results_topic)
    allow(strict_broker.plain_address, "alice", half.results_topic, "DESCRIBE")

    assert topic_of(kafka_status(hidden)).state == "unknown"
    assert "TopicAuthorizationFailed" in topic_of(kafka_status(hidden)).detail
    topic = topic_of(kafka_status(half))
    assert (topic.state, topic.ok, topic.partitions, topic.retention_ms) == ("there", True, 6, None)
    assert topic.detail == "its settings may not be read by this user"
