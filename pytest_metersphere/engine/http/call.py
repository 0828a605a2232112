"""One call of `vu.http` from its arguments to its sample, without any input or output.

The clients for `async def` and for plain `def` scenarios differ in how they wait; what is sent, what
an answer leads to, and what is counted is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urljoin

from pytest_metersphere.engine.failures import RequestError, StatusError, path_label
from pytest_metersphere.engine.http.body import Body, body_of
from pytest_metersphere.engine.http.coding import decoded
from pytest_metersphere.engine.http.cookies import CookieJar
from pytest_metersphere.engine.http.faults import Fault, as_error
from pytest_metersphere.engine.http.limits import DEFAULT_LIMITS, Limits, limits_of
from pytest_metersphere.engine.http.plan import BadURLError, Plan, plan_of
from pytest_metersphere.engine.http.reader import Reader, fields_of
from pytest_metersphere.engine.http.response import Response
from pytest_metersphere.engine.http.target import parse_proxy

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODY_IN_MESSAGE = 200
_SPECIAL = re.compile(rb"\n(?:set-cookie|content-encoding)[ \t]*:", re.IGNORECASE)
_PATH = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([^?#]*)")


class Call:
    """One call, over redirects and a repetition, until its answer or its failure.

    Attributes:
        plan: the request that is to be sent, or was sent last.
        body: its body.
        limits: its time limits.
        start: clock reading of the call.
        deadline: clock reading at which its time is over.
        dns, connect, tls, send, wait, receive: seconds spent on each so far.
        end: clock reading of the last byte of the answer.
        last: the connection of the request sent last ends with it.
        repeated: it has been sent again after its kept connection turned out to be closed.
    """

    __slots__ = (
        "_expected",
        "_first_sent",
        "_jar",
        "_redirects",
        "_since",
        "body",
        "connect",
        "deadline",
        "dns",
        "end",
        "exchanges",
        "label",
        "last",
        "limits",
        "plan",
        "receive",
        "received",
        "repeated",
        "response",
        "send",
        "sent",
        "start",
        "tls",
        "wait",
    )

    def __init__(
        self,
        plan: Plan,
        body: Body | None,
        jar: CookieJar,
        start: float,
        *,
        limits: Limits = DEFAULT_LIMITS,
        expected: Collection[int] = (),
        label: str | None = None,
    ) -> None:
        self.plan = plan
        self.body = body
        self.limits = limits
        self.label = label or plan.label
        self.start = start
        self.deadline = start + limits.total
        self.exchanges = self.sent = self.received = 0
        self.dns = self.connect = self.tls = self.send = self.wait = self.receive = 0.0
        self.response: Response | None = None
        self._expected = expected
        self._jar = jar
        self._first_sent: float | None = None
        self._since = 0.0
        self._redirects = 0
        self.end = start
        self.last = plan.last
        self.repeated = False

    def head(self) -> bytes:
        """Return what is to be sent in front of the body."""
        plan = self.plan
        if self.body is None and self._jar.empty:
            return plan.whole
        return plan.head(self.body, self._jar.header(plan.target))

    def sending(self, now: float) -> None:
        """Take note that the first byte of an exchange is about to be sent."""
        self.exchanges += 1
        self._since = now
        if self._first_sent is None:
            self._first_sent = now

    def written(self, size: int, now: float) -> None:
        """Take note that the whole request was sent, `size` bytes."""
        self.sent += size
        self.send += now - self._since
        self._since = now

    def answered(self, reader: Reader, first: float, end: float) -> bool:
        """Take a complete answer, whose first and last byte came then; return whether a request follows.

        Raises:
            Fault: it cannot be used.
        """
        self._note_times(reader, first, end)
        self.end = end
        self.last = self.plan.last
        head = reader.head
        assert head is not None
        content = reader.body
        if _SPECIAL.search(head):
            codings = reader.field("content-encoding")
            if codings and content:
                content = decoded(content, codings)
            self._take_cookies(head)
        if reader.status in _REDIRECTS:
            location = reader.field("location")
            if location is not None:
                self._follow(reader.status, location)
                return True
        self.response = Response(
            reader.status, head, content, self.plan.target, end - self.start, self.phases, self._redirects
        )
        return False

    def broken(self, reader: Reader, *, reused: bool, first: float, end: float, counted: bool = True) -> bool:
        """Take note that a connection failed under the request; return whether to send it again.

        A kept connection that ends before any byte of an answer had been closed by the server while it was
        idle, which never saw the request: so it is sent once more, if that does no harm, and counted once.
        `counted` says whether it was counted the first time.
        """
        again = reused and not reader.received and not self.repeated and self.plan.repeatable
        if again and (self.body is None or self.body.rewind()):
            self.repeated = True
            self.exchanges -= counted
            self.sent = 0
            return True
        self._note_times(reader, first, end)
        return False

    def _note_times(self, reader: Reader, first: float, end: float) -> None:
        self.received += reader.received
        first = first or end
        self.wait += max(0.0, first - self._since)
        self.receive += max(0.0, end - max(first, self._since))

    @property
    def phases(self) -> tuple[float, float, float, float, float, float]:
        """Return the seconds spent on dns, connect, tls, send, wait and receive."""
        return self.dns, self.connect, self.tls, self.send, self.wait, self.receive

    def service(self, end: float) -> float | None:
        """Return the service time, None when nothing was sent."""
        return None if self._first_sent is None else end - self._first_sent

    def status_error(self) -> StatusError | None:
        """Return the failure of a status that is not expected."""
        reply = self.response
        if reply is None or reply.status_code < 400 or reply.status_code in self._expected:
            return None
        return StatusError(_status_text(self.plan.method, reply), reply)

    def _take_cookies(self, head: bytes) -> None:
        lines = [value for name, value in fields_of(head) if name.lower() == "set-cookie"]
        if lines:
            self._jar.take(lines, self.plan.target)

    def _follow(self, status: int, location: str) -> None:
        self._redirects += 1
        if self._redirects >= MAX_REDIRECTS:
            raise Fault("protocol", f"still redirected after {self._redirects} redirects")
        try:
            target = urljoin(self.plan.target.url, location)
            self.plan, keeps_body = self.plan.redirected(status, target)
        except ValueError as error:
            raise Fault("protocol", f"redirected to {location[:100]!r}: {error}") from None
        if not keeps_body:
            self.body = None
        elif self.body is not None and not self.body.rewind():
            raise Fault("protocol", f"redirected by {status}, and a stream cannot be sent again")


def made_ready(
    method: str,
    url: str,
    jar: CookieJar,
    start: float,
    *,
    label: str | None,
    params: Any,
    headers: Mapping[str, Any] | None,
    json: Any,
    data: Any,
    files: Mapping[str, Any] | None,
    auth: Any,
    proxy: str | None,
    timeout: Any,
    expect: Any,
) -> Call:
    """Return the call that the arguments of a request ask for.

    Raises:
        TypeError, ValueError: an argument makes no sense.
        BadURLError: the URL is none that can be requested.
    """
    limits = limits_of(timeout)
    expected = statuses(expect)
    name = checked_label(label)
    body = None if json is None and data is None and files is None else body_of(json, data, files)
    way = parse_proxy(proxy) if proxy is not None else None
    plan = plan_of(method, url, params=params, headers=headers, auth=auth, proxy=way)
    return Call(plan, body, jar, start, limits=limits, expected=expected, label=name)


def statuses(expect: Any) -> Collection[int]:
    """Return the statuses that `expect=` names.

    Raises:
        TypeError: it is no status and no collection of them.
    """
    named = (expect,) if isinstance(expect, int) else expect
    if not isinstance(named, Collection) or not all(isinstance(status, int) for status in named):
        raise TypeError(
            f"expect={expect!r}: give a status or several, for example expect=404 or expect=(404, 409)"
        )
    return named


def checked_label(label: Any) -> str | None:
    """Return the label, None for the default one.

    Raises:
        TypeError: it is no text, or an empty one.
    """
    if label is not None and (not isinstance(label, str) or not label.strip()):
        raise TypeError(f"label={label!r}: give a text that is not empty")
    return label


def as_error_of_url(method: str, url: object, error: BadURLError) -> RequestError:
    """Return the failure of a request whose URL is none."""
    return as_error(Fault("protocol", str(error)), method, str(url))


def is_dull(plan: Plan, head: bytes | None) -> bool:
    """Return whether nothing in the head of an answer needs attention; the plan keeps such a head."""
    if head is None or _SPECIAL.search(head):
        return False
    plan.dull = head
    return True


def label_of(method: str, url: object) -> str:
    """Return the label of a URL that cannot be taken apart."""
    text = str(url)
    found = _PATH.match(text)
    bracketed = "[" in text.partition("://")[2].partition("/")[0]
    return method if found is None or bracketed else path_label(method, found[1])


def _status_text(method: str, reply: Response) -> str:
    body = reply.text[:_BODY_IN_MESSAGE].strip()
    text = f"{method} {reply.url} answered {reply.status_code} {reply.reason}".rstrip()
    return f"{text}: {body}" if body else text
