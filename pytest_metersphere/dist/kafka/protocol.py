"""As much of Kafka's protocol as it takes to find out who listens on an address: bytes in, values out.

A request is a length, a head (API, version, correlation, client) and a body; an answer is a length,
the correlation and a body. Integers are big-endian. https://kafka.apache.org/protocol describes all of
it; used are the oldest versions that brokers from 0.10 to 4.x understand.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

MAX_ANSWER = 1 << 20
"""Largest length of an answer that is believed; what is no Kafka sends letters, which read as more."""

HEAD = 8
"""Bytes by which an answer is known: its length and the correlation."""

METADATA = 3
SASL_HANDSHAKE = 17
API_VERSIONS = 18
SASL_AUTHENTICATE = 36

UNSUPPORTED_MECHANISM = 33
ILLEGAL_STATE = 34

_CLIENT = b"pytest-metersphere"


class ProtocolError(Exception):
    """The bytes are not what Kafka would send."""


@dataclasses.dataclass(frozen=True, slots=True)
class SaslAnswer:
    """Answer to a request about logging in.

    Attributes:
        error: Kafka's error code, 0 for none.
        message: its words for the error.
        token: bytes of the mechanism.
        mechanisms: those that the broker takes.
    """

    error: int
    message: str = ""
    token: bytes = b""
    mechanisms: tuple[str, ...] = ()


def api_versions(correlation: int) -> bytes:
    """Return the request for what a broker can do (version 0)."""
    return _request(API_VERSIONS, 0, correlation, b"")


def metadata(correlation: int) -> bytes:
    """Return the request for the brokers of the cluster, without topics (version 1)."""
    return _request(METADATA, 1, correlation, struct.pack(">i", 0))


def sasl_handshake(correlation: int, mechanism: str) -> bytes:
    """Return the request to log in by a mechanism (version 1)."""
    return _request(SASL_HANDSHAKE, 1, correlation, _string(mechanism.encode()))


def sasl_authenticate(correlation: int, token: bytes) -> bytes:
    """Return the request that carries bytes of the mechanism (version 0)."""
    return _request(SASL_AUTHENTICATE, 0, correlation, struct.pack(">i", len(token)) + token)


def answer_size(head: bytes) -> int:
    """Return the bytes that follow the first four of an answer.

    Raises:
        ProtocolError: no answer of Kafka has such a length.
    """
    (size,) = struct.unpack(">i", head)
    if not 4 <= size <= MAX_ANSWER:
        raise ProtocolError(f"{head!r} is not the length of an answer")
    return int(size)


def is_answer(head: bytes | None, correlation: int) -> bool:
    """Return whether an answer of Kafka to this request begins so."""
    if head is None or len(head) < HEAD:
        return False
    size, answered = struct.unpack(">ii", head[:HEAD])
    return bool(4 <= size <= MAX_ANSWER and answered == correlation)


def answer_body(payload: bytes, correlation: int) -> Answer:
    """Return the body of an answer, to be read (ProtocolError when it answers another request)."""
    answer = Answer(payload)
    if answer.int32() != correlation:
        raise ProtocolError("it answers another request")
    return answer


def read_apis(answer: Answer) -> frozenset[int]:
    """Return the numbers of the APIs that the answer to `api_versions` lists."""
    if answer.int16() != 0:
        raise ProtocolError("it does not tell what it can do")
    return frozenset(answer.int16s(3)[0] for _ in range(answer.count()))


def read_brokers(answer: Answer) -> list[tuple[str, int]]:
    """Return the advertised hosts and ports that the answer to `metadata` lists."""
    return [_broker(answer) for _ in range(answer.count())]


def _broker(answer: Answer) -> tuple[str, int]:
    answer.int32()
    host, port = answer.string(), answer.int32()
    answer.string()
    return host, port


def read_sasl_handshake(answer: Answer) -> SaslAnswer:
    """Return the answer to `sasl_handshake`."""
    error = answer.int16()
    return SaslAnswer(error, mechanisms=tuple(answer.string() for _ in range(answer.count())))


def read_sasl_authenticate(answer: Answer) -> SaslAnswer:
    """Return the answer to `sasl_authenticate`."""
    return SaslAnswer(answer.int16(), answer.string(), answer.blob())


class Answer:
    """Reads the fields of an answer one after another; ProtocolError when there are none left."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def int16(self) -> int:
        """Return two bytes as a number."""
        return self.int16s(1)[0]

    def int16s(self, count: int) -> Sequence[int]:
        """Return some numbers of two bytes each."""
        return struct.unpack(f">{count}h", self._take(2 * count))

    def int32(self) -> int:
        """Return four bytes as a number."""
        return int(struct.unpack(">i", self._take(4))[0])

    def count(self) -> int:
        """Return the length of a list, which can have no more items than there are bytes."""
        count = self.int32()
        if not 0 <= count <= len(self._payload):
            raise ProtocolError(f"a list of {count} items")
        return count

    def string(self) -> str:
        """Return a text, empty for none."""
        size = self.int16()
        return self._take(size).decode(errors="replace") if size > 0 else ""

    def blob(self) -> bytes:
        """Return bytes, empty for none."""
        size = self.int32()
        return self._take(size) if size > 0 else b""

    def _take(self, size: int) -> bytes:
        piece = self._payload[self._at : self._at + size]
        if len(piece) != size:
            raise ProtocolError("the answer is cut off")
        self._at += size
        return piece


def _request(api: int, version: int, correlation: int, body: bytes) -> bytes:
    message = struct.pack(">hhi", api, version, correlation) + _string(_CLIENT) + body
    return struct.pack(">i", len(message)) + message


def _string(text: bytes) -> bytes:
    return struct.pack(">h", len(text)) + text
