"""Answers as they come in, piece by piece; the only module on httptools."""

from __future__ import annotations

import httptools

from pytest_metersphere.engine.http.coding import MAX_BODY, too_large
from pytest_metersphere.engine.http.faults import CLOSED, Fault, closed, invalid

MAX_HEAD = 64 << 10
"""The most bytes of an answer's status line and header fields."""
MAX_FIELDS = 500
"""The most header fields of an answer."""
_MOST_INTERIM = 20
_2XX, _5XX = ord("2"), ord("5")
_ORDINARY = 4 * MAX_FIELDS  # so short a head is within both limits
_REFUSALS = (httptools.HttpParserError, httptools.HttpParserUpgrade)
_END = b"\r\n\r\n"
_BLANK = " \t"


class Reader:
    """Reads one answer after the other from the bytes of a connection (RFC 9112).

    The parser decides where a body ends, and refuses what two readers could understand differently; the
    head is kept as it came, and taken apart only for those who ask.

    Attributes:
        status: status of the answer.
        head: its status line and fields, without the empty line; None until all of it is there.
        body: its body as it came, unframed.
        complete: the answer has been read to its end.
        reusable: another request may follow on this connection.
        received: bytes of the answer so far.
        consent: the server has answered `100 Continue`.
    """

    __slots__ = (
        "_head_only",
        "_interim",
        "_parser",
        "_partial",
        "_pieces",
        "body",
        "complete",
        "consent",
        "head",
        "received",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._partial = b""
        self._interim = 0
        self.reusable = True
        self.consent = False
        self.status = 0
        self.body = b""
        self.begin()

    def begin(self, *, head_only: bool = False) -> None:
        """Expect the next answer; `head_only` says that it has no body whatever its fields say."""
        self.head: bytes | None = None
        self.complete = False
        self.received = 0
        self._pieces: list[bytes] = []
        self._head_only = head_only
        if self._interim:
            self._interim = 0
            self.consent = False

    def feed(self, data: bytes) -> None:
        """Take what has come; `complete` says whether that was all.

        Raises:
            Fault: it is no valid answer.
        """
        self.received += len(data)
        if self.head is None:
            end = data.find(_END)
            if (
                not 12 <= end < _ORDINARY
                or self._partial
                or self._head_only
                or not data.startswith(b"HTTP/1.1 ")
                or not _2XX <= data[9] <= _5XX
            ):
                self._feed_head(data)
                return
            self.head = data[:end]
        elif self.received > MAX_BODY + MAX_HEAD:
            raise too_large()
        try:
            self._parser.feed_data(data)
        except _REFUSALS as error:
            self._failed(error)

    def end_of_input(self) -> None:
        """Take note that the connection has ended; the answer may be complete by that.

        Raises:
            Fault: it is not.
        """
        self.reusable = False
        if self.head is None or self._framed():
            raise closed()
        self._finish(_status_of(self.head))

    def field(self, name: str) -> str | None:
        """Return the value of a header field (name in lower case), several joined by commas."""
        values = [value for known, value in fields_of(self.head or b"") if known.lower() == name]
        return ", ".join(values) if values else None

    def on_message_begin(self) -> None:
        """Refuse what comes behind a complete answer: the parser's call."""
        if self.complete:
            raise invalid("more than one answer")

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body: the parser's call."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Take note of the end: the parser's call."""
        parser = self._parser
        status = parser.get_status_code()
        if status < 200:
            return
        pieces = self._pieces
        self.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.status = status
        self.complete = True
        if not parser.should_keep_alive():
            self.reusable = False

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except _REFUSALS as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Take note that the parser refuses what came, which may be behind a complete answer."""
        self.reusable = False
        if isinstance(error, httptools.HttpParserUpgrade):
            raise invalid("another protocol, which nobody asked for") from None
        if not self.complete:
            cause = error.__context__
            raise (cause if isinstance(cause, Fault) else invalid(_said(error))) from None

    def _feed_head(self, data: bytes) -> None:
        """Take data of which the head of the answer is not known to be complete."""
        while data:
            known = len(self._partial)
            whole = self._partial + data
            end = whole.find(_END, max(0, known - 3))
            if end > MAX_HEAD or (end < 0 and len(whole) > MAX_HEAD):
                raise invalid(f"a head of more than {MAX_HEAD >> 10} KiB")
            if end < 0:
                self._partial = whole
                self._parse(data)
                return
            self._partial = b""
            rest = end + len(_END) - known
            self._parse(data[:rest])
            data = data[rest:]
            if self._take_head(whole[:end]):
                break
        if data:
            self._parse(data)

    def _take_head(self, head: bytes) -> bool:
        """Take a whole head; False when it is an interim answer, and another one follows."""
        if not head.startswith(b"HTTP/1."):
            raise invalid("it does not begin with HTTP/1.")
        if head.count(b"\r\n") > MAX_FIELDS:
            raise invalid(f"more than {MAX_FIELDS} header fields")
        status = _status_of(head)
        if status < 200:
            if status < 100:
                raise invalid(f"status {status}")
            self.consent = self.consent or status == 100
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise invalid(f"more than {_MOST_INTERIM} interim answers")
            return False
        self.head = head
        if self._head_only and not self.complete:
            self._finish(status)
            self.reusable = self.reusable and self._stays_open()
        if self._head_only:
            # the parser may expect a body now; what comes is none
            self._parser = httptools.HttpResponseParser(self)
        return True

    def _finish(self, status: int) -> None:
        self.body = b"".join(self._pieces)
        self.status = status
        self.complete = True

    def _framed(self) -> bool:
        """Return whether the head says where the body ends."""
        coding = self.field("transfer-encoding")
        if coding is not None and coding.lower().rpartition(",")[2].strip(_BLANK) != "chunked":
            raise invalid(f"Transfer-Encoding: {coding}")
        return coding is not None or self.field("content-length") is not None

    def _stays_open(self) -> bool:
        options = (self.field("connection") or "").lower()
        if (self.head or b"").startswith(b"HTTP/1.0"):
            return "keep-alive" in options
        return "close" not in options


def fields_of(head: bytes) -> list[tuple[str, str]]:
    """Return the header fields of a head, in order; bytes that are no UTF-8 become replacement characters."""
    lines = head.split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines)
    return [
        (name.decode("latin-1"), value.strip(b" \t").decode("utf-8", "replace")) for name, _, value in pairs
    ]


def _status_of(head: bytes) -> int:
    code = head[9:12]
    return int(code) if code.isdigit() else 0


def _said(error: Exception) -> str:
    text = str(error)
    return CLOSED if not text else text[0].lower() + text[1:]
