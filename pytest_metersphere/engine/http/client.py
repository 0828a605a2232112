"""`vu.http` of `async def` scenarios: an HTTP/1.1 client that times every request it sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from pytest_metersphere.engine.http.call import (
    Call,
    as_error_of_url,
    checked_label,
    is_ordinary,
    label_of,
    made_ready,
)
from pytest_metersphere.engine.http.connection import Connection
from pytest_metersphere.engine.http.cookies import CookieJar
from pytest_metersphere.engine.http.faults import Fault, as_error
from pytest_metersphere.engine.http.limits import DEFAULT_TIMEOUT
from pytest_metersphere.engine.http.opening import open_connection
from pytest_metersphere.engine.http.plan import BadURLError, Plan, known_plan, plan_of
from pytest_metersphere.engine.http.response import Response
from pytest_metersphere.engine.http.sharing import Shared, permit_on_loop, shared_on_loop
from pytest_metersphere.engine.http.target import Origin

if TYPE_CHECKING:
    from pytest_metersphere.engine.user import Meter

__tracebackhide__ = True  # a failed request is shown where the scenario sends it
_monotonic = time.monotonic


class HttpClient:
    """The HTTP client of one virtual user: its own connections and cookies.

    A user has one connection to each server, opened by its first request and kept; requests of one user
    side by side open more. Proxy variables and ~/.netrc are ignored. Certificates are verified against
    the system's store.
    """

    def __init__(self, meter: Meter, jar: CookieJar | None = None) -> None:
        """Prepare a client whose samples go to `meter`; nothing is opened before the first request."""
        self._meter = meter
        self._jar = jar if jar is not None else CookieJar()
        self._free: dict[Origin, list[Connection]] = {}
        self._connections: set[Connection] = set()
        self._shared: Shared[Connection, asyncio.Semaphore] | None = None

    def share(self, connections: int) -> None:
        """Share connections with all users of this worker that call this with the same number.

        At most `connections` to each server are open then; a request waits until one is free, and that is
        part of its response time. Cookies are shared with nobody. To be called before the first request.

        Raises:
            TypeError: it is no number of 1 or more.
            RuntimeError: the user has connections already.
        """
        if self._free:
            raise RuntimeError("vu.http.share: the user has connections of its own already; call it first")
        self._shared = shared_on_loop(connections)
        self._free = self._shared.free

    async def request(
        self,
        method: str,
        url: str,
        *,
        label: str | None = None,
        params: Any = None,
        headers: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Any = None,
        files: Mapping[str, Any] | None = None,
        auth: tuple[str, str] | str | None = None,
        proxy: str | None = None,
        timeout: float | Mapping[str, float] = DEFAULT_TIMEOUT,
        expect: int | Collection[int] = (),
    ) -> Response:
        """Send one request, follow its redirects, and read the answer to its end.

        Args:
            label: the sample's name; by default method and path with numbers, UUIDs and hashes as `{}`.
            params: added to the query; a mapping, or a list of (name, value).
            json: sent as a JSON body.
            data: body as bytes or text, a mapping sent as a form, or a file or an iterator of bytes,
                which is sent piece by piece.
            files: sent as multipart/form-data, beside the fields in `data`: by name a file, bytes, or
                (file name, content) or (file name, content, content type).
            auth: (user, password), or a bearer token.
            proxy: URL of an HTTP proxy to go through.
            timeout: seconds from the call to the last byte; or a mapping of some of `connect` (for a new
                connection), `read` (without a byte) and `total`.
            expect: statuses of 400 and above that are no failure here.

        An idempotent request that meets a kept connection which the server has just closed is sent again.

        Raises:
            TypeError: an argument makes no sense; nothing was sent.
            ValueError: a header, the method or the URL holds a line break; nothing was sent.
            StatusError: status of 400 or above that is not expected.
            ConnectionFailure: refused, reset, unknown host, TLS or protocol error.
            RequestTimeout: not complete in time.
        """
        start = _monotonic()
        if (
            timeout is DEFAULT_TIMEOUT
            and params is None
            and headers is None
            and json is None
            and data is None
            and files is None
            and auth is None
            and proxy is None
            and expect == ()
        ):
            return await self._simple(method, url, label)
        try:
            call = made_ready(
                method,
                url,
                self._jar,
                start,
                label=label,
                params=params,
                headers=headers,
                json=json,
                data=data,
                files=files,
                auth=auth,
                proxy=proxy,
                timeout=timeout,
                expect=expect,
            )
        except BadURLError as error:
            raise refused_url(self._meter, label, method, url, start, error) from None
        return await self._complete(call)

    async def _simple(self, method: str, url: str, label: str | None = None) -> Response:
        """Send a request without options; on a kept connection all of it is done right here."""
        start = _monotonic()
        plan = known_plan((method, url))
        free = None if plan is None else self._free.get(plan.origin)
        if (
            not free
            or plan is None
            or plan.is_head
            or not self._jar.empty
            or self._shared is not None
            or (label is not None and not checked_label(label))
        ):
            return await self._complete(self._call(method, url, start, label))
        connection = free.pop()
        familiar = plan.familiar
        waiter = connection.ask(plan.whole, start, familiar)
        try:
            answer = await waiter
        except Fault:  # it is raised again by the waiter
            return await self._go_on(plan, label, start, connection, waiter)
        except asyncio.CancelledError:
            connection.abort()
            self._meter.cancelled(label or plan.label, start, 0 if connection.unsent else 1)
            raise
        written, end = connection.written, connection.end
        if answer is not None and familiar is not None:
            status, head, received = familiar.status, familiar.head, familiar.size
            content = answer[len(familiar.prefix) :]
            phases = (0.0, 0.0, 0.0, written - start, end - written, 0.0)
        elif is_ordinary(plan, connection):
            assert connection.head is not None
            status, head, received = connection.status, connection.head, connection.received
            content, first = connection.body, connection.first
            phases = (0.0, 0.0, 0.0, written - start, first - written, end - first)
        else:
            return await self._go_on(plan, label, start, connection, waiter)
        if connection.reusable and connection.open:
            free.append(connection)
        else:
            connection.close()
        self._meter.answered(label or plan.label, start, end, len(plan.whole), received, phases)
        return Response(status, head, content, plan.target, end - start, phases)

    def _call(self, method: str, url: str, start: float, label: str | None) -> Call:
        """Return the call of a request without options."""
        try:
            return Call(plan_of(method, url), None, self._jar, start, label=checked_label(label))
        except BadURLError as error:
            raise refused_url(self._meter, label, method, url, start, error) from None

    async def _go_on(
        self,
        plan: Plan,
        label: str | None,
        start: float,
        connection: Connection,
        waiter: asyncio.Future[bytes | None],
    ) -> Response:
        """Complete a request that was begun as an ordinary one, and is none."""
        call = Call(plan, None, self._jar, start, label=label)
        call.sending(start)
        call.written(len(plan.whole), max(start, connection.written))
        return await self._complete(call, connection, waiter)

    async def _complete(
        self,
        call: Call,
        connection: Connection | None = None,
        waiter: asyncio.Future[bytes | None] | None = None,
    ) -> Response:
        method, url = call.plan.method, call.plan.target.url
        error: Exception | None = None
        try:
            await self._perform(call, connection, waiter)
        except Fault as fault:
            error = as_error(fault, method, url)
        except asyncio.CancelledError:
            self._meter.cancelled(call.label, call.start, call.exchanges)
            raise
        except Exception as raised:  # noqa: BLE001 - the scenario's own stream of a body has failed
            error = raised
        return counted(self._meter, call, error)

    async def _perform(
        self, call: Call, connection: Connection | None, waiter: asyncio.Future[bytes | None] | None
    ) -> None:
        """Send the requests of a call and take their answers; a request may be under way."""
        permit: asyncio.Semaphore | None = None
        try:
            follows = True
            while follows:
                if connection is None or waiter is None:
                    permit = await self._permit(call)
                    connection = await self._connection(call)
                    waiter = await self._send(call, connection)
                try:
                    await waiter
                except Fault:
                    used = connection.used_before
                    if not call.broken(connection, reused=used, first=connection.first, end=connection.end):
                        raise
                    connection.abort()
                else:
                    follows = call.answered(connection, connection.first, connection.end)
                    self._release(connection, last=call.last)
                connection = waiter = None
                if permit is not None:
                    permit.release()
                    permit = None
        finally:
            if connection is not None:
                connection.abort()
            if permit is not None:
                permit.release()

    async def _permit(self, call: Call) -> asyncio.Semaphore | None:
        """Wait until a shared connection may be used; return what to release then."""
        if self._shared is None:
            return None
        permits = self._shared.permits(call.plan.origin)
        await permit_on_loop(permits, call)
        return permits

    async def _connection(self, call: Call) -> Connection:
        """Return a kept connection, or a new one; for a repetition always that."""
        free = self._free.setdefault(call.plan.origin, [])
        if free and not call.repeated:
            return free.pop()
        connection = await open_connection(call, free)
        if self._shared is None:
            self._connections.add(connection)
            connection.when_lost(self._connections.discard)
        return connection

    def _release(self, connection: Connection, *, last: bool) -> None:
        if last:
            connection.close()
        else:
            connection.release()

    async def _send(self, call: Call, connection: Connection) -> asyncio.Future[bytes | None]:
        plan, body = call.plan, call.body
        data = call.head()
        whole = body is None or not (body.streams or plan.awaits_consent)
        if body is not None and whole:
            data += body.content
        call.sending(_monotonic())
        waiter = connection.exchange(data, call.limits, call.deadline, head_only=plan.is_head)
        size = len(data)
        if body is not None and not whole:
            try:
                size += await connection.send_body(body, consent=plan.awaits_consent)
            except BaseException:
                connection.abort()
                raise
        call.written(size, _monotonic())
        return waiter

    def get(self, url: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a GET; options as for `request`."""
        return self.request("GET", url, **options) if options else self._simple("GET", url)

    def head(self, url: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a HEAD; options as for `request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send an OPTIONS; options as for `request`."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a POST; options as for `request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a PUT; options as for `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a PATCH; options as for `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """Send a DELETE; options as for `request`."""
        return self.request("DELETE", url, **options)

    async def close(self) -> None:
        """Close all connections."""
        connections = list(self._connections)
        if self._shared is not None:
            connections = self._shared.leave()
            self._shared, self._free = None, {}
        for connection in connections:
            connection.close()
        for connection in connections:
            await connection.closed()


def counted(meter: Meter, call: Call, error: Exception | None) -> Response:
    """Count the sample of a call that is over, and return its answer or raise its failure."""
    end = call.end if error is None else _monotonic()
    meter.waited = error is None
    failure = error or call.status_error()
    meter.request(
        call.label,
        call.start,
        end,
        failure,
        call.service(end),
        call.exchanges,
        call.sent,
        call.received,
        call.phases,
    )
    if call.unanswered or call.doubled:
        meter.doubtful(call.start, end, unanswered=call.unanswered, repeated=call.doubled)
    if failure is not None:
        raise failure
    assert call.response is not None
    return call.response


def refused_url(
    meter: Meter, label: str | None, method: str, url: object, start: float, error: BadURLError
) -> Exception:
    """Count the sample of a URL that cannot be requested, and return its failure."""
    method = method.upper()
    failure = as_error_of_url(method, url, error)
    phases = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    meter.request(label or label_of(method, url), start, _monotonic(), failure, None, 0, 0, 0, phases)
    return failure
