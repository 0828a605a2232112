"""The tables of status and doctor: they fit the terminal, and hold nothing that moves its cursor."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_metersphere.inspection.redaction import redacted
from pytest_metersphere.inspection.text import doctor_lines, status_lines
from pytest_metersphere.inspection.values import (
    DOCTOR_SCHEMA,
    STATUS_SCHEMA,
    DoctorReport,
    Finding,
    KafkaStatus,
    NodeStatus,
    ServerStatus,
    StatusReport,
    TopicStatus,
)

NODE = NodeStatus(
    name="10.0.0.11:8082",
    address="10.0.0.11:8082",
    state="up",
    ok=True,
    version="0.1.0",
    python="3.11.7",
    capacity=4000,
    declared=4000,
    in_use=2800,
    free=1200,
    slices=2,
    workers=4,
    clock_offset=-0.25,
)
TOPIC = TopicStatus(name="ms-load.results", state="there", ok=True, partitions=6, in_sync=3, retention_ms=-1)
KAFKA = KafkaStatus(
    ok=True,
    security_protocol="SASL_SSL",
    servers=[ServerStatus(address="kafka:9092", state="up", ok=True)],
    brokers=[ServerStatus(address="kafka:9092", state="up", ok=True)],
    topic=TOPIC,
    topics=[TOPIC],
)


def node(**changes: Any) -> NodeStatus:
    """Return a node that is well but for some changes."""
    return msgspec.structs.replace(NODE, **changes)


def status(
    *nodes: NodeStatus, kafka: KafkaStatus | None = None, problems: list[str] | None = None
) -> StatusReport:
    """Return a report on these."""
    well = all(each.ok for each in nodes) and not problems and (kafka is None or kafka.ok)
    return StatusReport(
        schema=STATUS_SCHEMA,
        version="0.1.0",
        ok=well,
        pool="perf" if nodes else None,
        nodes=list(nodes),
        kafka=kafka,
        problems=problems or [],
    )


def finding(**changes: Any) -> Finding:
    """Return a check that holds but for some changes."""
    plain = Finding(subject="node a", name="clock", ok=True, detail="is 0 s off", hint="", seconds=0.012)
    return msgspec.structs.replace(plain, **changes)


def doctor(*findings: Finding) -> DoctorReport:
    """Return a report on these."""
    well = all(each.ok for each in findings)
    return DoctorReport(
        schema=DOCTOR_SCHEMA, version="0.1.0", ok=well, pool="perf", kafka=None, checks=list(findings)
    )


def test_the_whole_of_status() -> None:
    """To the letter: numbers to the right, nothing where nothing is known."""
    down = node(
        name="10.0.0.12:8082",
        address="10.0.0.12:8082",
        state="down",
        ok=False,
        detail="http://10.0.0.12:8082 refused the connection",
        version=None,
        python=None,
        capacity=None,
        in_use=None,
        free=None,
        slices=None,
        clock_offset=None,
    )

    assert list(status_lines(status(NODE, down, kafka=KAFKA), None)) == [
        "pool perf",
        "node            state  version  python  capacity  in use  free  slices   clock",
        "10.0.0.11:8082  up     0.1.0    3.11.7      4000    2800  1200       2  -0.2 s",
        "10.0.0.12:8082  down   -        -              -       -     -       -       -",
        "  node 10.0.0.12:8082: http://10.0.0.12:8082 refused the connection",
        "",
        "kafka (SASL_SSL)",
        "kafka      address     state",
        "bootstrap  kafka:9092  up",
        "broker     kafka:9092  up",
        "",
        "topic            state  partitions  in sync  kept",
        "ms-load.results  there           6        3  for ever",
        "",
        "not well: node 10.0.0.12:8082",
    ]


def test_columns_that_say_nothing_are_left_out() -> None:
    """An address beside its own name, and what the pool declares as the node reports it."""

    def header(*nodes: NodeStatus) -> list[str]:
        return list(status_lines(status(*nodes), None))[1].split()

    assert not {"address", "declared"} & set(header(NODE, node(name="b", address="b", declared=None)))
    assert "address" in header(NODE, node(name="b"))
    assert "declared" in header(NODE, node(declared=3000))


@pytest.mark.parametrize("width", [80, 100, 150])
def test_it_fits_the_terminal(width: int) -> None:
    """Columns that can be spared go first, then the ends of names; sentences go on in the next line."""
    named = node(
        name="n" * 50,
        address=f"{'a' * 30}:8082",
        state="unknown host",
        ok=False,
        detail="why " * 60,
        declared=3000,
    )
    hint = "set advertised.listeners of the broker " * 5
    lines = [
        *status_lines(status(named, NODE, kafka=KAFKA, problems=["twice " * 40]), width),
        *doctor_lines(doctor(finding(ok=False, detail="what " * 60, hint=hint)), width),
    ]

    assert max(len(line) for line in lines) <= width
    assert f"{'n' * 20}" in lines[2]
    assert ("address" in lines[1], "python" in lines[1]) == (width == 150, False)
    assert sum(line.count("why") for line in lines) == 60
    assert sum(line.count("advertised.listeners") for line in lines) == 5


def test_what_comes_from_elsewhere_stays_in_its_line() -> None:
    """Line breaks and control characters of strangers are shown, not obeyed."""
    odd = node(version="1\n2", python="\x1b[2J", detail="a\r\nb\x07")
    lines = [
        *status_lines(status(odd, kafka=KAFKA), None),
        *doctor_lines(doctor(finding(detail="a\nb", hint="c\x1b[31m", name="x\ry")), None),
    ]

    assert all(line.isprintable() for line in lines)
    assert any("1 2" in line and "\\x1b[2J" in line for line in lines)


def test_the_whole_of_doctor() -> None:
    """Subject by subject, with the advice below what failed."""
    report = doctor(
        finding(),
        finding(name="kafka", ok=False, detail="no answer", hint="start it", seconds=3.0),
        finding(subject="kafka", name="round trip", detail="in 4 ms"),
    )

    assert list(doctor_lines(report, None)) == [
        "node a",
        "  ok       0.01 s  clock: is 0 s off",
        "  FAILED   3.00 s  kafka: no answer",
        "                   -> start it",
        "",
        "kafka",
        "  ok       0.01 s  round trip: in 4 ms",
        "",
        "1 of 3 checks failed: node a",
    ]
    assert list(doctor_lines(doctor(finding()), None))[-1] == "all is well: 1 checks"


def test_secrets_are_taken_out_of_free_texts() -> None:
    """Wherever they are in a sentence; words of ours stay, and so do the values."""
    report = status(node(detail="it said s3cret/s3cret", version="s3cret"), problems=["s3cret"])
    shown = redacted(report, ["s3cret", "up", ""])

    assert "s3cret" not in repr(shown)
    assert shown.nodes[0].detail == "it said ***/***"
    assert shown.nodes[0].state == "up"
    assert msgspec.structs.replace(shown, nodes=[], problems=[]) == msgspec.structs.replace(
        report, nodes=[], problems=[]
    )
