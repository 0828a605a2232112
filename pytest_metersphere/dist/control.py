"""The messages between the controller and a slice in a container that can only be spoken to over Kafka.

Both directions use the topic `<prefix>.control`, a run one partition of it. A record's key is the run's
id, its value a signed (`dist.signing`, for COMMAND or REPORT), packed Command or Report. The run's key
and the way to Kafka are in the container's environment and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from pytest_metersphere.dist.signing import COMMAND, REPORT, SignatureError, sign, verified
from pytest_metersphere.dist.wire import (
    Check,
    CheckRequest,
    FrameBatch,
    KafkaAccess,
    Refusal,
    SliceInfo,
    Spoken,
)
from pytest_metersphere.errors import WireError

COMMISSION_VARIABLE = "PYTEST_MS_RUNNER"
"""The environment variable with a packed Commission in base64; workers don't get to see it."""
CHUNK = 384 << 10
"""Bytes of a parcel in one record; topics that take frames take them, too."""
PIECE = 600 << 10
"""Bytes of frames in one Report at most, unless one frame alone is larger."""
HEARTBEAT = 1.0
"""Seconds after which a slice says again how it stands."""

_UNREADABLE = (SignatureError, msgspec.MsgspecError, ValueError, RecursionError)
_RUN = re.compile(r"[0-9a-f]{16}")


class ParcelHead(msgspec.Struct, tag="parcel", frozen=True, kw_only=True):
    """Something larger comes next: for all slices the bundle, for one its packed StartRequest.

    The StartRequest has no `key` and no `kafka`, as the container has them already.

    Attributes:
        size: its size in bytes.
        chunks: number of chunks.
        sha256: its SHA-256.
    """

    size: int
    chunks: int
    sha256: bytes


class ParcelChunk(msgspec.Struct, tag="chunk", frozen=True, kw_only=True):
    """A piece of it.

    Attributes:
        index: its number, from 0.
        content: its bytes.
    """

    index: int
    content: bytes


class StartCommand(msgspec.Struct, tag="start", frozen=True, kw_only=True):
    """Start the slice, by the request and the bundle that came before."""


class CheckCommand(msgspec.Struct, tag="check", frozen=True, kw_only=True):
    """Could the container take such a slice? It starts none.

    Attributes:
        request: what is asked; its `kafka` is null, as the question itself comes over Kafka.
    """

    request: CheckRequest


class GoCommand(msgspec.Struct, tag="go", frozen=True, kw_only=True):
    """Second 0 is now; a repeated one changes nothing."""


class StopCommand(msgspec.Struct, tag="stop", frozen=True, kw_only=True):
    """The load ends.

    Attributes:
        grace: seconds that running iterations get to end; null means each scenario's graceful_stop.
    """

    grace: float | None = None


class LeaseCommand(msgspec.Struct, tag="lease", frozen=True, kw_only=True):
    """The controller is still there; every other command says so, too."""


class FramesCommand(msgspec.Struct, tag="frames", frozen=True, kw_only=True):
    """Send frames once more, those that the spool holds behind a sequence.

    Attributes:
        after: that sequence.
    """

    after: int


class LogCommand(msgspec.Struct, tag="log", frozen=True, kw_only=True):
    """Send the last of what the workers printed."""


class EndCommand(msgspec.Struct, tag="end", frozen=True, kw_only=True):
    """Stop if needed, forget everything, and end the container."""


Order = (
    ParcelHead
    | ParcelChunk
    | StartCommand
    | CheckCommand
    | GoCommand
    | StopCommand
    | LeaseCommand
    | FramesCommand
    | LogCommand
    | EndCommand
)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What the controller says.

    Attributes:
        run: id of the run.
        slice: id of the slice that is meant, empty for all of the run.
        number: counts the run's commands, from 1; what is not above the last one's is a replay.
        order: what to do.
    """

    run: str
    slice: str
    number: int
    order: Order


class StateReport(msgspec.Struct, tag="state", frozen=True, kw_only=True):
    """How the slice stands: at every change, and every second.

    Attributes:
        info: that.
    """

    info: SliceInfo


class ChecksReport(msgspec.Struct, tag="checks", frozen=True, kw_only=True):
    """Answer to a check.

    Attributes:
        checks: what was checked, in that order.
    """

    checks: list[Check]


class FramesReport(msgspec.Struct, tag="frames", frozen=True, kw_only=True):
    """Answer to a wish for frames.

    Attributes:
        batch: as many as fit into a record.
    """

    batch: FrameBatch


class LogReport(msgspec.Struct, tag="log", frozen=True, kw_only=True):
    """Answer to a wish for the log.

    Attributes:
        text: its end.
    """

    text: str


class RefusedReport(msgspec.Struct, tag="refused", frozen=True, kw_only=True):
    """Answer to a command that was not carried out.

    Attributes:
        refusal: why.
    """

    refusal: Refusal


Content = StateReport | ChecksReport | FramesReport | LogReport | RefusedReport


class Report(Spoken, kw_only=True):
    """What a slice says.

    Attributes:
        protocol: version of the protocol that it speaks.
        version: version of pytest-metersphere in the container.
        run: id of the run.
        slice: id of the slice.
        number: counts the slice's reports, from 1; what is not above the last one's is a replay.
        answers: number of the command that it answers, 0 for none.
        clock: the container's wall clock, seconds since the epoch.
        rejected: records with the run's id as their key that were none of its commands, so far.
        content: what there is to say.
    """

    run: str
    slice: str
    number: int
    answers: int = 0
    clock: float
    rejected: int = 0
    content: Content


class Commission(Spoken, kw_only=True):
    """What a container is told by its environment.

    Attributes:
        protocol: version of the protocol that the controller speaks.
        version: version of pytest-metersphere on the controller.
        run: id of the run.
        slice: id of the slice.
        node: the node's name in the pool.
        key: the run's key, 32 bytes.
        kafka: how to reach Kafka.
        partition: partition of the control topic that is the run's.
        offset: where its commands begin there.
    """

    run: str
    slice: str
    node: str
    key: bytes = b""
    kafka: KafkaAccess
    partition: int
    offset: int

    def __repr__(self) -> str:
        return f"Commission(run={self.run!r}, slice={self.slice!r}, node={self.node!r}, key=***)"


_commands = msgspec.msgpack.Decoder(Command)
_reports = msgspec.msgpack.Decoder(Report)
_commissions = msgspec.msgpack.Decoder(Commission)


def partition_of(run: str, partitions: int) -> int:
    """Return the partition of the control topic that a run uses."""
    if partitions < 1 or not _RUN.fullmatch(run):
        raise ValueError(f"{run!r} has no place among {partitions} partitions")
    return int(run, 16) % partitions


def sealed(key: bytes, message: Command | Report) -> bytes:
    """Return a message as it crosses the wire."""
    purpose = COMMAND if isinstance(message, Command) else REPORT
    return sign(key, msgspec.msgpack.encode(message), purpose)


def opened_command(key: bytes, value: bytes) -> Command:
    """Return a command that the controller of the run signed (WireError for anything else)."""
    try:
        return _commands.decode(verified(key, value, COMMAND)[1])
    except _UNREADABLE as error:
        raise WireError(f"no command of this run: {error}") from None


def opened_report(key: bytes, value: bytes) -> Report:
    """Return a report that a slice of the run signed (WireError for anything else)."""
    try:
        return _reports.decode(verified(key, value, REPORT)[1])
    except _UNREADABLE as error:
        raise WireError(f"no report of this run: {error}") from None


def written(commission: Commission) -> str:
    """Return a commission as the text of an environment variable."""
    return base64.b64encode(msgspec.msgpack.encode(commission)).decode()


def read(text: str) -> Commission:
    """Return the commission that an environment variable holds (WireError when it holds none)."""
    try:
        return _commissions.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError(f"{COMMISSION_VARIABLE} holds no commission: {error}") from None
