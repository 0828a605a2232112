"""What status and doctor tell of brokers that ask for a login, or send their clients astray."""

from __future__ import annotations

import contextlib
import re
import secrets
import warnings

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
from tests.kafka.records import write
from tests.kafka.rules import allow, make_topic, operator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kafka import KafkaConsumer

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

    assert status.ok, status
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


def test_what_the_brokers_hold(start: Start) -> None:
    """Version, topics and partitions, and for how long a broker keeps what says nothing else: a minute."""
    broker = start(Recipe(settings={"log.retention.ms": "60000"}))
    make_topic(broker.address, "JMETER_METRICS", partitions=4)
    make_topic(broker.address, "some-other-topic", partitions=3)
    status = kafka_status(to(broker))
    (found,) = status.brokers

    assert (found.topics, found.partitions, found.behind, found.retention_ms) == (2, 7, 0, 60000)
    assert re.fullmatch(r"4\.\d+", found.version or "")
    assert (status.servers[0].version, status.servers[0].topics) == (None, None)
    assert [topic.name for topic in status.topics] == [topic_of(status).name, "JMETER_METRICS"]


def test_how_far_a_consumer_is_behind(start: Start) -> None:
    """Of MeterSphere's topics: its group, and what it has still to read; of ours nobody's."""
    broker = start(Recipe())
    access = to(broker)
    for name in ("JMETER_METRICS", "JMETER_LOGS", access.results_topic):
        make_topic(broker.address, name, {"message.timestamp.type": "LogAppendTime"}, partitions=2)
        write(broker.address, name, [(b"k", b"v")] * 10)
    read(broker.address, "JMETER_METRICS", "metersphere_group_id", 10)
    write(broker.address, "JMETER_METRICS", [(b"k", b"v")] * 7)
    read(broker.address, "JMETER_METRICS", "somebody", 17)
    topics = {topic.name: topic for topic in kafka_status(access).topics}

    assert (topics["JMETER_METRICS"].lag, topics["JMETER_METRICS"].group) == (7, "metersphere_group_id")
    assert (topics["JMETER_LOGS"].lag, topics["JMETER_LOGS"].ok) == (None, True)
    assert topics[access.results_topic].lag is None


def test_who_may_not_look_around_is_told_less(strict_broker: Broker) -> None:
    """Neither groups nor the broker's settings are shown; that is no trouble."""
    access = to(strict_broker)
    settings = {"message.timestamp.type": "LogAppendTime"}
    make_topic(strict_broker.plain_address, access.results_topic, settings)
    allow(strict_broker.plain_address, "alice", access.results_topic, "DESCRIBE")
    status = kafka_status(access)
    (found,) = status.brokers

    assert status.ok, status
    assert (found.state, found.retention_ms) == ("up", None)
    assert topic_of(status).lag is None


def read(address: str, topic: str, group: str, count: int) -> None:
    """Read so many records as one of a group, and write down how far."""
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=[address],
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    with contextlib.closing(consumer):
        done = 0
        while done < count:
            done += sum(len(records) for records in consumer.poll(timeout_ms=200).values())
        consumer.commit()
