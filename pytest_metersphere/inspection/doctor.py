"""The preflight over everything: every node and Kafka at the same time, each up to what does not hold."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pytest_metersphere import __version__
from pytest_metersphere.dist.checks import Wanted
from pytest_metersphere.dist.fleet import Fleet, check
from pytest_metersphere.dist.kafka.preflight import check_kafka
from pytest_metersphere.dist.metersphere.node import StockTerms, stock_twin
from pytest_metersphere.dist.nodes import Node, in_parallel
from pytest_metersphere.dist.pool import NodeSpec, Pool
from pytest_metersphere.dist.wire import Check, KafkaAccess
from pytest_metersphere.errors import PreflightError
from pytest_metersphere.inspection.case import Case
from pytest_metersphere.inspection.causes import steps
from pytest_metersphere.inspection.containers import host_status
from pytest_metersphere.inspection.gathering import gathered
from pytest_metersphere.inspection.kafka import servers_and_brokers
from pytest_metersphere.inspection.nodes import Place, clash, located, remote_node, stock_terms
from pytest_metersphere.inspection.redaction import redacted
from pytest_metersphere.inspection.scene import scene_of
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.values import (
    DOCTOR_SCHEMA,
    DoctorReport,
    Finding,
    HostStatus,
    ServerStatus,
    Step,
)
from pytest_metersphere.units import format_duration

MOST_SERVERS = 3
"""Bootstrap servers of which it is told why they cannot be used."""
NODE_LIMIT = 45.0
"""Seconds for all checks of one node; what answers byte by byte would take for ever."""


def examine(target: Target) -> DoctorReport:
    """Check all that a session would check before its first test; local nodes are started for it."""
    with ThreadPoolExecutor(2) as side:
        asked = side.submit(_kafka_findings, target.kafka) if target.kafka else None
        looked = side.submit(host_status)
        findings = _pool_findings(target)
        kafka = asked.result() if asked else []
        host = looked.result()
    failed = any(not finding.ok for finding in kafka)
    findings += kafka
    well = all(finding.ok for finding in findings)
    report = DoctorReport(
        schema=DOCTOR_SCHEMA,
        version=__version__,
        ok=host.ok if target.empty else well,
        pool=target.pool.name if target.pool else None,
        kafka=list(target.kafka.servers) if target.kafka else None,
        checks=findings,
        steps=_steps(target.kafka, host) if target.kafka and failed else [],
        host=host,
    )
    return redacted(report, target.secrets)


def _kafka_findings(access: KafkaAccess) -> list[Finding]:
    return [_finding("kafka", check) for check in check_kafka(access)]


def _steps(access: KafkaAccess, host: HostStatus) -> list[Step]:
    """Return why Kafka cannot be used, for each bootstrap server of which it cannot."""
    servers, brokers = servers_and_brokers(access)

    def of(server: ServerStatus) -> list[Step]:
        scene = scene_of(access, server, host)
        return steps(Case(server, brokers, scene, access.security_protocol))

    return [step for found in in_parallel(of, servers[:MOST_SERVERS]) for step in found]


def _pool_findings(target: Target) -> list[Finding]:
    if target.pool is None:
        return []
    places = located(target.pool)
    problem = clash(places)
    findings = [_failed("pool", "nodes", problem)] if problem else []
    with contextlib.ExitStack() as stack:
        try:
            local = stack.enter_context(_started([place.spec for place in places if place.spec.local]))
        except PreflightError as error:
            findings.append(_failed("pool", "local nodes", str(error)))
            places = [place for place in places if not place.spec.local]
            local = []
        terms = stock_terms(target)
        stack.callback(terms.close)
        return findings + _node_findings(places, _nodes(places, local, target), terms)


def _nodes(places: Sequence[Place], local: Sequence[Node], target: Target) -> list[Node | None]:
    """Return the nodes in their places, None where a name means nothing."""
    started = iter(local)
    return [
        None if place.trouble else next(started) if place.spec.local else remote_node(place.spec, target)
        for place in places
    ]


@contextlib.contextmanager
def _started(local: Sequence[NodeSpec]) -> Iterator[list[Node]]:
    """Start local nodes, as a session does; they end with the block (PreflightError)."""
    if not local:
        yield []
        return
    if os.name != "posix":
        raise PreflightError("local nodes need Linux or macOS")
    with contextlib.closing(Fleet(Pool(name="local", nodes=tuple(local)), token="")) as fleet:
        yield [node for node in fleet.nodes if isinstance(node, Node)]


def _node_findings(places: Sequence[Place], nodes: Sequence[Node | None], terms: StockTerms) -> list[Finding]:
    wanted = Wanted(__version__, platform.python_version(), kafka=terms.kafka)
    checked = gathered(
        lambda pair: _checked(*pair, wanted, terms), list(zip(places, nodes, strict=True)), NODE_LIMIT
    )
    return [
        _finding(f"node {place.spec.name}", check)
        for place, checks in zip(places, checked, strict=True)
        for check in checks or [_lost(place)]
    ]


def _checked(place: Place, node: Node | None, wanted: Wanted, terms: StockTerms) -> list[Check]:
    """Check a node, as a stock MeterSphere one if that is what it is; nothing when its name means nothing."""
    if node is None:
        return []
    stock = None if place.spec.local else stock_twin(node, terms)
    if stock is not None:
        # what will run there nobody knows yet: each image that is named is tried
        plans = bool(terms.hub.terms.image)
        return check(
            stock, dataclasses.replace(wanted, jmeter=plans, functions=bool(terms.image) or not plans)
        )
    return check(node, wanted)


def _lost(place: Place) -> Check:
    """Return the only check of a node that could not be asked, or did not come to an end."""
    if place.trouble:
        return Check(name="name", ok=False, detail=place.trouble)
    detail = f"it did not come to the end of its answers within {format_duration(NODE_LIMIT)}"
    return Check(name="", ok=False, detail=detail, seconds=NODE_LIMIT)


def _finding(subject: str, check: Check) -> Finding:
    """Return a check without the words that its subject and its name say already."""
    name = check.name.removeprefix(subject).removeprefix(":").strip() or "answers"
    detail = check.detail.removeprefix(f"{subject}: ").removeprefix("Kafka: ")
    return Finding(
        subject=subject,
        name=name,
        ok=check.ok,
        detail=detail.removeprefix(f"{name.partition(' ')[0]}: "),
        hint=check.hint,
        seconds=check.seconds,
    )


def _failed(subject: str, name: str, detail: str) -> Finding:
    return Finding(subject=subject, name=name, ok=False, detail=detail, hint="", seconds=0.0)
