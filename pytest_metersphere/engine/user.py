"""The virtual user that a scenario gets as `vu`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import pytest

from pytest_metersphere.engine.failures import Interrupted, exemplar, group_of, kind_of
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.engine.rows import Rows
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.metrics.frame import Kind

if TYPE_CHECKING:
    from pytest_metersphere.engine.http import HttpClient, ThreadHttpClient
    from pytest_metersphere.engine.http.cookies import CookieJar

_NO_FAILURE = (pytest.skip.Exception, GeneratorExit)
_MOST_TOLD = 100
_GONE = (asyncio.CancelledError, Interrupted)


class State:
    """Free attributes of a user; they live as long as the user."""


class Meter:
    """Takes the samples of one user; without a recorder (functional mode) they are only watched.

    Attributes:
        user: id of the user, unique over the whole run.
        iteration: number of the iteration that runs, from 0.
        node: name of the node.
        leaving: the user must go; what it interrupts is not a failure.
        waited: the user has waited for an answer since this was reset, so others have had their turn.
    """

    def __init__(self, user: int, node: str, part: int = 0, recorder: Recorder | None = None) -> None:
        self.user = user
        self.iteration = 0
        self.node = node
        self.leaving = False
        self.waited = False
        self._rows: Rows | None = None
        self._number = 0
        self._row: dict[str, Any] | None = None
        # what samples of this iteration were failed by, and whether a threshold on error_rate may excuse it
        self._told: deque[tuple[BaseException, bool]] = deque(maxlen=_MOST_TOLD)
        self._late = 0.0
        self._first: float | None = None
        self._part = part
        self._recorder = recorder
        if recorder is not None:
            self._count_request = recorder.locked(recorder.request)
            self._count_iteration = recorder.locked(recorder.iterated)

    def begin_late(self, seconds: float) -> None:
        """Note that an iteration begins so long after it was due: its first sample has waited for it."""
        self._late = seconds
        self._first = None

    def _since_due(self, kind: Kind, start: float) -> float:
        """Return when a sample would have begun, had its iteration begun in time.

        That goes for the first one and for the transactions around it; those behind follow from its end.
        """
        if self._first is None and kind != "transaction":
            self._first = start
            return start - self._late
        if kind == "transaction" and (self._first is None or start <= self._first):
            return start - self._late
        return start

    def lease(self, rows: Rows | None, number: int) -> None:
        """Let the user have its row of these (None: no data file); `number` counts within its scenario."""
        self._rows, self._number = rows, number

    def row(self) -> dict[str, Any]:
        """Return the user's row of the data file, the same dict each time (ConfigError without a file)."""
        if self._row is None:
            if self._rows is None:
                raise ConfigError(
                    "vu.data: the scenario has no data file; name one in its mark, "
                    '@pytest.mark.load_scenario(data="users.csv")'
                )
            self._row = self._rows.of(self._number)
        return self._row

    def sample(
        self,
        label: str,
        kind: Kind,
        start: float,
        end: float,
        *,
        error: BaseException | None = None,
        service: float | None = None,
        exchanges: int = 0,
        sent: int = 0,
        received: int = 0,
    ) -> None:
        """Count one sample or transaction; times are monotonic seconds."""
        if self._late:
            start = self._since_due(kind, start)
        if error is not None and kind != "transaction":
            self._failed(label, start, end, error)
        if self._recorder is not None:
            self._recorder.sample(
                self._part,
                label,
                kind,
                start,
                end,
                failed=error is not None,
                service=service,
                exchanges=exchanges,
                sent=sent,
                received=received,
            )

    def request(  # noqa: PLR0917 - called once a request, where keywords cost time
        self,
        label: str,
        start: float,
        end: float,
        error: BaseException | None,
        service: float | None,
        exchanges: int,
        sent: int,
        received: int,
        phases: tuple[float, float, float, float, float, float],
    ) -> None:
        """Count one request of `vu.http`; see Recorder.request."""
        if self._late:
            start = self._since_due("request", start)
        if error is not None:
            self._failed(label, start, end, error)
        if self._recorder is not None:
            self._count_request(
                self._part, label, start, end, error is not None, service, exchanges, sent, received, phases
            )

    def cancelled(self, label: str, start: float, exchanges: int) -> None:
        """Count a sample that was cancelled: interrupted when the user must go, else a failure."""
        end = time.monotonic()
        if self.leaving:
            if self._recorder is not None:
                self._recorder.interrupted(self._part, start, end, exchanges)
            return
        error = TimeoutError("cancelled by the scenario")
        self.sample(label, "request", start, end, error=error, exchanges=exchanges)

    def iteration_ended(self, start: float, end: float, error: BaseException | None) -> None:
        """Count an iteration that ended by itself, or with `error`, and start the next number."""
        if error is None:
            self.iteration += 1
            if self._told:
                self._told.clear()
            if self._recorder is not None:
                self._count_iteration(self._part, start, end)
            return
        skipped = isinstance(error, pytest.skip.Exception)
        failed = not skipped
        if self._recorder is not None:
            if skipped:
                self._skipped(start, end, str(error) or "skipped")
            elif not all(self._is_told(part) for part in _parts(error)):
                self._error("", start, end, error)
        if self._recorder is not None:
            by_sample = failed and all(self._is_told(part, excusable=True) for part in _parts(error))
            self._recorder.iteration(
                self._part, start, end, failed=failed, by_sample=by_sample, skipped=skipped
            )
        self._told.clear()
        self.iteration += 1

    def _skipped(self, start: float, end: float, reason: str) -> None:
        if self._recorder is not None:
            detail = f"node {self.node}, user {self.user}, iteration {self.iteration}: {reason}"
            self._recorder.error(self._part, start, end, "", "skipped", reason, lambda: detail)

    def _failed(self, label: str, start: float, end: float, error: BaseException) -> None:
        if self._is_told(error):
            return
        self._told.append((error, not isinstance(error, (AssertionError, pytest.fail.Exception))))
        self._error(label, start, end, error)

    def _is_told(self, error: BaseException | None, *, excusable: bool = False) -> bool:
        return any(told is error and (may_be or not excusable) for told, may_be in self._told)

    def _error(self, label: str, start: float, end: float, error: BaseException) -> None:
        if self._recorder is not None:
            self._recorder.error(
                self._part, start, end, label, kind_of(error), group_of(error), lambda: self._exemplar(error)
            )

    def _exemplar(self, error: BaseException) -> str:
        return exemplar(error, user=self.user, iteration=self.iteration, node=self.node)


class Timed:
    """Times the block of a `with` or `async with` statement."""

    def __init__(self, meter: Meter, label: str, kind: Kind) -> None:
        self._meter = meter
        self._label = label
        self._kind = kind
        self._start = 0.0

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, _GONE) and self._meter.leaving:
            return
        end = time.monotonic()
        failure = None if isinstance(error, _NO_FAILURE) else error
        self._meter.sample(
            self._label, self._kind, self._start, end, error=failure, service=end - self._start
        )

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


class _User:
    """What users of both kinds have.

    Attributes:
        state: attributes of this user's own (`vu.state.token = …`), kept between iterations.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.state = State()

    @property
    def id(self) -> int:
        """Return the user's number, 1 to N, unique over the whole run."""
        return self._meter.user

    @property
    def iteration(self) -> int:
        """Return the number of the running iteration, from 0."""
        return self._meter.iteration

    @property
    def node(self) -> str:
        """Return the name of the node on which the user lives."""
        return self._meter.node

    @property
    def data(self) -> dict[str, Any]:
        """Return the user's row of the scenario's data file.

        Text by column for CSV, a JSON object for JSON Lines; no other user of the run has the row, unless
        there are fewer rows than users and `data_end="cycle"`.

        Raises:
            ConfigError: the mark names no data file.
        """
        return self._meter.row()

    def sample(self, label: str) -> Timed:
        """Time a block as one sample: a database call, gRPC, a queue, anything."""
        return Timed(self._meter, _checked(label), "sample")

    def transaction(self, label: str) -> Timed:
        """Time a block around several samples; it is never counted among them."""
        return Timed(self._meter, _checked(label), "transaction")


class VirtualUser(_User):
    """The virtual user of an `async def` scenario."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(meter)
        self._http: HttpClient | None = None
        self._jar: CookieJar | None = None
        self._to_close: list[Callable[[], None]] = []

    @property
    def http(self) -> HttpClient:
        """Return the user's HTTP client."""
        if self._http is None:
            from pytest_metersphere.engine.http import HttpClient

            self._http = HttpClient(self._meter, self.jar)
        return self._http

    @property
    def jar(self) -> CookieJar:
        """Return the user's cookies."""
        if self._jar is None:
            from pytest_metersphere.engine.http.cookies import CookieJar

            self._jar = CookieJar()
        return self._jar

    async def sleep(self, seconds: float) -> None:
        """Pause; other users go on."""
        await asyncio.sleep(seconds)

    def closing(self, close: Callable[[], None]) -> None:
        """Call `close` when the user is closed."""
        self._to_close.append(close)

    def close_now(self) -> None:
        """Close what needs no event loop."""
        while self._to_close:
            self._to_close.pop()()

    async def close(self) -> None:
        """Close what the user has opened."""
        self.close_now()
        if self._http is not None:
            await self._http.close()


class Loop(Protocol):
    """Where the coroutines of a plain `def` scenario run."""

    @property
    def closed(self) -> bool:
        """Whether the user must go."""

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call back, from any thread, each time that the user must go."""

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the event loop and block for its result."""


class ThreadUser(_User):
    """The virtual user of a plain `def` scenario, which runs in a thread of its own."""

    def __init__(self, meter: Meter, loop: Loop, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make a user whose `async def` fixtures run on `loop` and whose pauses are `sleep`."""
        super().__init__(meter)
        self.virtual = VirtualUser(meter)
        self.virtual.state = self.state
        self._loop = loop
        self._pause = sleep
        self._http: ThreadHttpClient | None = None

    @property
    def http(self) -> ThreadHttpClient:
        """Return the user's HTTP client; its calls block."""
        if self._http is None:
            from pytest_metersphere.engine.http import ThreadHttpClient

            self._http = ThreadHttpClient(self._meter, self.virtual.jar, lambda: self._loop.closed)
            self.virtual.closing(self._http.close)
            self._loop.when_closed(self._http.interrupt)
        return self._http

    def sleep(self, seconds: float) -> None:
        """Pause; other users go on."""
        self._pause(seconds)


def _parts(error: BaseException | None) -> list[BaseException | None]:
    """Return the exceptions in a group, which parallel tasks raise together; else the exception alone."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [part for inner in error.exceptions for part in _parts(inner)]


def _checked(label: str) -> str:
    if not isinstance(label, str) or not label.strip():
        raise TypeError(f"a label is a text that is not empty, not {label!r}")
    return label
