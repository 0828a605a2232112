"""The judge: what the observed numbers mean for each threshold, and for the whole scenario."""

from __future__ import annotations

import fnmatch
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from pytest_metersphere.errors import did_you_mean
from pytest_metersphere.metrics.frame import MAX_LABELS, ErrorTally, LabelTally, Tally
from pytest_metersphere.metrics.histogram import Histogram
from pytest_metersphere.thresholds.grammar import Operator, Threshold, Unit
from pytest_metersphere.units import format_duration, format_percentage

State = Literal["passed", "failed", "error"]
Verdict = Literal["passed", "failed", "error", "invalid", "aborted"]

FEWER_LABELS: Final = 'give requests of one kind one name, vu.http.get(url, label="search")'
_COMPARE: Final[dict[Operator, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FLOAT_NOISE = 1e-12
_MAX_DECIMALS = 15
_MAX_LABELS_LISTED = 10
_MAX_MESSAGES_LISTED = 3
_MAX_TEXT = 160
_OF_THE_ITERATION = ("assert", "failed")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one threshold.

    Attributes:
        expr: the threshold as written.
        label: its label pattern, None when it is over all requests and samples.
        observed: what was found, in the unit of `limit`, unrounded; None in state error.
        limit: what it was compared with: seconds, a fraction, events per second or a count.
        state: passed, failed (broken), or error (there was nothing to judge by).
        message: the finding in words, "p95 412 ms, limit < 300 ms" or "p95: no data, …".
    """

    expr: str
    label: str | None
    observed: float | None
    limit: float
    state: State
    message: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one scenario, with everything that speaks against it.

    Attributes:
        verdict: the gravest of the findings, `passed` without any.
        findings: one sentence for every reason, in the order of the verdicts aborted, invalid,
            error, failed; a graver one hides none of the others.
        outcomes: one for each threshold, in the order given.
        failed_iterations_excused: there were failed iterations, and thresholds say how many of
            all these there may be.
    """

    verdict: Verdict
    findings: list[str]
    outcomes: list[Outcome]
    failed_iterations_excused: bool


class _NoData(Exception):
    """There is nothing to compare with the limit."""


def judge(threshold: Threshold, tally: Tally, duration: float) -> Outcome:
    """Return what the numbers of the measured phase mean for one threshold.

    Without a label, or with a bare `*`, a threshold is over requests and samples, never
    transactions. An exact label goes before a pattern, in which only `*` and `?` are special; a
    pattern is over transactions only when it matches no request and no sample.

    Args:
        threshold: the condition.
        tally: everything measured, all nodes merged.
        duration: measured seconds, for rates.
    """
    try:
        observed = _observed(threshold, tally, duration)
    except _NoData as reason:
        return _outcome(threshold, None, "error", f"{threshold.title}: {reason}")
    state: State = "passed" if _holds(observed, threshold.op, threshold.limit) else "failed"
    shown, limit = spell_apart(observed, threshold.limit, threshold.unit)
    return _outcome(threshold, observed, state, f"{threshold.title} {shown}, limit {threshold.op} {limit}")


def decide(
    thresholds: Sequence[Threshold],
    tally: Tally,
    duration: float,
    *,
    invalid: Sequence[str] = (),
    aborted: str = "",
    overflow: bool = False,
    samples_fail: bool = False,
) -> Judgement:
    """Return the verdict on a scenario: aborted, invalid, error, failed, or else passed.

    A failed iteration fails the scenario unless a threshold that is an upper bound says how many
    may: `iteration_error_rate` or `failed_iterations` for all of them, an unlabelled `error_rate`
    for those that ended by a failed sample.

    Args:
        thresholds: the scenario's conditions.
        tally: everything measured, all nodes merged.
        duration: measured seconds.
        invalid: why the numbers can't be believed, one sentence each.
        aborted: why the run did not come to its end, empty when it did.
        overflow: there were more labels than are kept apart, so no threshold with one can be judged.
        samples_fail: a failed sample fails the scenario as a failed iteration does, as where JMeter ran
            the load, which does not tell iterations; an unlabelled `error_rate` says how many may.
    """
    outcomes = [
        _incomplete(threshold) if overflow and _has_label(threshold) else judge(threshold, tally, duration)
        for threshold in thresholds
    ]
    failed_iterations = _failed_iterations(thresholds, tally)
    if samples_fail:
        failed_iterations = _failed_samples(thresholds, tally)
    reasons: dict[Verdict, list[str]] = {
        "aborted": [f"aborted: {aborted}"] if aborted else [],
        "invalid": [f"invalid: {reason}" for reason in invalid],
        "error": _nothing_done(tally) + _in_state(outcomes, "error", "threshold not judged"),
        "failed": _in_state(outcomes, "failed", "threshold broken") + failed_iterations,
    }
    return Judgement(
        verdict=next((verdict for verdict, found in reasons.items() if found), "passed"),
        findings=[finding for found in reasons.values() for finding in found],
        outcomes=outcomes,
        failed_iterations_excused=bool(tally.failed_iterations) and not failed_iterations,
    )


def spell_apart(observed: float, limit: float, unit: Unit) -> tuple[str, str]:
    """Return an observed value and its limit in words that differ when the numbers do.

    Args:
        observed: what was observed, in the base unit of `unit`.
        limit: what it is compared with, in the same unit.
        unit: the unit of the threshold.
    """
    texts = _spell(observed, unit), _spell(limit, unit)
    if texts[0] != texts[1] or math.isclose(observed, limit, rel_tol=_FLOAT_NOISE):
        return texts
    factor, suffix = _scale(limit, unit)
    for decimals in range(1, _MAX_DECIMALS + 1):
        exact = _decimal(observed * factor, decimals), _decimal(limit * factor, decimals)
        if exact[0] != exact[1]:
            return f"{exact[0]}{suffix}", f"{exact[1]}{suffix}"
    return texts


def _has_label(threshold: Threshold) -> bool:
    return threshold.label is not None and not threshold.over_everything


def _incomplete(threshold: Threshold) -> Outcome:
    why = f"more than {MAX_LABELS} labels came, so the numbers of a single one may lack some of its samples"
    return _outcome(threshold, None, "error", f"{threshold.title}: {why}; {FEWER_LABELS}")


def _outcome(threshold: Threshold, observed: float | None, state: State, message: str) -> Outcome:
    return Outcome(
        expr=threshold.expr,
        label=threshold.label,
        observed=observed,
        limit=threshold.limit,
        state=state,
        message=message,
    )


def _observed(threshold: Threshold, tally: Tally, duration: float) -> float:
    if _is_blank(tally):
        raise _NoData("no data, the scenario recorded no sample and no iteration")
    of_iterations = _OF_ITERATIONS.get(threshold.metric)
    if of_iterations is not None:
        return of_iterations(tally)
    chosen = _chosen(threshold, tally.labels)
    if threshold.unit == "duration":
        return _time(threshold, chosen)
    requests = sum(entry.requests for entry in chosen)
    if threshold.metric == "error_rate":
        return _share(sum(entry.failures for entry in chosen), requests, "no request or sample was recorded")
    if threshold.metric == "rps":
        return _share(requests, duration, "the measured time is zero")
    return requests


def _iteration_error_rate(tally: Tally) -> float:
    if tally.iterations and tally.skipped_iterations >= tally.iterations:
        raise _NoData(f"no data, all {tally.iterations} iterations were skipped")
    return _share(tally.failed_iterations, tally.iterations, "no iteration ended")


def _dropped_rate(tally: Tally) -> float:
    why_none = "no iteration was scheduled: only a scenario with a rate schedules them"
    return _share(tally.dropped_iterations, tally.scheduled_iterations, why_none)


_OF_ITERATIONS: Final[dict[str, Callable[[Tally], float]]] = {
    "iterations": lambda tally: tally.iterations,
    "failed_iterations": lambda tally: tally.failed_iterations,
    "iteration_error_rate": _iteration_error_rate,
    "dropped_iterations": lambda tally: tally.dropped_iterations,
    "dropped_rate": _dropped_rate,
}


def _share(part: int, whole: float, why_none: str) -> float:
    if whole <= 0:
        raise _NoData(f"no data, {why_none}")
    return part / whole


def _time(threshold: Threshold, chosen: Iterable[LabelTally]) -> float:
    times = Histogram()
    for entry in chosen:
        times.merge(entry.response if threshold.times == "response" else entry.service)
    if not times.count:
        raise _NoData(f"no data, no request or sample has a {threshold.times} time")
    if threshold.percentile is not None:
        return times.percentile(threshold.percentile)
    return {"avg": times.mean, "min": times.min, "max": times.max}[threshold.metric]


def _chosen(threshold: Threshold, labels: Mapping[str, LabelTally]) -> list[LabelTally]:
    """Return the tallies of the labels that the threshold is over."""
    seen = {name: entry for name, entry in labels.items() if entry.requests}
    if threshold.label is None or threshold.over_everything:
        return [entry for entry in seen.values() if entry.kind != "transaction"]
    if threshold.label in seen:
        return [seen[threshold.label]]
    # In fnmatch's patterns a set of one bracket stands for the bracket itself.
    pattern = threshold.label.replace("[", "[[]")
    matching = [entry for name, entry in seen.items() if fnmatch.fnmatchcase(name, pattern)]
    if not matching:
        raise _NoData(_unseen(threshold.label, sorted(seen)))
    return [entry for entry in matching if entry.kind != "transaction"] or matching


def _unseen(pattern: str, seen: Sequence[str]) -> str:
    if not seen:
        return f"no data, label {_quoted(pattern)} never came, nor did any other"
    listed = ", ".join(_quoted(name) for name in seen[:_MAX_LABELS_LISTED])
    more = f" and {len(seen) - _MAX_LABELS_LISTED} more" if len(seen) > _MAX_LABELS_LISTED else ""
    near = did_you_mean(pattern, seen)
    return f"no data, label {_quoted(pattern)} never came; labels seen: {listed}{more}{near}"


def _holds(observed: float, op: Operator, limit: float) -> bool:
    """Compare; numbers that only floating point tells apart are equal."""
    if math.isclose(observed, limit, rel_tol=_FLOAT_NOISE):
        return op in ("<=", ">=", "==")
    return _COMPARE[op](observed, limit)


def _is_blank(tally: Tally) -> bool:
    return not tally.iterations and not any(entry.requests for entry in tally.labels.values())


def _nothing_done(tally: Tally) -> list[str]:
    if _is_blank(tally):
        return ["nothing was recorded: no sample was taken and no iteration ended"]
    if tally.iterations and tally.skipped_iterations >= tally.iterations and not tally.requests:
        what = f"all {tally.iterations} iterations were" if tally.iterations > 1 else "the only iteration was"
        skips = [error for error in tally.errors if error.kind == "skipped"]
        return [f"{what} skipped by pytest.skip and no sample was taken{_most_frequent(skips)}"]
    if not tally.requests:
        advice = 'send requests with vu.http, or time what is done with "with vu.sample(label):"'
        return [f"no samples: {tally.iterations} iterations timed nothing; {advice}"]
    return []


def _in_state(outcomes: Iterable[Outcome], state: State, words: str) -> list[str]:
    return [f"{words}: {outcome.expr}: {outcome.message}" for outcome in outcomes if outcome.state == state]


def _failed_iterations(thresholds: Sequence[Threshold], tally: Tally) -> list[str]:
    """Return the finding about failed iterations that no threshold speaks of, if there are any."""
    bounds = [threshold for threshold in thresholds if threshold.is_upper_bound]
    if any(bound.metric in ("iteration_error_rate", "failed_iterations") for bound in bounds):
        return []
    by_sample_excused = any(bound.metric == "error_rate" and bound.over_everything for bound in bounds)
    excused = tally.failed_by_sample if by_sample_excused else 0
    if tally.failed_iterations <= excused:
        return []
    failures = [error for error in tally.errors if error.kind != "skipped"]
    why = "failed and no threshold allows any"
    if by_sample_excused:
        failures = [error for error in failures if not error.label or error.kind in _OF_THE_ITERATION]
        why = "failed by an assertion or another exception, which error_rate does not cover"
    count = f"{tally.failed_iterations - excused} of {tally.iterations} iterations"
    return [f'{count} {why} (add for example "iteration_error_rate < 1%"){_most_frequent(failures)}']


def _failed_samples(thresholds: Sequence[Threshold], tally: Tally) -> list[str]:
    """Return the finding about failed samples that no threshold speaks of, if there are any."""
    bounds = [threshold for threshold in thresholds if threshold.is_upper_bound]
    if not tally.failures or any(bound.metric == "error_rate" and bound.over_everything for bound in bounds):
        return []
    count = f"{tally.failures} of {tally.requests} samples failed and no threshold allows any"
    return [f'{count} (add for example "error_rate < 1%"){_most_frequent(tally.errors)}']


def _most_frequent(errors: Iterable[ErrorTally]) -> str:
    ranked = sorted(errors, key=lambda error: (-error.count, error.label, error.message))
    if not ranked:
        return ""
    listed = "; ".join(_named(error) for error in ranked[:_MAX_MESSAGES_LISTED])
    more = f"; and {len(ranked) - _MAX_MESSAGES_LISTED} more" if len(ranked) > _MAX_MESSAGES_LISTED else ""
    return f", most often: {listed}{more}"


def _named(error: ErrorTally) -> str:
    where = f" in {_quoted(error.label)}" if error.label else ""
    return f"{error.count} x {_cut(error.message)}{where}"


def _spell(value: float, unit: Unit) -> str:
    if unit == "duration":
        return format_duration(value)
    if unit == "fraction":
        return format_percentage(value)
    if unit == "rate":
        return f"{value:.0f}/s" if value >= 100 else f"{value:.3g}/s"
    return f"{value:.0f}"


def _scale(limit: float, unit: Unit) -> tuple[float, str]:
    if unit == "fraction":
        return 100, "%"
    if unit == "rate":
        return 1, "/s"
    if unit == "count" or limit >= 1:
        return 1, " s" if unit == "duration" else ""
    return (1e3, " ms") if limit >= 1e-3 else (1e6, " us")


def _decimal(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return f'"{_cut(text)}"'


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 1]}…"
