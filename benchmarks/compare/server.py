"""The server under load: nginx with a fixed answer, plain and over TLS, and what it has counted."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Self

import trustme

from benchmarks.compare import machine
from benchmarks.compare.rivals.base import MissingPart

BODY = (
    '{"code":200,"message":"ok","data":{"id":"8f14e45f-ceea-467f-a0e6-1d2c3b4a5f60","name":"scenario-user",'
    '"roles":["viewer","editor"],"created":1700000000,"active":true,"score":98.6}}'
)
CONNECTIONS = 24_000
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_PATIENCE = 10.0
_POLL = 0.02
_CONFIGURATION = """\
daemon off;
{user}worker_processes {workers};
pid nginx.pid;
error_log stderr error;
events {{ worker_connections {connections}; use epoll; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_timeout 3600s;
    keepalive_requests 2000000000;
    default_type application/json;
    server {{
        listen 127.0.0.1:{plain} backlog=16384{reuse};
        location / {{ return 200 '{body}'; }}
    }}
    server {{
        listen 127.0.0.1:{tls} ssl backlog=16384;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{ return 200 '{body}'; }}
    }}
    server {{
        listen 127.0.0.1:{status};
        location / {{ stub_status; }}
    }}
}}
"""


class Server:
    """nginx on the cores that it is given, with one worker unless told otherwise.

    Attributes:
        url: plain.
        tls_url: the same over TLS.
        authority: file with the certificate that signed the server's.
        status_port: where it tells what it has counted.
    """

    def __init__(self, program: str, folder: Path, cores: Collection[int], workers: int = 1) -> None:
        """Write its files into an empty folder; nothing runs yet."""
        plain, tls, self.status_port = free_ports(3)
        self.url, self.tls_url = f"http://127.0.0.1:{plain}/", f"https://127.0.0.1:{tls}/"
        self.authority = folder / "authority.pem"
        self._program, self._folder, self._cores = program, folder, cores
        self._process: subprocess.Popen[bytes] | None = None
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.authority)
        certificate.private_key_pem.write_to_path(folder / "server.key")
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(folder / "server.pem", append=True)
        text = _CONFIGURATION.format(
            # its worker opens what is in our folder; only root may, and must, say so
            user="user root;\n" if os.geteuid() == 0 else "",
            workers=workers,
            # or one worker may get most of the connections, and meet its limit of descriptors
            reuse=" reuseport" if workers > 1 else "",
            connections=CONNECTIONS,
            plain=plain,
            tls=tls,
            status=self.status_port,
            body=BODY,
        )
        (folder / "nginx.conf").write_text(text)

    def __enter__(self) -> Self:
        """Start it, and return it when it answers."""
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self._prepare,  # noqa: PLW1509 - before any thread of this program
            )
        deadline = time.monotonic() + _PATIENCE
        while not _answers(self.status_port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise MissingPart(f"nginx did not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _prepare(self) -> None:
        """Give nginx its cores, and descriptors for all who will connect; it ends with this program."""
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        os.sched_setaffinity(0, self._cores)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = CONNECTIONS + 1000
        for limits in ((max(soft, wanted), max(hard, wanted)), (hard, hard)):
            # only root may raise the hard limit, and not in every container
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                return

    def cpu(self) -> float:
        """Return the CPU seconds that its processes have used."""
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return sum(machine.seconds_of(pid) for pid in (main, *map(int, children)))


class Watch:
    """Asks nginx fifty times a second what it has counted; what it counts of that itself is taken off.

    Attributes:
        requests: those of others than the watch, so far.
        first, last: when the first and the last of them were seen, to 20 ms, on the monotonic clock.
        connections: accepted so far.
    """

    def __init__(self, port: int) -> None:
        """Take the port of nginx's status page."""
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_asking, daemon=True)
        self._polls = 0
        self._base = (0, 0)
        self.requests = self.connections = 0
        self.first = self.last = 0.0

    def __enter__(self) -> Self:
        """Begin to count from 0."""
        self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE)
        self._base = self._ask()
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Count a last time."""
        self.stop()

    def stop(self) -> None:
        """Count a last time, and no more."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._note()
            self._sock.close()

    def _keep_asking(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while not self._stop.wait(_POLL):
                self._note()

    def _note(self) -> None:
        accepted, requests = self._ask()
        self._polls += 1
        now, seen = time.monotonic(), requests - self._base[1] - self._polls
        if seen > self.requests:
            self.first = self.first or now
            self.last, self.requests = now, seen
        self.connections = accepted - self._base[0]

    def _ask(self) -> tuple[int, int]:
        self._sock.sendall(b"GET / HTTP/1.1\r\nHost: status\r\n\r\n")
        received = b""
        while b"Waiting" not in received:
            piece = self._sock.recv(4096)
            if not piece:
                raise OSError("nginx closed the connection of the watch")
            received += piece
        return counts(received.decode())


def counts(text: str) -> tuple[int, int]:
    """Return the connections accepted and the requests read, from nginx's status page.

    Raises:
        ValueError: it is no such page.
    """
    found = re.search(r"requests\s+(\d+) (\d+) (\d+)", text)
    if found is None:
        raise ValueError("this is not nginx's status page")
    return int(found[1]), int(found[3])


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in socks]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True
