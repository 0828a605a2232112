"""A user whose calls of vu.http block the test, and what was counted for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import time
from collections.abc import Callable, Coroutine
from typing import Any

from pytest_metersphere.engine.http import Response
from pytest_metersphere.engine.life import UserLoop
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.engine.user import Meter, ThreadUser, VirtualUser
from pytest_metersphere.metrics.frame import LabelTally, Tally
from tests.engine.server import PATIENCE


class Browser:
    """A user of either kind whose calls block the test.

    Attributes:
        meter: its meter.
        loop: the event loop, in a thread of its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, blocking: bool) -> None:
        self.loop = loop
        self._recorder = Recorder([0.0])
        self._recorder.begin(time.monotonic())
        self.meter = Meter(1, "node-1", 0, self._recorder)
        self._total = Tally()
        self._user_loop = UserLoop(loop)
        thread_user = ThreadUser(self.meter, self._user_loop)
        self.virtual: VirtualUser = thread_user.virtual
        self._thread_user = thread_user if blocking else None
        self._task: asyncio.Task[Response] | None = None
        self._pool = concurrent.futures.ThreadPoolExecutor(1)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def begin(self, method: str, url: str, **options: Any) -> concurrent.futures.Future[Response]:
        """Send a request and do not wait for its answer."""
        if self._thread_user is not None:
            send = functools.partial(self._thread_user.http.request, method, url, **options)
            return self._pool.submit(send)
        return asyncio.run_coroutine_threadsafe(self._as_task(method, url, options), self.loop)

    async def _as_task(self, method: str, url: str, options: dict[str, Any]) -> Response:
        self._task = asyncio.current_task()
        return await self.virtual.http.request(method, url, **options)

    def request(self, method: str, url: str, **options: Any) -> Response:
        """Send a request and wait for its answer."""
        return self.begin(method, url, **options).result(PATIENCE)

    def get(self, url: str, **options: Any) -> Response:
        """Send a GET and wait for its answer."""
        return self.request("GET", url, **options)

    def verb(self, name: str) -> Callable[..., Response]:
        """Return the method of the client that is called so."""
        if self._thread_user is not None:
            send: Callable[..., Response] = getattr(self._thread_user.http, name)
            return send
        return lambda *args, **options: self.run(getattr(self.virtual.http, name)(*args, **options))

    @property
    def is_blocking(self) -> bool:
        """Return whether it is a user of a plain scenario."""
        return self._thread_user is not None

    def share(self, connections: int) -> None:
        """Let the user share connections."""
        if self._thread_user is not None:
            self._thread_user.http.share(connections)
        else:
            self.run(self._share(connections))

    async def _share(self, connections: int) -> None:
        self.virtual.http.share(connections)

    def settle(self) -> None:
        """Let the event loop read what has come."""
        for _ in range(5):
            self.run(asyncio.sleep(0.01))

    def send_away(self) -> None:
        """Interrupt what the user does, as at the end of its time."""
        self.meter.leaving = True
        if self._thread_user is not None:
            self._user_loop.close()
        elif self._task is not None:
            self.loop.call_soon_threadsafe(self._task.cancel)

    @property
    def counted(self) -> Tally:
        """Return everything that was counted so far."""
        for cut in self._recorder.cut(10_000):
            self._total.merge(cut.tallies[0])
        return self._total

    @property
    def sample(self) -> LabelTally:
        """Return the tally of the only label."""
        (sample,) = self.counted.labels.values()
        return sample

    @property
    def label(self) -> str:
        """Return the only label."""
        (label,) = self.counted.labels
        return label

    @property
    def failure(self) -> tuple[str, str, str]:
        """Return label, kind and message of the only failure."""
        (error,) = self.counted.errors
        assert error.count == 1
        return error.label, error.kind, error.message

    def close(self) -> None:
        """Close what the user has opened."""
        self.run(self.virtual.close())
        self._pool.shutdown()
