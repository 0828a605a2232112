"""Sets up load-scoped fixtures where the load runs, and tears them down in reverse order."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest

from pytest_metersphere.engine.user import Loop, ThreadUser, VirtualUser
from pytest_metersphere.scenario.fixtures import Declaration, Pending, TheUser

_NOTHING = object()
Key = tuple[str, Callable[..., Any]]


class FixtureValues:
    """The load-scoped fixtures of one user (or, as `shared`, of one worker) in an `async def` scenario."""

    def __init__(self, user: VirtualUser | None = None, shared: FixtureValues | None = None) -> None:
        """Start empty; worker-scoped fixtures are looked up in `shared`, by default in this object."""
        self._user = user
        self._shared = shared or self
        self._values: dict[Key, Any] = {}
        self._exits = AsyncExitStack()
        self._lock = asyncio.Lock()

    async def value_of(self, asked: Any, instance: object = None) -> Any:
        """Return what an argument stands for, set up when it is a load-scoped fixture met for the first time.

        `instance` is the test class's instance for fixtures that are methods.
        """
        if isinstance(asked, TheUser):
            return self._user
        if not isinstance(asked, Pending):
            return asked
        home = self._shared if asked.declaration.scope == "worker" else self
        return await home.set_up(asked, instance)

    async def set_up(self, pending: Pending, instance: object) -> Any:
        """Return the value of a fixture that belongs here, set up when it is met for the first time."""
        key = (pending.declaration.name, pending.declaration.function)
        if key in self._values:
            return self._values[key]
        arguments = {name: await self.value_of(asked, instance) for name, asked in pending.arguments.items()}
        async with self._lock:
            if key not in self._values:
                self._values[key] = await self._run(
                    pending.declaration, _before(pending, instance), arguments
                )
        return self._values[key]

    async def _run(
        self, declaration: Declaration, before: tuple[object, ...], arguments: dict[str, Any]
    ) -> Any:
        function = declaration.function
        made = function(*before, **arguments)
        if inspect.isasyncgen(made):
            value = _yielded(declaration, await anext(made, _NOTHING))
            self._exits.push_async_callback(_finish_async, declaration, made)
            return value
        if inspect.isgenerator(made):
            value = _yielded(declaration, next(made, _NOTHING))
            self._exits.callback(_finish, declaration, made)
            return value
        return await made if inspect.isawaitable(made) else made

    async def close(self) -> None:
        """Tear down what was set up; the first error is raised after all is done."""
        self._values.clear()
        await self._exits.aclose()


class ThreadFixtureValues:
    """The same for a plain `def` scenario.

    `def` fixtures run in the user's thread, `async def` ones on the event loop.
    """

    def __init__(self, user: ThreadUser, loop: Loop, shared: FixtureValues) -> None:
        """Start empty; worker-scoped fixtures are set up once, in `shared`, on the event loop."""
        self._user = user
        self._loop = loop
        self._shared = shared
        self._asynchronous: FixtureValues | None = None
        self._values: dict[Key, Any] = {}
        self._exits = ExitStack()

    def value_of(self, asked: Any, instance: object = None) -> Any:
        """Return what an argument stands for; see FixtureValues.value_of."""
        if isinstance(asked, TheUser):
            return self._user
        if not isinstance(asked, Pending):
            return asked
        if asked.declaration.scope == "worker":
            return self._loop.wait(self._shared.value_of(asked, instance))
        key = (asked.declaration.name, asked.declaration.function)
        if key not in self._values:
            self._values[key] = self._set_up(asked, instance)
        return self._values[key]

    def _set_up(self, pending: Pending, instance: object) -> Any:
        function = pending.declaration.function
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return self._set_up_on_loop(pending, instance)
        arguments = {name: self.value_of(asked, instance) for name, asked in pending.arguments.items()}
        made = function(*_before(pending, instance), **arguments)
        if not inspect.isgenerator(made):
            return made
        value = _yielded(pending.declaration, next(made, _NOTHING))
        self._exits.callback(_finish, pending.declaration, made)
        return value

    def _set_up_on_loop(self, pending: Pending, instance: object) -> Any:
        if self._asynchronous is None:
            self._asynchronous = FixtureValues(self._user.virtual, self._shared)
            self._exits.callback(self._close_on_loop)
        values = self._asynchronous
        arguments = {
            name: asked if isinstance(asked, TheUser) else self.value_of(asked, instance)
            for name, asked in pending.arguments.items()
        }
        ready = Pending(pending.declaration, arguments, pending.is_method)
        return self._loop.wait(values.value_of(ready, instance))

    def _close_on_loop(self) -> None:
        if self._asynchronous is not None:
            self._loop.wait(self._asynchronous.close())

    def close(self) -> None:
        """Tear down what was set up; the first error is raised after all is done."""
        self._values.clear()
        self._exits.close()


def _before(pending: Pending, instance: object) -> tuple[object, ...]:
    return (instance,) if pending.is_method else ()


def _yielded(declaration: Declaration, value: Any) -> Any:
    if value is _NOTHING:
        pytest.fail(f"fixture {declaration.name} did not yield a value", pytrace=False)
    return value


async def _finish_async(declaration: Declaration, generator: Any) -> None:
    try:
        await anext(generator)
    except StopAsyncIteration:
        return
    pytest.fail(f"fixture {declaration.name} yields more than once", pytrace=False)


def _finish(declaration: Declaration, generator: Any) -> None:
    try:
        next(generator)
    except StopIteration:
        return
    pytest.fail(f"fixture {declaration.name} yields more than once", pytrace=False)
