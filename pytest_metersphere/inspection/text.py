"""What `status` and `doctor` found, as tables for people."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from pytest_metersphere.dist.kafka.preflight import SENTENCE
from pytest_metersphere.inspection.tables import (
    NOTHING,
    known,
    notes,
    number_cell,
    table,
    text_cell,
    wrapped,
)
from pytest_metersphere.inspection.values import (
    ContainerStatus,
    DoctorReport,
    Finding,
    HostStatus,
    KafkaStatus,
    NodeStatus,
    ServerStatus,
    StatusReport,
    Step,
    TopicStatus,
)
from pytest_metersphere.reports.text import clipped, one_line
from pytest_metersphere.units import format_duration

_TALKATIVE = ("kafka", "ms-node-controller")
"""Containers whose last words are shown even when they are well."""
_WORDS = 3
_SPARE = ("python", "declared", "address", "launcher", "slices", "version")
_OF_BROKERS = ("version", "topics", "partitions", "behind", "kept")


def status_lines(report: StatusReport, width: int | None) -> Iterator[str]:
    """Yield the tables of nodes, Kafka and containers, what is to be said of them, and what it comes to.

    Args:
        report: what was found.
        width: columns of the terminal, None when what is printed goes elsewhere.
    """
    if report.pool is not None:
        yield from wrapped(f"pool {one_line(report.pool)}", width)
        yield from _node_table(report.nodes, width)
        yield from notes([(f"node {node.name}", node.detail) for node in report.nodes], width)
        yield from notes([("pool", problem) for problem in report.problems], width)
        yield ""
    if report.kafka is not None:
        yield from _kafka_lines(report.kafka, width)
        yield ""
    yield from _host_lines(report.host, width)
    yield "all is well" if report.ok else f"not well: {', '.join(_unwell(report))}"


def doctor_lines(report: DoctorReport, width: int | None) -> Iterator[str]:
    """Yield every check with what was found and what to do, subject by subject, and what it comes to.

    Args:
        report: what was found.
        width: columns of the terminal, None when what is printed goes elsewhere; commands are never broken.
    """
    for subject, findings in itertools.groupby(report.checks, key=lambda finding: finding.subject):
        yield one_line(subject)
        for finding in findings:
            yield from _finding_lines(finding, width)
        yield ""
    for server, asked in itertools.groupby(report.steps, key=lambda step: step.server):
        yield f"{SENTENCE}: {one_line(server)}, step by step"
        for step in asked:
            yield from _step_lines(step, width)
        yield ""
    yield from _host_lines(report.host, width)
    failed = [finding for finding in report.checks if not finding.ok]
    checks = f"{len(report.checks)} checks"
    if failed:
        subjects = dict.fromkeys(one_line(finding.subject) for finding in failed)
        yield f"{len(failed)} of {checks} failed: {', '.join(subjects)}"
    elif report.checks:
        yield f"all is well: {checks}"
    else:
        yield "all is well" if report.ok else f"not well: {', '.join(_unwell_containers(report.host))}"


def _finding_lines(finding: Finding, width: int | None) -> Iterator[str]:
    mark = "ok" if finding.ok else "FAILED"
    head = f"  {mark:<6}  {finding.seconds:5.2f} s  "
    text = one_line(f"{finding.name}: {finding.detail}")
    yield from wrapped(text, width, head, " " * len(head))
    if finding.hint:
        arrow = " " * len(head) + "-> "
        yield from wrapped(one_line(finding.hint), width, arrow, " " * len(arrow))


def _step_lines(step: Step, width: int | None) -> Iterator[str]:
    mark = {True: "ok", False: "FAILED", None: "?"}[step.ok]
    head = f"  {mark:<6}  {step.question:<8}  "
    yield from wrapped(one_line(step.detail), width, head, " " * len(head))
    for command in step.commands:
        yield f"{' ' * len(head)}$ {one_line(command)}"


def _node_table(nodes: Sequence[NodeStatus], width: int | None) -> Iterator[str]:
    rows = [
        {
            "node": one_line(node.name),
            "address": node.address or NOTHING,
            "state": node.state,
            "kind": node.kind,
            "version": text_cell(node.version),
            "python": text_cell(node.python),
            "capacity": number_cell(node.capacity),
            "declared": number_cell(node.declared),
            "in use": number_cell(node.in_use),
            "free": number_cell(node.free),
            "slices": number_cell(node.slices),
            "launcher": text_cell(node.launcher),
            "docker": node.docker or NOTHING,
            "image": node.image_state or NOTHING,
            "kafka": node.kafka or NOTHING,
            "clock": NOTHING if node.clock_offset is None else f"{node.clock_offset:+.1f} s",
        }
        for node in nodes
    ]
    dull = set()
    if all(None in (node.declared, node.capacity) or node.declared == node.capacity for node in nodes):
        dull.add("declared")
    if all(node.name == (node.address or node.name) for node in nodes):
        dull.add("address")
    if all(node.kind != "stock" for node in nodes):
        dull.add("kind")
    if all(node.launcher in (None, "process") for node in nodes):
        dull.add("launcher")
    told = [{key: row[key] for key in row if key not in dull} for row in rows]
    yield from table(known(told, ("docker", "image", "kafka")), width, _SPARE)


def _kafka_lines(kafka: KafkaStatus, width: int | None) -> Iterator[str]:
    yield f"kafka ({kafka.security_protocol})"
    places = [("bootstrap", server) for server in kafka.servers]
    places += [("broker", broker) for broker in kafka.brokers]
    yield from table(known([_server_row(*place) for place in places], _OF_BROKERS), width)
    if kafka.topics:
        yield ""
        yield from table(known([_topic_row(topic) for topic in kafka.topics], ("lag", "group")), width)
    told = dict.fromkeys((f"kafka {place.address}", place.detail) for _, place in places)
    yield from notes(list(told), width)
    yield from notes([(f"topic {topic.name}", topic.detail) for topic in kafka.topics], width)


def _server_row(kind: str, place: ServerStatus) -> dict[str, str]:
    return {
        "kafka": kind,
        "address": one_line(place.address),
        "state": place.state,
        "version": f"{one_line(place.version)}+" if place.version else NOTHING,
        "topics": number_cell(place.topics),
        "partitions": number_cell(place.partitions),
        "behind": number_cell(place.behind),
        "kept": _kept(place.retention_ms),
    }


def _topic_row(topic: TopicStatus) -> dict[str, str]:
    return {
        "topic": topic.name,
        "state": topic.state,
        "partitions": number_cell(topic.partitions),
        "in sync": number_cell(topic.in_sync),
        "kept": _kept(topic.retention_ms),
        "lag": number_cell(topic.lag),
        "group": text_cell(topic.group),
    }


def _kept(retention_ms: int | None) -> str:
    if retention_ms is None:
        return NOTHING
    return "for ever" if retention_ms < 0 else format_duration(retention_ms / 1000)


def _host_lines(host: HostStatus | None, width: int | None) -> Iterator[str]:
    """Yield MeterSphere's containers on this machine; one line when there are none."""
    if host is None:
        return
    if not host.containers:
        none = f"Docker {host.docker} runs no container of MeterSphere's"
        yield from wrapped(one_line(f"this machine: {host.detail or none}"), width)
        yield ""
        return
    yield f"this machine (Docker {one_line(host.docker or '')})"
    rows = known([_container_row(each) for each in host.containers], ("health", "ports"))
    yield from table(rows, width, ("ports", "image"))
    yield from notes([("this machine", host.detail)], width)
    for each in host.containers:
        yield from notes([(f"container {each.name}", each.detail)], width)
        if not each.ok or each.name in _TALKATIVE:
            yield from (_log_line(each.name, line, width) for line in each.log[-_WORDS:])
    yield ""


def _container_row(container: ContainerStatus) -> dict[str, str]:
    return {
        "container": container.name,
        "state": container.state,
        "health": container.health or NOTHING,
        "image": one_line(container.image),
        "ports": ", ".join(container.ports) or NOTHING,
    }


def _log_line(name: str, line: str, width: int | None) -> str:
    text = f"  {name} | {one_line(line)}"
    return text if width is None else clipped(text, max(width, 20))


def _unwell(report: StatusReport) -> Iterator[str]:
    yield from (f"node {one_line(node.name)}" for node in report.nodes if not node.ok)
    if report.problems:
        yield "the pool"
    if report.kafka is not None and not report.kafka.ok:
        yield "kafka"
    if report.pool is None and report.kafka is None:
        yield from _unwell_containers(report.host)


def _unwell_containers(host: HostStatus | None) -> Iterator[str]:
    if host is not None:
        yield from (f"container {each.name}" for each in host.containers if not each.ok)
        if host.unseen:
            yield "Docker"
