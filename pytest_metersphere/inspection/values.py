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
    "no kafka",
    "unknown host",
    "down",
]
NodeKind = Literal["ours", "stock", "unknown"]
DockerState = Literal["up", "down"]
ImageState = Literal["there", "missing"]
KafkaSeen = Literal["reached", "port open", "not reached"]
Question = Literal["name", "process", "port", "firewall", "listener"]
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
        in_use: users whose load runs there now, of whichever session.
        free: users that it could take now; of those that the pool declares, if it declares any.
        slices: slices that it holds.
        workers: worker processes that a slice may have there.
        launcher: what slices run in there, `process` or `docker`.
        image: with Docker, name and tag of the image; empty without.
        docker: whether the Docker Engine answers there; None where none is needed.
        image_state: whether the image is there; one that the node may pull counts as there.
        kafka: what the node sees of Kafka; `port open` where only that can be asked.
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
    in_use: int | None = None
    free: int | None = None
    slices: int | None = None
    workers: int | None = None
    launcher: str | None = None
    image: str | None = None
    docker: DockerState | None = None
    image_state: ImageState | None = None
    kafka: KafkaSeen | None = None
    clock_offset: float | None = None
    seconds: float = 0.0


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one address of Kafka.

    Attributes:
        address: `host:port`.
        state: `up`, or how it is unfit (`dist.kafka.dialling.Kind`).
        ok: whether clients can use it.
        detail: what is wrong, and what to do; empty when nothing is.
        version: of brokers, the newest release of Kafka known here whose protocol it speaks.
        topics: of brokers, topics of which it has a part.
        partitions: of brokers, partitions of which it has a copy.
        behind: of brokers, copies of these that are not complete.
        retention_ms: of brokers, milliseconds for which it keeps what says nothing else, -1 for ever.
        seconds: how long it took to find out.
    """

    address: str
    state: str
    ok: bool
    detail: str = ""
    version: str | None = None
    topics: int | None = None
    partitions: int | None = None
    behind: int | None = None
    retention_ms: int | None = None
    seconds: float = 0.0


class TopicStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a topic; None where it could not be read.

    Attributes:
        name: its name.
        state: how it is; a missing one is made by pytest.
        ok: whether frames can go there, as far as this tells; MeterSphere's own topics are not judged.
        detail: what is to be said of it; empty when all is well.
        partitions: how many it has.
        in_sync: brokers that have all of a partition, for the partition with the fewest.
        lag: records that the group of consumers which is furthest behind has still to read; None when no
            group reads it. pytest is in no group.
        group: that group.
        retention_ms: milliseconds for which it keeps frames, -1 for ever.
    """

    name: str
    state: TopicState
    ok: bool
    detail: str = ""
    partitions: int | None = None
    in_sync: int | None = None
    lag: int | None = None
    group: str | None = None
    retention_ms: int | None = None


class KafkaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of Kafka.

    Attributes:
        ok: whether all of it is well; one bootstrap server that is not is enough to say no.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        servers: the bootstrap servers, as they were set.
        brokers: the brokers that the cluster advertises, sorted; empty when nobody could be asked.
        topic: the topic for results, None when nobody could be asked.
        topics: that topic; the one for commands to stock nodes, and MeterSphere's own, where they are.
    """

    ok: bool
    security_protocol: str
    servers: list[ServerStatus]
    brokers: list[ServerStatus]
    topic: TopicStatus | None
    topics: list[TopicStatus] = []


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a container on this machine that has the name of a part of MeterSphere.

    Attributes:
        name: its name.
        image: image that it was made from.
        state: Docker's word: `running`, `exited`, `restarting`, `created`, `paused`, `removing`, `dead`.
        health: `healthy`, `unhealthy` or `starting`; None when it has no check of its own.
        ok: whether it runs and is not unhealthy.
        detail: how it ended, or what else is to be said, and what to do; empty when all is well.
        ports: where it is reached from outside, as `0.0.0.0:9092->9092/tcp`.
        log: the last lines that it printed, with stars for what looks like a secret.
    """

    name: str
    image: str
    state: str
    health: str | None
    ok: bool
    detail: str = ""
    ports: list[str] = []
    log: list[str] = []


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on this machine.

    Attributes:
        docker: version of its Docker Engine, None without one.
        detail: why its containers, or some of them, could not be looked at; empty when they could.
        containers: those with names of MeterSphere's parts, by name.
        unseen: whether there may be others, which could not be looked at.
    """

    docker: str | None
    detail: str = ""
    containers: list[ContainerStatus] = []
    unseen: bool = False

    @property
    def ok(self) -> bool:
        """Return whether all its containers are well, as far as there are any."""
        return not self.unseen and all(each.ok for each in self.containers)


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
        host: this machine; its containers count for `ok` only when there is neither pool nor Kafka.
    """

    schema: str
    version: str
    ok: bool
    pool: str | None
    nodes: list[NodeStatus]
    kafka: KafkaStatus | None
    problems: list[str]
    host: HostStatus | None = None


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


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One question on the way to why Kafka cannot be used; the last one asked is the one that matters.

    Attributes:
        server: the bootstrap server, `host:port`.
        question: is its `name` known, does the `process` run, is the `port` open, does no `firewall` stop
            it, does the `listener` serve us?
        ok: the answer; None when it cannot be known from here.
        detail: what was found.
        commands: what sets it right, or tells more; each to be typed as it stands.
    """

    server: str
    question: Question
    ok: bool | None
    detail: str
    commands: list[str] = []


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `doctor` found.

    Attributes:
        schema: DOCTOR_SCHEMA.
        version: version of pytest-metersphere here.
        ok: whether every check holds.
        pool: the pool as it was written, None without one.
        kafka: the bootstrap servers, None when none are set.
        checks: all that could be checked, subject by subject.
        steps: why Kafka cannot be used, server by server; empty when it can.
        host: this machine; its containers count for `ok` only when there is neither pool nor Kafka.
    """

    schema: str
    version: str
    ok: bool
    pool: str | None
    kafka: list[str] | None
    checks: list[Finding]
    steps: list[Step] = []
    host: HostStatus | None = None
