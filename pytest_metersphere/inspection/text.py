"""What `status` and `doctor` found, as tables for people."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from pytest_metersphere.inspection.values import (
    DoctorReport,
    Finding,
    KafkaStatus,
    NodeStatus,
    StatusReport,
    TopicStatus,
)
from pytest_metersphere.reports.text import clipped, one_line
from pytest_metersphere.units import format_duration

_NOTHING = "-"
_NARROWEST = 12


def status_lines(report: StatusReport, width: int | None) -> Iterator[str]:
    """Yield the tables of nodes and of Kafka, what is to be said of them, and what it comes to.

    Args:
        report: what was found.
        width: columns of the terminal, None when what is printed goes elsewhere.
    """
    if report.pool is not None:
        yield from _wrapped(f"pool {one_line(report.pool)}", width)
        yield from _node_table(report.nodes, width)
        yield from _notes([(f"node {node.name}", node.detail) for node in report.nodes], width)
        yield from _notes([("pool", problem) for problem in report.problems], width)
        yield ""
    if report.kafka is not None:
        yield from _kafka_lines(report.kafka, width)
        yield ""
    yield "all is well" if report.ok else f"not well: {', '.join(_unwell(report))}"


def doctor_lines(report: DoctorReport, width: int | None) -> Iterator[str]:
    """Yield every check with what was found and what to do, subject by subject, and what it comes to.

    Args:
        report: what was found.
        width: columns of the terminal, None when what is printed goes elsewhere.
    """
    for subject, findings in itertools.groupby(report.checks, key=lambda finding: finding.subject):
        yield one_line(subject)
        for finding in findings:
            yield from _finding_lines(finding, width)
        yield ""
    failed = [finding for finding in report.checks if not finding.ok]
    checks = f"{len(report.checks)} checks"
    if not failed:
        yield f"all is well: {checks}"
        return
    subjects = dict.fromkeys(one_line(finding.subject) for finding in failed)
    yield f"{len(failed)} of {checks} failed: {', '.join(subjects)}"


def _finding_lines(finding: Finding, width: int | None) -> Iterator[str]:
    mark = "ok" if finding.ok else "FAILED"
    head = f"  {mark:<6}  {finding.seconds:5.2f} s  "
    text = one_line(f"{finding.name}: {finding.detail}")
    yield from _wrapped(text, width, head, " " * len(head))
    if finding.hint:
        arrow = " " * len(head) + "-> "
        yield from _wrapped(one_line(finding.hint), width, arrow, " " * len(arrow))


def _node_table(nodes: Sequence[NodeStatus], width: int | None) -> Iterator[str]:
    rows = [
        {
            "node": one_line(node.name),
            "address": node.address or _NOTHING,
            "state": node.state,
            "kind": node.kind,
            "version": _text(node.version),
            "python": _text(node.python),
            "capacity": _number(node.capacity),
            "declared": _number(node.declared),
            "free": _number(node.free),
            "slices": _number(node.slices),
            "launcher": _text(node.launcher),
            "clock": _NOTHING if node.clock_offset is None else f"{node.clock_offset:+.1f} s",
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
    yield from _table(told, width, spare=("python", "declared", "address", "launcher"))


def _kafka_lines(kafka: KafkaStatus, width: int | None) -> Iterator[str]:
    yield f"kafka ({kafka.security_protocol})"
    places = [("bootstrap", server) for server in kafka.servers]
    places += [("broker", broker) for broker in kafka.brokers]
    rows = [
        {"kafka": kind, "address": one_line(place.address), "state": place.state} for kind, place in places
    ]
    yield from _table(rows, width)
    if kafka.topic is not None:
        yield ""
        yield from _table([_topic_row(kafka.topic)], width)
    notes = dict.fromkeys((f"kafka {place.address}", place.detail) for _, place in places)
    yield from _notes(list(notes), width)
    if kafka.topic is not None:
        yield from _notes([(f"topic {kafka.topic.name}", kafka.topic.detail)], width)


def _topic_row(topic: TopicStatus) -> dict[str, str]:
    return {
        "topic": topic.name,
        "state": topic.state,
        "partitions": _number(topic.partitions),
        "in sync": _number(topic.in_sync),
        "kept": _kept(topic.retention_ms),
    }


def _kept(retention_ms: int | None) -> str:
    if retention_ms is None:
        return _NOTHING
    return "for ever" if retention_ms < 0 else format_duration(retention_ms / 1000)


def _unwell(report: StatusReport) -> Iterator[str]:
    yield from (f"node {one_line(node.name)}" for node in report.nodes if not node.ok)
    if report.problems:
        yield "the pool"
    if report.kafka is not None and not report.kafka.ok:
        yield "kafka"


def _table(rows: Sequence[dict[str, str]], width: int | None, spare: Sequence[str] = ()) -> Iterator[str]:
    """Yield rows under their keys, numbers to the right.

    What is too wide loses its spare columns, as many as need be, and then the end of the first column.
    """
    keys = list(rows[0])
    sizes = {key: max(len(key), *(len(row[key]) for row in rows)) for key in keys}
    if width is not None:
        for key in spare:
            if key in keys and _line_width(keys, sizes) > width:
                keys.remove(key)
        excess = max(0, _line_width(keys, sizes) - width)
        sizes[keys[0]] = max(min(_NARROWEST, sizes[keys[0]]), sizes[keys[0]] - excess)
    to_right = {key for key in keys if all(_is_number(row[key]) for row in rows)}
    for line in [{key: key for key in keys}, *rows]:
        placed = [
            line[key].rjust(sizes[key])
            if key in to_right
            else clipped(line[key], sizes[key]).ljust(sizes[key])
            for key in keys
        ]
        yield "  ".join(placed).rstrip()


def _line_width(keys: Sequence[str], sizes: Mapping[str, int]) -> int:
    return sum(sizes[key] for key in keys) + 2 * (len(keys) - 1)


def _notes(notes: Sequence[tuple[str, str]], width: int | None) -> Iterator[str]:
    for subject, detail in notes:
        if detail:
            yield from _wrapped(one_line(f"{subject}: {detail}"), width, "  ", "    ")


def _wrapped(text: str, width: int | None, first: str = "", rest: str = "  ") -> Iterator[str]:
    if width is None:
        yield first + text
        return
    yield from textwrap.wrap(
        text,
        max(width, len(rest) + 20),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text(value: str | None) -> str:
    return _NOTHING if value is None else clipped(one_line(value), 20)


def _number(value: int | None) -> str:
    return _NOTHING if value is None else str(value)


def _is_number(cell: str) -> bool:
    return cell == _NOTHING or cell.isdecimal() or cell.startswith(("+", "-"))
