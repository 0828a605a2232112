"""The controller: between pytest's items and the load session, under a pool."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_metersphere import jmx, terminal
from pytest_metersphere.dist.plan import PlanRow, RateRow
from pytest_metersphere.engine.failures import group_of
from pytest_metersphere.engine.messages import Collection, Part
from pytest_metersphere.errors import ConfigError, MeterSphereError, PreflightError, TravelError
from pytest_metersphere.groups import Group, groups_of, stand_together
from pytest_metersphere.planning import Planned, timetable_of_all
from pytest_metersphere.reports.document import ScenarioResult, Verdict
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.selection import check_addresses, part_of, scenario_of
from pytest_metersphere.session import LoadSession
from pytest_metersphere.settings import Settings

GROUP = pytest.StashKey[Group]()
"""The group of an item that runs together with others."""
VERDICT = pytest.StashKey[Verdict]()
"""The verdict on a scenario's item, once it was run as load."""
_COLLECTING_INI = ("python_files", "python_classes", "python_functions", "consider_namespace_packages")
_NO_TROUBLE = (KeyboardInterrupt, pytest.exit.Exception, pytest.skip.Exception, pytest.xfail.Exception)
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

    def take_over(self, items: list[pytest.Item]) -> None:
        """Let the scenarios among the items run as load, those of a group together.

        Groups that cannot are a collection error, and leave the list.
        """
        groups = groups_of(items)
        stand_together(items, groups)
        for group in groups:
            for member in group.members:
                member.stash[GROUP] = group
            if mistakes := list(group.mistakes()):
                self._refuse(mistakes)
                items[:] = [item for item in items if item not in group.members]
        for item in items:
            scenario = scenario_of(item)
            if scenario is not None and isinstance(item, pytest.Function):
                item.runtest = functools.partial(self._run_item, item)  # type: ignore[method-assign]
                self._give_time(item, scenario)

    def _refuse(self, mistakes: Sequence[tuple[pytest.Item, str]]) -> None:
        """Report mistakes as pytest reports those that it finds while it collects, by file."""
        by_file: dict[str, list[str]] = {}
        for item, text in mistakes:
            by_file.setdefault(item.nodeid.split("::", 1)[0], []).append(text)
        for nodeid, texts in by_file.items():
            report = pytest.CollectReport(nodeid, "failed", "\n".join(dict.fromkeys(texts)), [])
            self._config.hook.pytest_collectreport(report=report)

    def _give_time(self, item: pytest.Function, scenario: Scenario) -> None:
        """Keep pytest-timeout's default limit from ending a load that takes as long as it should."""
        loaded = any(map(self._config.pluginmanager.hasplugin, _TIMEOUT_PLUGIN))
        if not loaded or item.get_closest_marker("timeout"):
            return
        with contextlib.suppress(ConfigError):
            group = item.stash.get(GROUP, None)
            found = map(scenario_of, group.members) if group else [scenario]
            profiles = [self.session.effective(each).profile for each in found if each is not None]
            limit = max(profile.duration + profile.graceful_stop for profile in profiles) + _MARGIN
            item.add_marker(pytest.mark.timeout(0 if math.isinf(limit) else limit))

    def prepare(self, items: Sequence[pytest.Item]) -> None:
        """Check and plan before the first test.

        Raises:
            ConfigError, PreflightError: nothing will run; the text says what to do.
        """
        runs = _runs(items)
        if not runs and self.session.settings.preflight != "always":
            return
        files = sorted({item.path for item in items if scenario_of(item) is not None})
        self.session.bundle(files, [scenario for run in runs for scenario in run])
        self.session.prepare(runs)
        self._prepared = True

    def plan_lines(self, items: Sequence[pytest.Item]) -> Iterator[str]:
        """Yield who gets how many users over time, for every scenario among the items."""
        runs = _runs(items)
        if not runs:
            yield "no load scenario is selected, so there is nothing to plan"
        for scenarios in runs:
            planned = self.session.declared_plan(scenarios)
            if len(planned) > 1:
                yield from _table(f"group {scenarios[0].group}", planned[0], timetable_of_all(planned))
            for each in planned:
                yield from _table(each.scenario.nodeid, each, each.timetable(), each.rates())
                yield from filter(None, [each.rows_note()])

    @contextlib.contextmanager
    def setting_up(self, item: pytest.Item) -> Iterator[None]:
        """Note that pytest has come to an item, and what kept it from being set up, for its group."""
        group = item.stash.get(GROUP, None)
        if group is not None:
            group.reach(item)
        try:
            yield
        except _NO_TROUBLE:
            raise
        except BaseException as error:
            if group is not None:
                group.fail(_not_set_up(item, error))
            raise

    def check_values(self, item: pytest.Item) -> None:
        """Refuse a set-up scenario whose values cannot travel to the nodes: an error of its setup."""
        scenario = scenario_of(item)
        if scenario is None or not self._prepared or not isinstance(item, pytest.Function):
            return
        if scenario.jmx is not None:
            return
        try:
            self._part(item, item.funcargs)
            self.session.check_rows([scenario])
        except (TravelError, ConfigError) as error:
            item.stash[VERDICT] = "error"
            pytest.fail(str(error), pytrace=False)

    def _part(self, item: pytest.Function, arguments: Mapping[str, Any]) -> Part:
        """Return what of an item travels with these arguments (TravelError when one of them cannot)."""
        scenario = scenario_of(item)
        assert scenario is not None
        _refuse_trio(item, arguments)
        part = part_of(item, scenario, arguments)
        check_addresses(item, arguments, self.session.remote_nodes)
        return part

    def _run_item(self, item: pytest.Function) -> None:
        group = item.stash.get(GROUP, None)
        try:
            result = self._run_group(group, item) if group else self._run_alone(item)
        except (PreflightError, ConfigError, TravelError) as error:
            item.stash[VERDICT] = "error"
            pytest.fail(str(error), pytrace=False)
        self._report(item, result)
        scenario = scenario_of(item)
        if scenario is not None and scenario.jmx is not None:
            self._run_body(item, result)

    def _run_body(self, item: pytest.Function, result: ScenarioResult) -> None:
        """Run the body of a test whose load has passed; if it fails, so has the scenario."""
        try:
            jmx.run_body(item, result)
        except (Exception, pytest.fail.Exception) as error:
            item.stash[VERDICT] = result.verdict = "failed"
            result.findings.append(f"the test's body failed: {group_of(error)}")
            raise

    def _run_alone(self, item: pytest.Function) -> ScenarioResult:
        (result,) = self._run([self._part(item, item.funcargs)])
        return result

    def _run(self, parts: Sequence[Part]) -> list[ScenarioResult]:
        with self._live_line() as line:
            return self.session.run(parts, functools.partial(_show, line))

    def _run_group(self, group: Group, item: pytest.Function) -> ScenarioResult:
        """Return the result of one member; the first that comes here lets all of them run.

        Raises:
            PreflightError: the group did not start; says why.
        """
        if not group.ran and not group.trouble:
            try:
                parts = [self._part(item, item.funcargs), *self._parts_of_others(group)]
                self.session.check_rows([part.scenario for part in parts])
                group.results = {result.nodeid: result for result in self._run(parts)}
            except MeterSphereError as error:
                group.fail(str(error))
        group.ran = True
        if item.nodeid not in group.results:
            why = group.trouble or f"{item.name} was not there when it did"
            raise PreflightError(f"the group {group.name!r} did not start: {why}")
        return group.results[item.nodeid]

    def _parts_of_others(self, group: Group) -> Iterator[Part]:
        """Yield what travels of the members to which pytest has yet to come, without those that skip."""
        for member in group.others():
            try:
                yield self._part(member, group.values_of(member))
            except pytest.skip.Exception:
                continue
            except (KeyboardInterrupt, pytest.exit.Exception):
                raise
            except BaseException as error:
                raise TravelError(_not_set_up(member, error)) from error

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
    if line is None:
        return
    if moment.news:
        line.tell(terminal.news_line(moment))
    line.show(terminal.progress_line(moment))


def _runs(items: Sequence[pytest.Item]) -> list[list[Scenario]]:
    """Return the scenarios among the items, those of a group that run together in one list."""
    runs: list[list[Scenario]] = []
    there = {item: scenario for item in items if (scenario := scenario_of(item)) is not None}
    groups: set[Group] = set()
    for item, scenario in there.items():
        group = item.stash.get(GROUP, None)
        if group is None:
            runs.append([scenario])
        elif group not in groups:
            groups.add(group)
            runs.append([there[member] for member in group.others() if member in there])
    return [run for run in runs if run]


def _table(
    name: str, planned: Planned, rows: Sequence[PlanRow], rates: Sequence[RateRow] = ()
) -> Iterator[str]:
    cells = [(row.second, row.total, row.shares) for row in rows]
    of_rates = [(row.second, row.total, row.shares) for row in rates]
    return terminal.plan_lines(name, planned.nodes, planned.capacities, cells, of_rates)


def _not_set_up(item: pytest.Item, error: BaseException) -> str:
    """Return in one line why a member of a group could not be set up."""
    ours = isinstance(error, MeterSphereError | pytest.fail.Exception)
    kind = "" if ours else f"{type(error).__name__}: "
    lines = str(error).strip().splitlines() or [""]
    return f"{item.name} could not be set up: {kind}{lines[0]}"


def _how_to_collect(config: pytest.Config) -> Collection:
    ini = []
    for name in _COLLECTING_INI:
        value = config.getini(name)
        ini.append(f"{name}={' '.join(value) if isinstance(value, list) else str(value).lower()}")
    return Collection(root="", sys_path=[], ini=ini, import_mode=config.getoption("importmode"))


def _refuse_trio(item: pytest.Function, arguments: Mapping[str, Any]) -> None:
    """Say clearly that a parameter set which asks anyio for trio cannot be honoured."""
    backend = arguments.get("anyio_backend")
    name = backend[0] if isinstance(backend, tuple) else backend
    if name == "trio" and inspect.iscoroutinefunction(getattr(item, "obj", None)):
        raise TravelError(
            "load runs on asyncio, not on trio; restrict the scenario with "
            '@pytest.fixture def anyio_backend(): return "asyncio", or deselect the trio variants'
        )
