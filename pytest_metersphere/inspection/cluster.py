"""What a cluster that can be used holds: its brokers' shares, and the topics of ours and of MeterSphere's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_metersphere.dist.kafka.brokers import join_address, split_address
from pytest_metersphere.dist.kafka.survey import Backlog, Member
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError
from pytest_metersphere.inspection.gathering import gathered
from pytest_metersphere.inspection.values import ServerStatus, TopicState, TopicStatus
from pytest_metersphere.units import format_duration

if TYPE_CHECKING:
    from pytest_metersphere.dist.kafka.client.admin import Admin, Topic

LIMIT = 15.0
"""Seconds for all that is asked of the cluster."""
OTHERS = ("JMETER_METRICS", "JMETER_LOGS", "JMETER_REPORTS", "LOAD_TESTS")
"""MeterSphere's own topics, by their names in its install.conf."""

_CLIENT_LIMIT = 5.0


def surveyed(
    access: KafkaAccess, brokers: Sequence[ServerStatus]
) -> tuple[list[ServerStatus], list[TopicStatus]]:
    """Return the brokers with what they hold, and the topics, that for results first.

    What this user may not see, or does not come within LIMIT, is left unknown.
    """
    known = [split_address(broker.address) for broker in brokers if broker.ok]
    asked: list[Callable[[Admin], Any]] = [
        lambda admin: _topics(access, admin),
        lambda admin: admin.members(known),
        lambda admin: admin.backlogs((access.results_topic, access.control_topic, *OTHERS)),
    ]
    topics, members, backlogs = gathered(lambda work: _asked(access, work), asked, LIMIT)
    if not isinstance(topics, list):
        why = topics or f"no answer within {format_duration(LIMIT)}"
        topics = [_unknown(access, why)]
    found: list[Member] = members if isinstance(members, list) else []
    behind: dict[str, Backlog] = backlogs if isinstance(backlogs, dict) else {}
    return _with_holdings(brokers, found), [_with_lag(topic, behind) for topic in topics]


def _asked(access: KafkaAccess, work: Callable[[Admin], Any]) -> Any:
    """Return what a client is told; the words of the error when it is told none."""
    # kafka-python is imported only where Kafka is used
    from pytest_metersphere.dist.kafka.client.admin import Admin

    try:
        with contextlib.closing(Admin(access, _CLIENT_LIMIT)) as admin:
            return work(admin)
    except BrokerError as error:
        return str(error)


def _topics(access: KafkaAccess, admin: Admin) -> list[TopicStatus]:
    found = [_judged(access.results_topic, admin.topic(access.results_topic))]
    there = admin.topics()
    if access.control_topic in there:
        found.append(_judged(access.control_topic, admin.topic(access.control_topic)))
    others = ((name, admin.topic(name)) for name in OTHERS if name in there)
    return found + [_described(name, topic) for name, topic in others if topic is not None]


def _judged(name: str, topic: Topic | None) -> TopicStatus:
    """Return how a topic of ours is; one that is not there is made by pytest."""
    if topic is None:
        detail = "pytest makes it before the first run"
        return TopicStatus(name=name, state="missing", ok=True, detail=detail)
    from pytest_metersphere.dist.kafka.topics import losses, shortage

    wrong = losses(topic.settings or {}, 0.0)
    state: TopicState = "there"
    if wrong:
        state = "loses frames"
    elif shortage(topic):
        state, wrong = "takes nothing", [shortage(topic)]
    elif topic.settings is None:
        wrong = ["its settings may not be read by this user"]
    described = _described(name, topic)
    return msgspec.structs.replace(described, state=state, ok=state == "there", detail="; ".join(wrong))


def _described(name: str, topic: Topic) -> TopicStatus:
    return TopicStatus(
        name=name,
        state="there",
        ok=True,
        partitions=topic.partitions,
        in_sync=topic.in_sync,
        retention_ms=_retention(topic.settings or {}),
    )


def _retention(settings: Mapping[str, str]) -> int | None:
    with contextlib.suppress(KeyError, ValueError):
        return int(settings["retention.ms"])
    return None


def _unknown(access: KafkaAccess, why: str) -> TopicStatus:
    detail = f"it cannot be looked at: {why}"
    return TopicStatus(name=access.results_topic, state="unknown", ok=False, detail=detail)


def _with_holdings(brokers: Sequence[ServerStatus], members: Sequence[Member]) -> list[ServerStatus]:
    known = {join_address(member.host, member.port): member for member in members}
    return [_with_holding(broker, known.get(broker.address)) for broker in brokers]


def _with_holding(broker: ServerStatus, member: Member | None) -> ServerStatus:
    if member is None:
        return broker
    return msgspec.structs.replace(
        broker,
        version=member.version or None,
        topics=member.topics,
        partitions=member.partitions,
        behind=member.behind,
        retention_ms=member.retention_ms,
    )


def _with_lag(topic: TopicStatus, backlogs: Mapping[str, Backlog]) -> TopicStatus:
    found = backlogs.get(topic.name)
    return topic if found is None else msgspec.structs.replace(topic, lag=found.records, group=found.group)
