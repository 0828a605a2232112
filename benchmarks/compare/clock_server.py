"""A server that knows how long it took: the truth that reported response times are held against.

    python clock_server.py CORE

Prints its port. Every GET is answered after 5 ms, each fiftieth after 25 ms, so that the 99th percentile
lies in the middle of the slow ones. A request's time runs from the moment at which the kernel took it
off the network (SO_TIMESTAMPNS, so waiting in the server's own queue is in it) to just before the answer
is sent. The answer carries it in `X-Took-Ns`. `GET /truth` returns count, rate, p50 and p99 (seconds) as
JSON and begins anew; `GET /now` is answered at once and not counted. Ends with its standard input.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import struct
import sys
import time

USUAL, SLOW, EVERY = 5_000_000, 25_000_000, 50
"""Nanoseconds of an answer, of a slow one, and how many there are to one slow one."""

MEAN = (USUAL * (EVERY - 1) + SLOW) / EVERY / 1e9
"""Seconds of an answer, on average."""

_SO_TIMESTAMPNS = 35
_SPACE = socket.CMSG_SPACE(16)
_BODY = b'{"code":200,"message":"ok","data":{"name":"scenario-user"}}'


class ClockServer:
    """One thread, one epoll."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        self._door = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._door.setblocking(False)
        # on the door too: the kernel notes no times while no socket asks for them
        self._door.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.port = self._door.getsockname()[1]
        self._poll = select.epoll()
        self._poll.register(self._door.fileno(), select.EPOLLIN)
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        self._open: dict[int, socket.socket] = {}
        self._due: list[tuple[int, int, int, socket.socket]] = []
        self._counted = 0
        self._took: list[int] = []
        self._span = (0, 0)

    def serve(self) -> None:
        """Answer until standard input ends."""
        while True:
            for number, _ in self._poll.poll(self._until_due()):
                if number == self._door.fileno():
                    self._accept()
                elif number == sys.stdin.fileno():
                    return
                else:
                    self._read(self._open[number])
            now = time.time_ns()
            while self._due and self._due[0][0] <= now:
                _, _, arrived, sock = heapq.heappop(self._due)
                self._answer(sock, arrived)

    def _until_due(self) -> float | None:
        if not self._due:
            return None
        return max(self._due[0][0] - time.time_ns(), 0) / 1e9

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._door.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._open[sock.fileno()] = sock
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, sock: socket.socket) -> None:
        try:
            request, extra, _, _ = sock.recvmsg(65536, _SPACE)
        except BlockingIOError:
            return
        except OSError:
            request, extra = b"", []
        if not request:
            self._poll.unregister(sock.fileno())
            del self._open[sock.fileno()]
            sock.close()
            return
        arrived = _kernel_time(extra)
        if request.startswith(b"GET /truth "):
            _send(sock, self._truth(), 0)
        elif request.startswith(b"GET /now "):
            _send(sock, _BODY, time.time_ns() - arrived)
        else:
            self._counted += 1
            taking = USUAL if self._counted % EVERY else SLOW
            heapq.heappush(self._due, (arrived + taking, self._counted, arrived, sock))

    def _answer(self, sock: socket.socket, arrived: int) -> None:
        took = time.time_ns() - arrived
        if _send(sock, _BODY, took):
            self._span = (self._span[0] or arrived, arrived)
            self._took.append(took)

    def _truth(self) -> bytes:
        """Return what was measured, and forget it."""
        took, span = sorted(self._took), max(self._span[1] - self._span[0], 1) / 1e9
        self._took, self._span = [], (0, 0)
        p50, p99 = (took[int(len(took) * share)] / 1e9 if took else None for share in (0.5, 0.99))
        return json.dumps({"count": len(took), "rate": len(took) / span, "p50": p50, "p99": p99}).encode()


def _kernel_time(extra: list[tuple[int, int, bytes]]) -> int:
    """Return when the kernel received the bytes; now, if it does not say."""
    for level, kind, data in extra:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def _send(sock: socket.socket, body: bytes, took: int) -> bool:
    """Return whether the client was still there."""
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Took-Ns: {took}\r\n\r\n"
    )
    try:
        sock.send(head.encode() + body)
    except OSError:
        return False
    return True


def main() -> None:
    """Serve."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    server = ClockServer()
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
