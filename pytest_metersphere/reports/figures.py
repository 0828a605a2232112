"""Numbers as every report writes them; what was not measured is a dash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.reports.document import ThresholdInfo, TotalsInfo
from pytest_metersphere.thresholds.grammar import Threshold, Unit, parse
from pytest_metersphere.thresholds.judge import spell_apart
from pytest_metersphere.units import format_duration, format_percentage, format_size

DASH = "\N{EN DASH}"
"""Stands for a value that is not there."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A named number, ready to be shown."""

    name: str
    text: str


def duration(seconds: float | None) -> str:
    """Return seconds as "12.3 ms", None as a dash."""
    return DASH if seconds is None else format_duration(seconds)


def count(number: int | None) -> str:
    """Return a whole number with thousands separated, None as a dash."""
    return DASH if number is None else f"{number:,}"


def percentage(fraction: float | None) -> str:
    """Return a fraction as "1.5%", None as a dash."""
    return DASH if fraction is None else format_percentage(fraction)


def rate(per_second: float | None) -> str:
    """Return events per second as "12.3/s", None as a dash."""
    return DASH if per_second is None else f"{plain(per_second)}/s"


def size(number: float | None) -> str:
    """Return bytes as "1.5 KiB", None as a dash."""
    return DASH if number is None else format_size(number)


def plain(number: float | None) -> str:
    """Return a number without unit and with three digits at least, None as a dash."""
    if number is None:
        return DASH
    if number == int(number) or abs(number) >= 99.95:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 9.995 else f"{number:.3g}"


def part_of(number: int | None, whole: int | None) -> str:
    """Return "120 of 20,000", the number alone without a whole, None as a dash."""
    return f"{count(number)} of {count(whole)}" if number is not None and whole else count(number)


def totals_figures(totals: TotalsInfo) -> tuple[Figure, ...]:
    """Return the totals of a scenario in the words and the order of every report."""
    return (
        Figure("users", count(totals.users_max)),
        Figure("requests", count(totals.requests)),
        Figure("failures", count(totals.failures)),
        Figure("error rate", percentage(totals.error_rate)),
        Figure("requests/s", plain(totals.rps)),
        Figure("iterations", count(totals.iterations)),
        Figure("failed iterations", count(totals.failed_iterations)),
        Figure("iteration error rate", percentage(totals.iteration_error_rate)),
        Figure("skipped iterations", count(totals.skipped_iterations)),
        Figure("dropped iterations", count(totals.dropped_iterations)),
        Figure("duration", duration(totals.duration_s)),
        Figure("sent", size(totals.bytes_sent)),
        Figure("received", size(totals.bytes_received)),
    )


def threshold_observed(threshold: ThresholdInfo) -> str:
    """Return what a threshold observed, in the unit of its metric, told apart from the limit."""
    parsed = _parsed(threshold)
    if parsed is None or threshold.observed is None:
        return _in_unit(parsed, threshold.observed)
    return spell_apart(threshold.observed, threshold.limit, parsed.unit)[0]


def threshold_limit(threshold: ThresholdInfo) -> str:
    """Return a threshold's comparison and limit, "< 300 ms"."""
    parsed = _parsed(threshold)
    if parsed is None or threshold.observed is None:
        limit = _in_unit(parsed, threshold.limit)
    else:
        limit = spell_apart(threshold.observed, threshold.limit, parsed.unit)[1]
    return f"{parsed.op} {limit}" if parsed else limit


def response_limit(threshold: ThresholdInfo) -> str | None:
    """Return the percentile that the threshold bounds from above, "p95"; None for other thresholds.

    Only response times over all requests and samples count.
    """
    parsed = _parsed(threshold)
    if parsed is None or parsed.percentile is None or parsed.times != "response":
        return None
    return parsed.metric if parsed.over_everything and parsed.is_upper_bound else None


def _parsed(threshold: ThresholdInfo) -> Threshold | None:
    """Return what the expression says; None for one that a later version of the grammar wrote."""
    try:
        return parse(threshold.expr)
    except ConfigError:
        return None


def _in_unit(parsed: Threshold | None, value: float | None) -> str:
    formats: dict[Unit, Callable[[float | None], str]] = {
        "duration": duration,
        "fraction": percentage,
        "rate": rate,
        "count": plain,
    }
    return formats[parsed.unit](value) if parsed else plain(value)
