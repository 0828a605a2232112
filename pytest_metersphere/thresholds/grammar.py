"""The grammar of thresholds: `[label: ] metric op value`, always the condition to pass.

Everything is read from the right, because a label may hold spaces, colons, slashes and braces: the
last operator parts the value from the rest, and the last colon before it the metric from the label.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

import msgspec

from pytest_metersphere.errors import ConfigError, did_you_mean
from pytest_metersphere.units import parse_duration, parse_percentage, parse_rate

Unit = Literal["duration", "fraction", "rate", "count"]
Times = Literal["response", "service"]
Operator = Literal["<", "<=", ">", ">=", "==", "!="]

_ORDERING: Final[dict[str, Operator]] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_OPERATORS: Final[dict[str, Operator]] = {**_ORDERING, "==": "==", "!=": "!="}
_LOOKALIKES = {"=": "==", "=<": "<=", "=>": ">=", "<>": "!=", "===": "==", "!": "!="}
_UNITS: Final[dict[str, Unit]] = {
    "avg": "duration",
    "min": "duration",
    "max": "duration",
    "error_rate": "fraction",
    "iteration_error_rate": "fraction",
    "rps": "rate",
    "requests": "count",
    "iterations": "count",
    "failed_iterations": "count",
    "dropped_rate": "fraction",
    "dropped_iterations": "count",
}
_WITHOUT_LABEL = frozenset(
    {"iteration_error_rate", "iterations", "failed_iterations", "dropped_rate", "dropped_iterations"}
)
_KNOWN = ("p50", "p90", "p95", "p99", "p99.9", *_UNITS)
_SYNONYMS = {
    "average": "avg",
    "mean": "avg",
    "median": "p50",
    "errors": "error_rate",
    "failures": "error_rate",
    "qps": "rps",
    "tps": "rps",
    "throughput": "rps",
}
_OPERATOR_RUN = re.compile(r"[<>=!]+")
_METRIC = re.compile(r"(?P<name>[^()]*?)\s*(?:\(\s*(?P<times>[^()]*?)\s*\))?")
_PERCENTILE = re.compile(r"p([0-9]+(?:\.[0-9]+)?)")
_TRAILING_WORDS = re.compile(r"(.*?\S)\s+(?!(?:us|µs|ms|min|s|m|h)\b)[^\W\d]\w+.*")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_MAX_QUOTED = 60
DESCRIPTIONS: Final = {
    "p95": "Percentile of the times: p50, p99.9 or any other from above p0 to p100",
    "avg": "Mean of the times",
    "min": "Shortest time",
    "max": "Longest time",
    "error_rate": "Failed requests and samples, as a share of all",
    "iteration_error_rate": "Failed iterations, as a share of all",
    "rps": "Requests and samples per second",
    "requests": "Number of requests and samples",
    "iterations": "Number of iterations that ended",
    "failed_iterations": "Number of iterations that failed",
    "dropped_iterations": "Scheduled starts of the open model for which no user was free",
    "dropped_rate": "Those, as a share of all scheduled starts",
}
"""What each metric is, for docs/options.md; p95 stands for all percentiles."""


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that the observed numbers of a scenario must fulfil.

    Attributes:
        expr: the text as written, without white space around it.
        label: pattern of the labels it is over, None for all requests and samples.
        metric: name of the metric as written, without the times in brackets.
        percentile: which percentile the metric is, in percent; None for other metrics.
        times: which of a sample's two durations counts; response for metrics without durations.
        op: the comparison that the observed value must pass.
        limit: what the observed value is compared with: seconds, a fraction (1% is 0.01), events
            per second, or a whole number, by `unit`.
        unit: what kind of number `limit` is.
    """

    expr: str
    label: str | None
    metric: str
    percentile: float | None
    times: Times
    op: Operator
    limit: float
    unit: Unit

    @property
    def title(self) -> str:
        """Return the metric as messages name it: "p95", or "p95(service)" for service times."""
        return f"{self.metric}(service)" if self.times == "service" else self.metric

    @property
    def over_everything(self) -> bool:
        """Return whether it is over all requests and samples: without a label, or with a bare `*`."""
        return self.label in (None, "*")

    @property
    def is_upper_bound(self) -> bool:
        """Return whether it says how much there may be at most."""
        return self.op in ("<", "<=", "==")


class _Piece(NamedTuple):
    """A part of a threshold's text, and where it stands there."""

    text: str
    start: int
    end: int


class _Metric(NamedTuple):
    """A metric as it was understood."""

    name: str
    percentile: float | None
    times: Times
    unit: Unit

    @property
    def example(self) -> str:
        if self.name == "failed_iterations":
            return "failed_iterations <= 5"
        if self.name == "dropped_iterations":
            return "dropped_iterations == 0"
        by_unit = {"duration": "< 300ms", "fraction": "< 1%", "rate": "> 200/s", "count": ">= 1000"}
        return f"{self.name} {by_unit[self.unit]}"


def parse(text: str) -> Threshold:
    """Return the threshold that a text such as "login: p95 < 300ms" or "error_rate < 1%" says.

    Percentiles from above p0 to p100, `avg`, `min` and `max` need a duration with its unit and are
    over response times unless `(service)` follows; `error_rate`, `iteration_error_rate` and `dropped_rate`
    need a percentage, `rps` a rate (a bare number is per second), and `requests`, `iterations`,
    `failed_iterations` and `dropped_iterations` a whole number, which `==` and `!=` may compare, too.

    Raises:
        ConfigError: the text is not a threshold; its message holds the reason, the text with the
            piece marked, and a correct example.
    """
    expr = text.strip()
    _check_printable(expr)
    subject, operator, value = _split_at_operator(expr)
    label, metric_piece = _split_at_colon(expr, subject, operator)
    metric = _metric(expr, metric_piece)
    if label and metric.name in _WITHOUT_LABEL:
        reason = f"{metric.name} counts whole iterations, which have no label; leave the label away"
        raise _wrong(expr, label, reason, metric.example)
    return Threshold(
        expr=expr,
        label=label.text if label else None,
        metric=metric.name,
        percentile=metric.percentile,
        times=metric.times,
        op=_operator(expr, operator, metric),
        limit=_limit(expr, value, metric),
        unit=metric.unit,
    )


def check(texts: Iterable[str], sources: Iterable[str]) -> None:
    """See that texts are thresholds; `sources` says where each was written.

    Raises:
        ConfigError: one is none; the message of `parse`, behind its source.
    """
    for text, source in zip(texts, sources, strict=True):
        try:
            parse(text)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None


def _check_printable(expr: str) -> None:
    if not expr:
        raise _wrong(expr, _Piece("", 0, 0), "the text is empty")
    for place, char in enumerate(expr):
        if not char.isprintable():
            reason = f"the character U+{ord(char):04X} is not allowed, a threshold is one line of plain text"
            raise _wrong(expr, _Piece(char, place, place + 1), reason)


def _split_at_operator(expr: str) -> tuple[_Piece, _Piece, _Piece]:
    """Return what stands before the last operator, the operator, and what stands after it."""
    runs = list(_OPERATOR_RUN.finditer(expr))
    # No value holds a colon, so a stray "=" before one belongs to a label: "GET /?a=1: p95".
    if not runs or (runs[-1].group() not in _OPERATORS and ":" in expr[runs[-1].end() :]):
        end = _Piece("", len(expr), len(expr))
        raise _wrong(expr, end, f"the comparison is missing, one of {' '.join(_OPERATORS)} and a value")
    start, end_ = runs[-1].span()
    return _piece(expr, 0, start), _piece(expr, start, end_), _piece(expr, end_, len(expr))


def _split_at_colon(expr: str, subject: _Piece, operator: _Piece) -> tuple[_Piece | None, _Piece]:
    """Return the label, None without one, and the metric."""
    colon = expr.rfind(":", 0, subject.end)
    metric = _piece(expr, colon + 1, subject.end)
    if not metric.text:
        raise _wrong(expr, operator, f"the metric before {operator.text!r} is missing")
    if colon < 0:
        return None, metric
    label = _piece(expr, 0, colon)
    if not label.text:
        raise _wrong(expr, _Piece(":", colon, colon + 1), "the label before the colon is empty")
    return label, metric


def _metric(expr: str, piece: _Piece) -> _Metric:
    if _OPERATOR_RUN.search(piece.text):
        raise _wrong(expr, piece, "a threshold is one comparison, write two thresholds")
    found = _METRIC.fullmatch(piece.text)
    name = found["name"] if found else piece.text
    percentile = _percentile(expr, piece, name)
    unit: Unit | None = _UNITS.get(name) if percentile is None else "duration"
    if unit is None:
        raise _wrong(expr, piece, _unknown_metric(piece.text, name))
    times = _times(expr, piece, found["times"] if found else None, unit)
    return _Metric(name, percentile, times, unit)


def _percentile(expr: str, piece: _Piece, name: str) -> float | None:
    found = _PERCENTILE.fullmatch(name)
    if found is None:
        return None
    percentile = float(found[1])
    if 0 < percentile <= 100:
        return percentile
    digits = found[1]
    hint = f"; did you mean 'p{digits[:2]}.{digits[2:]}'?" if digits.isdigit() and len(digits) > 2 else ""
    raise _wrong(expr, piece, f"a percentile is above p0 and at most p100{hint}")


def _unknown_metric(text: str, name: str) -> str:
    label, _, last = text.rpartition(" ")
    if label and (last in _UNITS or _PERCENTILE.fullmatch(last)):
        return f"a colon must part the label from the metric: {_quoted(f'{label.strip()}: {last}')}"
    near = did_you_mean(_SYNONYMS.get(name.lower(), text.lower()), _KNOWN)
    known = "percentiles such as p95, " + ", ".join(_UNITS)
    return f"unknown metric {_quoted(text)}{near or f', there are {known}'}"


def _times(expr: str, piece: _Piece, times: str | None, unit: Unit) -> Times:
    if times is None:
        return "response"
    if unit != "duration":
        raise _wrong(expr, piece, "only durations have response and service times; leave the brackets away")
    if times == "response":
        return "response"
    if times == "service":
        return "service"
    near = did_you_mean(times.lower(), ("response", "service"))
    raise _wrong(expr, piece, f"times are response or service{near}", "p95(service) < 300ms")


def _operator(expr: str, piece: _Piece, metric: _Metric) -> Operator:
    allowed = _OPERATORS if metric.unit == "count" else _ORDERING
    if piece.text in allowed:
        return allowed[piece.text]
    if piece.text in _OPERATORS:
        reason = f"{piece.text} compares whole numbers only; use one of {' '.join(allowed)}"
    else:
        near = _LOOKALIKES.get(piece.text)
        hint = f"; did you mean {near!r}?" if near in allowed else ""
        reason = f"{_quoted(piece.text)} is not an operator, use one of {' '.join(allowed)}{hint}"
    raise _wrong(expr, piece, reason, metric.example)


def _limit(expr: str, piece: _Piece, metric: _Metric) -> float:
    if not piece.text:
        raise _wrong(expr, _Piece("", len(expr), len(expr)), "the value is missing", metric.example)
    try:
        limit = _number(piece.text, metric.unit)
    except ConfigError as error:
        raise _wrong_value(expr, piece, str(error), metric) from None
    # 15 digits take away what dividing by 100 or adding minutes and seconds left behind.
    return float(f"{limit:.15g}")


def _number(text: str, unit: Unit) -> float:
    if unit == "duration":
        number = _duration(text)
    elif unit == "fraction":
        number = parse_percentage(text)
        if number > 1:
            raise ConfigError(f"{_quoted(text)} is above 100%")
    elif unit == "rate":
        number = float(text) if _NUMBER.fullmatch(text) else parse_rate(text)
    else:
        number = _count(text)
    if not math.isfinite(number):
        raise ConfigError(f"{_quoted(text)} is too large")
    return number


def _duration(text: str) -> float:
    if _NUMBER.fullmatch(text) and float(text) > 0:
        raise ConfigError(f"{_quoted(text)} has no unit, add one: {text[:_MAX_QUOTED]}ms")
    return parse_duration(text)


def _count(text: str) -> float:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{_quoted(text)} is not a whole number, write for example 1000")
    return float(text)


def _wrong_value(expr: str, piece: _Piece, reason: str, metric: _Metric) -> ConfigError:
    found = _TRAILING_WORDS.fullmatch(piece.text)
    if found:
        words = _piece(expr, piece.start + found.end(1), piece.end)
        try:
            _number(found[1], metric.unit)
        except ConfigError:
            pass
        else:
            reason = f"{_quoted(words.text)} after the value is not understood"
            return _wrong(expr, words, reason, metric.example)
    return _wrong(expr, piece, reason, metric.example)


def _piece(expr: str, start: int, end: int) -> _Piece:
    """Return the part from start to end, without white space around it."""
    text = expr[start:end]
    start += len(text) - len(text.lstrip())
    return _Piece(text.strip(), start, start + len(text.strip()))


def _wrong(expr: str, piece: _Piece, reason: str, example: str = "p95 < 300ms") -> ConfigError:
    shown = "".join(char if char.isprintable() else " " for char in expr)
    marks = "^" * max(1, _width(shown[piece.start : piece.end]))
    caret = f"{' ' * _width(shown[: piece.start])}{marks}"
    return ConfigError(f"bad threshold: {reason}\n  {shown}\n  {caret}\nA correct example: {example}")


def _width(text: str) -> int:
    """Return how many columns a terminal gives the text."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 1]}…")
