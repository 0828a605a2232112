"""The messages between the controller and a node-controller, protocol version 3.

Requests and answers under `/v1/` are JSON, except the start request, which is a multipart body with
the parts `request` (MessagePack of StartRequest) and `bundle` (zip), and the frames, which are a
MessagePack FrameBatch whose `frames` are packed Frames, signed (`dist.signing`). Every answer that is not
2xx is a Refusal.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pytest_metersphere.engine.messages import Collection, Part

PROTOCOL = 3
MAX_INTERVAL = 60

SliceState = Literal["starting", "ready", "running", "stopping", "ended", "failed"]


class Spoken(msgspec.Struct, kw_only=True):
    """What every request, and every node, says of its maker, whatever else changes between versions."""

    protocol: int
    version: str


def version_skew(*, node: Spoken, controller: Spoken) -> str:
    """Return in words that node and controller do not understand each other, and what to do."""
    return (
        f"the node has version {node.version} (protocol {node.protocol}), the controller {controller.version}"
        f" (protocol {controller.protocol}): install the same version of pytest-metersphere on both"
    )


class NodeInfo(msgspec.Struct, kw_only=True):
    """Answer of `GET /v1/node`.

    Attributes:
        protocol: version of this protocol that the node speaks.
        version: version of pytest-metersphere on the node.
        name: what the node calls itself.
        python: Python's version there, `3.11.7`.
        capacity: users that the node may carry.
        free: users that it could take now.
        workers: worker processes that a slice may have.
        clock: the node's wall clock, seconds since the epoch.
        pid: process id of the node-controller.
        slices: ids of the slices it holds.
        launcher: what slices run in there, `process` or `docker`.
        image: with Docker, name and tag of the image.
        trouble: why it can start no slice now, and what to do; empty when it can.
        guests: names of the containers that MeterSphere servers have started there.
    """

    protocol: int
    version: str
    name: str
    python: str
    capacity: int
    free: int
    workers: int
    clock: float
    pid: int
    slices: list[str] = []
    launcher: str = "process"
    image: str = ""
    trouble: str = ""
    guests: list[str] = []


SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach Kafka; files travel by their content. Its repr shows no secret.

    Attributes:
        servers: bootstrap servers, `host:port`, IPv6 in brackets.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty without SASL.
        username: with SASL, the user; empty without.
        password: with SASL, the user's password; empty without.
        ca: PEM certificates to trust instead of the system's; empty for these.
        certificate: PEM certificate that the client shows, with its key if `key` is empty.
        key: PEM of its key.
        prefix: what the topics' names begin with.
    """

    servers: tuple[str, ...]
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = ""
    username: str = ""
    password: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    prefix: str = "ms-load"

    @property
    def results_topic(self) -> str:
        """Return the name of the topic for frames."""
        return f"{self.prefix}.results"

    @property
    def control_topic(self) -> str:
        """Return the name of the topic by which slices on stock nodes are spoken to."""
        return f"{self.prefix}.control"

    @property
    def tls(self) -> bool:
        """Return whether connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Return whether clients log in."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def __repr__(self) -> str:
        return f"KafkaAccess({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        secret = ("password", "certificate", "key")
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        return [(name, "***" if value and name in secret else value) for name, value in shown.items()]


class CheckRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/check`: could this node take such a slice now?

    Attributes:
        protocol: version of this protocol that the controller speaks.
        version: version of pytest-metersphere on the controller.
        users: users of the slice.
        python: the controller's version of Python, `3.11.7`; empty when it does not matter.
        packages: versions of the distributions that the tests import, by name.
        kafka: the Kafka that frames would go to, None when they are pulled.
        jmeter: a slice would run JMeter.
        looks_only: leave out what may start a container, or fetch an image, to be known.
    """

    protocol: int
    version: str
    users: int
    python: str = ""
    packages: dict[str, str] = {}
    kafka: KafkaAccess | None = None
    jmeter: bool = False
    looks_only: bool = False


class Check(msgspec.Struct, kw_only=True):
    """One finding of a preflight.

    Attributes:
        name: what was checked.
        ok: whether it holds.
        detail: what was found.
        hint: what to do when it does not hold; empty when that is in `detail`.
        seconds: how long it took.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """Return what was found and what to do, in one line."""
        return f"{self.detail}; {self.hint}" if self.hint else self.detail


class CheckAnswer(msgspec.Struct, kw_only=True):
    """Answer of `POST /v1/check`.

    Attributes:
        checks: what was checked, in that order.
    """

    checks: list[Check]


class StartRequest(msgspec.Struct, kw_only=True):
    """Part `request` of `POST /v1/slices`.

    Attributes:
        protocol: version of this protocol that the controller speaks.
        version: version of pytest-metersphere on the controller.
        run: id of the run, the same on every node.
        slice: id of the slice, unique.
        node: the node's name in the pool, by which scenarios and reports call it.
        users: users to reserve, the slice's peak.
        lease: seconds after which a slice whose controller is silent stops itself.
        key: the run's key, with which the slice signs its frames; it travels nowhere else.
        interval: seconds that a frame sums up, 1 to MAX_INTERVAL.
        collection: how the workers find the tests in the bundle.
        parts: the scenarios of the run; a scenario without users on this node has an empty list.
        kafka: where frames go, beside the spool; None when they are pulled.
    """

    protocol: int
    version: str
    run: str
    slice: str
    node: str
    users: int
    lease: float
    key: bytes
    collection: Collection
    parts: list[Part]
    interval: int = 1
    kafka: KafkaAccess | None = None


class WorkerLoss(msgspec.Struct, kw_only=True):
    """A worker process that ended before its work did.

    Attributes:
        worker: its number in the slice, from 0.
        pid: its process id; with Docker that in its container.
        second: whole seconds from go, -1 before it.
        reason: how it ended, `killed by SIGKILL` or `exit code 1`.
    """

    worker: int
    pid: int
    second: int
    reason: str


class Totals(msgspec.Struct, kw_only=True):
    """What a slice counted by itself, for comparison with its merged frames (all phases).

    Attributes:
        iterations: iterations that ended, failed and skipped ones included.
        failed_iterations: those of them that failed.
        requests: requests and samples.
        failures: those of them that failed.
        exchanges: HTTP exchanges of these.
        interrupted: HTTP exchanges begun and not finished when their user was stopped.
        scheduled_iterations: iterations of the open model that were due.
        started_iterations: those of them that began.
        dropped_iterations: those of them that did not, as no user was free or the load had to end.
    """

    iterations: int = 0
    failed_iterations: int = 0
    requests: int = 0
    failures: int = 0
    exchanges: int = 0
    interrupted: int = 0
    scheduled_iterations: int = 0
    started_iterations: int = 0
    dropped_iterations: int = 0


class Manifest(msgspec.Struct, kw_only=True):
    """How a slice ended.

    Attributes:
        slice: id of the slice.
        incarnation: tells it from an earlier one with the same id.
        last_sequence: sequence of its last frame, 0 when it sent none.
        ended_at: seconds from go to the end of its last user.
        ends: the same for each scenario, 0 for one without users there; empty when go never came.
        stopped: it was told to stop before its profile ended, or its lease ran out.
        reason: why it was cut off, one line; empty when its workers ended by themselves.
        aborted: reason when the scenario called pytest.exit.
        kafka: why its frames could not be sent over Kafka at the end; empty when they could.
        losses: workers that were lost.
        doubts: why its counts cannot be believed, one sentence each.
        totals: its own counts.
    """

    slice: str
    incarnation: int
    last_sequence: int
    ended_at: float
    ends: list[float] = []
    stopped: bool = False
    reason: str = ""
    aborted: str = ""
    kafka: str = ""
    losses: list[WorkerLoss] = []
    doubts: list[str] = []
    totals: Totals = msgspec.field(default_factory=Totals)


class SliceInfo(msgspec.Struct, kw_only=True):
    """Answer of `GET /v1/slices/{id}` and of start, go, stop and lease.

    Attributes:
        slice: id of the slice.
        run: id of the run.
        incarnation: tells it from an earlier one with the same id.
        state: starting, ready, running, stopping, ended, or failed when it never ran.
        users: users reserved for it.
        workers: process ids of its workers; with Docker those in its container.
        last_sequence: sequence of its latest frame, 0 before the first.
        losses: workers that were lost so far.
        reason: why it failed, one line; empty when it did not.
        detail: the text behind that, such as a traceback.
        manifest: how it ended, once it did.
    """

    slice: str
    run: str
    incarnation: int
    state: SliceState
    users: int
    workers: list[int]
    last_sequence: int = 0
    losses: list[WorkerLoss] = []
    reason: str = ""
    detail: str = ""
    manifest: Manifest | None = None


class StopRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/slices/{id}/stop`.

    Attributes:
        grace: seconds that running iterations get to end; None means each scenario's graceful_stop.
    """

    grace: float | None = None


class FrameBatch(msgspec.Struct, kw_only=True):
    """Answer of `GET /v1/slices/{id}/frames?after=N&wait=S` (MessagePack).

    Attributes:
        frames: signed, packed Frames with a sequence above N, in order, as many as fit.
        last_sequence: sequence of the last of them, N when there is none: the next request's `after`.
        state: state of the slice when they were read.
        losses: workers that were lost so far; a new one ends the long poll at once.
        manifest: set once the slice has ended and no frame above these is left.
    """

    frames: list[bytes]
    last_sequence: int
    state: SliceState
    losses: list[WorkerLoss] = []
    manifest: Manifest | None = None


class Refusal(msgspec.Struct, kw_only=True):
    """Answer to a request that was not carried out.

    Attributes:
        error: capacity, slices, version, bundle, token, origin, host, unknown, state, request or
            internal.
        message: what, and what to do.
        capacity: with error capacity, the node's capacity; else None.
        free: with error capacity, what is free of it now; else None.
    """

    error: str
    message: str
    capacity: int | None = None
    free: int | None = None
