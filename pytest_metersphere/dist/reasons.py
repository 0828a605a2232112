"""Why a node did not answer, in words, from what the sockets below said."""

from __future__ import annotations

import contextlib
import errno
import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

CAFILE_VARIABLE = "PYTEST_MS_NODE_CAFILE"
CHECK_PORT = "check that this is the port of a node-controller, and that its machine is well"
CORRECT_ADDRESS = "correct the address, or start `pytest-metersphere node` there"
PROBE_LIMIT = 3.0
"""Seconds to find out whether a port speaks TLS."""

_CHUNK = 1 << 14
_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"}


def causes_of(error: BaseException) -> list[BaseException]:
    """Return an error and what caused it, the deepest last; HTTP libraries hide causes in several ways."""
    return list(_causes(error))


def why_no_answer(base_url: str, causes: Sequence[BaseException], cafile: str | None) -> str:
    """Return why a request to a node got no answer, and what to do.

    Args:
        base_url: `http://host:port` or `https://host:port`.
        causes: the error and what caused it, the deepest last.
        cafile: file of the certificates that were to vouch for the node.
    """
    return (
        _why_no_connection(base_url, causes)
        or _why_no_encryption(base_url, causes, cafile)
        or _why_no_http(base_url, causes)
        or f"the connection to {base_url} failed: {causes[-1]}"
    )


def _why_no_connection(base_url: str, causes: Sequence[BaseException]) -> str:
    """Return why nobody was reached, empty when somebody was, as below."""
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if errno.ECONNREFUSED in numbers:
        return f"{base_url} refused the connection: start `pytest-metersphere node` there"
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return (
            f"there is no route to {base_url}: check the address, and that the machine is up and in this"
            " network"
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"the name in {base_url} cannot be resolved: check its spelling, and DNS"
    return ""


def _why_no_encryption(base_url: str, causes: Sequence[BaseException], cafile: str | None) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _why_no_tls(base_url, cause, cafile)
    if _is_handshake_timeout(causes[-1]):
        return f"{base_url} took the connection, but gave no answer to TLS; {CHECK_PORT}"
    if base_url.startswith("http:") and _hung_up(causes) and speaks_tls(base_url):
        return (
            f"{base_url} speaks TLS: set {CAFILE_VARIABLE} (or ini ms_node_cafile) to the certificate that"
            " vouches for the node's"
        )
    return ""


def _why_no_http(base_url: str, causes: Sequence[BaseException]) -> str:
    if greeting := _greeting(causes):
        who = "an ssh server" if greeting.startswith("SSH-") else f"something that answers {greeting[:80]!r}"
        return f"{who} listens on {base_url}, no node-controller; {CORRECT_ADDRESS}"
    if _hung_up(causes):
        return f"{base_url} hung up before its answer was complete; {CHECK_PORT}"
    return ""


def speaks_tls(base_url: str) -> bool:
    """Return whether a port answers to TLS, whatever certificate it shows."""
    parts = urlsplit(base_url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent, only the kind of port is asked for
    with contextlib.suppress(OSError, ValueError):
        address = (parts.hostname or "", parts.port or 0)
        with socket.create_connection(address, PROBE_LIMIT) as sock:
            _shake_hands(sock, context)
            return True
    return False


def _shake_hands(sock: socket.socket, context: ssl.SSLContext) -> None:
    """Begin to speak TLS, within PROBE_LIMIT (OSError when the other side does not).

    ssl's own sockets stay open when the connection was reset before one is made of it.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    deadline = time.monotonic() + PROBE_LIMIT
    while True:
        try:
            tls.do_handshake()
            return
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        if data := sock.recv(_CHUNK):
            incoming.write(data)
        else:
            incoming.write_eof()


def _why_no_tls(base_url: str, error: ssl.SSLError, cafile: str | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        advice = "put the certificate that signed it into that file, or give the node another with --tls-cert"
        if "mismatch" in why:
            advice = "name the node in the pool as its certificate does"
        by = cafile or "the system"
        return f"the certificate of {base_url} is not vouched for by {by}: {why}; {advice}"
    if error.reason in _NO_TLS:
        return (
            f"{base_url} does not speak TLS: start the node with --tls-cert and --tls-key, or, in a network"
            f" that you trust, unset {CAFILE_VARIABLE} (or ini ms_node_cafile)"
        )
    return f"the TLS connection to {base_url} failed: {error.reason or error}"


def _greeting(causes: Sequence[BaseException]) -> str:
    """Return the first line of what answered, but not in HTTP; empty when it hung up."""
    for cause in causes:
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, ConnectionResetError):
            return str(cause).strip()
    return ""


def _is_handshake_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) and "handshake" in str(error)


def _hung_up(causes: Sequence[BaseException]) -> bool:
    kinds = (http.client.HTTPException, ConnectionResetError, BrokenPipeError)
    return any(isinstance(cause, kinds) for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = [
            value
            for value in (getattr(current, "reason", None), *current.args)
            if isinstance(value, BaseException)
        ]
        current = inner[-1] if inner else current.__cause__ or current.__context__
