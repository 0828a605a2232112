"""From what was measured and judged to the document: sums, times, courses, and what is left out."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hdrh.histogram import HdrHistogram

from pytest_metersphere.metrics.frame import ErrorTally, Kind, LabelTally, Phases, Tally
from pytest_metersphere.metrics.histogram import Histogram
from pytest_metersphere.metrics.series import Series
from pytest_metersphere.reports.compose import (
    all_samples,
    dropped_warnings,
    error_infos,
    label_infos,
    overall_series,
    overall_times,
    profile_info,
    threshold_info,
    times_info,
    totals_info,
)
from pytest_metersphere.reports.document import ArrivalsInfo, Ledger, RateStageInfo
from pytest_metersphere.scenario.arrivals import Arrivals, RateStage
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.scenario.profile import Profile, Stage, places, plain_stages
from pytest_metersphere.thresholds.judge import Outcome


def label(kind: Kind, *millis: int, failures: int = 0, size: int = 0) -> LabelTally:
    """Return the samples of a label by their response times; service times are half of them."""
    tally = LabelTally(kind, len(millis), failures, size, 10 * size)
    for value in millis:
        tally.response.record(value / 1000)
        tally.service.record(value / 2000)
    return tally


def measured() -> Tally:
    """Return what a scenario did: two requests, a sample, and a transaction around them."""
    return Tally(
        users=5,
        iterations=8,
        failed_iterations=2,
        failed_by_sample=1,
        skipped_iterations=1,
        dropped_iterations=3,
        labels={
            "GET /": label("request", 100, 200, failures=1, size=50),
            "db": label("sample", 300),
            "checkout": label("transaction", 600, failures=1, size=7),
        },
    )


def scenario(profile: Profile) -> Scenario:
    """Return a scenario with a load curve."""
    return Scenario(nodeid="t.py::t", name="t", path="t.py", line=1, profile=profile, think=(0.5, 1.0))


def test_the_profile_is_told_as_it_was_asked_for() -> None:
    """Every part of the curve is there, in seconds."""
    asked = Profile(stages=(Stage(10, 5), Stage(5, 0)), warmup=2.0, iterations=7, graceful_stop=3.0)

    info = profile_info(scenario(asked))

    assert (info.users, info.duration_s, info.warmup_s) == (5, 15, 2.0)
    assert (info.iterations, info.think_s, info.graceful_stop_s) == (7, (0.5, 1.0), 3.0)
    assert [(stage.duration_s, stage.users) for stage in info.stages] == [(10, 5), (5, 0)]


def test_an_endless_curve_has_no_duration() -> None:
    """What only iterations limit is None in the document, for JSON has no infinity."""
    info = profile_info(scenario(Profile(stages=plain_stages(2, 1.0, math.inf), iterations=1)))

    assert info.duration_s is None
    assert [stage.duration_s for stage in info.stages] == [1.0, None]


def test_totals_are_sums_without_transactions() -> None:
    """Requests, failures and bytes are those of requests and samples; rates are over measured seconds."""
    totals = totals_info(measured(), 4.0, 9)

    assert (totals.requests, totals.failures, totals.error_rate, totals.rps) == (3, 1, 1 / 3, 0.75)
    assert (totals.bytes_sent, totals.bytes_received) == (50, 500)
    assert (totals.iterations, totals.failed_iterations, totals.iteration_error_rate) == (8, 2, 0.25)
    assert (totals.failed_by_sample, totals.skipped_iterations, totals.dropped_iterations) == (1, 1, 3)
    assert (totals.users_max, totals.duration_s) == (9, 4.0)


def test_nothing_measured_gives_zero_rates() -> None:
    """Neither no iterations nor no time divides by zero."""
    totals = totals_info(Tally(), 0.0, 0)

    assert (totals.error_rate, totals.iteration_error_rate, totals.rps) == (0.0, 0.0, 0.0)


def test_times_are_those_of_the_histogram() -> None:
    """Count, exact minimum, mean and maximum, percentiles, and an encoding that others can read."""
    histogram = Histogram()
    for value in range(1, 1001):
        histogram.record(value / 1000)

    info = times_info(histogram)

    assert (info.count, info.min, info.mean, info.max) == (1000, 0.001, 0.5005, 1.0)
    percents = [50.0, 90.0, 95.0, 99.0, 99.9]
    assert [info.p50, info.p90, info.p95, info.p99, info.p999] == histogram.percentiles(percents)
    assert HdrHistogram.decode(info.histogram).get_total_count() == 1000


def test_times_without_values_are_none() -> None:
    """Nothing recorded is not zero seconds."""
    info = times_info(Histogram())

    assert info.count == 0
    assert {info.min, info.mean, info.p50, info.p90, info.p95, info.p99, info.p999, info.max} == {None}
    assert HdrHistogram.decode(info.histogram).get_total_count() == 0


def test_overall_times_leave_transactions_out() -> None:
    """Response and service times are over requests and samples, and change nothing that was measured."""
    tally = measured()

    response, service = overall_times(tally)

    assert (response.count, response.min, response.max) == (3, 0.1, 0.3)
    assert (service.count, service.min, service.max) == (3, 0.05, 0.15)
    assert tally == measured()
    assert all_samples(tally).requests == 3


def test_labels_keep_their_order_kind_and_course() -> None:
    """Each label has its sums, and a point for every slot, an empty one where it had no sample."""
    series = Series()
    series.add(0, Tally(users=2, labels={"GET /": label("request", 100, failures=1)}))
    series.add(2, Tally(users=3, labels={"db": label("sample", 300), "GET /": label("request", 200)}))

    infos = label_infos(measured(), 2.0, series)

    assert [(info.name, info.kind) for info in infos] == [
        ("GET /", "request"),
        ("db", "sample"),
        ("checkout", "transaction"),
    ]
    first, second, third = infos
    assert (first.requests, first.failures, first.error_rate, first.rps) == (2, 1, 0.5, 1.0)
    assert (first.bytes_sent, first.bytes_received) == (50, 500)
    assert (third.requests, third.response.max, third.service.max) == (1, 0.6, 0.3)
    assert [(p.t, p.users, p.requests, p.failures, p.p50) for p in first.series] == [
        (0, 2, 1, 1, 0.1),
        (1, 0, 0, 0, None),
        (2, 3, 1, 0, 0.2),
    ]
    assert [(p.requests, p.p95, p.p99) for p in second.series] == [
        (0, None, None),
        (0, None, None),
        (1, 0.3, 0.3),
    ]
    assert [p.requests for p in third.series] == [0, 0, 0]


def test_phases_are_means_over_the_requests_of_a_label() -> None:
    """Sums in microseconds become seconds for each request; what sends no HTTP has none."""
    tally = measured()
    tally.labels["GET /"].phases = Phases(dns=10, connect=20, tls=30, send=40, wait=200_000, receive=60)

    requests, sample, transaction = label_infos(tally, 10.0, Series())

    assert requests.phases is not None
    assert msgspec.structs.astuple(requests.phases) == pytest.approx((5e-6, 1e-5, 1.5e-5, 2e-5, 0.1, 3e-5))
    assert (sample.phases, transaction.phases) == (None, None)


def test_the_overall_course_is_over_requests_and_samples() -> None:
    """A slot sums all labels but transactions; packed seconds give the same points."""
    series = Series()
    for second in range(3):
        series.add(second, measured())

    before = overall_series(series)
    series.close(3)

    assert overall_series(series) == before
    assert [(p.t, p.users, p.requests, p.failures) for p in before] == [(t, 5, 3, 1) for t in range(3)]
    assert {(p.p50, p.p95, p.p99) for p in before} == {
        tuple(all_samples(measured()).response.percentiles([50, 95, 99]))
    }


def test_errors_are_sorted_and_those_of_the_warm_up_named() -> None:
    """The most frequent come first; the kind says which happened before measuring began."""
    warm = Tally(errors=[ErrorTally("a", "status", "503", 5, ["early"])])
    then = Tally(errors=[ErrorTally("a", "status", "503", 2, ["late"]), ErrorTally("", "assert", "no", 9)])

    infos = error_infos(then, warm)

    assert [(info.kind, info.count, info.exemplars) for info in infos] == [
        ("assert", 9, []),
        ("status (warm-up)", 5, ["early"]),
        ("status", 2, ["late"]),
    ]


@pytest.mark.parametrize("state", ["passed", "failed", "error"])
def test_an_outcome_is_taken_over_as_it_is(state: Any) -> None:
    """The document says of a threshold what the judge said."""
    outcome = Outcome(expr="a: p95 < 1s", label="a", observed=0.5, limit=1.0, state=state, message="m")

    info = threshold_info(outcome)

    assert (info.expr, info.label, info.observed, info.limit, info.state, info.message) == (
        "a: p95 < 1s",
        "a",
        0.5,
        1.0,
        state,
        "m",
    )


def test_the_open_model_is_told_as_it_was_asked_for() -> None:
    """The curve of the rate, how many iterations it is good for, and how many users may run at once."""
    arrivals = Arrivals(stages=(RateStage(10, 100), RateStage(5, 100)), process="even")
    asked = Profile(stages=places(30, arrivals), arrivals=arrivals)

    info = profile_info(scenario(asked))

    assert (info.users, info.duration_s) == (30, 15)
    assert info.arrivals == ArrivalsInfo(
        rate=100,
        process="even",
        scheduled=1000,
        stages=[RateStageInfo(duration_s=10, rate=100), RateStageInfo(duration_s=5, rate=100)],
    )
    assert profile_info(scenario(Profile(stages=plain_stages(2, 1.0, 9.0)))).arrivals is None


def test_a_pace_and_shared_iterations_are_told() -> None:
    """As they were asked for."""
    asked = scenario(Profile(stages=plain_stages(2, 1.0, 9.0), shared_iterations=100))

    info = profile_info(msgspec.structs.replace(asked, pacing=2.0))

    assert (info.pacing_s, info.shared_iterations, info.iterations) == (2.0, 100, None)


def test_dropped_iterations_are_a_warning() -> None:
    """With their share, how many users there were, and what to do; none without them."""
    ledger = Ledger(
        **dict.fromkeys(("sent", "received", "duplicates", "lost", "repaired", "rejected"), 0),
        **dict.fromkeys(("exchanges", "counted", "warmup", "interrupted"), 0),
        scheduled=1000,
        started=960,
        dropped=40,
    )

    (warning,) = dropped_warnings(ledger, 6)

    assert warning.startswith("40 of 1,000 scheduled iterations (4%) were dropped, because all 6 users were")
    assert "max_users=" in warning
    ledger.dropped = 0
    assert dropped_warnings(ledger, 6) == []
