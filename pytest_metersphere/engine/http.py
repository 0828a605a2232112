"""`vu.http`: an HTTP client that times every request it sends; the only client module on aiohttp."""

from __future__ import annotations

import asyncio
import datetime
import functools
import json as json_codec
import math
import ssl
import time
from collections.abc import Collection, Mapping
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, TransferEncodingError

from pytest_metersphere.engine.failures import (
    ConnectionFailure,
    RequestError,
    RequestTimeout,
    StatusError,
    generalised,
    path_label,
)

if TYPE_CHECKING:
    from pytest_metersphere.engine.user import Meter

__tracebackhide__ = True  # a failed request is shown where the scenario sends it
DEFAULT_TIMEOUT = 30.0
_BODY_IN_MESSAGE = 200
_FAULT_IN_MESSAGE = 200
_CLOSED = "the server closed the connection before the answer was complete"


class Response:
    """An HTTP answer, read to its end.

    Attributes:
        status_code: the status.
        reason: the text beside it.
        headers: the header fields, case-insensitive.
        content: the body, decompressed.
        url: where it came from, after redirects.
        elapsed: the response time.
        cookies: cookies that this answer set, by name.
        redirects: how many redirects were followed.
    """

    def __init__(
        self,
        answer: aiohttp.ClientResponse,
        content: bytes,
        elapsed: float,
    ) -> None:
        self.status_code = answer.status
        self.reason = _raw_reason(answer).decode("utf-8", "replace")
        self.headers: Mapping[str, str] = answer.headers
        self.content = content
        self.url = str(answer.url)
        self.elapsed = datetime.timedelta(seconds=elapsed)
        self.redirects = len(answer.history)
        self._charset = answer.charset
        self._cookies = answer.cookies

    @property
    def ok(self) -> bool:
        """Return whether the status is below 400."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """Return the body as text, in the charset the answer names or UTF-8."""
        try:
            return self.content.decode(self._charset or "utf-8", "replace")
        except (LookupError, ValueError):  # no codec of that name, or one that cannot replace
            return self.content.decode("utf-8", "replace")

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies that this answer set."""
        cookies: SimpleCookie = self._cookies
        return {name: morsel.value for name, morsel in cookies.items()}

    def json(self) -> Any:
        """Return the body as JSON (ValueError when it is not)."""
        return json_codec.loads(self.content)

    def __repr__(self) -> str:
        return f"<Response {self.status_code} {self.url}>"


class _Exchange(SimpleNamespace):
    """What the trace of one request has seen so far.

    aiohttp sends an idempotent request once more when its connection is lost before the answer begins.
    On a connection that had been idle this is as it should be: the server has closed it meanwhile and
    never saw the request, so both tries are one exchange. A request lost on a new connection was lost
    by the server: it is not tried again.
    """

    hop: int = 0
    hop_sent: int | None = None
    reused: bool = False
    sent_on_reused: bool = False
    exchanges: int = 0
    first_byte: float | None = None
    sent: int = 0
    received: int = 0


class HttpClient:
    """The HTTP client of one virtual user: its own connections and cookies.

    Proxy variables and ~/.netrc are ignored. Certificates are verified against the system's store.
    """

    def __init__(self, meter: Meter) -> None:
        """Prepare a client whose samples go to `meter`; nothing is opened before the first request."""
        self._meter = meter
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        label: str | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
        timeout: float = DEFAULT_TIMEOUT,
        expect: int | Collection[int] = (),
    ) -> Response:
        """Send one request, follow its redirects, and read the answer to its end.

        Args:
            label: the sample's name; by default method and path with numbers, UUIDs and hashes as `{}`.
            params: added to the query.
            json: sent as a JSON body.
            data: body as bytes or text, or a mapping sent as a form.
            timeout: seconds from the call to the last byte.
            expect: statuses of 400 and above that are no failure here.

        An idempotent request that meets a kept connection which the server has just closed is sent again.

        Raises:
            TypeError: an argument makes no sense; nothing was sent.
            StatusError: status of 400 or above that is not expected.
            ConnectionFailure: refused, reset, unknown host, TLS or protocol error.
            RequestTimeout: not complete in time.
        """
        method = method.upper()
        limit = aiohttp.ClientTimeout(total=_seconds(timeout))
        expected = _statuses(expect)
        name = _checked_label(label)
        if self._session is None:
            self._session = _open_session()
        trace = _Exchange()
        start = time.monotonic()
        error: RequestError | None = None
        reply: Response | None = None
        try:
            async with self._session.request(
                method,
                url,
                params=params,
                headers=headers,
                json=json,
                data=data,
                timeout=limit,
                trace_request_ctx=trace,
            ) as answer:
                name = name or path_label(method, (answer.history or (answer,))[0].url.path)
                content = await answer.read()
                end = time.monotonic()
                trace.received += _head_size(answer) + _body_size(answer, content)
                reply = Response(answer, content, end - start)
        except asyncio.CancelledError:
            self._meter.cancelled(name or _label_of(method, url), start, trace.exchanges)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as cause:
            end = time.monotonic()
            error = _translated(cause, method, url, timeout)
            error.__context__, error.__suppress_context__ = cause, True
        name = name or _label_of(method, url)
        if reply is not None and reply.status_code >= 400 and reply.status_code not in expected:
            error = StatusError(_status_text(method, reply), reply)
        self._meter.sample(
            name,
            "request",
            start,
            end,
            error=error,
            service=None if trace.first_byte is None else end - trace.first_byte,
            exchanges=trace.exchanges,
            sent=trace.sent,
            received=trace.received,
        )
        if error is not None:
            raise error
        assert reply is not None
        return reply

    async def get(self, url: str, **options: Any) -> Response:
        """Send a GET; options as for `request`."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Any) -> Response:
        """Send a POST; options as for `request`."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Any) -> Response:
        """Send a PUT; options as for `request`."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Any) -> Response:
        """Send a PATCH; options as for `request`."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Any) -> Response:
        """Send a DELETE; options as for `request`."""
        return await self.request("DELETE", url, **options)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class ThreadHttpClient:
    """The same client for plain `def` scenarios: every call blocks until the answer is there."""

    def __init__(self, client: HttpClient, wait: Any) -> None:
        """Wrap a client; `wait` runs a coroutine on the event loop and blocks for its result."""
        self._client = client
        self._wait = wait

    def request(self, method: str, url: str, **options: Any) -> Response:
        """Send one request; see HttpClient.request."""
        reply: Response = self._wait(self._client.request(method, url, **options))
        return reply

    def get(self, url: str, **options: Any) -> Response:
        """Send a GET; options as for `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        """Send a POST; options as for `request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Response:
        """Send a PUT; options as for `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Response:
        """Send a PATCH; options as for `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Response:
        """Send a DELETE; options as for `request`."""
        return self.request("DELETE", url, **options)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of the process; building it takes milliseconds."""
    return ssl.create_default_context()


def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls_context()),
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        trace_configs=[_TRACE],
        trust_env=False,
    )


async def _connecting(_session: Any, context: Any, _event: Any) -> None:
    trace = context.trace_request_ctx
    if trace.hop_sent == trace.hop and not trace.sent_on_reused:
        raise aiohttp.ServerDisconnectedError


async def _connected(_session: Any, context: Any, _event: Any) -> None:
    _ready(context.trace_request_ctx, reused=False)


async def _reused(_session: Any, context: Any, _event: Any) -> None:
    _ready(context.trace_request_ctx, reused=True)


def _ready(trace: _Exchange, *, reused: bool) -> None:
    trace.reused = reused
    if trace.first_byte is None:
        trace.first_byte = time.monotonic()


async def _head_sent(_session: Any, context: Any, event: aiohttp.TraceRequestHeadersSentParams) -> None:
    trace = context.trace_request_ctx
    never_seen = trace.hop_sent == trace.hop and trace.sent_on_reused
    trace.exchanges += not never_seen
    trace.hop_sent, trace.sent_on_reused = trace.hop, trace.reused
    target = len(event.url.raw_path_qs)
    fields = sum(len(name) + len(value) + 4 for name, value in event.headers.items())
    trace.sent += len(event.method) + target + len("  HTTP/1.1\r\n\r\n") + fields


async def _body_sent(_session: Any, context: Any, event: aiohttp.TraceRequestChunkSentParams) -> None:
    context.trace_request_ctx.sent += len(event.chunk)


async def _redirected(_session: Any, context: Any, event: aiohttp.TraceRequestRedirectParams) -> None:
    context.trace_request_ctx.hop += 1
    context.trace_request_ctx.received += _head_size(event.response)


def _trace_config() -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(_connecting)
    config.on_connection_create_end.append(_connected)
    config.on_connection_reuseconn.append(_reused)
    config.on_request_headers_sent.append(_head_sent)
    config.on_request_chunk_sent.append(_body_sent)
    config.on_request_redirect.append(_redirected)
    return config


_TRACE = _trace_config()


def _head_size(answer: aiohttp.ClientResponse) -> int:
    line = len("HTTP/1.1 200 \r\n\r\n") + len(_raw_reason(answer))
    return line + sum(len(name) + len(value) + 4 for name, value in answer.raw_headers)


def _body_size(answer: aiohttp.ClientResponse, content: bytes) -> int:
    """Return the size of the body on the wire, so far as it is known: a compressed one says its own."""
    length = answer.headers.get("Content-Length", "")
    compressed = bool(content) and "Content-Encoding" in answer.headers
    return int(length) if compressed and length.isdecimal() else len(content)


def _raw_reason(answer: aiohttp.ClientResponse) -> bytes:
    return (answer.reason or "").encode("utf-8", "surrogateescape")


def _label_of(method: str, url: str) -> str:
    try:
        return path_label(method, unquote(urlsplit(str(url)).path))
    except ValueError:
        return method


def _seconds(timeout: float) -> float:
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < math.inf:
        raise TypeError(f"timeout={timeout!r}: give the seconds as a positive number, for example timeout=5")
    return float(timeout)


def _statuses(expect: int | Collection[int]) -> Collection[int]:
    statuses = (expect,) if isinstance(expect, int) else expect
    if not isinstance(statuses, Collection) or not all(isinstance(status, int) for status in statuses):
        raise TypeError(
            f"expect={expect!r}: give a status or several, for example expect=404 or expect=(404, 409)"
        )
    return statuses


def _checked_label(label: str | None) -> str | None:
    if label is not None and (not isinstance(label, str) or not label.strip()):
        raise TypeError(f"label={label!r}: give a text that is not empty")
    return label


def _status_text(method: str, reply: Response) -> str:
    body = reply.text[:_BODY_IN_MESSAGE].strip()
    text = f"{method} {reply.url} answered {reply.status_code} {reply.reason}".rstrip()
    return f"{text}: {body}" if body else text


def _translated(cause: Exception, method: str, url: str, timeout: float) -> RequestError:
    """Return our exception for one of aiohttp's."""
    what = f"{method} {url}"
    if isinstance(cause, TimeoutError):
        return RequestTimeout(
            f"{what}: no complete answer within {timeout:g} s", kind="timeout", group="timeout"
        )
    kind, reason = _connection_fault(cause)
    group = generalised(reason) if kind == "protocol" else reason
    return ConnectionFailure(f"{what}: {reason}", kind=kind, group=group)


def _connection_fault(cause: Exception) -> tuple[str, str]:
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "dns", f"unknown host {cause.host}"
    if isinstance(cause, (aiohttp.ClientSSLError, ssl.SSLError)):
        inner = getattr(cause, "certificate_error", None) or getattr(cause, "os_error", None) or cause
        return "tls", f"TLS: {inner}"
    if isinstance(cause, aiohttp.ClientConnectorError):
        return "refused", _unreachable(cause)
    if isinstance(cause, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return "protocol", f"not an http:// or https:// URL: {cause}"
    if isinstance(cause, (aiohttp.ServerDisconnectedError, ConnectionError, aiohttp.ClientOSError)):
        return "reset", _CLOSED
    if isinstance(cause.__cause__, (ContentLengthError, TransferEncodingError)):
        return "reset", _CLOSED
    return "protocol", _protocol_fault(cause)


def _unreachable(cause: aiohttp.ClientConnectorError) -> str:
    address = f"{cause.host}:{cause.port}"
    if isinstance(cause.os_error, ConnectionRefusedError):
        return f"connection refused by {address}"
    return f"no connection to {address}: {cause.os_error.strerror or cause.os_error}"


def _protocol_fault(cause: Exception) -> str:
    if isinstance(cause, aiohttp.TooManyRedirects):
        return f"still redirected after {len(cause.history)} redirects"
    said = cause.__cause__ if isinstance(cause.__cause__, HttpProcessingError) else cause
    text = " ".join(str(getattr(said, "message", "") or said).split())
    return f"not a valid HTTP answer: {text}"[:_FAULT_IN_MESSAGE]
