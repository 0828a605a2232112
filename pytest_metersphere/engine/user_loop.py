"""The worker's event loop as the thread of a user sees it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from pytest_metersphere.engine.failures import Interrupted


class UserLoop:
    """The worker's event loop as a user's thread sees it: calls block, until the user must go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run coroutines on `loop`, which runs in another thread."""
        self._loop = loop
        self._closed = threading.Event()
        self._pending: concurrent.futures.Future[Any] | None = None
        self._callbacks: list[Callable[[], None]] = []

    @property
    def closed(self) -> bool:
        """Return whether the user must go."""
        return self._closed.is_set()

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call back when the user must go; from another thread than the user's."""
        self._callbacks.append(callback)

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop and block for its result.

        Raises:
            Interrupted: the user must go.
        """
        if self._closed.is_set():
            work.close()
            raise Interrupted
        self._pending = future = self._begin(work)
        if self._closed.is_set():
            future.cancel()
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            if self._closed.is_set():
                raise Interrupted from None
            raise

    def sleep(self, seconds: float) -> None:
        """Pause; raises Interrupted when the user must go."""
        if self._closed.wait(max(0.0, seconds)):
            raise Interrupted

    def close(self) -> None:
        """Interrupt what waits here, and refuse what comes."""
        self._closed.set()
        for callback in self._callbacks:
            callback()
        if self._pending is not None:
            self._pending.cancel()

    def reopen(self, seconds: float) -> None:
        """Serve again, so many seconds, for the tear-down."""
        self._closed.clear()
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self.close)

    def finish(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine that nothing must interrupt."""
        self._begin(work).result()

    def _begin(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise
