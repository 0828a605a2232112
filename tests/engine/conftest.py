"""Users of both kinds, and a server for them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from pytest_metersphere.engine.worker import new_event_loop
from tests.engine.browsers import Browser
from tests.engine.server import PATIENCE, WebServer


@contextlib.contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.AbstractEventLoop]:
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return an event loop that runs in a thread of its own."""
    with _running(asyncio.new_event_loop()) as loop:
        yield loop


@pytest.fixture
def server() -> Iterator[WebServer]:
    """Return a well-behaved server."""
    with WebServer() as server:
        yield server


@pytest.fixture(params=["async", "worker", "thread"])
def browser(request: pytest.FixtureRequest, server: WebServer) -> Iterator[Browser]:
    """Return a user: of an `async def` scenario, on asyncio's loop and on a worker's, and of a plain one."""
    made = new_event_loop() if request.param == "worker" else asyncio.new_event_loop()
    with _running(made) as loop:
        browser = Browser(loop, blocking=request.param == "thread")
        yield browser
        browser.close()


@pytest.fixture
def coroutine_browser(server: WebServer, loop: asyncio.AbstractEventLoop) -> Iterator[Browser]:
    """Return a user of an `async def` scenario."""
    browser = Browser(loop, blocking=False)
    yield browser
    browser.close()
