"""The controller: between pytest's items and the load session, under a pool."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pytest_metersphere import jmx, terminal
from pytest_metersphere.engine.failures import group_of
from pytest_metersphere.engine.messages import Collection
from pytest_metersphere.errors import ConfigError, MeterSphereError, PreflightError, TravelError
from pytest_metersphere.options import Settings
from pytest_metersphere.reports.document import ScenarioResult, Verdict
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.selection import check_addresses, part_of, scenario_of
from pytest_metersphere.session import LoadSession

VERDICT = pytest.StashKey[Verdict]()
"""The verdict on a scenario's item, once it was run as load."""
_COLLECTING_INI = ("python_files", "python_classes", "python_functions", "consider_namespace_packages")
_MARGIN = 60.0
_TIMEOUT_PLUGIN = ("timeout", "pytest_timeout")


class Controller:
    """What the plugin's hooks hand over to when a pool is given.

    Attributes:
        session: the load session.
        problem: why not all reports could be written, empty when they could.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        """Read the pool (ConfigError when it is not understood) and switch xdist off; contacts no node."""
        if sys.platform == "win32":
            raise ConfigError(
                "--ms-pool: load runs on Linux and macOS; on Windows scenarios run as functional tests only"
            )
        self.session = LoadSession(settings, _how_to_collect(config))
        self._config = config
        self._was_distributed = _switch_xdist_off(config)
        self._prepared = False
        self.problem = ""

    def header(self) -> str:
        """Return the line of pytest's header."""
        names = [node.name for node in self.session.pool.nodes]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        off = "; xdist is off, the pool is the distribution" if self._was_distributed else ""
        kafka = self.session.settings.kafka
        come = (
            f"come over Kafka ({kafka.text})" if kafka else "are pulled from the node-controllers over HTTP"
        )
        return f"metersphere: pool {self.session.settings.pool_text} ({shown}); results {come}{off}"

    def take_over(self, items: Sequence[pytest.Item]) -> None:
        """Let the scenarios among the items run as load."""
        for item in items:
            scenario = scenario_of(item)
            if scenario is not None and isinstance(item, pytest.Function):
                item.runtest = functools.partial(self._run_item, item)  # type: ignore[method-assign]
                self._give_time(item, scenario)

    def _give_time(self, item: pytest.Function, scenario: Scenario) -> None:
        """Keep pytest-timeout's default limit from ending a load that takes as long as it should."""
        loaded = any(map(self._config.pluginmanager.hasplugin, _TIMEOUT_PLUGIN))
        if not loaded or item.get_closest_marker("timeout"):
            return
        with contextlib.suppress(ConfigError):
            profile = self.session.effective(scenario).profile
            limit = profile.duration + profile.graceful_stop + _MARGIN
            item.add_marker(pytest.mark.timeout(0 if math.isinf(limit) else limit))

    def prepare(self, items: Sequence[pytest.Item]) -> None:
        """Check and plan before the first test.

        Raises:
            ConfigError, PreflightError: nothing will run; the text says what to do.
        """
        scenarios = _scenarios(items)
        if not scenarios and self.session.settings.preflight != "always":
            return
        files = sorted({item.path for item in items if scenario_of(item) is not None})
        self.session.bundle(files, scenarios)
        self.session.prepare(scenarios)
        self._prepared = True

    def plan_lines(self, items: Sequence[pytest.Item]) -> Iterator[str]:
        """Yield who gets how many users over time, for every scenario among the items."""
        scenarios = _scenarios(items)
        if not scenarios:
            yield "no load scenario is selected, so there is nothing to plan"
        for scenario in scenarios:
            planned = self.session.declared_plan(scenario)
            rows = [(row.second, row.total, row.shares) for row in planned.rows()]
            yield from terminal.plan_lines(scenario.nodeid, planned.nodes, planned.capacities, rows)

    def check_values(self, item: pytest.Item) -> None:
        """Refuse a set-up scenario whose values cannot travel to the nodes: an error of its setup."""
        scenario = scenario_of(item)
        if scenario is None or not self._prepared or not isinstance(item, pytest.Function):
            return
        if scenario.jmx is not None:
            return
        try:
            _refuse_trio(item)
            part_of(item, scenario)
            check_addresses(item, self.session.remote_nodes)
        except TravelError as error:
            item.stash[VERDICT] = "error"
            pytest.fail(str(error), pytrace=False)

    def _run_item(self, item: pytest.Function) -> None:
        scenario = scenario_of(item)
        assert scenario is not None
        try:
            with self._live_line() as line:
                result = self.session.run(part_of(item, scenario), functools.partial(_show, line))
        except PreflightError as error:
            item.stash[VERDICT] = "error"
            pytest.fail(str(error), pytrace=False)
        self._report(item, result)
        if scenario.jmx is not None:
            self._run_body(item, result)

    def _run_body(self, item: pytest.Function, result: ScenarioResult) -> None:
        """Run the body of a test whose load has passed; if it fails, so has the scenario."""
        try:
            jmx.run_body(item, result)
        except (Exception, pytest.fail.Exception) as error:
            item.stash[VERDICT] = result.verdict = "failed"
            result.findings.append(f"the test's body failed: {group_of(error)}")
            raise

    def _report(self, item: pytest.Function, result: ScenarioResult) -> None:
        item.stash[VERDICT] = result.verdict
        item.add_report_section("call", "metersphere", "\n".join(terminal.table_lines(result)))
        totals = result.totals
        item.user_properties += [
            ("ms_verdict", result.verdict),
            ("ms_requests", totals.requests),
            ("ms_failures", totals.failures),
            ("ms_rps", round(totals.rps, 3)),
            ("ms_p95", result.response.p95),
        ]
        if result.verdict == "aborted":
            pytest.exit(result.findings[0])
        if result.verdict != "passed":
            pytest.fail(terminal.failure_text(result), pytrace=False)

    @contextlib.contextmanager
    def _live_line(self) -> Iterator[terminal.LiveLine | None]:
        """Yield the line on which progress is shown, None where nothing is to be shown."""
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or self._config.get_verbosity() < 0:
            yield None
            return
        writer = reporter._tw  # noqa: SLF001 - the reporter has no public stream
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            rewrite = reporter.isatty and os.environ.get("TERM") != "dumb"
            line = terminal.LiveLine(writer._file, rewrite=rewrite, width=writer.fullwidth)  # noqa: SLF001
            try:
                yield line
            finally:
                line.clear()

    def finish(self, session: pytest.Session) -> None:
        """Write the reports and end the nodes; a report that cannot be written fails the session."""
        try:
            self.session.finish()
        except MeterSphereError as error:
            self.problem = str(error)
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def summary_lines(self) -> Iterator[str]:
        """Yield the lines of the summary section."""
        for result in self.session.results:
            yield from terminal.result_lines(result)
        if self.session.report_paths is not None:
            yield "reports:"
            yield from terminal.path_lines(self.session.report_paths)
        if self.problem:
            yield f"ERROR: {self.problem}"


def _switch_xdist_off(config: pytest.Config) -> bool:
    """Undo -n and --dist, as under a pool one process controls the load; return whether they were given."""
    if getattr(config.option, "dist", "no") == "no":
        return False
    config.option.numprocesses = None
    config.option.dist = "no"
    config.option.tx = []
    return True


def _show(line: terminal.LiveLine | None, moment: terminal.Progress) -> None:
    if line is not None:
        line.show(terminal.progress_line(moment))


def _scenarios(items: Sequence[pytest.Item]) -> list[Scenario]:
    found = (scenario_of(item) for item in items)
    return [scenario for scenario in found if scenario is not None]


def _how_to_collect(config: pytest.Config) -> Collection:
    ini = []
    for name in _COLLECTING_INI:
        value = config.getini(name)
        ini.append(f"{name}={' '.join(value) if isinstance(value, list) else str(value).lower()}")
    return Collection(root="", sys_path=[], ini=ini, import_mode=config.getoption("importmode"))


def _refuse_trio(item: pytest.Function) -> None:
    """Say clearly that a parameter set which asks anyio for trio cannot be honoured."""
    backend = item.funcargs.get("anyio_backend")
    name = backend[0] if isinstance(backend, tuple) else backend
    if name == "trio" and inspect.iscoroutinefunction(getattr(item, "obj", None)):
        raise TravelError(
            "load runs on asyncio, not on trio; restrict the scenario with "
            '@pytest.fixture def anyio_backend(): return "asyncio", or deselect the trio variants'
        )
