"""What is known of a broker's address beside what it answers: its machine, and this machine's part in it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

from pytest_metersphere.dist.kafka.brokers import join_address, split_address, tls_context
from pytest_metersphere.dist.kafka.dialling import Address, UnfitError, connect, on_port, resolve
from pytest_metersphere.dist.kafka.handshake import broker
from pytest_metersphere.dist.nodes import in_parallel
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.inspection import firewall, machine
from pytest_metersphere.inspection.firewall import Look
from pytest_metersphere.inspection.machine import Listener, Process
from pytest_metersphere.inspection.rules import Connection
from pytest_metersphere.inspection.values import ContainerStatus, HostStatus, ServerStatus

KAFKA_PORTS = (9092, 19092)
"""Where MeterSphere's Kafka is: the second up to v1.17."""
USUAL_PORTS = (22, 8082, *KAFKA_PORTS)
"""Ports that are tried to see whether the machine answers at all."""
NO_WAY = ("unknown host", "refused", "dropped", "unreachable")
"""States of a server to which no connection was made."""
STRANGERS = ("ssh", "http", "not kafka", "silent")
"""States of one where something else than Kafka answers."""

_LIMIT = 1.5
_MOST_PORTS = 12


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is known of an address.

    Attributes:
        address: the address itself, empty when the name has none.
        here: it is one of this machine's own.
        listening: sockets of this machine on the same port; None when nobody can say.
        owner: whose the first of them is; None when that is not known.
        brokers: processes on this machine that are Kafka, with what they listen on.
        container: this machine's container named kafka, None without one.
        unseen: why there may be one that could not be looked at; empty when there is none.
        others: how other ports of the address answer: `kafka`, `open`, or a kind of UnfitError.
        filter: what this machine's packet filter does to the connection.
    """

    address: str = ""
    here: bool = False
    listening: Sequence[Listener] | None = None
    owner: Process | None = None
    brokers: Mapping[int, Sequence[Listener]] = dataclasses.field(default_factory=dict)
    container: ContainerStatus | None = None
    unseen: str = ""
    others: Mapping[int, str] = dataclasses.field(default_factory=dict)
    filter: Look = dataclasses.field(default_factory=Look)


def scene_of(access: KafkaAccess, server: ServerStatus, host: HostStatus) -> Scene:
    """Look around a bootstrap server, as far as its state asks for it."""
    name, port = split_address(server.address)
    container = next((each for each in host.containers if each.name == "kafka"), None)
    addresses: list[Address] = []
    with contextlib.suppress(UnfitError):
        addresses = resolve(server.address, name, port)
    if not addresses:
        return Scene(container=container)
    meant = _meant(server, addresses)
    address = meant[0]
    here = machine.is_here(meant)
    if server.state not in (*NO_WAY, *STRANGERS):
        return Scene(address=address, here=here, container=container if here else None)
    listening = machine.listeners() if here else None
    on_port = None if listening is None else [each for each in listening if each.port == port]
    brokers = machine.brokers() if here else {}
    ports = {each.port for mine in brokers.values() for each in mine} | set(USUAL_PORTS)
    return Scene(
        address=address,
        here=here,
        listening=on_port,
        owner=machine.owner(on_port[0]) if on_port else None,
        brokers=brokers,
        container=container if here else None,
        unseen=host.detail if here and host.unseen else "",
        others=_tried(access, name, meant, sorted(ports - {port})[:_MOST_PORTS]),
        filter=firewall.look(Connection(address, port, here)) if server.state in NO_WAY else Look(),
    )


def _meant(server: ServerStatus, addresses: Sequence[Address]) -> Address:
    """Return which of a name's addresses it is whose state the server's is: the last one that has it."""
    if len(addresses) == 1:
        return addresses[0]

    def fits(address: Address) -> bool:
        try:
            connect(server.address, [address], _LIMIT).close()
        except UnfitError as error:
            return error.kind == server.state
        return server.state not in NO_WAY

    answers = in_parallel(fits, addresses)
    fitting = [address for address, fit in zip(addresses, answers, strict=True) if fit]
    # of those that take connections the first is used, of those that do not the last is told of
    return (fitting or addresses)[-1 if server.state in NO_WAY else 0]


def _tried(access: KafkaAccess, host: str, address: Address, ports: Sequence[int]) -> dict[int, str]:
    return dict(
        zip(
            ports, in_parallel(lambda port: _answer(access, host, on_port(address, port)), ports), strict=True
        )
    )


def _answer(access: KafkaAccess, host: str, address: Address) -> str:
    """Return how a port answers; only where Kafka may be it is asked who it is."""
    port = address[1]
    try:
        connect(join_address(host, port), [address], _LIMIT).close()
        if port in USUAL_PORTS and port not in KAFKA_PORTS:
            return "open"
        with broker(host, port, [address], tls_context(access) if access.tls else None):
            return "kafka"
    except UnfitError as error:
        return "open" if error.kind not in NO_WAY else error.kind
