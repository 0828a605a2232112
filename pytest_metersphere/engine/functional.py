"""Functional mode: a scenario runs once, in process, as an ordinary test."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from pytest_metersphere.engine.load_fixtures import FixtureValues, ThreadFixtureValues
from pytest_metersphere.engine.rows import Rows
from pytest_metersphere.engine.user import Meter, ThreadUser, VirtualUser

__tracebackhide__ = True
_NODE = "functional"
_MACHINERY = ("asyncio", "contextlib", __name__.partition(".")[0])


Used = Callable[[], list[Any]]
Leased = Callable[[], Rows | None]


def functional(function: Callable[..., Any], used: Used, leased: Leased) -> Callable[..., Any]:
    """Return the test function as one that gets a real `vu` and real load-scoped fixtures.

    A coroutine function stays one, so that the async plugin that claims it runs it. `used` returns
    load-scoped fixtures that are to be set up and are no arguments, `leased` the row of user 1.
    """
    make = _asynchronous if inspect.iscoroutinefunction(function) else _blocking
    return make(function, used, leased)


def run_coroutine_function(
    function: Callable[..., Coroutine[Any, Any, Any]], arguments: dict[str, Any]
) -> None:
    """Run a scenario that no async plugin has claimed."""
    try:
        asyncio.run(function(**arguments))
    except BaseException as error:
        error.__traceback__ = _from_users_code(error.__traceback__)
        raise


def _asynchronous(function: Callable[..., Any], used: Used, leased: Leased) -> Callable[..., Any]:
    @functools.wraps(function)
    async def once(*args: Any, **arguments: Any) -> None:
        try:
            await _call_asynchronous(function, used(), leased(), args, arguments)
        except BaseException as error:
            error.__traceback__ = _from_users_code(error.__traceback__)
            raise

    return once


async def _call_asynchronous(
    function: Callable[..., Any],
    used: list[Any],
    rows: Rows | None,
    args: tuple[Any, ...],
    arguments: dict[str, Any],
) -> None:
    _refuse_other_loops()
    user = VirtualUser(_meter(rows))
    values = FixtureValues(user)
    instance = getattr(function, "__self__", None)
    try:
        for fixture in used:
            await values.value_of(fixture, instance)
        ready = {name: await values.value_of(asked, instance) for name, asked in arguments.items()}
        await function(*args, **ready)
    finally:
        try:
            await values.close()
        finally:
            await user.close()


def _blocking(function: Callable[..., Any], used: Used, leased: Leased) -> Callable[..., Any]:
    @functools.wraps(function)
    def once(*args: Any, **arguments: Any) -> None:
        try:
            _call_blocking(function, used(), leased(), args, arguments)
        except BaseException as error:
            error.__traceback__ = _from_users_code(error.__traceback__)
            raise

    return once


def _call_blocking(
    function: Callable[..., Any],
    used: list[Any],
    rows: Rows | None,
    args: tuple[Any, ...],
    arguments: dict[str, Any],
) -> None:
    loop = LoopThread()
    user = ThreadUser(_meter(rows), loop)
    shared = FixtureValues()
    values = ThreadFixtureValues(user, loop, shared)
    instance = getattr(function, "__self__", None)
    try:
        for fixture in used:
            values.value_of(fixture, instance)
        ready = {name: values.value_of(asked, instance) for name, asked in arguments.items()}
        function(*args, **ready)
    finally:
        try:
            values.close()
        finally:
            user.virtual.close_now()
            loop.close(shared, user.virtual)


def _meter(rows: Rows | None) -> Meter:
    meter = Meter(1, _NODE)
    meter.lease(rows, 1)
    return meter


def _from_users_code(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the user's first frame on, as pytest shows it for an ordinary test."""
    while trace is not None and trace.tb_next is not None and _module(trace) in _MACHINERY:
        trace = trace.tb_next
    return trace


def _module(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]


def _refuse_other_loops() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "load scenarios run on asyncio, and this test was started on another event loop (trio?); "
            'restrict it, for example with @pytest.fixture def anyio_backend(): return "asyncio"'
        ) from None


class LoopThread:
    """An event loop in a thread of its own, started when a coroutine is first waited for."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def closed(self) -> bool:
        """Return False: nothing makes this user go."""
        return False

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Forget the callback, which would never be called."""

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop and block for its result."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        error = future.exception()
        if error is not None:
            raise error
        return future.result()

    def close(self, shared: FixtureValues, user: VirtualUser) -> None:
        """Close worker-scoped fixtures and what the user has opened, then the loop."""
        if self._loop is None or self._thread is None:
            return
        try:
            self.wait(_close_all(shared, user))
        finally:
            self._end()

    def _end(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _close_all(shared: FixtureValues, user: VirtualUser) -> None:
    try:
        await shared.close()
    finally:
        await user.close()
