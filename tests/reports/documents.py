"""Documents for tests: made up, always the same, and consistent in themselves."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_metersphere.reports.document import (
    SCHEMA,
    ArrivalsInfo,
    Document,
    ErrorInfo,
    LabelInfo,
    Ledger,
    NodeResult,
    PhasesInfo,
    PlanEntry,
    ProfileInfo,
    RateStageInfo,
    ScenarioResult,
    SeriesPoint,
    SessionInfo,
    StageInfo,
    ThresholdInfo,
    TimesInfo,
    Tool,
    TotalsInfo,
    Validity,
    Verdict,
)

HISTOGRAM = "HISTFAAAACl4nJNpmSzMwMDAyQABTFCakYGB+T8I2H+ACGwXYOplYTrPxAQAwnYJrw=="
LABELS = ("GET /cart", "POST /orders", "GET /items/{}")
MEASURED = 10
"""Requests of a label per measured second, when nothing else is said."""


@dataclass(frozen=True)
class _Story:
    """What sets a verdict apart from `passed`."""

    findings: list[str]
    thresholds: list[ThresholdInfo]
    reasons: list[str]
    failed_iterations: int = 0
    lost: int = 0
    status: str = "ended"


def sample_document(
    verdict: Verdict = "passed",
    *,
    scenarios: int = 1,
    labels: Sequence[str] = LABELS,
    seconds: int = 30,
    warmup: int = 5,
    message: str = "assert {} == {}",
) -> Document:
    """Return a document whose scenarios are `passed` but for the last one, which has the verdict asked for.

    Args:
        verdict: verdict of the last scenario.
        scenarios: how many there are.
        labels: names of the labels of each; the last of several is a transaction. None: no samples.
        seconds: how long each ran, warm-up included.
        warmup: seconds of warm-up.
        message: message of the error groups that a failed scenario has.
    """
    quiet: Verdict = "passed"
    verdicts = [*[quiet] * (scenarios - 1), verdict]
    return Document(
        schema=SCHEMA,
        tool=Tool(name="pytest-metersphere", version="0.1.0"),
        session=SessionInfo(
            started_at="2026-11-23T20:15:00Z",
            ended_at="2026-11-23T20:15:42Z",
            pool="local=400+400+200",
            kafka=None,
            git_sha="f8620f4f0c2b6f2f0a9a3f6f1f2f8f4c1d2e3a4b",
            python="3.11.7",
            host="ci-runner-7",
        ),
        scenarios=[
            sample_scenario(each, number=i, labels=labels, seconds=seconds, warmup=warmup, message=message)
            for i, each in enumerate(verdicts, start=1)
        ],
    )


def sample_scenario(
    verdict: Verdict = "passed",
    *,
    number: int = 1,
    labels: Sequence[str] = LABELS,
    seconds: int = 30,
    warmup: int = 5,
    message: str = "assert {} == {}",
) -> ScenarioResult:
    """Return one scenario; see sample_document for its arguments."""
    story = copy.deepcopy(_STORIES[verdict])
    measured = seconds - warmup
    infos = [
        _label(name, i, measured, failures=7 if verdict == "failed" and i == 0 else 0, last=len(labels) - 1)
        for i, name in enumerate(labels)
    ]
    totals = _totals(infos, measured, story.failed_iterations)
    name = ("test_cart", "test_checkout[eur]", "test_search", "test_login", "test_export")[(number - 1) % 5]
    return ScenarioResult(
        nodeid=f"tests/shop/test_shop.py::TestShop::{name}",
        name=name,
        file="tests/shop/test_shop.py",
        line=11 * number,
        run_id=f"run-{number:04d}",
        started_at="2026-11-23T20:15:02Z",
        verdict=verdict,
        findings=story.findings,
        profile=ProfileInfo(
            users=1000,
            duration_s=float(seconds),
            stages=[
                StageInfo(duration_s=seconds / 3, users=1000),
                StageInfo(duration_s=seconds * 2 / 3, users=1000),
            ],
            warmup_s=float(warmup),
            iterations=None,
            think_s=(1.0, 3.0),
            graceful_stop_s=30.0,
        ),
        plan=[
            PlanEntry(node=f"local-{i}", capacity=capacity, users=capacity)
            for i, capacity in enumerate((400, 400, 200), start=1)
        ],
        totals=totals,
        response=_times(totals.requests, 0.0848),
        service=_times(totals.requests, 0.061),
        labels=infos,
        series=_series(seconds, totals.requests // measured),
        nodes=_nodes(totals.requests, totals.failures, story.status),
        ledger=_ledger(totals.requests, story.lost),
        validity=Validity(valid=not story.reasons, reasons=story.reasons),
        thresholds=story.thresholds,
        errors=_errors(infos, message) if story.failed_iterations else [],
        go_spread_s=0.012,
    )


def open_document(*, scheduled: int = 1000, dropped: int = 40) -> Document:
    """Return the document of a session with one scenario of the open model."""
    document = sample_document()
    (scenario,) = document.scenarios
    scenario.profile.users = 50
    scenario.profile.arrivals = ArrivalsInfo(
        rate=40.0,
        process="poisson",
        scheduled=scheduled,
        stages=[RateStageInfo(duration_s=10.0, rate=40.0), RateStageInfo(duration_s=20.0, rate=40.0)],
    )
    ledger = scenario.ledger
    ledger.scheduled, ledger.started, ledger.dropped = scheduled, scheduled - dropped, dropped
    scenario.warnings = ["40 of 1,000 scheduled iterations were dropped"]
    return document


def _threshold(expr: str, observed: float | None, limit: float, message: str) -> ThresholdInfo:
    failed = "limit" in message and "within" not in message
    return ThresholdInfo(
        expr=expr,
        label=expr.rpartition(":")[0] or None,
        observed=observed,
        limit=limit,
        state="error" if observed is None else "failed" if failed else "passed",
        message=message,
    )


_KEPT = [
    _threshold("p95 < 300ms", 0.212, 0.3, "p95 212 ms, within limit < 300 ms"),
    _threshold("error_rate < 1%", 0.0, 0.01, "error_rate 0%, within limit < 1%"),
]
_BROKEN = [
    _threshold("p95 < 200ms", 0.212, 0.2, "p95 212 ms, limit < 200 ms"),
    _threshold("GET /cart: rps > 5/s", 10.0, 5.0, "GET /cart: rps 10/s, within limit > 5/s"),
]
_NEVER_CAME = "checkout: no sample had this label; labels seen: GET /cart, POST /orders, GET /items/{}"
_LOST = "node local-2 lost its worker 1 in second 17 (killed by SIGKILL): its users' samples are missing"

_STORIES: dict[Verdict, _Story] = {
    "passed": _Story([], _KEPT, []),
    "failed": _Story(
        ["p95 212 ms, limit < 200 ms", "9 of 2,500 iterations failed: GET /cart answered 503 (7 times)"],
        _BROKEN,
        [],
        failed_iterations=9,
    ),
    "invalid": _Story([_LOST], _KEPT, [_LOST], lost=2, status="worker 1 killed by SIGKILL in second 17"),
    "aborted": _Story(["Stopped by Ctrl-C 12 s after go"], _KEPT, [], status="stopped"),
    "error": _Story([_NEVER_CAME], [_threshold("checkout: p95 < 300ms", None, 0.3, _NEVER_CAME)], []),
}


_PHASES = PhasesInfo(dns=0.0, connect=1e-05, tls=2e-05, send=3e-05, wait=0.03, receive=0.0001)


def _label(name: str, place: int, measured: int, *, failures: int, last: int) -> LabelInfo:
    requests = MEASURED * measured
    transaction = place == last and last > 0
    middle = 0.03 * (1 + place % 7)
    return LabelInfo(
        name=name,
        kind="transaction" if transaction else "sample" if place % 5 == 4 else "request",
        requests=requests,
        failures=failures,
        error_rate=failures / requests,
        rps=float(MEASURED),
        bytes_sent=0 if transaction else 180 * requests,
        bytes_received=0 if transaction else 2400 * requests,
        response=_times(requests, middle),
        service=_times(0 if transaction else requests, middle * 0.7),
        series=_series(6, MEASURED),
        phases=_PHASES if not transaction and place % 5 != 4 else None,
    )


def _times(count: int, middle: float) -> TimesInfo:
    if not count:
        nothing: dict[str, None] = dict.fromkeys(("min", "mean", "p50", "p90", "p95", "p99", "p999", "max"))
        return TimesInfo(count=0, histogram="", **nothing)
    return TimesInfo(
        count=count,
        min=middle / 4,
        mean=middle * 1.1,
        p50=middle,
        p90=middle * 1.9,
        p95=middle * 2.5,
        p99=middle * 4.5,
        p999=middle * 9,
        max=middle * 12,
        histogram=HISTOGRAM,
    )


def _series(seconds: int, per_second: int) -> list[SeriesPoint]:
    """Return a second-by-second course with a ramp, waves and, in its middle, a second without samples."""
    points: list[SeriesPoint] = []
    for t in range(seconds if per_second else 0):
        share = min(1.0, (t + 1) / max(1, seconds / 3))
        wave = 1 + 0.18 * math.sin(t * 1.7) + 0.07 * math.sin(t * 4.1)
        silent = t == seconds // 2
        points.append(
            SeriesPoint(
                t=float(t),
                users=round(1000 * share),
                requests=0 if silent else round(per_second * share * wave),
                failures=2 if t % 9 == 7 else 0,
                p50=None if silent else round(0.06 * share * wave + 0.02, 6),
                p95=None if silent else round(0.16 * share * wave + 0.05, 6),
                p99=None if silent else round(0.24 * share * wave * wave + 0.1, 6),
            )
        )
    return points


def _totals(labels: Sequence[LabelInfo], measured: int, failed_iterations: int) -> TotalsInfo:
    counted = [label for label in labels if label.kind != "transaction"]
    requests = sum(label.requests for label in counted)
    failures = sum(label.failures for label in counted)
    iterations = 100 * measured if labels else 0
    return TotalsInfo(
        users_max=1000,
        iterations=iterations,
        failed_iterations=failed_iterations if labels else 0,
        failed_by_sample=failures,
        skipped_iterations=1 if labels else 0,
        iteration_error_rate=failed_iterations / iterations if iterations else 0.0,
        requests=requests,
        failures=failures,
        error_rate=failures / requests if requests else 0.0,
        duration_s=float(measured),
        rps=requests / measured,
        bytes_sent=sum(label.bytes_sent for label in counted),
        bytes_received=sum(label.bytes_received for label in counted),
        dropped_iterations=0,
    )


def _nodes(requests: int, failures: int, status: str) -> list[NodeResult]:
    shares = (requests * 2 // 5, requests * 2 // 5, requests - 2 * (requests * 2 // 5))
    return [
        NodeResult(
            name=f"local-{i}",
            users=users,
            requests=shares[i - 1],
            failures=failures if i == 1 else 0,
            cpu=0.41 + i / 10 if requests else None,
            loop_lag_p99=0.0021 * i if requests else None,
            status=status if i == 2 else "ended",
            start_lag_p99=0.0013 * i if requests else None,
            start_lag_p99_overall=0.0004 * i if requests else None,
            descriptors=400 + i if requests else None,
            descriptor_limit=20000 if requests else None,
        )
        for i, users in enumerate((400, 400, 200), start=1)
    ]


def _ledger(requests: int, lost: int) -> Ledger:
    warmup, interrupted = requests // 6, 4 if requests else 0
    return Ledger(
        sent=90,
        received=90 - lost,
        duplicates=0,
        lost=lost,
        repaired=1,
        rejected=0,
        exchanges=requests + warmup + interrupted,
        counted=requests,
        warmup=warmup,
        interrupted=interrupted,
    )


def _errors(labels: Sequence[LabelInfo], message: str) -> list[ErrorInfo]:
    return [
        ErrorInfo(
            label=labels[0].name if labels else "",
            kind="status",
            message="503 Service Unavailable",
            count=7,
            exemplars=["GET http://127.0.0.1:8000/cart answered 503\n\nthe queue is full"],
        ),
        ErrorInfo(
            label="",
            kind="assert",
            message=message,
            count=2,
            exemplars=["def test_cart(vu):\n>       assert 3 == 2\nE       assert 3 == 2"],
        ),
    ]
