"""Words and numbers that all reports share."""

from __future__ import annotations

import pytest

from pytest_metersphere.reports import figures
from pytest_metersphere.reports.document import ProfileInfo, StageInfo, ThresholdInfo, Verdict
from pytest_metersphere.reports.text import clipped, encodable, one_line, visible
from pytest_metersphere.reports.wording import (
    findings_of,
    overall_verdict,
    profile_sentences,
    starts_add_up,
    starts_equation,
    verdict_sentence,
)
from tests.reports.documents import open_document, sample_document, sample_scenario


@pytest.mark.parametrize(
    ("verdicts", "worst", "sentence"),
    [
        ([], None, "No load scenario ran"),
        (["passed"], "passed", "1 scenario: passed"),
        (["failed", "failed"], "failed", "2 scenarios, all failed"),
        (["passed", "failed", "passed"], "failed", "3 scenarios: 1 failed, 2 passed"),
        (["failed", "invalid"], "invalid", "2 scenarios: 1 invalid, 1 failed"),
        (["invalid", "error"], "error", "2 scenarios: 1 error, 1 invalid"),
        (["error", "aborted"], "aborted", "2 scenarios: 1 aborted, 1 error"),
    ],
)
def test_the_worst_verdict_counts(verdicts: list[Verdict], worst: Verdict | None, sentence: str) -> None:
    """The verdict over all is the worst one, and the sentence counts each."""
    document = sample_document()
    document.scenarios = [sample_scenario(verdict) for verdict in verdicts]

    assert overall_verdict(document) == worst
    assert verdict_sentence(document) == sentence


def test_a_verdict_without_findings_gets_one() -> None:
    """Other verdicts than passed always have a sentence that says so."""
    scenario = sample_scenario("aborted")
    scenario.findings = []

    assert findings_of(scenario) == ["The run was aborted: stopped before its end"]
    assert findings_of(sample_scenario("passed")) == []


def test_the_open_model_is_told_by_its_rate() -> None:
    """How fast iterations start, how many, and how many users may run at once."""
    (scenario,) = open_document().scenarios

    assert profile_sentences(scenario.profile) == [
        "from 0/s to 40/s within 10 s",
        "40/s for 20 s",
        "1,000 iterations scheduled at random (Poisson)",
        "at most 50 users at once",
        "the first 5 s are warm-up and do not count",
        "30 s to end gracefully",
    ]


def test_a_pace_and_shared_iterations_are_told() -> None:
    """The pace takes the place of the pause."""
    profile = _profile((0, 5), (None, 5))
    profile.pacing_s, profile.shared_iterations = 2.0, 1000

    assert profile_sentences(profile)[2:4] == [
        "an iteration of each user every 2 s",
        "at most 1,000 iterations of all users together",
    ]


def test_starts_that_do_not_add_up_are_told_so() -> None:
    """As exchanges are; in the closed model there is nothing to tell."""
    ledger = open_document().scenarios[0].ledger
    ledger.started -= 1

    assert starts_equation(ledger) == "1,000 iterations scheduled ≠ 959 started + 40 dropped"
    assert not starts_add_up(ledger)
    assert starts_equation(sample_scenario().ledger) == ""


def _profile(
    *stages: tuple[float | None, int],
    iterations: int | None = None,
    think: tuple[float, float] = (0, 0),
    warmup: float = 0,
) -> ProfileInfo:
    return ProfileInfo(
        users=max(users for _, users in stages),
        duration_s=None,
        stages=[StageInfo(duration_s=seconds, users=users) for seconds, users in stages],
        warmup_s=warmup,
        iterations=iterations,
        think_s=think,
        graceful_stop_s=30,
    )


@pytest.mark.parametrize(
    ("profile", "sentences"),
    [
        (
            _profile((0, 20), (30, 20), think=(1, 1)),
            ["20 users at once", "20 users for 30 s", "1 s between iterations"],
        ),
        (
            _profile((10, 1), (5, 0), think=(0.5, 2)),
            [
                "from 0 to 1 user within 10 s",
                "from 1 to 0 users within 5 s",
                "500 ms to 2 s between iterations",
            ],
        ),
        (
            _profile((None, 5), iterations=1, warmup=2.5),
            [
                "5 users until their iterations are done",
                "no pause between iterations",
                "at most 1 iteration per user",
                "the first 2.5 s are warm-up and do not count",
            ],
        ),
    ],
)
def test_the_load_is_told_in_short_sentences(profile: ProfileInfo, sentences: list[str]) -> None:
    """Stages, pauses, iterations, warm-up and graceful stop are told in the order of a run."""
    assert profile_sentences(profile) == [*sentences, "30 s to end gracefully"]


def test_a_group_is_told_behind_the_curve() -> None:
    """In one line, whatever its name; without a group there is no such sentence."""
    profile = _profile((None, 5))

    first, group, *others = profile_sentences(profile, "pe\nak")
    assert group == "at the same time as the others of group pe ak, on the same nodes"
    assert profile_sentences(profile) == [first, *others]


@pytest.mark.parametrize(
    ("expr", "observed", "limit", "texts"),
    [
        ("p95 < 300ms", 0.412, 0.3, ("412 ms", "< 300 ms")),
        ("a b: p99.9(service) <= 2s", 1.5, 2.0, ("1.5 s", "<= 2 s")),
        ("error_rate < 1%", 0.014, 0.01, ("1.4%", "< 1%")),
        ("rps >= 200/s", 187.44, 200.0, ("187/s", ">= 200/s")),
        ("requests == 1000", 999.0, 1000.0, ("999", "== 1000")),
        ("p95 < 300ms", 0.3004, 0.3, ("300.4 ms", "< 300 ms")),
        ("max < 1s", None, 1.0, ("\N{EN DASH}", "< 1 s")),
        ("p95 < 300ms over 10s", 0.4, 0.3, ("0.4", "0.3")),
    ],
)
def test_thresholds_are_shown_in_their_unit(
    expr: str, observed: float | None, limit: float, texts: tuple[str, str]
) -> None:
    """Observed value and limit carry the unit of the metric; of an unknown grammar, none."""
    threshold = ThresholdInfo(
        expr=expr, label=None, observed=observed, limit=limit, state="passed", message=""
    )

    assert (figures.threshold_observed(threshold), figures.threshold_limit(threshold)) == texts


def test_what_is_missing_is_a_dash() -> None:
    """Every kind of number has a dash for None."""
    kinds = (
        figures.count,
        figures.duration,
        figures.percentage,
        figures.plain,
        figures.rate,
        figures.size,
    )

    assert {kind(None) for kind in kinds} == {"\N{EN DASH}"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.1234, "0.123"),
        (7, "7"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (10**6, "1,000,000"),
    ],
)
def test_plain_numbers_have_three_digits(number: float, text: str) -> None:
    """Numbers without unit show three digits at least and thousands separated."""
    assert figures.plain(number) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /é 🎉 שלום\t\n", "GET /é 🎉 שלום\t\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x00\x1b[1m\x9b", "\\x00\\x1b[1m\\x9b"),
        ("\u202egnp\u2069", "\\u202egnp\\u2069"),
        ("\ud800\ufffe\U0001fffe", "\\ud800\\ufffe\\U0001fffe"),
    ],
)
def test_what_no_reader_sees_is_shown(text: str, shown: str) -> None:
    """Control characters and the like become escapes, other text stays."""
    assert visible(text) == shown


def test_texts_are_fitted_to_their_place() -> None:
    """A text can be put on one line, cut to a length, or made fit for UTF-8."""
    assert one_line(" a\n\tb \x00 ") == "a b \\x00"
    assert clipped("abcdef", 4) == "abc…"
    assert clipped("abcd", 4) == "abcd"
    assert encodable("a\ud800\x00") == "a\\ud800\x00"
