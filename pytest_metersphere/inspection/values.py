"""What `status` and `doctor` find: the values behind their tables and behind --json."""

from __future__ import annotations

from typing import Literal

import msgspec

STATUS_SCHEMA = "pytest-metersphere/status/1"
DOCTOR_SCHEMA = "pytest-metersphere/doctor/1"

NodeState = Literal[
    "up",
    "local",
    "clock off",
    "other version",
    "wrong token",
    "not set up",
    "not ours",
    "unwell",
    "unknown host",
    "down",
]
NodeKind = Literal["ours", "stock", "unknown"]
TopicState = Literal["there", "missing", "loses frames", "takes nothing", "unknown"]


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one node; None where it did not say.

    Attributes:
        name: its name in the pool.
        address: `host:port`, empty for a node that does not run yet.
        state: how it is.
        ok: whether load can run on it, as far as this tells.
        detail: what is to be said of it, and what to do; empty when all is well.
        kind: one of our node-controllers, or a stock MeterSphere one.
        version: version of pytest-metersphere there.
        python: version of Python there.
        capacity: users that it may carry, as it says.
        declared: users that it may carry, as the pool says.
        free: users that it could take now; of those that the pool declares, if it declares any.
        slices: slices that it holds.
        workers: worker processes that a slice may have there.
        launcher: what slices run in there, `process` or `docker`.
        image: with Docker, name and tag of the image; empty without.
        clock_offset: seconds that its clock is ahead of this machine's, at least; negative when behind.
        seconds: how long it took to find all this.
    """

    name: str
    address: str
    state: NodeState
    ok: bool
    detail: str = ""
    kind: NodeKind = "unknown"
    version: str | None = None
    python: str | None = None
    capacity: int | None = None
    declared: int | None = None
    free: int | None = None
    slices: int | None = None
    workers: int | None = None
    launcher: str | None = None
    image: str | None = None
    clock_offset: float | None = None
    seconds: float = 0.0


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one address of Kafka.

    Attributes:
        address: `host:port`.
        state: `up`, or how it is unfit (`dist.kafka.dialling.Kind`).
        ok: whether clients can use it.
        detail: what is wrong, and what to do; empty when nothing is.
        seconds: how long it took to find out.
    """

    address: str
    state: str
    ok: bool
    detail: str = ""
    seconds: float = 0.0


class TopicStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of the topic for results; None where it could not be read.

    Attributes:
        name: its name.
        state: how it is; a missing one is made by pytest.
        ok: whether frames can go there, as far as this tells.
        detail: what is to be said of it; empty when all is well.
        partitions: how many it has.
        in_sync: brokers that have all of a partition, for the partition with the fewest.
        retention_ms: milliseconds for which it keeps frames, -1 for ever.
    """

    name: str
    state: TopicState
    ok: bool
    detail: str = ""
    partitions: int | None = None
    in_sync: int | None = None
    retention_ms: int | None = None


class KafkaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of Kafka.

    Attributes:
        ok: whether all of it is well; one bootstrap server that is not is enough to say no.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        servers: the bootstrap servers, as they were set.
        brokers: the brokers that the cluster advertises, sorted; empty when nobody could be asked.
        topic: the topic for results, None when nobody could be asked.
    """

    ok: bool
    security_protocol: str
    servers: list[ServerStatus]
    brokers: list[ServerStatus]
    topic: TopicStatus | None


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `status` found.

    Attributes:
        schema: STATUS_SCHEMA.
        version: version of pytest-metersphere here.
        ok: whether all is well.
        pool: the pool as it was written, None without one.
        nodes: its nodes, in the order listed; of names that stand for several nodes, each.
        kafka: Kafka, None when none is set.
        problems: what is wrong with the pool as a whole.
    """

    schema: str
    version: str
    ok: bool
    pool: str | None
    nodes: list[NodeStatus]
    kafka: KafkaStatus | None
    problems: list[str]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the preflight.

    Attributes:
        subject: what was looked at: `pool`, `node NAME` or `kafka`.
        name: what was checked of it.
        ok: whether it holds.
        detail: what was found.
        hint: what to do when it does not hold; empty when that is in `detail`.
        seconds: how long it took.
    """

    subject: str
    name: str
    ok: bool
    detail: str
    hint: str
    seconds: float


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `doctor` found.

    Attributes:
        schema: DOCTOR_SCHEMA.
        version: version of pytest-metersphere here.
        ok: whether every check holds.
        pool: the pool as it was written, None without one.
        kafka: the bootstrap servers, None when none are set.
        checks: all that could be checked, subject by subject.
    """

    schema: str
    version: str
    ok: bool
    pool: str | None
    kafka: list[str] | None
    checks: list[Finding]
