"""The pytest hooks, and nothing else: each hands over to the room whose job it is.

PYTEST_DONT_REWRITE: see the package.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_metersphere.errors import ConfigError, MeterSphereError
from pytest_metersphere.options import add_options, resolve
from pytest_metersphere.settings import Settings

if TYPE_CHECKING:
    from pytest_metersphere.controller import Controller
    from pytest_metersphere.load_result import LoadResult
    from pytest_metersphere.scenario.fixtures import TheUser

SETTINGS = pytest.StashKey[Settings]()
CONTROLLER: pytest.StashKey[Controller] = pytest.StashKey()
_INFORMING = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks and resolve the settings; under a pool, before xdist looks at its options."""
    config.addinivalue_line(
        "markers",
        "load_scenario(users=10, ramp='0s', hold='30s', stages=[('30s', 500), ...], iterations, "
        "shared_iterations, warmup, think='1s-3s', pacing='2s', graceful_stop='30s', data='users.csv', "
        "data_end='cycle', group='peak'), at a rate load_scenario(rate='200/s', max_users, "
        "arrivals='poisson', stages=[('30s', '200/s'), ...]), or by JMeter load_scenario(jmx='plan.jmx', "
        "properties, hosts): run the test as load under --ms-pool, and once without",
    )
    config.addinivalue_line(
        "markers",
        "threshold(text): a condition that the load must keep, such as 'p95 < 1s' or 'GET /cart: avg < 1s'",
    )
    if any(config.getoption(name, False) for name in _INFORMING):
        return
    with _as_usage_errors():
        config.stash[SETTINGS] = settings = resolve(config, os.environ)
        _check_thresholds(settings)
        if settings.pool_text is not None and not hasattr(config, "workerinput"):
            from pytest_metersphere.controller import Controller

            config.stash[CONTROLLER] = Controller(config, settings)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the pool."""
    controller = _controller(config)
    return controller.header() if controller else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Read the marks of new items; mistakes in them are a collection error."""
    report = yield
    mistakes = dict.fromkeys(filter(None, map(_mistake, report.result or ())))
    if mistakes:
        report.outcome, report.longrepr, report.result = "failed", "\n".join(mistakes), []
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let scenarios run as load under a pool, and once, with a real `vu`, without one."""
    from pytest_metersphere.selection import run_functionally, scenario_of

    for item in items:
        if scenario_of(item) is None and (mistake := _mistake(item)):
            if not hasattr(config, "workerinput"):
                raise pytest.UsageError(mistake)
            # xdist has no way to tell a worker's usage error
            item.runtest = functools.partial(pytest.fail, mistake, pytrace=False)  # type: ignore[method-assign]
    controller = _controller(config)
    if controller is not None:
        controller.take_over(items)
    else:
        run_functionally(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Check the nodes and plan before the first test; with --ms-plan, print the plan instead."""
    controller = _controller(session.config)
    if controller is None or _runs_nothing(session):
        return None
    with _as_usage_errors():
        if controller.session.settings.plan:
            _write(session.config, controller.plan_lines(session.items))
            return True
        controller.prepare(session.items)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """See that the values of a scenario's fixtures can travel."""
    controller = _controller(item.config)
    if controller is None:
        return (yield)
    with controller.setting_up(item):
        yield
        controller.check_values(item)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async scenario in functional mode, unless an async plugin has claimed it."""
    __tracebackhide__ = True
    from pytest_metersphere.selection import call_functionally

    return call_functionally(pyfuncitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a scenario's verdict on its report."""
    report = yield
    if report.failed and _controller(item.config) is not None:
        from pytest_metersphere.controller import VERDICT

        report.ms_verdict = item.stash.get(VERDICT, None)  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Call a scenario whose numbers cannot be believed an error, not a failure."""
    verdict = getattr(report, "ms_verdict", None)
    if report.when == "call" and verdict in ("invalid", "error", "aborted"):
        return "error", "E", (verdict.upper(), {"red": True})
    return None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show verdicts and report paths."""
    controller = _controller(config)
    lines = list(controller.summary_lines()) if controller else []
    if lines:
        terminalreporter.ensure_newline()
        terminalreporter.section("metersphere")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports, partial ones too, and end the nodes."""
    controller = _controller(session.config)
    if controller is not None:
        controller.finish(session)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the nodes, should the session not have come to its end."""
    controller = _controller(config)
    if controller is not None:
        controller.session.close()


@pytest.fixture
def vu(request: pytest.FixtureRequest) -> TheUser:
    """The virtual user of a load scenario."""
    from pytest_metersphere.scenario.fixtures import THE_USER
    from pytest_metersphere.selection import scenario_of

    if scenario_of(request.node) is None:
        pytest.fail(
            f"{request.node.nodeid}: the fixture vu belongs to load scenarios; mark the test with "
            "@pytest.mark.load_scenario(users=10)",
            pytrace=False,
        )
    return THE_USER


@pytest.fixture
def load_result(request: pytest.FixtureRequest) -> LoadResult:
    """What the load of a JMeter test plan came to, for the body of the test."""
    from pytest_metersphere.jmx import RESULT

    result: LoadResult | None = request.node.stash.get(RESULT, None)
    if result is None:
        pytest.fail(
            f"{request.node.nodeid}: the fixture load_result belongs to tests of JMeter test plans; "
            'mark the test with @pytest.mark.load_scenario(jmx="plans/shop.jmx")',
            pytrace=False,
        )
    return result


def _controller(config: pytest.Config) -> Controller | None:
    return config.stash.get(CONTROLLER, None)


@contextlib.contextmanager
def _as_usage_errors() -> Iterator[None]:
    try:
        yield
    except MeterSphereError as error:
        raise pytest.UsageError(str(error)) from None


def _check_thresholds(settings: Settings) -> None:
    if settings.thresholds:
        from pytest_metersphere.thresholds.grammar import check

        check(settings.thresholds, settings.threshold_sources)


def _mistake(node: pytest.Item | pytest.Collector) -> str | None:
    """Read an item's marks; return what is wrong with them, None when all is well."""
    if not isinstance(node, pytest.Item):
        return None
    if node.get_closest_marker("load_scenario") is None and node.get_closest_marker("threshold") is None:
        return None
    from pytest_metersphere.selection import declare

    try:
        declare(node, under_load=_controller(node.config) is not None)
    except ConfigError as mistake:
        return str(mistake)
    return None


def _runs_nothing(session: pytest.Session) -> bool:
    option = session.config.option
    broken = session.testsfailed and not option.continue_on_collection_errors
    return bool(option.collectonly or option.setuponly or option.setupplan or broken)


def _write(config: pytest.Config, lines: Iterator[str]) -> None:
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    for line in lines:
        if reporter is None:
            sys.stdout.write(f"{line}\n")
        else:
            reporter.write_line(line)
