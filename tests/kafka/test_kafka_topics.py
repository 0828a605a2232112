"""The topic for frames is made so that nothing is lost, and one that is there is left alone."""

from __future__ import annotations

import warnings

import pytest

from pytest_metersphere.dist.kafka.topics import PARTITIONS, ensure_topics, losses, settings_for
from pytest_metersphere.dist.wire import KafkaAccess
from tests.fakes.nodes import free_port
from tests.kafka.rules import make_topic, operator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kafka.admin import ConfigResource, ConfigResourceType

HOUR = 3600.0


def settings_of(access: KafkaAccess) -> dict[str, str]:
    """Return the settings that the broker has for the results topic."""
    resource = ConfigResource(ConfigResourceType.TOPIC, access.results_topic)
    with operator(access.servers[0]) as admin:
        found = admin.describe_configs([resource], config_filter="all")["topic"][access.results_topic]
    return {name: entry["value"] for name, entry in found.items()}


@pytest.mark.needs_kafka
def test_the_topic_is_made_with_explicit_settings(access: KafkaAccess) -> None:
    """What the broker then has is what was asked for, whatever its defaults are."""
    (check,) = ensure_topics(access)

    assert check.ok
    assert check.detail == f"made, with {PARTITIONS} partitions and 1 replicas of each"
    assert settings_for(0.0).items() <= settings_of(access).items()


@pytest.mark.needs_kafka
def test_a_long_run_is_kept_to_its_end(access: KafkaAccess) -> None:
    """A run of three days makes a topic that keeps more than three days."""
    assert ensure_topics(access, longest_run=72 * HOUR)[0].ok
    assert int(settings_of(access)["retention.ms"]) > 72 * HOUR * 1000


@pytest.mark.needs_kafka
def test_a_topic_that_is_there_is_left_alone(access: KafkaAccess) -> None:
    """Settings that lose nothing are accepted and not changed."""
    make_topic(
        access.servers[0], access.results_topic, {"message.timestamp.type": "LogAppendTime"}, partitions=2
    )
    before = settings_of(access)
    (check,) = ensure_topics(access)

    assert check.ok
    assert check.detail == "it is there, with 2 partitions"
    assert settings_of(access) == before


@pytest.mark.needs_kafka
def test_making_it_twice_is_the_same_as_once(access: KafkaAccess) -> None:
    """The second session finds what the first one made."""
    assert ensure_topics(access)[0].ok
    (again,) = ensure_topics(access)

    assert again.ok
    assert again.detail == f"it is there, with {PARTITIONS} partitions"


def test_without_a_broker_it_is_told() -> None:
    """Nobody gets an exception: the check does not hold, and says why."""
    (check,) = ensure_topics(KafkaAccess(servers=(f"127.0.0.1:{free_port()}",)), limit=0.3)

    assert not check.ok
    assert "bootstrap" in check.detail
    assert check.hint


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"retention.ms": "4199999"}, "retention.ms=4199999"),
        ({"message.timestamp.type": "CreateTime"}, "CreateTime"),
        ({"max.message.bytes": "524287"}, "max.message.bytes=524287"),
        ({"cleanup.policy": "compact,delete"}, "compact"),
        ({"compression.type": "snappy"}, "compression.type=snappy"),
    ],
)
def test_settings_that_lose_frames(settings: dict[str, str], complaint: str) -> None:
    """Each of them is told by name and value."""
    (told,) = losses(settings_for(HOUR) | settings, HOUR)

    assert complaint in told


@pytest.mark.parametrize(
    "settings",
    [
        {"retention.ms": "4200000"},
        {"retention.ms": "-1"},
        {"max.message.bytes": "524288"},
        {"compression.type": "producer"},
        {"compression.type": "gzip"},
    ],
)
def test_settings_that_lose_nothing(settings: dict[str, str]) -> None:
    """Unlimited retention, and values at the limit, are accepted."""
    assert losses(settings_for(HOUR) | settings, HOUR) == []


def test_settings_that_are_not_known_are_not_complained_of() -> None:
    """A broker that keeps a setting to itself, or an old one without it, is believed."""
    assert losses({}, HOUR) == []
    assert losses({"retention.ms": "long"}, HOUR) == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Nobody has to try again for the second complaint."""
    assert (
        len(losses({"retention.ms": "1", "cleanup.policy": "compact", "max.message.bytes": "1"}, HOUR)) == 3
    )
