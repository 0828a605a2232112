"""What the terminal shows: header, plan, live progress, and the summary at the end."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from pytest_metersphere.reports.document import ErrorInfo, ScenarioResult
from pytest_metersphere.reports.figures import count, duration, totals_figures
from pytest_metersphere.reports.files import ReportPaths
from pytest_metersphere.reports.text import clipped, one_line, visible
from pytest_metersphere.reports.wording import (
    findings_of,
    ledger_doubt,
    ledger_equation,
    plural,
    starts_equation,
    warnings_of,
)
from pytest_metersphere.units import format_duration, format_percentage, format_rate

_MOST_ERRORS = 10
_EXEMPLAR_LINES = 20
PLAIN_EVERY = 10.0
"""Seconds between two plain progress lines where no line can be rewritten."""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a running load, for the live line.

    Attributes:
        second: seconds since go.
        duration: seconds from go to the end of the load curve, infinity when iterations limit it.
        users: users in the last settled second.
        rps: requests and samples in that second.
        p95: response time of that second in seconds, None without samples.
        requests: requests and samples of the measured phase so far.
        failures: failed ones among them.
        note: what else there is to know now, empty for nothing.
        dropped: scheduled iterations of the measured phase so far for which no user was free.
        news: what has just happened and is to be told once, empty for nothing.
    """

    scenario: str
    second: int
    duration: float
    users: int
    rps: int
    p95: float | None
    requests: int
    failures: int
    note: str = ""
    dropped: int = 0
    news: str = ""


def progress_line(moment: Progress) -> str:
    """Return the state of a running load in one line."""
    end = "" if math.isinf(moment.duration) else f"/{format_duration(moment.duration)}"
    failed = ""
    if moment.failures:
        failed = f", {count(moment.failures)} failed ({format_percentage(moment.failures / moment.requests)})"
    if moment.dropped:
        failed += f", {count(moment.dropped)} dropped"
    note = f"  ({moment.note})" if moment.note else ""
    return (
        f"{moment.scenario}  {format_duration(moment.second)}{end}  {plural(moment.users, 'user')}  "
        f"{count(moment.rps)}/s  p95 {duration(moment.p95)}  {plural(moment.requests, 'request')}"
        f"{failed}{note}"
    )


def news_line(moment: Progress) -> str:
    """Return what has just happened to a running load in one line."""
    return f"{moment.scenario}  {format_duration(moment.second)}  {one_line(moment.news)}"


class LiveLine:
    """Shows progress: one rewriting line on a terminal, otherwise a plain line every ten seconds."""

    def __init__(
        self, stream: TextIO, *, rewrite: bool, width: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Write to `stream`; `rewrite` says whether it is a terminal that understands a carriage return."""
        self._stream = stream
        self._rewrite = rewrite
        self._width = max(20, width - 1)
        self._clock = clock
        self._last: float | None = None
        self._shown = 0
        self._begun = False

    def show(self, text: str) -> None:
        """Show the line, or keep quiet until the next one is due."""
        if self._rewrite:
            line = text[: self._width]
            self._stream.write("\r" + line.ljust(self._shown))
            self._shown = len(line)
            self._begun = True
        elif self._last is None or self._clock() - self._last >= PLAIN_EVERY:
            self._write(text)
            self._last = self._clock()
        self._stream.flush()

    def tell(self, text: str) -> None:
        """Write at once a line that stays."""
        self.clear()
        self._write(text)
        self._stream.flush()

    def clear(self) -> None:
        """Remove the rewriting line, so that pytest goes on where it was."""
        if self._rewrite and self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0

    def _write(self, text: str) -> None:
        """Write a whole line, the first one below what pytest has begun."""
        self._stream.write(("" if self._begun else "\n") + text + "\n")
        self._begun = True


def plan_lines(
    name: str,
    nodes: Sequence[str],
    capacities: Sequence[int],
    rows: Sequence[tuple[float, int, Sequence[int]]],
    rates: Sequence[tuple[float, float, Sequence[float]]] = (),
) -> Iterator[str]:
    """Yield a table of who gets how many users, over time; rows are (second, total, shares).

    `rates` are rows of arrivals per second, which get a table of their own.
    """
    yield name
    lines = [["time", "users", *nodes], ["", "capacity", *map(str, capacities)]]
    lines += [[_moment(second), str(total), *map(str, shares)] for second, total, shares in rows]
    yield from _table(lines)
    if rates:
        lines = [["time", "rate", *nodes]]
        lines += [[_moment(at), *map(format_rate, (total, *shares))] for at, total, shares in rates]
        yield from _table(lines)


def _table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))


def result_lines(result: ScenarioResult) -> Iterator[str]:
    """Yield the verdict on a scenario and everything that speaks for or against it."""
    figures = ", ".join(f"{figure.name} {figure.text}" for figure in totals_figures(result.totals)[:8])
    yield f"{result.verdict.upper()}  {result.nodeid}: {figures}"
    times = result.response
    named = (("p50", times.p50), ("p95", times.p95), ("p99", times.p99), ("max", times.max))
    yield "  response " + ", ".join(f"{name} {duration(value)}" for name, value in named)
    if doubt := ledger_doubt(result.ledger):
        yield f"  {doubt}"
    if starts := starts_equation(result.ledger):
        yield f"  {starts}"
    for finding in [*findings_of(result), *warnings_of(result)]:
        yield f"  {one_line(finding)}"
    for threshold in result.thresholds:
        if threshold.state == "passed":
            yield f"  threshold kept: {threshold.expr}: {threshold.message}"


def table_lines(result: ScenarioResult) -> Iterator[str]:
    """Yield tables of labels and nodes, and the ledger, for pytest's report sections."""
    yield f"{'label':<40} {'requests':>9} {'failures':>9} {'p50':>9} {'p95':>9} {'p99':>9} {'max':>9}"
    for label in result.labels:
        times = label.response
        cells = " ".join(f"{duration(value):>9}" for value in (times.p50, times.p95, times.p99, times.max))
        name = clipped(one_line(label.name), 40)
        yield f"{name:<40} {count(label.requests):>9} {count(label.failures):>9} {cells}"
    for node in result.nodes:
        did = (
            f"{plural(node.users, 'user')}, {plural(node.requests, 'request')}, {count(node.failures)} failed"
        )
        yield f"node {node.name}: {did}, {node.status}"
    ledger = result.ledger
    yield (
        f"ledger: sent {ledger.sent}, received {ledger.received}, duplicates {ledger.duplicates}, "
        f"lost {ledger.lost}, repaired {ledger.repaired}, rejected {ledger.rejected}; "
        f"{ledger_equation(ledger)}"
    )
    if doubt := ledger_doubt(ledger):
        yield f"exchanges: {doubt}"
    if starts := starts_equation(ledger):
        yield f"starts: {starts}"
    for error in result.errors[:_MOST_ERRORS]:
        where = f" [{one_line(error.label)}]" if error.label else ""
        yield f"error{where} {error.kind}: {one_line(error.message)} ({plural(error.count, 'time')})"
        yield from (f"    {line}" for line in _first_exemplar(error))


def failure_text(result: ScenarioResult) -> str:
    """Return why a scenario did not pass; the first line is what pytest's short summary shows."""
    return "\n".join(findings_of(result))


def path_lines(paths: ReportPaths) -> Iterator[str]:
    """Yield where the reports are."""
    for path in (paths.html, paths.junit, paths.results, paths.summary):
        yield f"  {path}"


def _first_exemplar(error: ErrorInfo) -> list[str]:
    lines = visible(error.exemplars[0]).splitlines() if error.exemplars else []
    return lines if len(lines) <= _EXEMPLAR_LINES else [*lines[: _EXEMPLAR_LINES - 1], "…"]


def _moment(second: float) -> str:
    return "end" if math.isinf(second) else format_duration(second)
