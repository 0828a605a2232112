"""The report for people: one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from pytest_metersphere.reports import figures, wording
from pytest_metersphere.reports.charts import Chart, Slot, charts_of, slots_of
from pytest_metersphere.reports.document import (
    Document,
    LabelInfo,
    NodeResult,
    PlanEntry,
    ScenarioResult,
    TimesInfo,
)
from pytest_metersphere.reports.text import visible

MAX_ROWS = 300
"""The table of a scenario's course over time has at most so many rows."""


@dataclass(frozen=True, slots=True)
class _NodeRow:
    """A node as it was planned and as it was seen; either may be missing."""

    name: str
    plan: PlanEntry | None
    result: NodeResult | None
    at_most: bool = False

    @property
    def differs(self) -> bool:
        """Return whether it carried other users than planned, or did not end as it should.

        In the open model the plan says how many users there may be `at_most`.
        """
        if self.plan is None or self.result is None or self.result.status != "ended":
            return True
        planned, carried = self.plan.users, self.result.users
        return carried > planned if self.at_most else carried != planned


@dataclass(frozen=True, slots=True)
class _Group:
    """Labels that stand together in the table."""

    title: str
    labels: list[LabelInfo]


@dataclass(frozen=True, slots=True)
class _View:
    """A scenario with what the template would have to compute."""

    number: int
    result: ScenarioResult
    findings: list[str]
    charts: list[Chart]
    slots: list[Slot]
    groups: list[_Group]
    nodes: list[_NodeRow]

    @property
    def severity(self) -> int:
        """Return its place among the verdicts, 0 for the worst."""
        return wording.severity(self.result)

    @property
    def anchor(self) -> str:
        """Return the id of its section."""
        return f"scenario-{self.number}"


def render_html(document: Document) -> str:
    """Return the report as one self-contained HTML page.

    Style and script stand in the page; its Content-Security-Policy allows these two by their
    SHA-256 and nothing else.
    """
    environment = _environment()
    style, script = (_asset(environment, name) for name in ("assets/report.css", "assets/report.js"))
    return environment.get_template("report.html.j2").render(
        document=document,
        verdict=wording.overall_verdict(document),
        sentence=wording.verdict_sentence(document),
        views=[_view(number, scenario) for number, scenario in enumerate(document.scenarios, start=1)],
        policy=Markup(_policy(style, script)),  # noqa: S704 - hashes
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_metersphere.templates", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count=figures.count,
        duration=figures.duration,
        percentage=figures.percentage,
        plain=figures.plain,
        part_of=figures.part_of,
        observed=figures.threshold_observed,
        limit=figures.threshold_limit,
    )
    environment.globals.update(
        totals_figures=figures.totals_figures,
        ledger_equation=wording.ledger_equation,
        ledger_adds_up=wording.ledger_adds_up,
        starts_equation=wording.starts_equation,
        starts_add_up=wording.starts_add_up,
        meaning=wording.verdict_meaning,
        plural=wording.plural,
        profile_sentences=wording.profile_sentences,
        percentiles=_percentiles,
    )
    return environment


def _shown(value: object) -> object:
    """Return what the template prints for a value: a dash for None, only visible characters of a text."""
    if value is None:
        return figures.DASH
    return visible(value) if type(value) is str else value


def _asset(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0].replace("\r\n", "\n")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash_source(style)}; script-src {_hash_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash_source(text: str) -> str:
    """Return the source expression for an inline element (Content Security Policy Level 3, 2.3.1)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _view(number: int, scenario: ScenarioResult) -> _View:
    return _View(
        number=number,
        result=scenario,
        findings=[*wording.findings_of(scenario), *wording.warnings_of(scenario)],
        charts=charts_of(scenario),
        slots=slots_of(scenario.series, MAX_ROWS),
        groups=_groups(scenario.labels),
        nodes=_node_rows(scenario),
    )


def _groups(labels: list[LabelInfo]) -> list[_Group]:
    groups = (
        _Group("Requests and samples", [label for label in labels if label.kind != "transaction"]),
        _Group(
            "Transactions, not part of the totals", [label for label in labels if label.kind == "transaction"]
        ),
    )
    return [group for group in groups if group.labels]


def _node_rows(scenario: ScenarioResult) -> list[_NodeRow]:
    plans = {entry.node: entry for entry in scenario.plan}
    results = {result.name: result for result in scenario.nodes}
    at_most = scenario.profile.arrivals is not None
    return [_NodeRow(name, plans.get(name), results.get(name), at_most) for name in {**plans, **results}]


def _percentiles(times: TimesInfo) -> list[float | None]:
    """Return the columns of the label table, in its order."""
    return [times.mean, times.p50, times.p90, times.p95, times.p99, times.p999, times.max]
