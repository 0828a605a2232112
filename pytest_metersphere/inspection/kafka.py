"""How Kafka is: who answers on its addresses, what brokers and topics are like. Nothing is written."""

from __future__ import annotations

import contextlib
import time

from pytest_metersphere.dist.kafka.brokers import join_address, split_address, tls_context
from pytest_metersphere.dist.kafka.dialling import UnfitError, resolve
from pytest_metersphere.dist.kafka.handshake import Broker, broker
from pytest_metersphere.dist.nodes import in_parallel
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.inspection.cluster import surveyed
from pytest_metersphere.inspection.values import KafkaStatus, ServerStatus, TopicStatus

MOST_BROKERS = 200
"""Advertised brokers that are looked at."""

_LISTENERS = "set advertised.listeners of the broker to an address that this machine and the nodes can reach"
_NO_BROKERS = "the cluster names no broker that is alive; start the brokers, and look into their logs"
Advertised = list[tuple[str, int]]


def kafka_status(access: KafkaAccess) -> KafkaStatus:
    """Ask all bootstrap servers at once, then the brokers that they name, then what these hold."""
    servers, brokers = servers_and_brokers(access)
    usable = any(server.ok for server in servers) and any(found.ok for found in brokers)
    topics: list[TopicStatus] = []
    if usable:
        brokers, topics = surveyed(access, brokers)
    return KafkaStatus(
        ok=usable and all(place.ok for place in [*servers, *brokers]) and all(each.ok for each in topics),
        security_protocol=access.security_protocol,
        servers=servers,
        brokers=brokers,
        topic=topics[0] if topics else None,
        topics=topics,
    )


def servers_and_brokers(access: KafkaAccess) -> tuple[list[ServerStatus], list[ServerStatus]]:
    """Return how the bootstrap servers are, and the brokers that these name, sorted by address."""
    visits = in_parallel(lambda server: _visited(access, server), access.servers)
    servers = [server for server, _ in visits]
    advertised = sorted({join_address(*each) for _, named in visits for each in named})[:MOST_BROKERS]
    known = {server.address: server for server in servers}
    return servers, in_parallel(lambda place: known.get(place) or _greeted(access, place), advertised)


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
