"""How an exchange goes wrong inside the client, and the exception that the scenario sees for it."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from pytest_metersphere.engine.failures import ConnectionFailure, RequestError, RequestTimeout, generalised

CLOSED = "the server closed the connection before the answer was complete"
_LONGEST = 200


class Fault(Exception):
    """Why there is no answer.

    Attributes:
        kind: refused, reset, timeout, tls, dns or protocol, as reports group it.
        reason: one short line.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = " ".join(reason.split())[:_LONGEST]


def closed() -> Fault:
    """Return the fault of a connection that ended too early."""
    return Fault("reset", CLOSED)


def invalid(what: str) -> Fault:
    """Return the fault of an answer that HTTP does not allow."""
    return Fault("protocol", f"not a valid HTTP answer: {what}")


def unknown_host(host: str) -> Fault:
    """Return the fault of a name that nobody knows."""
    return Fault("dns", f"unknown host {host}")


def lost(error: BaseException | None) -> Fault:
    """Return the fault of a connection that ended while an answer was awaited."""
    return Fault("tls", f"TLS: {error}") if isinstance(error, ssl.SSLError) else closed()


def unreachable(address: str, error: OSError) -> Fault:
    """Return the fault of an address that takes no connection."""
    if isinstance(error, ConnectionRefusedError):
        return Fault("refused", f"connection refused by {address}")
    known = error.errno if not isinstance(error, (ssl.SSLError, socket.gaierror)) else None
    text = os.strerror(known) if known else str(error)
    exhausted = known in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL)
    advice = "; this machine has no descriptors or ports left" if exhausted else ""
    return Fault("refused", f"no connection to {address}: {text}{advice}")


def handshake(address: str, error: Exception) -> Fault:
    """Return the fault of a TLS handshake that failed."""
    if isinstance(error, ssl.SSLError):
        return Fault("tls", f"TLS: {error}")
    return Fault("reset", f"{address} closed the connection during the TLS handshake")


def out_of_time(what: str, seconds: float) -> Fault:
    """Return the fault of a time limit; `what` is total, connect or read."""
    said = {
        "total": "no complete answer within",
        "connect": "no connection within",
        "read": "nothing received for",
    }
    return Fault("timeout", f"{said[what]} {seconds:g} s")


def as_error(fault: Fault, method: str, url: str) -> RequestError:
    """Return the exception for the scenario; it names the request."""
    text = f"{method} {url}: {fault.reason}"
    if fault.kind == "timeout":
        return RequestTimeout(text, kind="timeout", group=_time_limit(fault.reason))
    group = generalised(fault.reason) if fault.kind in ("protocol", "tls") else fault.reason
    return ConnectionFailure(text, kind=fault.kind, group=group)


def _time_limit(reason: str) -> str:
    if reason.startswith("no complete"):
        return "timeout"
    return "connect timeout" if reason.startswith("no connection") else "read timeout"
