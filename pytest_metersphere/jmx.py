"""Tests whose load is a JMeter test plan: declared, run once without a pool, and their bodies afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_metersphere.engine.jmeter.once import Once, run_once
from pytest_metersphere.engine.jmeter.process import JMeterError
from pytest_metersphere.engine.jmeter.source import files_of, with_plan
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.load_result import LoadResult
from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.metrics.series import Series
from pytest_metersphere.reports import compose
from pytest_metersphere.reports.document import Ledger, ScenarioResult, Validity
from pytest_metersphere.scenario.fixtures import declaration_of
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.thresholds.grammar import Threshold

RESULT = pytest.StashKey[LoadResult]()
_SHOWN = 10
_OF_ITERATIONS = "iteration"


def with_test_plan(scenario: Scenario, item: pytest.Function, where: str) -> Scenario:
    """Return a scenario with the load of its test plan.

    Raises:
        ConfigError: the plan, or what it reads, is not there or not understood; or the test asks for `vu`.
    """
    root = Path(item.config.rootpath)
    wrong = next((name for name in item.fixturenames if _is_load_scoped(item, name)), None)
    if wrong is not None:
        raise ConfigError(
            f"{where}the load of {item.name} is a JMeter test plan, so there is no virtual user to "
            f"have {wrong!r}; take it out, and ask for load_result to see what the load came to"
        )
    try:
        declared = with_plan(scenario, root)
        files_of(declared, root)
    except ConfigError as error:
        raise ConfigError(f"{where}load_scenario(jmx=…): {error}") from None
    item.stash[RESULT] = LoadResult()
    return declared


def _is_load_scoped(item: pytest.Function, name: str) -> bool:
    known = item._fixtureinfo.name2fixturedefs.get(name, ())  # noqa: SLF001 - pytest has no public way to them
    return name == "vu" or (bool(known) and declaration_of(known[-1].func) is not None)


def check_thresholds(thresholds: Sequence[Threshold], where: str) -> None:
    """Refuse thresholds over iterations, which JMeter does not tell (ConfigError)."""
    for threshold in thresholds:
        if _OF_ITERATIONS in threshold.metric:
            raise ConfigError(
                f"{where}threshold({threshold.expr!r}): JMeter does not tell iterations; use requests or "
                "error_rate"
            )


def run_functionally(item: pytest.Function, scenario: Scenario) -> None:
    """Run the test plan once, then the test's body; a failed sample fails the test."""
    __tracebackhide__ = True
    try:
        once = run_once(scenario, Path(item.config.rootpath))
    except JMeterError as error:
        detail = f"\n{error.detail}" if error.detail else ""
        pytest.fail(f"{error}{detail}", pytrace=False)
    except ConfigError as error:
        pytest.fail(str(error), pytrace=False)
    if once.tally.failures:
        pytest.fail(_failures(scenario, once.tally), pytrace=False)
    run_body(item, _result(scenario, once))


def run_body(item: pytest.Function, result: ScenarioResult) -> None:
    """Run the test's own function, with what the load came to."""
    item.stash[RESULT].fill(result)
    type(item).runtest(item)


def _failures(scenario: Scenario, tally: Tally) -> str:
    assert scenario.jmx is not None
    lines = [f"{tally.failures} of {tally.requests} samples of {scenario.jmx.path} failed:"]
    for error in tally.errors[:_SHOWN]:
        lines.append(f"  {error.label}: {error.message} ({error.count} times)")
        lines += [f"    {line}" for line in (error.exemplars[:1] or [""])[0].splitlines()[1:]]
    return "\n".join(lines)


def _result(scenario: Scenario, once: Once) -> ScenarioResult:
    response, service = compose.overall_times(once.tally)
    exchanges = once.tally.exchanges
    return ScenarioResult(
        nodeid=scenario.nodeid,
        name=scenario.name,
        file=scenario.path,
        line=scenario.line,
        run_id="",
        started_at="",
        verdict="passed",
        findings=[],
        profile=compose.profile_info(scenario),
        plan=[],
        totals=compose.totals_info(once.tally, once.duration, once.tally.users),
        response=response,
        service=service,
        labels=compose.label_infos(once.tally, once.duration, Series()),
        series=[],
        nodes=[],
        ledger=Ledger(
            sent=0,
            received=0,
            duplicates=0,
            lost=0,
            repaired=0,
            rejected=0,
            exchanges=exchanges,
            counted=exchanges,
            warmup=0,
            interrupted=0,
        ),
        validity=Validity(valid=True, reasons=[]),
        thresholds=[],
        errors=compose.error_infos(once.tally, Tally()),
    )
