"""Worker processes: started in process groups of their own, spoken to over a socket, killed whole."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_metersphere.dist.node.launcher import HANG_UP, Child, Sandbox
from pytest_metersphere.engine.messages import FromWorker, Part, ToWorker, message_size, pack
from pytest_metersphere.errors import WireError

EXIT_LIMIT = 10.0
"""Seconds that a worker may take to exit after it said Ended."""

_HEAD = 4

Receiver = Callable[["WorkerProcess", FromWorker], None]


def deal(parts: Sequence[Part], workers: int) -> list[list[Part]]:
    """Return the parts of each worker: worker w has the users at w, w + workers and so on, over all parts."""
    begins = itertools.accumulate((len(part.users) for part in parts), initial=0)
    firsts = [-begin % workers for begin in begins]
    return [
        [
            _only(part, part.users[(first + worker) % workers :: workers])
            for part, first in zip(parts, firsts, strict=False)
        ]
        for worker in range(workers)
    ]


def _only(part: Part, users: list[int]) -> Part:
    """Return the part with these of its users, and their rows."""
    rows = part.rows.only_of(users) if part.rows is not None else None
    return msgspec.structs.replace(part, users=users, rows=rows)


def workers_for(parts: Sequence[Part], limit: int) -> int:
    """Return how many workers the parts need: one for each user, at most `limit`, at least one.

    JMeter has threads for all its users in one process.
    """
    if any(part.scenario.jmx for part in parts):
        return 1
    return max(1, min(limit, sum(len(part.users) for part in parts)))


class WorkerProcess:
    """One worker of a slice, from its start to its end.

    Attributes:
        number: its number in the slice, from 0.
        pid: its process id, where it runs.
        silent: done when its end of the socket is closed.
        finished: done when it said Ended.
        ready: it said Ready.
        fault: what it did wrong, empty while it keeps to the protocol.
        put_down: it was told by signal to end, so its death is no surprise.
    """

    def __init__(self, number: int, child: Child, receiver: Receiver) -> None:
        """Use `WorkerProcess.launch`."""
        self.number = number
        self.pid = child.pid
        self.silent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready = False
        self.fault = ""
        self.put_down = False
        self._child = child
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def launch(
        cls, number: int, sandbox: Sandbox, folder: Path, output: int, receiver: Receiver
    ) -> WorkerProcess:
        """Start a worker.

        Args:
            number: its number in the slice.
            sandbox: where to start it.
            folder: the folder to start it in.
            output: file descriptor that takes what it prints.
            receiver: called with each of its messages; may raise WireError.

        Raises:
            OSError: it cannot be started.
        """
        ours, its = socket.socketpair()
        try:
            with its:
                child = await sandbox.start(number, folder, its, output)
        except BaseException:
            ours.close()
            raise
        worker = cls(number, child, receiver)
        await worker._listen(ours)
        return worker

    async def _listen(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_unix_connection(lambda: _Ear(self), sock=sock)

    def send(self, message: ToWorker) -> None:
        """Send a message; a worker that is gone does not hear it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(message))

    def hear(self, message: FromWorker) -> None:
        """Take a message of the worker; WireError when it makes no sense here."""
        self._receiver(self, message)

    def accuse(self, fault: str) -> None:
        """Note what the worker did wrong, and kill it."""
        self.fault = self.fault or fault
        self._kill_group()

    def put_down_by(self, number: signal.Signals) -> None:
        """Send a signal to the process group because the slice is to end."""
        self.put_down = True
        self._signal(number)

    def _kill_group(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        self._child.signal(number)

    async def end(self) -> str:
        """See it to its end, with everything it started that did not leave its process group.

        Whichever goes first, process or socket, the other follows soon or is made to.

        Returns:
            How the process ended, `exit code 1` or `killed by SIGKILL`.
        """
        exit_of = asyncio.ensure_future(self._child.wait())
        first: list[asyncio.Future[Any]] = [exit_of, self.silent, self.finished]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not exit_of.done():
            await asyncio.wait(
                [exit_of], timeout=EXIT_LIMIT if self.finished.done() else self._child.patience
            )
        if not exit_of.done() and not self.finished.done():
            self.accuse("it closed its socket before its work was done")
        self._kill_group()
        how = await exit_of
        await asyncio.wait([self.silent], timeout=HANG_UP)
        if self._transport is not None:
            self._transport.abort()
        return how


class _Ear(asyncio.Protocol):
    """Cuts what a worker sends into messages."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._buffer = bytearray()
        self._decoder = msgspec.msgpack.Decoder(FromWorker)

    def data_received(self, data: bytes) -> None:
        """Hand over every message that is whole; a worker that sends garbage is killed."""
        self._buffer += data
        try:
            while (body := self._next()) is not None:
                self._worker.hear(self._decoder.decode(body))
        except (WireError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._buffer.clear()
            self._worker.accuse(f"it sent what is no message of a worker: {error}")

    def _next(self) -> bytes | None:
        if self._worker.fault or len(self._buffer) < _HEAD:
            return None
        end = _HEAD + message_size(bytes(self._buffer[:_HEAD]))
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_HEAD:end])
        del self._buffer[:end]
        return body

    def connection_lost(self, _exc: Exception | None) -> None:
        """Tell that nothing more will come."""
        if not self._worker.silent.done():
            self._worker.silent.set_result(None)
