"""What a scenario gets for a request."""

from __future__ import annotations

import datetime
import json as json_codec
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from pytest_metersphere.engine.http.cookies import parse_cookie
from pytest_metersphere.engine.http.reader import fields_of
from pytest_metersphere.engine.http.target import Target

_CHARSET = re.compile(r"charset\s*=\s*(\"[^\"]*\"|[^\s;]+)", re.IGNORECASE)


class Timings(NamedTuple):
    """How the response time is made up, in seconds; over redirects they are sums.

    Attributes:
        dns: looking the name up; 0 when it was known.
        connect: connecting; 0 on a connection that was kept, like the next.
        tls: the TLS handshake.
        send: sending the request, behind those of users that were woken together.
        wait: from then to the first byte of the answer.
        receive: from then to its last byte.
    """

    dns: float
    connect: float
    tls: float
    send: float
    wait: float
    receive: float


class Headers(Mapping[str, str]):
    """Header fields by name in any case; several of one name are joined by commas."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields
        self._values: dict[str, str] = {}
        for name, value in fields:
            known = self._values.get(name.lower())
            self._values[name.lower()] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields))

    def __len__(self) -> int:
        return len(self._values)

    def get_all(self, name: str) -> list[str]:
        """Return all values of a name, in order."""
        return [value for known, value in self._fields if known.lower() == name.lower()]

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class Response(msgspec.Struct, eq=False, weakref=True):
    """An HTTP answer, read to its end.

    Attributes:
        status_code: the status.
        content: the body, decompressed.
        redirects: how many redirects were followed.
    """

    status_code: int
    _head: bytes
    content: bytes
    _target: Target
    _elapsed: float
    _phases: tuple[float, float, float, float, float, float]
    redirects: int = 0
    _headers: Headers | None = None

    @property
    def reason(self) -> str:
        """Return the text beside the status."""
        return self._head.partition(b"\r\n")[0][13:].decode("utf-8", "replace")

    @property
    def headers(self) -> Headers:
        """Return the header fields, case-insensitive."""
        if self._headers is None:
            self._headers = Headers(fields_of(self._head))
        return self._headers

    @property
    def url(self) -> str:
        """Return where the answer came from, after redirects."""
        return self._target.url

    @property
    def elapsed(self) -> datetime.timedelta:
        """Return the response time."""
        return datetime.timedelta(seconds=self._elapsed)

    @property
    def timings(self) -> Timings:
        """Return how the response time is made up."""
        return Timings(*self._phases)

    @property
    def ok(self) -> bool:
        """Return whether the status is below 400."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """Return the body as text, in the charset the answer names or UTF-8."""
        named = _CHARSET.search(self.headers.get("content-type", ""))
        charset = named[1].strip('"') if named else "utf-8"
        try:
            return self.content.decode(charset, "replace")
        except (LookupError, ValueError):  # no codec of that name, or one that cannot replace
            return self.content.decode("utf-8", "replace")

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies that this answer set."""
        lines = self.headers.get_all("set-cookie")
        cookies = (parse_cookie(line, self._target) for line in lines)
        return {cookie.name: cookie.value for cookie in cookies if cookie is not None}

    def json(self) -> Any:
        """Return the body as JSON (ValueError when it is not)."""
        try:
            return msgspec.json.decode(self.content)
        except msgspec.DecodeError:  # the standard library takes more, and says what is wrong
            return json_codec.loads(self.content)

    def __repr__(self) -> str:
        return f"<Response {self.status_code} {self.url}>"
