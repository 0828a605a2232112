"""The summary of the Action's step: the load report's, and what else did not pass."""

from __future__ import annotations

from pytest_metersphere.ci.record import Record
from pytest_metersphere.reports.document import Verdict
from pytest_metersphere.reports.markdown import mark_of, render_summary
from pytest_metersphere.reports.page import MAX_SIZE, Page, code, escape, fenced
from pytest_metersphere.reports.text import clipped
from pytest_metersphere.reports.wording import plural

_FOR_THE_REST = 64 * 1024
_SMALLEST = 32 * 1024
_MAX_MESSAGE = 4096


def step_summary(record: Record, outcome: Verdict, used: int = 0) -> str:
    """Return Markdown that fits into the summary, `used` bytes of which others have written.

    First the verdict and the findings of what was run as load, as in summary.md; then what pytest refused,
    and the tests and files that did not pass. Empty when no room is left.
    """
    room = MAX_SIZE - used
    if room < _SMALLEST:
        return ""
    rest = _rest(record, outcome, min(_FOR_THE_REST, room // 2))
    if record.document is None:
        return rest
    return render_summary(record.document, room - len(rest.encode())) + (f"\n{rest}" if rest else "")


def _rest(record: Record, outcome: Verdict, room: int) -> str:
    page = Page(room)
    if record.document is None:
        page.add(f"### {mark_of(outcome)} Load test: {outcome}", "", _sentence(record, outcome), "")
    if record.refused:
        page.add(*fenced(clipped(record.refused, _MAX_MESSAGE)), "")
    if record.problem:
        page.add(f"**{escape(record.problem)}**", "")
    judged = {each.nodeid for each in record.document.scenarios} if record.document else set()
    others = [failure for failure in record.failures if failure.nodeid not in judged]
    if others:
        page.add(f"#### {plural(len(others), 'test')} beside the load did not pass", "")
    for number, failure in enumerate(others):
        lines = fenced(clipped(failure.message, _MAX_MESSAGE))
        if not page.add(f"- {code(failure.nodeid)} ({failure.phase})", "", *lines, ""):
            page.cut(f"{len(others) - number} of {plural(len(others), 'test')} that did not pass")
            break
    return page.text() if not page.empty else ""


def _sentence(record: Record, outcome: Verdict) -> str:
    if record.refused:
        return "pytest did not begin:"
    if outcome == "aborted":
        return "The session was ended before any load had run."
    return "No load scenario was run as load. The input `pool` names the pool to run them on."
