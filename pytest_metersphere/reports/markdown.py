"""summary.md: the verdict in GitHub's Markdown, for a step summary or a comment."""

from __future__ import annotations

from pytest_metersphere.reports.document import (
    Document,
    ErrorInfo,
    LabelInfo,
    ScenarioResult,
    TimesInfo,
    TotalsInfo,
    Verdict,
)
from pytest_metersphere.reports.figures import (
    DASH,
    count,
    duration,
    part_of,
    percentage,
    plain,
    threshold_limit,
    threshold_observed,
    totals_figures,
)
from pytest_metersphere.reports.page import MAX_SIZE, Page, code, escape, row, table_head
from pytest_metersphere.reports.text import clipped
from pytest_metersphere.reports.wording import (
    findings_of,
    ledger_doubt,
    ledger_equation,
    overall_verdict,
    profile_sentences,
    severity,
    starts_equation,
    verdict_meaning,
    verdict_sentence,
    warnings_of,
)

_MAX_TEXT = 8192
_MAX_CELL = 400
_MAX_CUT = 60
_MARKS: dict[Verdict | None, str] = {
    "passed": "✅",
    "failed": "❌",
    "invalid": "⚠️",
    "aborted": "⏹️",
    "error": "❗",
    None: "❔",
}

_LABEL_HEAD = ("label", "time", "requests", "failures", "error rate", "requests/s")
_NODE_HEAD = (
    *("node", "capacity", "planned users", "users seen", "requests", "failures"),
    *("CPU cores", "loop lag p99, worst second", "start lag p99, worst second", "start lag p99, overall"),
    *("descriptors", "status"),
)
_TIMES_HEAD = ("mean", "p50", "p90", "p95", "p99", "p99.9", "max")


def mark_of(verdict: Verdict | None) -> str:
    """Return the sign that stands for a verdict."""
    return _MARKS[verdict]


def render_summary(document: Document, max_size: int = MAX_SIZE) -> str:
    """Return the document as GitHub Markdown of less than so many bytes.

    It begins with the overall verdict and the findings of each scenario, the worst first; tables are
    folded. Text from labels and messages is escaped and can neither format nor mention anybody.
    """
    page = Page(max_size)
    verdict = overall_verdict(document)
    page.add(f"### {_MARKS[verdict]} Load test {verdict or 'without a verdict'}", "")
    page.add(_sentence(document), "")
    scenarios = sorted(document.scenarios, key=severity)
    for scenario in scenarios:
        _add_verdict(page, scenario)
    for scenario in scenarios:
        _add_details(page, scenario)
    return page.text()


def _sentence(document: Document) -> str:
    session = document.session
    parts = [verdict_sentence(document), f"pool {code(session.pool)}"]
    if session.git_sha:
        parts.append(f"commit {code(session.git_sha[:12])}")
    parts.append(f"started {code(session.started_at)}")
    return " · ".join(parts)


def _add_verdict(page: Page, scenario: ScenarioResult) -> None:
    heading = f"#### {_MARKS[scenario.verdict]} {_name(scenario)}: {scenario.verdict}"
    findings = [f"- {escape(clipped(finding, _MAX_TEXT))}" for finding in findings_of(scenario)]
    if not findings:
        findings = [_capital(verdict_meaning(scenario.verdict)), *([""] if scenario.warnings else [])]
    warnings = [f"- {escape(clipped(warning, _MAX_TEXT))}" for warning in warnings_of(scenario)]
    if not page.add(heading, "", *findings, *warnings, ""):
        page.cut(f"verdict and findings of {_name(scenario, _MAX_CUT)}")
    elif not page.add(*_key_figures(scenario), ""):
        page.cut(f"key figures of {_name(scenario, _MAX_CUT)}")


def _key_figures(scenario: ScenarioResult) -> list[str]:
    totals = scenario.totals
    head = ("users", "requests", "failures", "error rate", "requests/s", "p50", "p95", "p99")
    response = scenario.response
    times = (duration(response.p50), duration(response.p95), duration(response.p99))
    return [*table_head(head), row([count(totals.users_max), *_request_cells(totals), *times])]


def _request_cells(counts: TotalsInfo | LabelInfo) -> list[str]:
    return [
        count(counts.requests),
        count(counts.failures),
        percentage(counts.error_rate),
        plain(counts.rps),
    ]


def _add_details(page: Page, scenario: ScenarioResult) -> None:
    where = _name(scenario, _MAX_CUT)
    if not page.add(f"#### Details of {_name(scenario)}", ""):
        page.cut(f"details of {where}")
        return
    page.fold("Thresholds", where, *_thresholds(scenario))
    page.fold("Totals", where, *_totals(scenario))
    page.fold("Labels", where, *_labels(scenario))
    page.fold("Errors", where, *_errors(scenario))
    page.fold("Nodes", where, *_nodes(scenario))
    page.fold("Ledger and validity", where, *_ledger(scenario))
    page.fold(
        "Load asked for",
        where,
        [],
        [f"- {line}" for line in profile_sentences(scenario.profile, escape(scenario.group))],
    )


def _thresholds(scenario: ScenarioResult) -> tuple[list[str], list[str]]:
    head = table_head(("threshold", "state", "observed", "limit", "finding"), texts=(0, 1, 4))
    rows = [
        row(
            [
                code(clipped(threshold.expr, _MAX_CELL)),
                f"{_MARKS[threshold.state]} {threshold.state}",
                threshold_observed(threshold),
                escape(threshold_limit(threshold)),
                escape(clipped(threshold.message, _MAX_CELL)),
            ]
        )
        for threshold in scenario.thresholds
    ]
    return head, rows


def _totals(scenario: ScenarioResult) -> tuple[list[str], list[str]]:
    return table_head(("", "total")), [
        row([figure.name, figure.text]) for figure in totals_figures(scenario.totals)
    ]


def _labels(scenario: ScenarioResult) -> tuple[list[str], list[str]]:
    head = table_head((*_LABEL_HEAD, *_TIMES_HEAD), texts=(0, 1))
    counted = [label for label in scenario.labels if label.kind != "transaction"]
    transactions = [label for label in scenario.labels if label.kind == "transaction"]
    rows = [row for label in counted for row in _label_rows(label)]
    if counted:
        rows += _rows_of("**all requests and samples**", scenario.totals, scenario.response, scenario.service)
    return head, rows + [row for label in transactions for row in _label_rows(label)]


def _label_rows(label: LabelInfo) -> list[str]:
    kind = "" if label.kind == "request" else f" ({label.kind})"
    return _rows_of(code(clipped(label.name, _MAX_CELL)) + kind, label, label.response, label.service)


def _rows_of(name: str, counts: TotalsInfo | LabelInfo, response: TimesInfo, service: TimesInfo) -> list[str]:
    blank = ["", "", "", ""]
    return [
        row([name, "response", *_request_cells(counts), *_times_cells(response)]),
        row(["", "service", *blank, *_times_cells(service)]),
    ]


def _times_cells(times: TimesInfo) -> list[str]:
    values = (times.mean, times.p50, times.p90, times.p95, times.p99, times.p999, times.max)
    return [duration(value) for value in values]


def _errors(scenario: ScenarioResult) -> tuple[list[str], list[str]]:
    head = table_head(("count", "kind", "label", "message"), texts=(1, 2, 3))
    return head, [_error_row(error) for error in scenario.errors]


def _error_row(error: ErrorInfo) -> str:
    label = code(clipped(error.label, _MAX_CELL)) if error.label else DASH
    return row([count(error.count), escape(error.kind), label, escape(clipped(error.message, _MAX_CELL))])


def _nodes(scenario: ScenarioResult) -> tuple[list[str], list[str]]:
    planned = {entry.node: entry for entry in scenario.plan}
    seen = {result.name: result for result in scenario.nodes}
    rows: list[str] = []
    for name in {**planned, **seen}:
        plan, result = planned.get(name), seen.get(name)
        cells = [code(name), count(plan.capacity if plan else None), count(plan.users if plan else None)]
        if result is None:
            rows.append(row([*cells, *[DASH] * (len(_NODE_HEAD) - 4), "nothing heard"]))
            continue
        numbers = [count(result.users), count(result.requests), count(result.failures)]
        lags = map(duration, (result.loop_lag_p99, result.start_lag_p99, result.start_lag_p99_overall))
        descriptors = part_of(result.descriptors, result.descriptor_limit)
        rows.append(row([*cells, *numbers, plain(result.cpu), *lags, descriptors, escape(result.status)]))
    return table_head(_NODE_HEAD, texts=(0, len(_NODE_HEAD) - 1)), rows


def _ledger(scenario: ScenarioResult) -> tuple[list[str], list[str]]:
    ledger = scenario.ledger
    names = ("sent", "received", "duplicates", "lost", "repaired", "rejected")
    numbers = [getattr(ledger, name) for name in names]
    rows = ["Frames of results, from the nodes to this report:", "", *table_head(names)]
    rows += [row([count(number) for number in numbers]), "", ledger_equation(ledger), ""]
    if doubt := ledger_doubt(ledger):
        rows += [f"{doubt}.", ""]
    if starts := starts_equation(ledger):
        rows += [starts, ""]
    if scenario.validity.valid:
        return [], [*rows, "The numbers are valid."]
    reasons = [f"- {escape(clipped(reason, _MAX_TEXT))}" for reason in scenario.validity.reasons]
    return [], [*rows, "The numbers are not valid:", "", *reasons]


def _name(scenario: ScenarioResult, length: int = _MAX_CELL) -> str:
    return code(clipped(scenario.name, length))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
