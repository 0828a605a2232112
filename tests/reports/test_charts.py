"""Charts are computed here and only drawn by the page: places, marks, gaps and limits."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.reports.charts import MAX_SLOTS, Chart, charts_of, slots_of, svg_path
from pytest_metersphere.reports.document import ScenarioResult, SeriesPoint, ThresholdInfo
from tests.reports.documents import sample_scenario


def _point(
    t: float, *, users: int = 1, requests: int = 10, failures: int = 0, p95: float | None = 0.1
) -> SeriesPoint:
    return SeriesPoint(t=t, users=users, requests=requests, failures=failures, p50=p95, p95=p95, p99=p95)


def _scenario(*points: SeriesPoint, warmup: float = 0.0) -> ScenarioResult:
    scenario = sample_scenario()
    scenario.series, scenario.thresholds, scenario.profile.warmup_s = list(points), [], warmup
    return scenario


def _response(scenario: ScenarioResult) -> Chart:
    return charts_of(scenario)[0]


def _threshold(expr: str, limit: float) -> ThresholdInfo:
    return ThresholdInfo(expr=expr, label=None, observed=0.1, limit=limit, state="passed", message="")


def test_three_charts_share_one_time_axis() -> None:
    """Response times, throughput and users have the same marks across."""
    charts = charts_of(sample_scenario(seconds=30))

    assert [chart.key for chart in charts] == ["response", "throughput", "users"]
    assert {tuple(tick.text for tick in chart.x_ticks) for chart in charts} == {
        ("0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s")
    }


def test_without_samples_there_is_no_chart() -> None:
    """A scenario without a course has nothing to draw."""
    assert charts_of(_scenario()) == []


def test_marks_of_values_are_round_and_carry_units() -> None:
    """The axis of times ends at or above the largest value and counts in 1, 2 or 5 times a power of ten."""
    chart = _response(_scenario(_point(0, p95=0.1), _point(1, p95=0.412)))

    assert [tick.text for tick in chart.y_ticks] == ["0 s", "200 ms", "400 ms", "600 ms"]
    assert [tick.at for tick in chart.y_ticks] == [100, 66.67, 33.33, 0]


@pytest.mark.parametrize(
    ("seconds", "last"), [(3, "3 s"), (60, "1m00s"), (90, "1m30s"), (3600, "1h00m"), (400_000, "96h00m")]
)
def test_marks_of_time_are_few_for_any_length(seconds: int, last: str) -> None:
    """From seconds to days there are at most seven marks of time, and they carry units."""
    points = [_point(t * seconds / 10) for t in range(10)]

    ticks = _response(_scenario(*points)).x_ticks

    assert 3 <= len(ticks) <= 7
    assert (ticks[0].text, ticks[-1].text) == ("0 s", last)


def test_a_slot_without_samples_is_a_gap() -> None:
    """The curve of a percentile breaks where there was no sample; a lone value becomes a dot."""
    chart = _response(_scenario(_point(0), _point(1), _point(2, p95=None), _point(3), _point(4, p95=None)))

    assert re.fullmatch(r"M[\d. ]+L[\d. ]+M[\d. ]+h0", chart.lines[1].path)
    assert chart.lines[1].texts == ["100 ms", "100 ms", "\N{EN DASH}", "100 ms", "\N{EN DASH}"]


def test_rates_are_per_second_of_their_slot() -> None:
    """A slot of five seconds with fifty requests is ten requests a second; the last copies its length."""
    _, throughput, _ = charts_of(_scenario(_point(0), _point(5, requests=50), _point(10, requests=20)))

    assert throughput.lines[0].texts == ["2", "10", "4"]


def test_warm_up_has_a_curve_of_its_own() -> None:
    """The grey part covers the warm-up's share of the width and meets the measured part."""
    chart = _response(_scenario(*(_point(t) for t in range(10)), warmup=4))
    line = chart.lines[0]

    assert chart.warmup == 40
    assert line.warmup_path.count(" ") == 5
    assert line.path.count(" ") == 6
    assert line.warmup_path.split("L")[-1] == line.path.split("L")[0].removeprefix("M")


def test_without_warm_up_nothing_is_grey() -> None:
    """A scenario without warm-up has only measured curves."""
    assert all(line.warmup_path == "" for line in _response(_scenario(_point(0), _point(1))).lines)


@pytest.mark.parametrize(
    ("expr", "limit", "drawn"),
    [
        ("p95 < 80ms", 0.08, ["p95 < 80 ms"]),
        ("*: p99 <= 80ms", 0.08, ["p99 <= 80 ms"]),
        ("p95(service) < 80ms", 0.08, []),
        ("GET /cart: p95 < 80ms", 0.08, []),
        ("p95 > 80ms", 0.08, []),
        ("p90 < 80ms", 0.08, []),
        ("rps > 5/s", 5, []),
        ("p95 grew < 5", 5, []),
    ],
)
def test_only_limits_of_what_is_drawn_are_drawn(expr: str, limit: float, drawn: list[str]) -> None:
    """Upper limits on the drawn percentiles of everything become lines, no others."""
    scenario = _scenario(_point(0), _point(1))
    scenario.thresholds = [_threshold(expr, limit)]

    assert [line.text for line in _response(scenario).limits] == drawn


def test_a_limit_has_its_place_and_stretches_the_axis_but_a_little() -> None:
    """A limit up to three times the largest value is inside the chart, one further up has no place."""
    scenario = _scenario(_point(0, p95=0.1), _point(1, p95=0.1))
    scenario.thresholds = [_threshold("p95 < 200ms", 0.2), _threshold("p99 < 5s", 5.0)]

    chart = _response(scenario)

    assert [(line.key, line.at) for line in chart.limits] == [("p95", 0.0), ("p99", None)]
    assert chart.y_ticks[-1].text == "200 ms"


def test_description_tells_the_largest_values() -> None:
    """Who cannot see the chart hears its title, its span and the largest value of each curve."""
    chart = _response(_scenario(_point(0, p95=0.1), _point(1, p95=0.25)))

    assert chart.description == (
        "Response times from 0 s to 2 s: p50 at most 250 ms, p95 at most 250 ms, p99 at most 250 ms."
    )


def test_long_courses_are_put_together_without_losing_anything() -> None:
    """Requests of merged slots add up, users and percentiles are the largest: no peak disappears."""
    points = [_point(t, users=t, requests=1, p95=9.0 if t == 5000 else 0.1) for t in range(7200)]

    slots = slots_of(points)

    assert len(slots) == MAX_SLOTS
    assert sum(slot.requests for slot in slots) == 7200
    assert slots[-1].users == 7199
    assert max(slot.p95 for slot in slots if slot.p95 is not None) == 9.0
    assert (slots[0].begin, slots[-1].end) == (0, 7200)


@given(
    st.lists(
        st.builds(
            _point,
            st.integers(-10, 10**6).map(lambda tenths: tenths / 10),
            users=st.integers(0, 10**7),
            requests=st.integers(0, 10**9),
            p95=st.none() | st.floats(0, 1e6),
        ),
        max_size=40,
    ),
    st.floats(0, 2e6),
)
def test_any_course_stays_inside_its_chart(points: list[SeriesPoint], warmup: float) -> None:
    """Whatever was observed, curves, marks and limits lie within the plot, and slots within one another."""
    for chart in charts_of(_scenario(*points, warmup=warmup)):
        places = [
            float(n) for line in chart.lines for n in re.findall(r"[-\d.e+]+", line.path.replace("h0", ""))
        ]
        assert all(0 <= place <= 1000 for place in places)
        assert all(0 <= tick.at <= 100.1 for tick in [*chart.x_ticks, *chart.y_ticks])
        assert 0 <= chart.warmup <= 100
        assert len(chart.readings) == len(chart.places) == len(chart.times)
    slots = slots_of(points, 10)
    assert len(slots) <= 10
    assert all(before.end <= after.begin for before, after in itertools.pairwise(slots))


def test_a_path_of_nothing_is_empty() -> None:
    """Only gaps make no path."""
    assert svg_path([(0, None), (1, None)]) == ""
