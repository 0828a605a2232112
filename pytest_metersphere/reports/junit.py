"""junit.xml: a suite for each scenario, a case for each threshold, and two that are always there."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import junit_xml

from pytest_metersphere.reports.document import Document, ScenarioResult, SessionInfo, ThresholdInfo
from pytest_metersphere.reports.figures import (
    count,
    percentage,
    threshold_limit,
    threshold_observed,
    totals_figures,
)
from pytest_metersphere.reports.text import one_line, visible
from pytest_metersphere.reports.wording import (
    findings_of,
    ledger_equation,
    plural,
    starts_equation,
    warnings_of,
)

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


class _Seconds(float):
    """Seconds that junit-xml writes even when they are 0; it leaves out what is false."""

    def __bool__(self) -> bool:
        return True


def render_junit(document: Document) -> str:
    """Return the document as JUnit XML, with an XML declaration that says UTF-8.

    Whatever the document holds, the text is well-formed: characters that XML cannot hold stand in
    it as escapes. A verdict other than `passed` always shows as a failure or an error.
    """
    suites = [_suite(document, scenario) for scenario in document.scenarios]
    return _DECLARATION + junit_xml.to_xml_report_string(suites, prettyprint=False, encoding="utf-8") + "\n"


def _suite(document: Document, scenario: ScenarioResult) -> junit_xml.TestSuite:
    cases = [
        _completed_case(scenario),
        _iterations_case(scenario),
        *(_threshold_case(scenario, threshold) for threshold in scenario.thresholds),
    ]
    if scenario.verdict == "failed" and not any(case.is_failure() or case.is_error() for case in cases):
        _fail(cases[0], "failed", findings_of(scenario), scenario)
    return junit_xml.TestSuite(
        visible(scenario.name),
        cases,
        hostname=visible(document.session.host),
        package=_module(scenario),
        timestamp=visible(scenario.started_at),
        properties=_properties(document, scenario),
    )


def _completed_case(scenario: ScenarioResult) -> junit_xml.TestCase:
    case = _case(scenario, "completed", _figures_text(scenario), scenario.totals.duration_s)
    if scenario.verdict not in ("passed", "failed"):
        _error(case, scenario.verdict, findings_of(scenario), scenario)
    return case


def _iterations_case(scenario: ScenarioResult) -> junit_xml.TestCase:
    totals = scenario.totals
    text = (
        f"{count(totals.failed_iterations)} of {plural(totals.iterations, 'iteration')} failed "
        f"({percentage(totals.iteration_error_rate)})"
    )
    check = "no failed iterations"
    if not totals.failed_iterations:
        return _case(scenario, check)
    if scenario.iterations_excused or scenario.verdict == "passed":
        return _case(scenario, check, f"{text}; a threshold says how many may")
    case = _case(scenario, check)
    _fail(case, "iterations", [text, *_error_lines(scenario)], scenario)
    return case


def _threshold_case(scenario: ScenarioResult, threshold: ThresholdInfo) -> junit_xml.TestCase:
    lines = [
        one_line(threshold.message) or one_line(threshold.expr),
        f"observed: {threshold_observed(threshold)}",
        f"limit: {threshold_limit(threshold)}",
        f"threshold: {one_line(threshold.expr)}",
    ]
    if threshold.state == "passed":
        return _case(scenario, threshold.expr, "\n".join(lines))
    case = _case(scenario, threshold.expr)
    if threshold.state == "failed":
        _fail(case, "threshold", lines, scenario)
    else:
        _error(case, "threshold", lines, scenario)
    return case


def _case(
    scenario: ScenarioResult, check: str, stdout: str | None = None, seconds: float = 0
) -> junit_xml.TestCase:
    return junit_xml.TestCase(
        f"{one_line(scenario.name)} :: {one_line(check)}",
        classname=_classname(scenario),
        elapsed_sec=_Seconds(seconds),
        stdout=stdout,
        file=visible(scenario.file),
        line=scenario.line,
    )


def _fail(case: junit_xml.TestCase, kind: str, lines: list[str], scenario: ScenarioResult) -> None:
    message, body = _message_and_body(lines, scenario)
    case.add_failure_info(message, body, kind)


def _error(case: junit_xml.TestCase, kind: str, lines: list[str], scenario: ScenarioResult) -> None:
    message, body = _message_and_body(lines, scenario)
    case.add_error_info(message, body, kind)


def _message_and_body(lines: list[str], scenario: ScenarioResult) -> tuple[str, str]:
    """Return the message, and the body that begins with it and ends with all findings."""
    message = one_line(lines[0]) or scenario.verdict
    findings = [line for line in findings_of(scenario) if line not in lines]
    heading = ["", f"Why the verdict is {scenario.verdict}:"] if findings else []
    return message, "\n".join([message, *map(visible, [*lines[1:], *heading, *findings])])


def _error_lines(scenario: ScenarioResult) -> list[str]:
    return [
        f"{count(error.count)} x {error.kind}: {one_line(f'{error.label} {error.message}')}"
        for error in scenario.errors
        if not error.kind.startswith("skipped")
    ]


def _figures_text(scenario: ScenarioResult) -> str:
    lines = [f"{figure.name}: {figure.text}" for figure in totals_figures(scenario.totals)]
    warnings = [one_line(warning) for warning in warnings_of(scenario)]
    equations = [ledger_equation(scenario.ledger), *filter(None, [starts_equation(scenario.ledger)])]
    return "\n".join([*lines, *equations, *warnings])


def _properties(document: Document, scenario: ScenarioResult) -> dict[str, str]:
    session = document.session
    named = {
        "run_id": scenario.run_id,
        **({"group": scenario.group} if scenario.group else {}),
        "verdict": scenario.verdict,
        "pool": session.pool,
        "nodes": " ".join(entry.node for entry in scenario.plan),
        "users": str(scenario.profile.users),
        "results": _results_way(session),
        "git_sha": session.git_sha or "",
        "python": session.python,
        document.tool.name: document.tool.version,
    }
    return {visible(name): visible(value) for name, value in named.items()}


def _results_way(session: SessionInfo) -> str:
    return f"kafka {session.kafka}" if session.kafka else "http"


def _module(scenario: ScenarioResult) -> str:
    path = PurePosixPath(visible(scenario.file).replace("\\", "/"))
    return ".".join(path.with_suffix("").parts if path.name else ())


def _classname(scenario: ScenarioResult) -> str:
    """Return the dotted path of the test's module and of the classes in it, as pytest's own report does."""
    before_parameters = re.split(r"\[", visible(scenario.nodeid), maxsplit=1)[0]
    return ".".join([_module(scenario) or "scenarios", *before_parameters.split("::")[1:-1]])
