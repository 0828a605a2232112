"""What a worker process and its supervisor say to each other over a socket pair.

Each message is a MessagePack map with a `type` field, behind its length as four bytes, big endian.
The supervisor sends Job, Go and Stop; the worker answers Ready, any number of Second, then Ended,
or Broken when it cannot run at all.
"""

from __future__ import annotations

import socket
import struct

import msgspec

from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.rows import Rows
from pytest_metersphere.errors import WireError
from pytest_metersphere.metrics.frame import Phase, Tally, WorkerHealth
from pytest_metersphere.scenario.model import Scenario

_LENGTH = struct.Struct(">I")
MAX_MESSAGE = 64 << 20
WORKER_PLUGIN = "pytest_metersphere.worker"
"""The name of the plugin that runs a job in the worker's own pytest session."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario of a run, as a node or a worker is to run it.

    Attributes:
        scenario: what was asked for.
        users: ids of the users that live here, ascending.
        values: values of ordinary fixtures and parameters by name, as `scenario.travel` writes them.
        local_params: names of parameters to be taken from the worker's own item of the same full id.
        rows: the rows of these users, None without a data file.
        before: users of the run's scenarios before this one; `vu.id` goes on counting behind them.
        share: of a JMeter test plan, the node's share; else None.
    """

    scenario: Scenario
    users: list[int]
    values: dict[str, bytes] = {}
    local_params: list[str] = []
    rows: Rows | None = None
    before: int = 0
    share: Share | None = None


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker's pytest session finds the tests in the unpacked bundle.

    Attributes:
        root: name of the folder that stands for the rootdir.
        sys_path: folders that hold the bundled top-level modules, relative to the rootdir.
        ini: ini values that decide what is collected and how it is imported (`name=value`).
        import_mode: pytest's --import-mode.
    """

    root: str
    sys_path: list[str]
    ini: list[str] = []
    import_mode: str = "prepend"


class Job(msgspec.Struct, tag="job", kw_only=True):
    """What the worker is to run; the first message of the supervisor.

    Attributes:
        root: folder of the unpacked bundle that stands for the rootdir, absolute.
        node: name of the node.
        worker: number of the worker in the slice, from 0.
    """

    root: str
    node: str
    worker: int
    collection: Collection
    parts: list[Part]


class Go(msgspec.Struct, tag="go"):
    """Start the load: second 0 is `at`, soon to come on this machine's monotonic clock."""

    at: float


class Stop(msgspec.Struct, tag="stop"):
    """End the load now; running iterations get `grace` seconds to end."""

    grace: float


class Ready(msgspec.Struct, tag="ready"):
    """Everything is imported, found and set up."""


class Second(msgspec.Struct, tag="second"):
    """What the worker did in one second, in one phase.

    `complete` says that nothing more comes for this second or an earlier one.
    """

    second: int
    phase: Phase
    complete: bool
    tallies: list[Tally]
    health: WorkerHealth | None = None


class Ended(msgspec.Struct, tag="ended"):
    """All users are gone and every second was sent.

    Attributes:
        at: seconds from go to the end of the last user.
        aborted: the reason when a scenario called pytest.exit, else empty.
        ends: the same as `at` for each scenario, 0 for one without users here.
    """

    at: float
    aborted: str = ""
    ends: list[float] = []


class Broken(msgspec.Struct, tag="broken"):
    """The worker cannot run the scenario; `reason` is one line, `detail` the text behind it."""

    reason: str
    detail: str = ""


ToWorker = Job | Go | Stop
FromWorker = Ready | Second | Ended | Broken

_encoder = msgspec.msgpack.Encoder()


def pack(message: ToWorker | FromWorker) -> bytes:
    """Return the message with its length in front."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class Channel:
    """A worker's blocking end of the socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._decoder = msgspec.msgpack.Decoder(ToWorker)

    def send(self, message: FromWorker) -> None:
        """Send one message whole (OSError when the supervisor is gone)."""
        self._sock.sendall(pack(message))

    def receive(self) -> ToWorker | None:
        """Wait for one message; None when the supervisor is gone."""
        head = self._read(_LENGTH.size)
        if head is None:
            return None
        body = self._read(message_size(head))
        return None if body is None else self._decoder.decode(body)

    def _read(self, size: int) -> bytes | None:
        chunks = bytearray()
        while len(chunks) < size:
            chunk = self._sock.recv(min(size - len(chunks), 1 << 20))
            if not chunk:
                return None
            chunks += chunk
        return bytes(chunks)


def message_size(head: bytes) -> int:
    """Return the length that the four bytes in front of a message announce.

    Raises:
        WireError: it is larger than any message of ours.
    """
    size: int = _LENGTH.unpack(head)[0]
    if size > MAX_MESSAGE:
        raise WireError(f"a message of {size} bytes is announced, at most {MAX_MESSAGE} are allowed")
    return size
