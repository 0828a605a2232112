"""The charts of a scenario as geometry: what to draw where, in shares of the plot's area.

Across, a chart is cut into WIDTH units, down into HEIGHT; both grow to the right and downwards, as
SVG has it. The template draws them at any size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_metersphere.reports.document import ScenarioResult, SeriesPoint
from pytest_metersphere.reports.figures import duration, plain, response_limit, threshold_limit

WIDTH = 1000
HEIGHT = 1000
MAX_SLOTS = 600
"""A chart shows at most so many slots; neighbours are put together above that."""

_TIME_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600)
_DAY = 86400.0
_NOTHING = 1e-9

Point = tuple[float, float | None]
Format = Callable[[float | None], str]


@dataclass(frozen=True, slots=True)
class Slot:
    """A span of time, in seconds from go, and what happened in it.

    Put together of several slots, `users` and the percentiles are the largest of theirs.
    """

    begin: float
    end: float
    users: int
    requests: int
    failures: int
    p50: float | None
    p95: float | None
    p99: float | None

    @property
    def middle(self) -> float:
        """Return the second in the middle."""
        return (self.begin + self.end) / 2

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place in percent of the plot, and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One curve.

    Attributes:
        key: its class in the style sheet.
        name: its name in the legend.
        path: SVG path of the measured part.
        warmup_path: SVG path of the part in the warm-up.
        texts: its value in each slot.
    """

    key: str
    name: str
    path: str
    warmup_path: str
    texts: list[str]


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A threshold drawn across the chart.

    Attributes:
        key: the curve that it bounds.
        text: the threshold in words.
        at: its place in percent from the top, None when it is far above what was observed.
    """

    key: str
    text: str
    at: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        key: short name, unique among the charts of a scenario.
        title: what it shows.
        description: the same in a sentence with the largest values, for those who cannot see it.
        x_ticks, y_ticks: marks from left to right and from bottom to top.
        warmup: share of the warm-up in percent of the width, 0 without one.
        places: the middle of each slot, in units across.
        times: the begin of each slot in words.
    """

    key: str
    title: str
    description: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    limits: list[LimitLine]
    warmup: float
    places: list[float]
    times: list[str]

    @property
    def readings(self) -> list[tuple[float, str, list[str]]]:
        """Return for each slot its place, its time and the value of each line."""
        values = zip(*(line.texts for line in self.lines), strict=True)
        return [
            (x, time, list(texts)) for x, time, texts in zip(self.places, self.times, values, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Curve:
    key: str
    name: str
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class _Limit:
    key: str
    text: str
    value: float


class _Frame:
    """The time axis that all charts of a scenario share."""

    def __init__(self, slots: Sequence[Slot], warmup: float) -> None:
        self.slots = slots
        self.end = slots[-1].end
        self.warmup = min(warmup, self.end)
        self.places = [round(WIDTH * slot.middle / self.end, 1) for slot in slots]
        self.times = [duration(slot.begin) for slot in slots]

    def chart(
        self,
        key: str,
        title: str,
        curves: list[_Curve],
        shown: Format,
        limits: Sequence[_Limit] = (),
    ) -> Chart:
        """Return a chart of the curves; `shown` writes their values."""
        observed = max((value for value in _all_values(curves)), default=0.0)
        near = [limit.value for limit in limits if limit.value <= 3 * observed]
        top, y_ticks = _scale(max([observed, *near]), shown)
        return Chart(
            key=key,
            title=title,
            description=self._description(title, curves, shown),
            x_ticks=[Tick(round(100 * t / self.end, 2), duration(t)) for t in _times(self.end)],
            y_ticks=y_ticks,
            lines=[self._line(curve, top, shown) for curve in curves],
            limits=[_limit_line(limit, top) for limit in limits],
            warmup=round(100 * self.warmup / self.end, 2),
            places=self.places,
            times=self.times,
        )

    def _line(self, curve: _Curve, top: float, shown: Format) -> Line:
        points = [
            (x, None if value is None else round(HEIGHT * (1 - value / top), 1))
            for x, value in zip(self.places, curve.values, strict=True)
        ]
        edge = WIDTH * self.warmup / self.end
        first = next((i for i, (x, _) in enumerate(points) if x >= edge), len(points))
        return Line(
            curve.key,
            curve.name,
            path=svg_path(points[first:]),
            warmup_path=svg_path(points[: first + 1]) if first else "",
            texts=[shown(value) for value in curve.values],
        )

    def _description(self, title: str, curves: list[_Curve], shown: Format) -> str:
        highest = ", ".join(
            f"{curve.name} at most {shown(max(_all_values([curve]), default=None))}" for curve in curves
        )
        return f"{title} from 0 s to {duration(self.end)}: {highest}."


def charts_of(scenario: ScenarioResult) -> list[Chart]:
    """Return the charts of a scenario: response times, throughput and users; none without a series."""
    slots = slots_of(scenario.series)
    if not slots:
        return []
    frame = _Frame(slots, scenario.profile.warmup_s)
    return [
        _response_times(frame, scenario),
        frame.chart(
            "throughput",
            "Requests and failures per second",
            [
                _Curve("requests", "requests/s", [slot.requests / slot.seconds for slot in slots]),
                _Curve("failures", "failures/s", [slot.failures / slot.seconds for slot in slots]),
            ],
            plain,
        ),
        frame.chart(
            "users", "Users", [_Curve("users", "users", [float(slot.users) for slot in slots])], plain
        ),
    ]


def slots_of(series: Sequence[SeriesPoint], most: int = MAX_SLOTS) -> list[Slot]:
    """Return the slots of a series, neighbours put together so that there are at most `most`.

    A slot ends where the next one begins; the last is as long as the one before it.
    """
    ordered = sorted((point for point in series if point.t >= 0), key=lambda point: point.t)
    last = ordered[-1].t - ordered[-2].t if len(ordered) > 1 else 1.0
    ends = [*(point.t for point in ordered[1:]), ordered[-1].t + (last or 1.0)] if ordered else []
    slots = [_slot(point, end) for point, end in zip(ordered, ends, strict=True) if end > point.t]
    together = math.ceil(len(slots) / most) or 1
    return [_merged(slots[i : i + together]) for i in range(0, len(slots), together)]


def svg_path(points: Iterable[Point]) -> str:
    """Return the SVG path through the points, with a gap wherever the second coordinate is None.

    A point alone between gaps becomes a line of no length, which a round line cap shows as a dot.
    """
    pieces: list[str] = []
    for there, run in itertools.groupby(points, key=lambda point: point[1] is not None):
        if there:
            places = [f"{x:g} {y:g}" for x, y in run]
            pieces.append("M" + "L".join(places) + ("h0" if len(places) == 1 else ""))
    return "".join(pieces)


def _response_times(frame: _Frame, scenario: ScenarioResult) -> Chart:
    curves = [
        _Curve("p50", "p50", [slot.p50 for slot in frame.slots]),
        _Curve("p95", "p95", [slot.p95 for slot in frame.slots]),
        _Curve("p99", "p99", [slot.p99 for slot in frame.slots]),
    ]
    limits = [
        _Limit(metric, f"{metric} {threshold_limit(threshold)}", threshold.limit)
        for threshold in scenario.thresholds
        if (metric := response_limit(threshold)) in ("p50", "p95", "p99")
    ]
    return frame.chart("response", "Response times", curves, duration, limits)


def _slot(point: SeriesPoint, end: float) -> Slot:
    return Slot(point.t, end, point.users, point.requests, point.failures, point.p50, point.p95, point.p99)


def _merged(slots: Sequence[Slot]) -> Slot:
    return Slot(
        begin=slots[0].begin,
        end=slots[-1].end,
        users=max(slot.users for slot in slots),
        requests=sum(slot.requests for slot in slots),
        failures=sum(slot.failures for slot in slots),
        p50=max((slot.p50 for slot in slots if slot.p50 is not None), default=None),
        p95=max((slot.p95 for slot in slots if slot.p95 is not None), default=None),
        p99=max((slot.p99 for slot in slots if slot.p99 is not None), default=None),
    )


def _all_values(curves: Iterable[_Curve]) -> list[float]:
    return [value for curve in curves for value in curve.values if value is not None]


def _limit_line(limit: _Limit, top: float) -> LimitLine:
    at = round(100 * (1 - limit.value / top), 2) if limit.value <= top else None
    return LimitLine(limit.key, limit.text, at)


def _scale(highest: float, shown: Format) -> tuple[float, list[Tick]]:
    """Return the top of a value axis and its marks, 1, 2 or 5 times a power of ten apart."""
    if highest < _NOTHING:
        return 1.0, [Tick(100.0, shown(0))]
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    steps = math.ceil(highest / step * 0.999_999)
    top = step * steps
    return top, [Tick(round(100 * (1 - i / steps), 2), shown(_rounded(i * step))) for i in range(steps + 1)]


def _rounded(value: float) -> float:
    """Return the value without what adding fractions left behind it: 0.3 instead of 0.30000000000000004."""
    return float(f"{value:.12g}")


def _times(end: float) -> list[float]:
    """Return at most seven times for the marks of a time axis that ends at `end` seconds."""
    step = next((step for step in _TIME_STEPS if end / step <= 6), math.ceil(end / 6 / _DAY) * _DAY)
    return [_rounded(i * step) for i in range(math.floor(end / step * 1.000_001) + 1)]
