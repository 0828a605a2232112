"""How the nodes of a pool are: who answers, who it is, and what it has free."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence

import msgspec

from pytest_metersphere import __version__
from pytest_metersphere.dist.checks import CLOCK_LIMIT, clock_offset
from pytest_metersphere.dist.fleet import Fleet
from pytest_metersphere.dist.kafka.brokers import join_address
from pytest_metersphere.dist.local import default_capacity
from pytest_metersphere.dist.metersphere.hub import JMeterHub, JMeterTerms
from pytest_metersphere.dist.metersphere.names import Container
from pytest_metersphere.dist.metersphere.node import StockNode, StockTerms, stock_twin
from pytest_metersphere.dist.metersphere.rest import DOCKER_DOWN
from pytest_metersphere.dist.nodes import Node, in_parallel
from pytest_metersphere.dist.pool import NodeSpec, Pool
from pytest_metersphere.dist.resolve import addresses_of, is_address, resolved
from pytest_metersphere.dist.wire import PROTOCOL, NodeInfo, Spoken, version_skew
from pytest_metersphere.errors import NodeError, NodeTrouble, PreflightError
from pytest_metersphere.inspection.gathering import gathered
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.values import DockerState, NodeState, NodeStatus
from pytest_metersphere.inspection.views import kafka_view, with_docker, with_kafka, with_refusals
from pytest_metersphere.units import format_duration

_PERHAPS_STOCK = ("stock", "no answer")
"""How it looks: the second when ours in the pool speak TLS, which stock ones do not."""
LIMIT = 20.0
"""Seconds for all that one node is asked; what answers byte by byte would take for ever."""

_STATES: Mapping[NodeTrouble, NodeState] = {
    "no answer": "down",
    "stranger": "not ours",
    "stock": "not set up",
    "token": "wrong token",
    "version": "other version",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A node, or a name that was to stand for nodes and stands for none.

    Attributes:
        spec: the node.
        trouble: why the name means nothing; empty for a node.
    """

    spec: NodeSpec
    trouble: str = ""


def located(pool: Pool) -> list[Place]:
    """Return the nodes of a pool, one for each address of a `dns+` name, in the order listed."""
    return [place for places in in_parallel(_located, pool.nodes) for place in places]


def clash(places: Sequence[Place]) -> str:
    """Return why nodes cannot be in one pool, as two of them are the same one; empty if all is well."""
    try:
        resolved(Pool(name="", nodes=tuple(place.spec for place in places if not place.trouble)))
    except PreflightError as error:
        return str(error)
    return ""


def remote_node(spec: NodeSpec, target: Target) -> Node:
    """Return a node that runs already, to be spoken to."""
    (node,) = Fleet(Pool(name=spec.name, nodes=(spec,)), target.token, target.cafile).nodes
    assert isinstance(node, Node)
    return node


def stock_terms(target: Target) -> StockTerms:
    """Return what there is for stock nodes."""
    hub = JMeterHub(JMeterTerms(**msgspec.structs.asdict(target.jmeter)))
    return StockTerms(target.runner_image, target.kafka, hub=hub)


def own_words(name: str, message: object) -> str:
    """Return what a message says, without the name of the node that it begins with."""
    return str(message).removeprefix(f"node {name}: ")


def node_statuses(places: Sequence[Place], target: Target) -> list[NodeStatus]:
    """Ask all nodes at once and return how they are, in order; local ones are not started."""
    local = [place.spec for place in places if place.spec.local]
    running = [place for place in places if not place.spec.local]
    asked = gathered(lambda place: _status(place, target), running, LIMIT)
    answered = (row or _overdue(place.spec) for row, place in zip(asked, running, strict=True))
    to_start = (_not_started(spec, index, len(local)) for index, spec in enumerate(local))
    return [next(to_start if place.spec.local else answered) for place in places]


def _located(spec: NodeSpec) -> list[Place]:
    try:
        return [Place(node) for node in resolved(Pool(name=spec.name, nodes=(spec,))).nodes]
    except PreflightError as error:
        return [Place(spec, str(error))]


def _status(place: Place, target: Target) -> NodeStatus:
    spec, begin = place.spec, time.monotonic()
    row = _unfit(spec, "unknown host", place.trouble) if place.trouble else _asked(spec, target)
    return msgspec.structs.replace(row, seconds=time.monotonic() - begin)


def _asked(spec: NodeSpec, target: Target) -> NodeStatus:
    try:
        if not is_address(spec.host):
            addresses_of(spec.host)
    except PreflightError as error:
        return _unfit(spec, "unknown host", str(error))
    node = remote_node(spec, target)
    try:
        with node.connect() as client:
            client.status()
            asked = time.time()
            info = client.info()
            offset = clock_offset(info.clock, asked, time.time())
            row = with_docker(_told(spec, info, offset), info)
            if target.kafka is None or row.state == "other version":
                return row
            return with_kafka(row, kafka_view(client, target.kafka))
    except NodeError as error:
        stock = stock_twin(node, stock_terms(target)) if error.kind in _PERHAPS_STOCK else None
        if stock is not None:
            return _stock(spec, stock)
        return _unfit(spec, _STATES.get(error.kind, "unwell"), own_words(spec.name, error))
    except PreflightError as error:
        return _unfit(spec, "unwell", own_words(spec.name, error))


def _told(spec: NodeSpec, info: NodeInfo, offset: float) -> NodeStatus:
    """Return how a node of ours is, by what it says of itself."""
    state, detail = _judged(info, offset)
    return NodeStatus(
        name=spec.name,
        address=join_address(spec.host, spec.port),
        state=state,
        ok=state == "up",
        detail=detail,
        kind="ours",
        version=info.version,
        python=info.python,
        capacity=info.capacity,
        declared=spec.capacity,
        in_use=max(0, info.capacity - info.free),
        free=info.free if spec.capacity is None else min(info.free, spec.capacity),
        slices=len(info.slices),
        workers=info.workers,
        launcher=info.launcher,
        image=info.image,
        clock_offset=offset,
    )


def _stock(spec: NodeSpec, node: StockNode) -> NodeStatus:
    """Return how a stock node is, by what Docker there says of our containers."""
    unfit = msgspec.structs.replace(_unfit(spec, "not set up", node.lack), kind="stock")
    if node.lack:
        return unfit
    try:
        held = node.api.containers()
        row = _with_containers(unfit, held)
        return with_refusals(row, node)
    except NodeError as error:
        detail = own_words(spec.name, error)
        docker: DockerState | None = "down" if DOCKER_DOWN in detail else None
        return msgspec.structs.replace(
            unfit, state=_STATES.get(error.kind, "unwell"), detail=detail, docker=docker
        )


def _with_containers(row: NodeStatus, held: Sequence[Container]) -> NodeStatus:
    """Return the row of a stock node that holds some containers of ours."""
    users = sum(each.users for each in held)
    return msgspec.structs.replace(
        row,
        state="up",
        ok=True,
        detail="",
        docker="up",
        in_use=users,
        free=max(0, (row.declared or 0) - users),
        slices=len(held),
    )


def _judged(info: NodeInfo, offset: float) -> tuple[NodeState, str]:
    node = Spoken(protocol=info.protocol, version=info.version)
    here = Spoken(protocol=PROTOCOL, version=__version__)
    if node != here:
        return "other version", version_skew(node=node, controller=here)
    if abs(offset) > CLOCK_LIMIT:
        where = "ahead of" if offset > 0 else "behind"
        off = f"its clock is {format_duration(abs(offset))} {where} this machine's"
        return "clock off", f"{off}; set both by the same time server (NTP)"
    if info.trouble:
        return "unwell", info.trouble
    guests = ", ".join(info.guests)
    return "up", f"containers of a MeterSphere server run there: {guests}" if guests else ""


def _not_started(spec: NodeSpec, index: int, nodes: int) -> NodeStatus:
    return NodeStatus(
        name=spec.name,
        address="",
        state="local",
        ok=True,
        detail="pytest starts it for each session; there is none now",
        kind="ours",
        capacity=default_capacity(index, nodes) if spec.capacity is None else spec.capacity,
        declared=spec.capacity,
    )


def _overdue(spec: NodeSpec) -> NodeStatus:
    row = _unfit(spec, "down", f"it did not come to the end of its answers within {format_duration(LIMIT)}")
    return msgspec.structs.replace(row, seconds=LIMIT)


def _unfit(spec: NodeSpec, state: NodeState, detail: str) -> NodeStatus:
    return NodeStatus(
        name=spec.name,
        address=join_address(spec.host, spec.port),
        state=state,
        ok=False,
        detail=detail,
        declared=spec.capacity,
    )
