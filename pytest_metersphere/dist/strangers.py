"""Who it is that listens on a broker's address and does not answer as a broker does.

An ssh server, an HTTP server, a port with TLS or without it and a silent one look alike to a client that
only waits. So further connections are made, each with another question.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Sequence

from pytest_metersphere.dist.kafka import protocol
from pytest_metersphere.dist.kafka.dialling import (
    Address,
    Kind,
    UnfitError,
    connect,
    receive,
    secure,
    tls_words,
)

PROBE_LIMIT = 1.5
"""Seconds for each further question."""
HANGS_UP = "something that hangs up"
"""What is said of one that takes connections, and ends them without a word."""

_ALERT = b"\x15\x03"
_MARKUP = (b"HTTP", b"<!DO", b"<htm", b"<HTM")
_GET = b"GET / HTTP/1.0\r\n\r\n"


def identified(
    place: str,
    host: str,
    addresses: Sequence[Address],
    cause: BaseException | None,
    *,
    tls: bool,
    secured: bool,
) -> UnfitError:
    """Return who it is that did not greet as a broker.

    Args:
        place: `host:port`, for messages.
        host: name of the host.
        addresses: where it is.
        cause: what became of the greeting.
        tls: whether it was to be made with TLS.
        secured: whether TLS at least was established.
    """
    stranger = _Stranger(place, host, addresses)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return stranger.bad_certificate(cause)
    if isinstance(cause, ssl.SSLError) and _is_alert(cause):
        return stranger.wants_certificate(cause)
    if secured:
        return stranger.behind_tls(cause)
    return stranger.with_tls(cause) if tls else stranger.without_tls(cause)


class _Stranger:
    """Whoever listens on an address."""

    def __init__(self, place: str, host: str, addresses: Sequence[Address]) -> None:
        self._place = place
        self._host = host
        self._addresses = addresses

    def with_tls(self, cause: BaseException | None) -> UnfitError:
        """Return who it is, when TLS came to nothing."""
        plain = self._hear(protocol.api_versions(1), None)
        if protocol.is_answer(plain, 1):
            return UnfitError(
                "tls not expected",
                f"{self._place}: Kafka listens there, but without TLS",
                "set PYTEST_MS_KAFKA_SECURITY_PROTOCOL to PLAINTEXT or SASL_PLAINTEXT, or name the port "
                "for TLS",
            )
        return self._by_words([plain, self._hear(_GET, None)], cause)

    def behind_tls(self, cause: BaseException | None) -> UnfitError:
        """Return who it is, when only what was said over TLS came to nothing."""
        return self._by_words([self._hear(_GET, _trusting())], cause)

    def without_tls(self, cause: BaseException | None) -> UnfitError:
        """Return who it is, when a plain question came to nothing."""
        plain = b"" if isinstance(cause, TimeoutError) else self._hear(protocol.api_versions(1), None)
        if not plain or plain.startswith(_ALERT):
            over_tls = self._hear(protocol.api_versions(1), _trusting())
            if protocol.is_answer(over_tls, 1) or (over_tls == b"" and not self._serves_pages()):
                return UnfitError(
                    "tls expected",
                    f"{self._place}: what listens there wants TLS",
                    "set PYTEST_MS_KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL (and PYTEST_MS_KAFKA_CAFILE if "
                    "its certificate is not from a public authority), or name the port without TLS",
                )
            if over_tls is not None:
                return self._by_words([over_tls, self._hear(_GET, _trusting())], cause)
        return self._by_words([plain, self._hear(_GET, None)], cause)

    def _serves_pages(self) -> bool:
        """Return whether it is a web server with TLS."""
        return (self._hear(_GET, _trusting()) or b"").startswith(_MARKUP)

    def _by_words(self, heard: Sequence[bytes | None], cause: BaseException | None) -> UnfitError:
        """Return who it is by the first bytes of what it answered."""
        heads = [head for head in heard if head]
        if any(head.startswith(b"SSH-") for head in heads):
            return self._other("ssh", "an ssh server")
        if any(head.startswith(_MARKUP) for head in heads):
            return self._other("http", "an HTTP server")
        if not heads and isinstance(cause, TimeoutError):
            return UnfitError(
                "silent",
                f"{self._place}: something takes connections there, but never answers",
                "check that it is the port of the broker, and that the broker is well; a proxy or tunnel in "
                "front of a broker that is down looks like this, too",
            )
        return self._other("not kafka", f"something that answers {heads[0]!r}" if heads else HANGS_UP)

    def _other(self, kind: Kind, who: str) -> UnfitError:
        return UnfitError(
            kind,
            f"{self._place}: {who} listens there, not Kafka",
            "name a broker's port, which often is 9092",
        )

    def bad_certificate(self, error: ssl.SSLCertVerificationError) -> UnfitError:
        return UnfitError(
            "certificate",
            f"{self._place}: the broker's certificate is not accepted: {error.verify_message}",
            "set PYTEST_MS_KAFKA_CAFILE to the authority that signed it, and name the broker as its "
            "certificate does",
        )

    def wants_certificate(self, error: ssl.SSLError) -> UnfitError:
        return UnfitError(
            "client certificate",
            f"{self._place}: the broker does not accept this client's certificate, or its having none "
            f"({tls_words(error)})",
            "set PYTEST_MS_KAFKA_CERTFILE and PYTEST_MS_KAFKA_KEYFILE to a certificate that the broker "
            "trusts",
        )

    def _hear(self, question: bytes, context: ssl.SSLContext | None) -> bytes | None:
        """Return the first bytes of an answer: none when it hangs up or is silent, None without TLS."""
        try:
            sock = connect(self._place, self._addresses, PROBE_LIMIT)
        except UnfitError:
            return None
        with contextlib.closing(sock):
            try:
                secured = sock if context is None else secure(sock, context, self._host, PROBE_LIMIT)
            except OSError as error:
                return b"" if _is_alert(error) else None
            with contextlib.closing(secured):
                return _first_bytes(secured, question)


def _first_bytes(sock: socket.socket, question: bytes) -> bytes:
    data = bytearray()
    deadline = time.monotonic() + PROBE_LIMIT
    with contextlib.suppress(OSError):
        sock.settimeout(PROBE_LIMIT)
        sock.sendall(question)
        while len(data) < protocol.HEAD:
            data += receive(sock, 1, deadline)
    return bytes(data)


def _is_alert(error: BaseException | None) -> bool:
    """Return whether TLS was spoken, and ended by the other side."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def _trusting() -> ssl.SSLContext:
    """Return TLS settings that only find out whether TLS is spoken; nothing secret is said with them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
