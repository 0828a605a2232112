"""Connections to a broker's address, each failure in words of its own."""

from __future__ import annotations

import errno
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar, cast

from pytest_metersphere.units import format_duration

RESOLVE_LIMIT = 3.0
CONNECT_LIMIT = 3.0

Kind = Literal[
    "unknown host",
    "refused",
    "dropped",
    "unreachable",
    "silent",
    "ssh",
    "http",
    "tls expected",
    "tls not expected",
    "certificate",
    "client certificate",
    "not kafka",
    "controller",
    "login expected",
    "login not expected",
    "mechanism",
    "login refused",
]
Address = tuple[str, int] | tuple[str, int, int, int]
"""As sockets take it: an IPv6 one has the interface with it, without which link-local ones lead nowhere."""
T = TypeVar("T")

_NOT_TRIED = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL}


class UnfitError(Exception):
    """What is behind an address is no broker that this client can use.

    Attributes:
        kind: how it is unfit, for programs.
        detail: how, in words; names the address.
        hint: what to do.
    """

    def __init__(self, kind: Kind, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.hint = hint


def resolve(place: str, host: str, port: int) -> list[Address]:
    """Return the addresses of a host; `place` is `host:port`, for messages.

    Raises:
        UnfitError: unknown host.
    """
    try:
        found = _within(RESOLVE_LIMIT, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (socket.gaierror, UnicodeError):
        raise _unknown(
            place, "cannot be resolved", "check how it is written, and this machine's DNS"
        ) from None
    except TimeoutError:
        limit = format_duration(RESOLVE_LIMIT)
        raise _unknown(place, f"was not resolved within {limit}", "check this machine's DNS") from None
    internet = (socket.AF_INET, socket.AF_INET6)
    return [cast(Address, address) for family, _, _, _, address in found if family in internet]


def on_port(address: Address, port: int) -> Address:
    """Return the same address with another port."""
    return (address[0], port) if len(address) == 2 else (address[0], port, *address[2:])


def connect(place: str, addresses: Sequence[Address], limit: float = CONNECT_LIMIT) -> socket.socket:
    """Return a connection to the first of the addresses that takes one.

    Raises:
        UnfitError: refused, dropped or unreachable: the last of them that this machine has a way to.
    """
    deadline = time.monotonic() + limit
    trouble: OSError | None = None
    for address in addresses:
        try:
            return _connected(address, max(0.1, deadline - time.monotonic()))
        except OSError as error:
            # a machine without IPv6 says nothing about the broker by not trying its IPv6 address
            if trouble is None or trouble.errno in _NOT_TRIED or error.errno not in _NOT_TRIED:
                trouble = error
    raise _not_connected(place, trouble or TimeoutError(), limit)


def _connected(address: Address, limit: float) -> socket.socket:
    sock = socket.socket(socket.AF_INET if len(address) == 2 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.settimeout(limit)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def secure(sock: socket.socket, context: ssl.SSLContext, host: str, limit: float) -> ssl.SSLSocket:
    """Return the connection encrypted (OSError when it cannot be; the connection is closed then)."""
    sock.settimeout(limit)
    try:
        # ssl leaves its socket open when the connection was reset before one is made of it
        sock.getpeername()
    except OSError:
        sock.close()
        raise
    return context.wrap_socket(sock, server_hostname=host)


def receive(sock: socket.socket, size: int, deadline: float) -> bytes:
    """Return exactly so many bytes (OSError: it hung up, or did not send them until the deadline)."""
    data = bytearray()
    while len(data) < size:
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("it hung up")
        data += piece
    return bytes(data)


def tls_words(error: ssl.SSLError) -> str:
    """Return in a few words what TLS failed of."""
    return (error.reason or str(error)).replace("_", " ").lower()


def _unknown(place: str, how: str, hint: str) -> UnfitError:
    return UnfitError("unknown host", f"{place}: the host's name {how}", hint)


def _not_connected(place: str, error: OSError, limit: float) -> UnfitError:
    if isinstance(error, ConnectionRefusedError):
        return UnfitError(
            "refused",
            f"{place}: the connection was refused, nothing listens there",
            "start the broker, or correct its port",
        )
    if isinstance(error, TimeoutError):
        return UnfitError(
            "dropped",
            f"{place}: no answer to the connection within {format_duration(limit)}, as if a firewall"
            " dropped it",
            "check the address, and that a firewall or security group lets this machine through",
        )
    return UnfitError(
        "unreachable",
        f"{place}: there is no way to it from this machine ({error.strerror or error})",
        "check the address, and the network of this machine",
    )


def _within(limit: float, work: Callable[[], T]) -> T:
    """Do what has no time limit of its own (TimeoutError: it then goes on by itself)."""
    results: queue.SimpleQueue[T | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put(work())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            results.put(error)

    threading.Thread(target=run, name="resolve", daemon=True).start()
    try:
        result = results.get(timeout=limit)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(result, Exception):
        raise result
    return result
