"""Loads without a network: hand-written scenarios run by LoadRunner inside a test."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from typing import Any, Literal

from pytest_metersphere.engine.messages import Ended, FromWorker, Part, Second
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.runner import LoadRunner
from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.scenario.arrivals import Arrivals, Process, RateStage
from pytest_metersphere.scenario.fixtures import THE_USER, Declaration, Pending, Scope
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.scenario.profile import Profile, Stage, places, plain_stages

Kind = Literal["async", "thread"]
Steps = Generator[float, None, None]
"""A scenario of either kind: each value that it yields is a pause in seconds."""

PATIENCE = 20.0
"""Seconds after which a test gives up on a load that does not end."""
FOREVER = math.inf


def scenario(kind: Kind, steps: Callable[..., Steps]) -> Callable[..., Any]:
    """Return a scenario of this kind that does what the steps say; its pauses are `vu.sleep`."""

    async def asynchronous(vu: Any, **values: Any) -> None:
        running = steps(vu, **values)
        with contextlib.suppress(StopIteration):
            pause = next(running)
            while True:
                try:
                    await vu.sleep(pause)
                except BaseException as error:  # noqa: BLE001 - the steps decide what becomes of it
                    pause = running.throw(error)
                else:
                    pause = next(running)

    def blocking(vu: Any, **values: Any) -> None:
        running = steps(vu, **values)
        with contextlib.suppress(StopIteration):
            pause = next(running)
            while True:
                try:
                    vu.sleep(pause)
                except BaseException as error:  # noqa: BLE001 - the steps decide what becomes of it
                    pause = running.throw(error)
                else:
                    pause = next(running)

    return asynchronous if kind == "async" else blocking


def pending(function: Callable[..., Any], scope: Scope = "user", **arguments: Any) -> Pending:
    """Return what stands for a load-scoped fixture that a function makes."""
    return Pending(Declaration(function.__name__, scope, function), arguments)


def callee(
    function: Any,
    *,
    users: int = 1,
    hold: float = 0.2,
    ramp: float = 0.0,
    stages: Sequence[tuple[float, int]] = (),
    warmup: float = 0.0,
    iterations: int | None = None,
    shared_iterations: int | None = None,
    think: float = 0.0,
    pacing: float | None = None,
    arrivals: Arrivals | None = None,
    only: Sequence[int] | None = None,
    graceful_stop: float = 10.0,
    owner: type | None = None,
    used: Sequence[Pending] = (),
    **arguments: Any,
) -> Callee:
    """Return what users call: a function that gets `vu` and these arguments, along a load curve.

    With `arrivals` it is of the open model, with at most `users` at once; `only` says which of the users
    live on this worker, all of them by default.
    """
    curve = tuple(Stage(*stage) for stage in stages) or plain_stages(users, ramp, hold)
    profile = Profile(
        stages=curve if arrivals is None else places(users, arrivals),
        warmup=warmup,
        iterations=iterations,
        graceful_stop=graceful_stop,
        shared_iterations=shared_iterations,
        arrivals=arrivals,
    )
    plain = getattr(function, "__func__", function)
    asked = Scenario(
        nodeid="test_load.py::test_it",
        name="test_it",
        path="test_load.py",
        line=1,
        profile=profile,
        think=(think, think),
        is_async=inspect.iscoroutinefunction(plain),
        pacing=pacing,
    )
    part = Part(scenario=asked, users=list(only or range(1, profile.peak + 1)))
    wants_user = "vu" in inspect.signature(plain).parameters
    given = {"vu": THE_USER} if wants_user else {}
    return Callee(part, function, owner, given | arguments, list(used))


def level(rate: float, seconds: float, process: Process = "even") -> Arrivals:
    """Return arrivals at one rate from the first second on."""
    return Arrivals(stages=(RateStage(0.0, rate), RateStage(seconds, rate)), process=process)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a load has reported.

    Attributes:
        seconds: its reports, in the order in which they came.
        ended: its last message.
        go: the clock reading of second 0.
    """

    seconds: list[Second]
    ended: Ended
    go: float

    def tally(self, part: int = 0, phase: str | None = None) -> Tally:
        """Return all that a scenario did, in one phase or in both."""
        merged = Tally()
        for report in self.seconds:
            if phase in (None, report.phase):
                merged.merge(report.tallies[part])
        return merged

    def starts(self, part: int = 0, phase: str | None = None) -> tuple[int, int, int]:
        """Return how many iterations of the open model were scheduled, started and dropped."""
        found = self.tally(part, phase)
        return found.scheduled_iterations, found.started_iterations, found.dropped_iterations

    def errors(self, part: int = 0) -> list[tuple[str, str, str, int]]:
        """Return label, kind, message and count of every group of failures, sorted."""
        return sorted((e.label, e.kind, e.message, e.count) for e in self.tally(part).errors)


def run(
    *callees: Callee,
    meanwhile: Callable[[LoadRunner], Awaitable[None]] | None = None,
    go_in: float = 0.0,
    afterwards: Callable[[], None] | None = None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Outcome:
    """Run a load to its end; `meanwhile` runs beside it, `afterwards` before the event loop ends."""
    messages: list[FromWorker] = []

    async def main() -> float:
        runner = LoadRunner(callees, "node-1", 0, messages.append)
        go = time.monotonic() + go_in
        load = asyncio.create_task(runner.run(go))
        async with asyncio.timeout(PATIENCE):
            if meanwhile is not None:
                await meanwhile(runner)
            await load
        if afterwards is not None:
            afterwards()
        return go

    with asyncio.Runner(loop_factory=new_loop) as here:
        go = here.run(main())
    *seconds, ended = messages
    assert isinstance(ended, Ended)
    return Outcome([second for second in seconds if isinstance(second, Second)], ended, go)


async def until(met: Callable[[], bool]) -> None:
    """Wait until something is so, polling."""
    async with asyncio.timeout(PATIENCE):
        while not met():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)


def fixture_of(style: str, log: list[str], name: str, value: object = None) -> Callable[..., Any]:
    """Return a fixture function that logs its set-up and tear-down.

    Args:
        style: "def", "yield", "async def" or "async yield".
        log: takes `name up` and, where there is a tear-down, `name down`.
        name: name of the fixture.
        value: what it makes.
    """

    def returning() -> object:
        log.append(f"{name} up")
        return value

    def yielding() -> Iterator[object]:
        log.append(f"{name} up")
        yield value
        log.append(f"{name} down")

    async def async_returning() -> object:
        await asyncio.sleep(0)
        log.append(f"{name} up")
        return value

    async def async_yielding() -> AsyncIterator[object]:
        await asyncio.sleep(0)
        log.append(f"{name} up")
        yield value
        await asyncio.sleep(0)
        log.append(f"{name} down")

    styles: dict[str, Callable[..., Any]] = {
        "def": returning,
        "yield": yielding,
        "async def": async_returning,
        "async yield": async_yielding,
    }
    made = styles[style]
    made.__name__ = name
    return made
