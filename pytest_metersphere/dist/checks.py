"""The preflight of one node: from its name to the packages on it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.nodes import Node
from pytest_metersphere.dist.resolve import addresses_of, is_address
from pytest_metersphere.dist.wire import (
    PROTOCOL,
    Check,
    CheckRequest,
    KafkaAccess,
    NodeInfo,
    Spoken,
    version_skew,
)
from pytest_metersphere.errors import BrokerError, NodeError, PreflightError
from pytest_metersphere.units import format_duration

CLOCK_LIMIT = 5.0
"""Seconds that a node's clock may be off."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a node must have.

    Attributes:
        version: version of pytest-metersphere.
        python: version of Python, empty when it does not matter.
        packages: versions of the distributions that the tests import, by name.
        kafka: the Kafka that it must reach, None when frames are pulled.
        jmeter: it must have Java and JMeter.
        functions: there are scenarios that are test functions, and no test plans.
    """

    version: str
    python: str = ""
    packages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kafka: KafkaAccess | None = None
    jmeter: bool = False
    functions: bool = True


def check_node(node: Node, wanted: Wanted) -> list[Check]:
    """Return the findings about one node, in the order of asking; what cannot be asked then is left out."""
    return gathered(node.name, _findings(node, wanted))


def gathered(node: str, checks: Iterator[Check]) -> list[Check]:
    """Return the checks of one node, named and timed; an error among them is the last one."""
    findings: list[Check] = []
    begin = time.monotonic()
    try:
        for check in checks:
            check.name = f"node {node}: {check.name}"
            check.seconds, begin = time.monotonic() - begin, time.monotonic()
            findings.append(check)
    except NodeError as error:
        findings.append(_failed(f"node {node}", str(error), begin))
    except BrokerError as error:
        findings.append(_failed(f"node {node}: kafka", f"node {node}: Kafka: {error}", begin))
    except PreflightError as error:
        findings.append(_failed(f"node {node}: name", f"node {node}: {error}", begin))
    return findings


def clock_offset(reported: float, asked: float, answered: float) -> float:
    """Return how far a clock is ahead of ours at least, in seconds: the time of the request is granted.

    Args:
        reported: the other clock's reading, seconds since the epoch.
        asked: our clock's reading when it was asked for.
        answered: our clock's reading when the answer came.
    """
    offset = reported - (asked + answered) / 2
    doubt = abs(answered - asked) / 2
    return max(0.0, offset - doubt) if offset > 0 else min(0.0, offset + doubt)


def _findings(node: Node, wanted: Wanted) -> Iterator[Check]:
    if not is_address(node.host):
        yield Check(name="name", ok=True, detail=f"is {', '.join(addresses_of(node.host))}")
    with node.connect() as client:
        client.status()
        yield Check(name="reachable", ok=True, detail=f"answers on {node.url}")
        asked = time.time()
        info = client.info()
        answered = time.time()
        yield Check(name="token", ok=True, detail="is ours and takes the token")
        versions = _versions(node, info, wanted)
        yield versions
        if not versions.ok:
            return
        yield clock_check(node.name, clock_offset(info.clock, asked, answered))
        yield from _own_findings(node, client, wanted)


def _versions(node: Node, info: NodeInfo, wanted: Wanted) -> Check:
    theirs = Spoken(protocol=info.protocol, version=info.version)
    ours = Spoken(protocol=PROTOCOL, version=wanted.version)
    if theirs == ours:
        return Check(name="version", ok=True, detail=f"version {info.version}, protocol {info.protocol}")
    return Check(
        name="version", ok=False, detail=f"node {node.name}: {version_skew(node=theirs, controller=ours)}"
    )


def clock_check(node: str, offset: float) -> Check:
    """Return whether a node's clock is right; `offset` is in seconds, ahead of ours."""
    if abs(offset) <= CLOCK_LIMIT:
        return Check(name="clock", ok=True, detail=f"is {format_duration(abs(offset))} off")
    where = "ahead of" if offset > 0 else "behind"
    return Check(
        name="clock",
        ok=False,
        detail=f"node {node}: its clock is {format_duration(abs(offset))} {where} the controller's",
        hint=f"set both by the same time server (NTP); at most {format_duration(CLOCK_LIMIT)} are allowed",
    )


def _own_findings(node: Node, client: NodeClient, wanted: Wanted) -> Iterator[Check]:
    request = CheckRequest(
        protocol=PROTOCOL,
        version=wanted.version,
        users=0,
        python=wanted.python,
        packages=dict(wanted.packages),
        kafka=wanted.kafka,
        jmeter=wanted.jmeter,
    )
    for check in client.check(request).checks:
        if check.name == "kafka" and not check.ok:
            check.detail = f"it does not reach Kafka: {check.detail.removeprefix('Kafka: ')}"
            check.hint = f"on the node, {check.hint}" if check.hint else ""
        check.detail = f"node {node.name}: {check.detail}"
        yield check


def _failed(name: str, detail: str, begin: float) -> Check:
    return Check(name=name, ok=False, detail=detail, seconds=time.monotonic() - begin)
