"""Functional mode: a scenario runs once, in process, as an ordinary test."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from pytest_metersphere.engine.load_fixtures import FixtureValues, ThreadFixtureValues
from pytest_metersphere.engine.user import Meter, ThreadUser, VirtualUser

_NODE = "functional"


def functional(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the test function as one that gets a real `vu` and real load-scoped fixtures.

    A coroutine function stays one, so that the async plugin that claims it runs it.
    """
    return _asynchronous(function) if inspect.iscoroutinefunction(function) else _blocking(function)


def run_coroutine_function(
    function: Callable[..., Coroutine[Any, Any, Any]], arguments: dict[str, Any]
) -> None:
    """Run a scenario that no async plugin has claimed."""
    __tracebackhide__ = True
    asyncio.run(function(**arguments))


def _asynchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def once(*args: Any, **arguments: Any) -> None:
        __tracebackhide__ = True
        _refuse_other_loops()
        user = VirtualUser(Meter(1, _NODE))
        values = FixtureValues(user)
        instance = getattr(function, "__self__", None)
        try:
            ready = {name: await values.value_of(asked, instance) for name, asked in arguments.items()}
            await function(*args, **ready)
        finally:
            try:
                await values.close()
            finally:
                await user.close()

    return once


def _blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def once(*args: Any, **arguments: Any) -> None:
        __tracebackhide__ = True
        loop = LoopThread()
        user = ThreadUser(Meter(1, _NODE), loop)
        shared = FixtureValues()
        values = ThreadFixtureValues(user, loop, shared)
        instance = getattr(function, "__self__", None)
        try:
            ready = {name: values.value_of(asked, instance) for name, asked in arguments.items()}
            function(*args, **ready)
        finally:
            try:
                values.close()
            finally:
                loop.close(shared, user.virtual)

    return once


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

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop and block for its result."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

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
