"""Annotations of what did not pass, at the tests' places, the worst first, and few enough for GitHub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_metersphere.ci.github import Annotation, Level
from pytest_metersphere.ci.record import Failure, Record
from pytest_metersphere.reports.document import ScenarioResult, Verdict
from pytest_metersphere.reports.text import clipped, visible
from pytest_metersphere.reports.wording import WORST_FIRST, findings_of, plural, severity

MAX_A_LEVEL = 10
"""GitHub shows no more of one level from one step."""
_MAX_MESSAGE = 4096
_MAX_TITLE = 200


def annotations_of(record: Record, place: Callable[[Path], str], *, tolerated: bool) -> list[Annotation]:
    """Return what to show beside the code.

    Args:
        record: of the session.
        place: makes a path one that GitHub understands.
        tolerated: the step passes all the same, so these are warnings.
    """
    level: Level = "warning" if tolerated else "error"
    scenarios = record.document.scenarios if record.document else []
    found = [(severity(each), _of_scenario(each, record, place, level)) for each in scenarios if _bad(each)]
    judged = {each.nodeid for each in scenarios if _bad(each)}
    found += [
        (_rank(failure), _of_failure(failure, record, place, level))
        for failure in record.failures
        if not (failure.nodeid in judged and failure.phase == "call")
    ]
    main = [annotation for _, annotation in sorted(found, key=lambda pair: pair[0])]
    if record.refused:
        main.insert(0, Annotation(level=level, title="pytest did not begin", message=_text(record.refused)))
    if record.problem:
        main.append(Annotation(level=level, title="Load reports", message=_text(record.problem)))
    warnings = list(_warnings(scenarios, record, place))
    if tolerated:
        return _capped([*main, *warnings])
    return [*_capped(main), *_capped(warnings)]


def _of_scenario(
    scenario: ScenarioResult, record: Record, place: Callable[[Path], str], level: Level
) -> Annotation:
    return Annotation(
        level=level,
        title=clipped(f"{scenario.name}: {scenario.verdict}", _MAX_TITLE),
        message=_text("\n".join(findings_of(scenario))),
        file=_file(scenario.file, record, place),
        line=scenario.line,
    )


def _of_failure(failure: Failure, record: Record, place: Callable[[Path], str], level: Level) -> Annotation:
    name = failure.nodeid.rpartition("::")[2]
    what = failure.verdict or ("failed" if failure.phase == "call" else f"error in {failure.phase}")
    return Annotation(
        level=level,
        title=clipped(f"{name}: {what}", _MAX_TITLE),
        message=_text(failure.message),
        file=_file(failure.file, record, place),
        line=failure.line,
    )


def _warnings(
    scenarios: Sequence[ScenarioResult], record: Record, place: Callable[[Path], str]
) -> Iterator[Annotation]:
    for scenario in scenarios:
        for warning in scenario.warnings:
            yield Annotation(
                level="warning",
                title=clipped(scenario.name, _MAX_TITLE),
                message=_text(warning),
                file=_file(scenario.file, record, place),
                line=scenario.line,
            )


def _capped(annotations: Sequence[Annotation]) -> list[Annotation]:
    if len(annotations) <= MAX_A_LEVEL:
        return list(annotations)
    kept = list(annotations[: MAX_A_LEVEL - 1])
    left = plural(len(annotations) - len(kept), "message")
    more = Annotation(level=kept[0].level, title="More", message=f"{left} more: see the step's summary")
    return [*kept, more]


def _file(file: str, record: Record, place: Callable[[Path], str]) -> str:
    return place((record.rootdir or Path()) / file)


def _text(message: str) -> str:
    return clipped(visible(message).strip(), _MAX_MESSAGE)


def _bad(scenario: ScenarioResult) -> bool:
    return scenario.verdict != "passed"


def _rank(failure: Failure) -> int:
    verdict: Verdict = failure.verdict or ("failed" if failure.phase == "call" else "error")
    return WORST_FIRST.index(verdict)
