"""How Kafka is: who answers on its addresses, and what the topic for results is like. Nothing is written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_metersphere.dist.kafka.brokers import join_address, split_address, tls_context
from pytest_metersphere.dist.kafka.dialling import UnfitError, resolve
from pytest_metersphere.dist.kafka.handshake import Broker, broker
from pytest_metersphere.dist.nodes import in_parallel
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError
from pytest_metersphere.inspection.gathering import gathered
from pytest_metersphere.inspection.values import KafkaStatus, ServerStatus, TopicState, TopicStatus
from pytest_metersphere.units import format_duration

if TYPE_CHECKING:
    from pytest_metersphere.dist.kafka.client import Topic

MOST_BROKERS = 200
"""Advertised brokers that are looked at."""
TOPIC_LIMIT = 15.0
"""Seconds for all that is asked about the topic."""

_CLIENT_LIMIT = 5.0
_LISTENERS = "set advertised.listeners of the broker to an address that this machine and the nodes can reach"
_NO_BROKERS = "the cluster names no broker that is alive; start the brokers, and look into their logs"
Advertised = list[tuple[str, int]]


def kafka_status(access: KafkaAccess) -> KafkaStatus:
    """Ask all bootstrap servers at once, then the brokers that they name, then for the topic."""
    visits = in_parallel(lambda server: _visited(access, server), access.servers)
    servers = [server for server, _ in visits]
    advertised = sorted({join_address(*each) for _, named in visits for each in named})[:MOST_BROKERS]
    known = {server.address: server for server in servers}
    brokers = in_parallel(lambda place: known.get(place) or _greeted(access, place), advertised)
    usable = any(server.ok for server in servers) and any(found.ok for found in brokers)
    topic = _topic(access) if usable else None
    return KafkaStatus(
        ok=all(place.ok for place in [*servers, *brokers]) and topic is not None and topic.ok,
        security_protocol=access.security_protocol,
        servers=servers,
        brokers=brokers,
        topic=topic,
    )


def _visited(access: KafkaAccess, place: str) -> tuple[ServerStatus, Advertised]:
    """Return how a bootstrap server is, and where the brokers of its cluster say that they are."""
    begin = time.monotonic()
    advertised: Advertised = []
    trouble, detail = "up", ""
    try:
        with _broker(access, place) as found:
            found.login(access)
            advertised = found.brokers()
        if not advertised:
            trouble, detail = "no brokers", _NO_BROKERS
    except UnfitError as error:
        trouble, detail = error.kind, f"{error.detail}; {error.hint}"
    return _server(place, trouble, detail, begin), advertised


def _greeted(access: KafkaAccess, place: str) -> ServerStatus:
    """Return how a broker is that the cluster has named."""
    begin = time.monotonic()
    try:
        with _broker(access, place):
            return _server(place, "up", "", begin)
    except UnfitError as error:
        return _server(place, error.kind, f"{error.detail}; {_LISTENERS}", begin)


def _broker(access: KafkaAccess, place: str) -> contextlib.AbstractContextManager[Broker]:
    host, port = split_address(place)
    return broker(host, port, resolve(place, host, port), tls_context(access) if access.tls else None)


def _server(place: str, state: str, detail: str, begin: float) -> ServerStatus:
    seconds = time.monotonic() - begin
    detail = detail.removeprefix(f"{place}: ")
    return ServerStatus(address=place, state=state, ok=state == "up", detail=detail, seconds=seconds)


def _topic(access: KafkaAccess) -> TopicStatus:
    (found,) = gathered(_looked_at, [access], TOPIC_LIMIT)
    return found or _unknown(access, f"no answer within {format_duration(TOPIC_LIMIT)}")


def _looked_at(access: KafkaAccess) -> TopicStatus:
    # kafka-python is imported only where Kafka is used
    from pytest_metersphere.dist.kafka.client import Admin

    name = access.results_topic
    try:
        with contextlib.closing(Admin(access, _CLIENT_LIMIT)) as admin:
            topic = admin.topic(name)
    except BrokerError as error:
        return _unknown(access, str(error))
    if topic is None:
        detail = "pytest makes it before the first run"
        return TopicStatus(name=name, state="missing", ok=True, detail=detail)
    return _described(name, topic)


def _described(name: str, topic: Topic) -> TopicStatus:
    from pytest_metersphere.dist.kafka.topics import losses, shortage

    wrong = losses(topic.settings or {}, 0.0)
    state: TopicState = "there"
    if wrong:
        state = "loses frames"
    elif shortage(topic):
        state, wrong = "takes nothing", [shortage(topic)]
    elif topic.settings is None:
        wrong = ["its settings may not be read by this user"]
    return TopicStatus(
        name=name,
        state=state,
        ok=state == "there",
        detail="; ".join(wrong),
        partitions=topic.partitions,
        in_sync=topic.in_sync,
        retention_ms=_retention(topic.settings or {}),
    )


def _retention(settings: Mapping[str, str]) -> int | None:
    with contextlib.suppress(KeyError, ValueError):
        return int(settings["retention.ms"])
    return None


def _unknown(access: KafkaAccess, why: str) -> TopicStatus:
    name = access.results_topic
    detail = f"it cannot be looked at: {why}"
    return TopicStatus(name=name, state="unknown", ok=False, detail=detail)
