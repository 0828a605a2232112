"""Turns what was measured and judged into the document."""

from __future__ import annotations

import math

from pytest_metersphere.metrics.frame import MAX_LABELS, OTHER, LabelTally, Tally
from pytest_metersphere.metrics.histogram import Histogram
from pytest_metersphere.metrics.series import Series
from pytest_metersphere.reports.document import (
    ArrivalsInfo,
    ErrorInfo,
    LabelInfo,
    Ledger,
    PhasesInfo,
    ProfileInfo,
    RateStageInfo,
    SeriesPoint,
    StageInfo,
    ThresholdInfo,
    TimesInfo,
    TotalsInfo,
)
from pytest_metersphere.reports.wording import plural
from pytest_metersphere.scenario.arrivals import Arrivals
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.thresholds.judge import FEWER_LABELS, Outcome
from pytest_metersphere.units import format_percentage

_PERCENTS = [50.0, 90.0, 95.0, 99.0, 99.9]


def profile_info(scenario: Scenario) -> ProfileInfo:
    """Return what the scenario asked for."""
    profile = scenario.profile
    return ProfileInfo(
        users=profile.peak,
        duration_s=_finite(profile.duration),
        stages=[StageInfo(duration_s=_finite(stage.duration), users=stage.users) for stage in profile.stages],
        warmup_s=profile.warmup,
        iterations=profile.iterations,
        think_s=scenario.think,
        graceful_stop_s=profile.graceful_stop,
        shared_iterations=profile.shared_iterations,
        pacing_s=scenario.pacing,
        arrivals=None if profile.arrivals is None else arrivals_info(profile.arrivals),
    )


def arrivals_info(arrivals: Arrivals) -> ArrivalsInfo:
    """Return when iterations were to be due."""
    return ArrivalsInfo(
        rate=arrivals.peak,
        process=arrivals.process,
        scheduled=arrivals.count(),
        stages=[RateStageInfo(duration_s=stage.duration, rate=stage.rate) for stage in arrivals.stages],
    )


def dropped_warnings(ledger: Ledger, most_users: int) -> list[str]:
    """Return a sentence when scheduled iterations found no free user."""
    if not ledger.dropped:
        return []
    share = format_percentage(ledger.dropped / ledger.scheduled)
    what = f"{ledger.dropped:,} of {plural(ledger.scheduled, 'scheduled iteration')} ({share})"
    busy = f"were dropped, because all {plural(most_users, 'user')} were busy"
    return [f"{what} {busy}: give more (max_users=), or find why iterations take so long"]


def totals_info(measured: Tally, duration: float, users_max: int) -> TotalsInfo:
    """Return the sums over all labels but transactions; `duration` in measured seconds."""
    samples = [tally for tally in measured.labels.values() if tally.kind != "transaction"]
    requests, failures = measured.requests, measured.failures
    return TotalsInfo(
        users_max=users_max,
        iterations=measured.iterations,
        failed_iterations=measured.failed_iterations,
        failed_by_sample=measured.failed_by_sample,
        skipped_iterations=measured.skipped_iterations,
        iteration_error_rate=_share(measured.failed_iterations, measured.iterations),
        requests=requests,
        failures=failures,
        error_rate=_share(failures, requests),
        duration_s=duration,
        rps=_share(requests, duration),
        bytes_sent=sum(tally.bytes_sent for tally in samples),
        bytes_received=sum(tally.bytes_received for tally in samples),
        dropped_iterations=measured.dropped_iterations,
    )


def overall_times(measured: Tally) -> tuple[TimesInfo, TimesInfo]:
    """Return response and service times over all requests and samples."""
    merged = all_samples(measured)
    return times_info(merged.response), times_info(merged.service)


def times_info(histogram: Histogram) -> TimesInfo:
    """Return the figures of a distribution."""
    encoded = histogram.to_base64()
    if not histogram.count:
        return TimesInfo(
            count=0,
            min=None,
            mean=None,
            p50=None,
            p90=None,
            p95=None,
            p99=None,
            p999=None,
            max=None,
            histogram=encoded,
        )
    p50, p90, p95, p99, p999 = histogram.percentiles(_PERCENTS)
    return TimesInfo(
        count=histogram.count,
        min=histogram.min,
        mean=histogram.mean,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        p999=p999,
        max=histogram.max,
        histogram=encoded,
    )


def label_infos(measured: Tally, duration: float, series: Series) -> list[LabelInfo]:
    """Return the labels in the order they were first met."""
    points: dict[str, list[SeriesPoint]] = {name: [] for name in measured.labels}
    for begin, slot in series.slots():
        for name, found in points.items():
            found.append(_point(begin, slot.users, slot.labels.get(name)))
    return [_label_info(name, tally, duration, points[name]) for name, tally in measured.labels.items()]


def overall_series(series: Series) -> list[SeriesPoint]:
    """Return all requests and samples over time."""
    return [_point(begin, slot.users, all_samples(slot)) for begin, slot in series.slots()]


def label_warnings(measured: Tally) -> list[str]:
    """Return a sentence when there were more labels than are kept apart."""
    if not measured.overflow:
        return []
    others = [tally for name, tally in measured.labels.items() if name.startswith(OTHER)]
    samples = sum(tally.requests for tally in others)
    where = f'{samples} samples stand under the label "{OTHER}"'
    return [f"more than {MAX_LABELS} labels came, so {where}; {FEWER_LABELS}"]


def error_infos(measured: Tally, warmup: Tally) -> list[ErrorInfo]:
    """Return the failures, most frequent first; those of the warm-up are named so."""
    marked = [(error, "") for error in measured.errors] + [(error, " (warm-up)") for error in warmup.errors]
    infos = [
        ErrorInfo(
            label=error.label,
            kind=error.kind + suffix,
            message=error.message,
            count=error.count,
            exemplars=list(error.exemplars),
        )
        for error, suffix in marked
    ]
    return sorted(infos, key=lambda info: -info.count)


def threshold_info(outcome: Outcome) -> ThresholdInfo:
    """Return a judged threshold."""
    return ThresholdInfo(
        expr=outcome.expr,
        label=outcome.label,
        observed=outcome.observed,
        limit=outcome.limit,
        state=outcome.state,
        message=outcome.message,
    )


def _label_info(name: str, tally: LabelTally, duration: float, points: list[SeriesPoint]) -> LabelInfo:
    return LabelInfo(
        name=name,
        kind=tally.kind,
        requests=tally.requests,
        failures=tally.failures,
        error_rate=_share(tally.failures, tally.requests),
        rps=_share(tally.requests, duration),
        bytes_sent=tally.bytes_sent,
        bytes_received=tally.bytes_received,
        response=times_info(tally.response),
        service=times_info(tally.service),
        series=points,
        phases=_phases_info(tally) if tally.kind == "request" and tally.requests else None,
    )


def _phases_info(tally: LabelTally) -> PhasesInfo:
    phases, each = tally.phases, tally.requests * 1e6
    return PhasesInfo(
        dns=phases.dns / each,
        connect=phases.connect / each,
        tls=phases.tls / each,
        send=phases.send / each,
        wait=phases.wait / each,
        receive=phases.receive / each,
    )


def _point(begin: int, users: int, tally: LabelTally | None) -> SeriesPoint:
    if tally is None or not tally.requests:
        return SeriesPoint(t=begin, users=users, requests=0, failures=0, p50=None, p95=None, p99=None)
    p50, p95, p99 = tally.response.percentiles([50.0, 95.0, 99.0])
    return SeriesPoint(
        t=begin, users=users, requests=tally.requests, failures=tally.failures, p50=p50, p95=p95, p99=p99
    )


def all_samples(tally: Tally) -> LabelTally:
    """Return requests and samples of all labels merged, transactions left out."""
    merged = LabelTally("sample")
    for label in tally.labels.values():
        if label.kind != "transaction":
            merged.merge(label)
    return merged


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds
