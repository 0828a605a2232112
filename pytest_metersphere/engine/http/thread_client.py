"""`vu.http` of plain `def` scenarios: the same client, whose calls block."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from pytest_metersphere.engine.failures import Interrupted
from pytest_metersphere.engine.http.blocking import BlockingConnection, Watch, open_blocking
from pytest_metersphere.engine.http.call import (
    Call,
    checked_label,
    is_dull,
    made_ready,
    statuses,
)
from pytest_metersphere.engine.http.client import counted, refused_url
from pytest_metersphere.engine.http.cookies import CookieJar
from pytest_metersphere.engine.http.faults import Fault, as_error
from pytest_metersphere.engine.http.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUT
from pytest_metersphere.engine.http.plan import BadURLError, Plan, known_plan
from pytest_metersphere.engine.http.response import Response
from pytest_metersphere.engine.http.sharing import Shared, permit_in_thread, shared_in_threads
from pytest_metersphere.engine.http.target import Origin

if TYPE_CHECKING:
    from pytest_metersphere.engine.user import Meter

__tracebackhide__ = True  # a failed request is shown where the scenario sends it
_monotonic = time.monotonic


class ThreadHttpClient(Watch):
    """The HTTP client of a virtual user that has a thread: see HttpClient.

    Its connections are its own; its cookies are those of the user.
    """

    def __init__(self, meter: Meter, jar: CookieJar, gone: Callable[[], bool]) -> None:
        """Prepare a client; `gone` says whether the user must go."""
        self._meter = meter
        self._jar = jar
        self._is_gone = gone
        self._free: dict[Origin, list[BlockingConnection]] = {}
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._shared: Shared[BlockingConnection, threading.Semaphore] | None = None

    def share(self, connections: int) -> None:
        """Share connections with other users; see HttpClient.share."""
        if self._free:
            raise RuntimeError("vu.http.share: the user has connections of its own already; call it first")
        self._shared = shared_in_threads(connections)
        self._free = self._shared.free

    def request(
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
        """Send one request and block for its answer; see HttpClient.request."""
        start = _monotonic()
        # the ordinary request on a kept connection is done right here, all others by `_complete`
        if (
            timeout is DEFAULT_TIMEOUT
            and params is None
            and headers is None
            and json is None
            and data is None
            and files is None
            and auth is None
            and proxy is None
        ):
            plan = known_plan((method, url))
            if plan is not None and self._jar.empty and self._shared is None and not plan.is_head:
                free = self._free.get(plan.origin)
                if free and (label is None or checked_label(label)):
                    if expect != ():
                        expect = statuses(expect)
                    connection = _good_one(free, start, repeatable=plan.repeatable)
                    if connection is not None:
                        return self._ordinary(plan, label, start, expect, connection, free)
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
        return self._complete(call)

    def _ordinary(
        self,
        plan: Plan,
        label: str | None,
        start: float,
        expect: Any,
        connection: BlockingConnection,
        free: list[BlockingConnection],
    ) -> Response:
        whole = plan.whole
        fault: Fault | None = None
        written = start
        try:
            connection.start(whole, DEFAULT_LIMITS, start + DEFAULT_TIMEOUT)
            written = _monotonic()
            connection.finish()
        except Fault as caught:
            fault = caught
        head = connection.head
        if fault is not None or connection.status >= 300 or (head != plan.dull and not is_dull(plan, head)):
            call = Call(plan, None, self._jar, start, limits=DEFAULT_LIMITS, expected=expect, label=label)
            call.sending(start)
            call.written(len(whole), written)
            return self._complete(call, connection, fault)
        first, end = connection.first, connection.end
        phases = (0.0, 0.0, 0.0, written - start, first - written, end - first)
        if connection.reusable:
            free.append(connection)
        else:
            connection.close()
        self._meter.request(
            label or plan.label, start, end, None, end - start, 1, len(whole), connection.received, phases
        )
        assert head is not None
        return Response(connection.status, head, connection.body, plan.target, end - start, phases)

    def _complete(
        self, call: Call, connection: BlockingConnection | None = None, fault: Fault | None = None
    ) -> Response:
        method, url = call.plan.method, call.plan.target.url
        error: Exception | None = None
        try:
            self._perform(call, connection, fault)
        except Fault as caught:
            if self._is_gone():
                self._meter.cancelled(call.label, call.start, call.exchanges)
                raise Interrupted from None
            error = as_error(caught, method, url)
        except Interrupted:
            self._meter.cancelled(call.label, call.start, call.exchanges)
            raise
        except Exception as raised:  # noqa: BLE001 - the scenario's own stream of a body has failed
            error = raised
        return counted(self._meter, call, error)

    def _perform(self, call: Call, connection: BlockingConnection | None, fault: Fault | None) -> None:
        """Send the requests of a call and take their answers; one may have been sent already."""
        permit: threading.Semaphore | None = None
        try:
            follows = True
            while follows:
                if connection is None:
                    permit = self._permit(call)
                    connection = self._connection(call)
                    fault = self._exchange(call, connection)
                if fault is not None:
                    used = connection.used_before
                    call.exchanges -= connection.unsent
                    if self._is_gone() or not call.broken(
                        connection,
                        reused=used,
                        counted=not connection.unsent,
                        first=connection.first,
                        end=connection.end,
                    ):
                        raise fault
                    connection.close()
                else:
                    follows = call.answered(connection, connection.first, connection.end)
                    self._release(call, connection)
                connection = fault = None
                if permit is not None:
                    permit.release()
                    permit = None
        finally:
            if connection is not None:
                connection.close()
            if permit is not None:
                permit.release()

    def _permit(self, call: Call) -> threading.Semaphore | None:
        """Wait until a shared connection may be used; return what to release then."""
        if self._shared is None:
            return None
        permits = self._shared.permits(call.plan.origin)
        permit_in_thread(permits, call, self._is_gone)
        return permits

    def _connection(self, call: Call) -> BlockingConnection:
        """Return a kept connection that is still good, or a new one."""
        if self._is_gone():
            raise Interrupted
        free = self._free.setdefault(call.plan.origin, [])
        if not call.repeated:
            connection = _good_one(free, _monotonic(), repeatable=call.plan.repeatable)
            if connection is not None:
                self.opened(connection.sock)
                connection.home = free
                return connection
        made = open_blocking(call, self)
        made.home = free
        return made

    def _exchange(self, call: Call, connection: BlockingConnection) -> Fault | None:
        plan, body = call.plan, call.body
        data = call.head()
        whole = body is None or not (body.streams or plan.awaits_consent)
        if body is not None and whole:
            data += body.content
        call.sending(_monotonic())
        try:
            connection.start(data, call.limits, call.deadline, head_only=plan.is_head)
            connection.hurry()
            size = len(data)
            if body is not None and not whole:
                size += connection.send_body(body, consent=plan.awaits_consent)
            call.written(size, _monotonic())
            connection.finish()
        except Fault as fault:
            return fault
        return None

    def _release(self, call: Call, connection: BlockingConnection) -> None:
        if self._shared is not None:
            with self._lock:  # the next one to use it may be another user
                self._sockets.discard(connection.sock)
        if connection.reusable and not call.last:
            connection.home.append(connection)
        else:
            connection.close()

    def opened(self, sock: socket.socket) -> None:
        """Take note of a socket, to be shut down when the user must go."""
        with self._lock:
            self._sockets.add(sock)
        if self._is_gone():
            raise Interrupted

    def gone(self) -> bool:
        """Return whether the user must go."""
        return self._is_gone()

    def interrupt(self) -> None:
        """End what blocks; called from another thread."""
        for sock in self._all():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _all(self) -> list[socket.socket]:
        with self._lock:
            return list(self._sockets)

    def get(self, url: str, **options: Any) -> Response:
        """Send a GET; options as for `request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> Response:
        """Send a HEAD; options as for `request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> Response:
        """Send an OPTIONS; options as for `request`."""
        return self.request("OPTIONS", url, **options)

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

    def close(self) -> None:
        """Close all connections."""
        if self._shared is not None:
            for connection in self._shared.leave():
                connection.close()
            self._shared, self._free = None, {}
            return
        for free in self._free.values():
            while free:
                free.pop().close()
        for sock in self._all():
            sock.close()


def _good_one(free: list[BlockingConnection], now: float, *, repeatable: bool) -> BlockingConnection | None:
    """Take a kept connection that is still good, None without one."""
    while True:
        try:
            connection = free.pop()
        except IndexError:  # also when another thread was faster
            return None
        if not connection.is_stale(now, repeatable=repeatable):
            return connection
        connection.close()
