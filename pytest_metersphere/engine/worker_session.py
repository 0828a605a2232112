"""The pytest plugin of a worker: finds the scenarios among the items and runs them as load."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from pytest_metersphere.engine.http.tls import tls_context
from pytest_metersphere.engine.messages import WORKER_PLUGIN, Ended, FromWorker, Job, Part, Ready
from pytest_metersphere.engine.part import Callee
from pytest_metersphere.engine.runner import LoadRunner
from pytest_metersphere.errors import MeterSphereError
from pytest_metersphere.scenario import travel
from pytest_metersphere.scenario.fixtures import stand_in, used_names

_STACK = 1 << 20  # less would let a deep recursion end the process
_WAKE_UPS = 10_000  # a second
_LONGEST_SWITCH = 0.1
_GC_THRESHOLDS = (50_000, 50, 100)  # requests leave no cycles behind; scenarios may


class WorkerSession:
    """Runs one job inside pytest.

    Attributes:
        finished: the load ran to its end and was reported.
        collection_error: one line and the text behind it, when the tests could not be collected.
    """

    def __init__(
        self,
        job: Job,
        send: Callable[[FromWorker], None],
        new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        """Prepare for a job; `send` takes messages for the supervisor, the load runs on a `new_loop`."""
        self.__name__ = WORKER_PLUGIN
        self.finished = False
        self.collection_error: tuple[str, str] | None = None
        self._job = job
        self._send = send
        self._new_loop = new_loop
        self._go_at: float | None = None
        self._told = threading.Event()
        self._runner: LoadRunner | None = None
        self._stopped = False

    def go(self, at: float) -> None:
        """Let the load begin; called from the listening thread."""
        self._go_at = at
        self._told.set()

    def stop(self, grace: float) -> None:
        """End the load, or do not begin it; called from the listening thread."""
        self._stopped = True
        self._told.set()
        runner = self._runner
        if runner is not None:
            runner.loop.call_soon_threadsafe(runner.stop, grace)

    def pytest_plugin_registered(self, plugin: object, manager: pytest.PytestPluginManager) -> None:
        """Excuse hooks of plugins that the controller has and this session does not load."""
        for caller in manager.get_hookcallers(plugin) or []:
            if not caller.has_spec():
                for implementation in caller.get_hookimpls():
                    implementation.optionalhook = True  # type: ignore[misc]

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_parse(self) -> Generator[None, pytest.Config, pytest.Config]:
        """Keep the reason when a conftest.py cannot be imported."""
        with self._noting("pytest could not start here"):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Keep the reason when a test is not there, or a hook of the project's fails."""
        with self._noting("the tests could not be collected here"):
            return (yield)

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if self.collection_error is None:
                self.collection_error = (f"{what}: {_in_one_line(error, self._job.root)}", "")
            raise

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the first error of the collection."""
        if report.failed and self.collection_error is None:
            text = str(report.longreprtext).strip()
            last = text.splitlines()[-1].removeprefix("E ").strip() if text else "no reason given"
            self.collection_error = (f"{report.nodeid} could not be collected here: {last}", text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the load in place of the tests."""
        if session.testsfailed:
            return None
        try:
            callees = [find_callee(part, session.items) for part in self._job.parts]
        except MeterSphereError as error:
            self.collection_error = (str(error), "")
            return True
        # not asyncio.run, which would wait for users that nothing can interrupt; the process ends anyway
        self._new_loop().run_until_complete(self._run(callees))
        self.finished = True
        return True

    async def _run(self, callees: list[Callee]) -> None:
        runner = LoadRunner(callees, self._job.node, self._job.worker, self._send)
        tls_context()
        _prepare_threads(sum(len(part.users) for part in self._job.parts if not part.scenario.is_async))
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        self._send(Ready())
        await asyncio.to_thread(self._told.wait)
        runner.loop = asyncio.get_running_loop()
        self._runner = runner
        if self._go_at is None:
            return
        if self._stopped:
            self._send(Ended(at=0.0))
        else:
            await runner.run(self._go_at)


def _prepare_threads(users: int) -> None:
    """Make room for users that have threads of their own.

    Each thread that waits for the GIL wakes up once a switch interval. Without a longer one, a thousand of
    them spend most of the CPU on that.
    """
    if users:
        threading.stack_size(_STACK)
        sys.setswitchinterval(min(_LONGEST_SWITCH, max(sys.getswitchinterval(), users / _WAKE_UPS)))


def find_callee(part: Part, items: list[pytest.Item]) -> Callee:
    """Return what the users of a scenario call, found among the worker's own items.

    Raises:
        MeterSphereError: no item belongs to the scenario, or an argument has no value here.
    """
    scenario = part.scenario
    mine = [
        item for item in items if isinstance(item, pytest.Function) and _belongs(item, scenario.base_nodeid)
    ]
    item = next((item for item in mine if item.nodeid == scenario.nodeid), mine[0] if mine else None)
    if item is None:
        raise MeterSphereError(
            f"{scenario.base_nodeid} was not found in the bundle; is its file collected there?"
        )
    exact = item.nodeid == scenario.nodeid
    values = {name: travel.decode(data) for name, data in part.values.items()}
    values |= {name: _local_parameter(item, name, exact=exact) for name in part.local_params}
    definitions = item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - pytest has no public way to them
    arguments = {name: stand_in(name, values, definitions) for name in item._fixtureinfo.argnames}  # noqa: SLF001
    used = [stand_in(name, values, definitions) for name in used_names(item)]
    owner = item.cls
    name = item.originalname
    function = inspect.getattr_static(owner, name) if owner is not None else getattr(item.module, name)
    return Callee(part, function, owner, arguments, used)


def _in_one_line(error: BaseException, root: str) -> str:
    """Return what an exception says, with paths below the bundle's root."""
    pytests_own = type(error).__module__.startswith("_pytest.")
    text = str(error) if pytests_own else "".join(traceback.format_exception_only(error))
    lines = text.strip().replace(f"{root}{os.sep}", "").splitlines()
    return lines[0] if lines else type(error).__name__


def _belongs(item: pytest.Item, base_nodeid: str) -> bool:
    return item.nodeid == base_nodeid or item.nodeid.startswith(f"{base_nodeid}[")


def _local_parameter(item: pytest.Function, name: str, *, exact: bool) -> Any:
    if not exact or name not in item.callspec.params:
        raise MeterSphereError(
            f"parameter {name!r} of {item.nodeid} cannot travel, and the node has no item of the same id to "
            "take it from; give the parameter sets ids that are the same everywhere, or values that travel"
        )
    return item.callspec.params[name]
