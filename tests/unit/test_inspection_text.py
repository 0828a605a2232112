"""The tables of status and doctor: they fit the terminal, and hold nothing that moves its cursor."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_metersphere.dist.kafka.preflight import SENTENCE
from pytest_metersphere.inspection.redaction import redacted
from pytest_metersphere.inspection.text import doctor_lines, status_lines
from pytest_metersphere.inspection.values import (
    DOCTOR_SCHEMA,
    STATUS_SCHEMA,
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
    report = status(named, NODE, kafka=KAFKA, problems=["twice " * 40])
    lines = [
        *status_lines(msgspec.structs.replace(report, host=HOST), width),
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


HOST = HostStatus(
    docker="20.10.24",
    containers=[
        ContainerStatus(
            name="kafka",
            image="registry.example/kafka:3.4.0",
            state="exited",
            health=None,
            ok=False,
            detail="it ended with exit code 1",
            ports=["0.0.0.0:9092->9092/tcp"],
            log=["one", "two", "three", "no \x1b[2J space left"],
        ),
        ContainerStatus(
            name="ms-node-controller",
            image="registry.example/controller:v2.10",
            state="running",
            health="healthy",
            ok=True,
            log=["listening"],
        ),
        ContainerStatus(name="redis", image="redis:7", state="running", health=None, ok=True, log=["quiet"]),
    ],
)
STEPS = [
    Step(server="kafka:9092", question="name", ok=True, detail="kafka is 10.0.0.5"),
    Step(server="kafka:9092", question="process", ok=None, detail="cannot be seen from here"),
    Step(
        server="kafka:9092",
        question="firewall",
        ok=False,
        detail="a firewall stops it",
        commands=["firewall-cmd --permanent --add-port=9092/tcp && firewall-cmd --reload"],
    ),
]


def test_the_containers_of_this_machine() -> None:
    """Last words of the two that matter most, and of what is not well; alone they decide."""
    report = msgspec.structs.replace(status(), host=HOST, ok=False)

    assert list(status_lines(report, None)) == [
        "this machine (Docker 20.10.24)",
        "container           state    health   image                              ports",
        "kafka               exited   -        registry.example/kafka:3.4.0       0.0.0.0:9092->9092/tcp",
        "ms-node-controller  running  healthy  registry.example/controller:v2.10  -",
        "redis               running  -        redis:7                            -",
        "  container kafka: it ended with exit code 1",
        "  kafka | two",
        "  kafka | three",
        "  kafka | no \\x1b[2J space left",
        "  ms-node-controller | listening",
        "",
        "not well: container kafka",
    ]
    beside = msgspec.structs.replace(status(NODE), host=HOST)
    assert list(status_lines(beside, None))[-1] == "all is well"


def test_containers_of_which_not_all_could_be_looked_at() -> None:
    """That is said beside those that could, and alone it is not well."""
    host = HostStatus(docker="28", detail="no end", unseen=True, containers=HOST.containers[2:])
    report = msgspec.structs.replace(status(), host=host, ok=host.ok)

    assert list(status_lines(report, None)) == [
        "this machine (Docker 28)",
        "container  state    image",
        "redis      running  redis:7",
        "  this machine: no end",
        "",
        "not well: Docker",
    ]


def test_a_machine_without_containers_is_one_line() -> None:
    """Whatever is missing."""
    reasons = [HostStatus(docker=None, detail="no Docker Engine answers"), HostStatus(docker="20.10.24")]
    shown = [list(status_lines(msgspec.structs.replace(status(NODE), host=host), None)) for host in reasons]

    assert [lines[4:-1] for lines in shown] == [
        ["this machine: no Docker Engine answers", ""],
        ["this machine: Docker 20.10.24 runs no container of MeterSphere's", ""],
    ]


def test_why_kafka_cannot_be_used() -> None:
    """Below the checks, under the sentence that MeterSphere's users search for; commands stay whole."""
    failed = finding(subject="kafka", name="answers as Kafka", ok=False, detail="no answer")
    report = msgspec.structs.replace(doctor(failed), steps=STEPS, host=HOST)
    lines = list(doctor_lines(report, 60))

    assert lines[3:8] == [
        f"{SENTENCE}: kafka:9092, step by step",
        "  ok      name      kafka is 10.0.0.5",
        "  ?       process   cannot be seen from here",
        "  FAILED  firewall  a firewall stops it",
        "                    $ firewall-cmd --permanent --add-port=9092/tcp && firewall-cmd --reload",
    ]
    assert lines[-1] == "1 of 1 checks failed: kafka"


def test_what_brokers_hold_and_how_far_their_readers_are() -> None:
    """Columns of which nothing is known are left out."""
    broker = ServerStatus(
        address="kafka:9092",
        state="up",
        ok=True,
        version="3.7",
        topics=9,
        partitions=40,
        behind=0,
        retention_ms=60000,
    )
    rows = TopicStatus(
        name="JMETER_METRICS",
        state="there",
        ok=True,
        partitions=4,
        in_sync=1,
        lag=51234,
        group="metersphere_group_id",
        retention_ms=60000,
    )
    kafka = msgspec.structs.replace(KAFKA, brokers=[broker], topics=[TOPIC, rows])

    assert list(status_lines(status(kafka=kafka), None))[1:7] == [
        "kafka      address     state  version  topics  partitions  behind  kept",
        "bootstrap  kafka:9092  up     -             -           -       -  -",
        "broker     kafka:9092  up     3.7+          9          40       0  1m00s",
        "",
        "topic            state  partitions  in sync  kept        lag  group",
        "ms-load.results  there           6        3  for ever      -  -",
    ]


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
