"""The judge: from what was observed to the state of each threshold and the verdict."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.metrics.frame import Kind, LabelTally, Tally
from pytest_metersphere.thresholds.grammar import parse
from pytest_metersphere.thresholds.judge import Judgement, Outcome, decide, judge, spell_apart


def label(
    *milliseconds: float, kind: Kind = "request", failures: int = 0, service: float | None = None
) -> LabelTally:
    """Return a label with one sample for each response time; `service` is each one's service time."""
    tally = LabelTally(kind, requests=len(milliseconds), failures=failures)
    for time in milliseconds:
        tally.response.record(time / 1000)
        if service is not None:
            tally.service.record(service / 1000)
    return tally


def done(iterations: int = 10, *, failed: int = 0, by_sample: int = 0, **labels: LabelTally) -> Tally:
    """Return what so many iterations with these labels come to."""
    return Tally(
        iterations=iterations, failed_iterations=failed, failed_by_sample=by_sample, labels=dict(labels)
    )


def shop() -> Tally:
    """Return ten iterations over two requests, a sample, and a transaction around them."""
    return done(
        10,
        login=label(*[100.0] * 10, failures=1, service=40),
        cart=label(*[200.0] * 10, service=50),
        query=label(*[10.0] * 20, kind="sample", service=10),
        checkout=label(*[900.0] * 10, kind="transaction", failures=5),
    )


def observed(text: str, tally: Tally, duration: float = 10.0) -> float | None:
    """Return what the judge observed for a threshold."""
    return judge(parse(text), tally, duration).observed


def state(text: str, tally: Tally, duration: float = 10.0) -> str:
    """Return the state the judge gives a threshold."""
    return judge(parse(text), tally, duration).state


def message(text: str, tally: Tally, duration: float = 10.0) -> str:
    """Return the words the judge finds for a threshold."""
    return judge(parse(text), tally, duration).message


def verdict_on(tally: Tally, *texts: str) -> Judgement:
    """Return the verdict on a tally of ten seconds under these thresholds."""
    return decide([parse(text) for text in texts], tally, 10.0)


# ---- one threshold


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("requests >= 1", 40),
        ("rps > 1", 4.0),
        ("error_rate < 1%", 1 / 40),
        ("max < 1s", 0.2),
        ("min < 1s", 0.01),
        ("avg < 1s", 0.08),
        ("p50 < 1s", 0.010047),
        ("p75 < 1s", 0.100351),
        ("p100 < 1s", 0.2),
        ("max(service) < 1s", 0.05),
        ("*: requests >= 1", 40),
        ("*: max < 1s", 0.2),
        ("iterations >= 1", 10),
        ("failed_iterations < 1", 2),
        ("iteration_error_rate < 1%", 0.2),
    ],
)
def test_unlabelled_threshold_is_over_requests_and_samples(text: str, value: float) -> None:
    """Transactions never count among the samples; iterations count on their own."""
    tally = shop()
    tally.failed_iterations = 2

    assert observed(text, tally) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("login: max < 1s", 0.1),
        ("login: error_rate < 1%", 0.1),
        ("cart: rps > 1", 1.0),
        ("checkout: max < 1s", 0.9),
        ("checkout: error_rate < 1%", 0.5),
        ("c*: max < 1s", 0.2),
        ("check*: max < 1s", 0.9),
        ("????: requests > 1", 10),
        ("?*: requests > 1", 40),
        ("[lc]*: requests > 1", None),
        ("CART: requests > 1", None),
    ],
)
def test_label_is_a_name_or_a_pattern(text: str, value: float | None) -> None:
    """Only * and ? are special; a pattern is over transactions when it matches nothing else."""
    assert observed(text, shop()) == value


def test_exact_label_goes_before_the_pattern() -> None:
    """A label that looks like a pattern is found by its own name first."""
    tally = Tally(iterations=1, labels={"GET /?q=*": label(10), "GET /xq=1": label(20, 30)})

    assert observed("GET /?q=*: requests > 0", tally) == 1
    assert observed("GET /?q=?: requests > 0", tally) == 3


def test_brackets_and_braces_in_labels_are_literal() -> None:
    """Labels such as GET /items/{} or rows[0] mean themselves, also within a pattern."""
    tally = Tally(
        iterations=1, labels={"GET /items/{}": label(10), "rows[0]": label(20, 30), "rows0": label(1)}
    )

    assert observed("GET /items/{*}: requests > 0", tally) == 1
    assert observed("row*[0]: requests > 0", tally) == 2


def test_bare_star_is_never_over_transactions() -> None:
    """Where only transactions were recorded, * has no data, and a longer pattern has."""
    tally = done(checkout=label(900, kind="transaction"))

    assert state("*: p95 < 5s", tally) == "error"
    assert state("check*: p95 < 5s", tally) == "passed"


def test_histograms_of_matching_labels_are_merged() -> None:
    """A percentile over several labels is that of all their samples, and leaves the tally alone."""
    tally = done(a=label(*[10.0] * 90), b=label(*[100.0] * 10))

    assert observed("p90 < 1s", tally) == pytest.approx(0.01, rel=1 / 128)
    assert observed("?: p91 < 1s", tally) == 0.1
    assert tally.labels["a"].response.count == 90


@pytest.mark.parametrize(
    ("op", "states"),
    [
        ("<", "passed failed failed"),
        ("<=", "passed passed failed"),
        (">", "failed failed passed"),
        (">=", "failed passed passed"),
        ("==", "failed passed failed"),
        ("!=", "passed failed passed"),
    ],
)
def test_operators_state_what_passes(op: str, states: str) -> None:
    """The observed value stands on the left: below, at and above the limit."""
    assert states.split() == [state(f"iterations {op} 5", done(count)) for count in (4, 5, 6)]


@given(part=st.integers(0, 1000), whole=st.integers(1, 1000).map(lambda tenths: tenths / 10))
def test_percentage_at_its_limit_is_equal(part: int, whole: float) -> None:
    """Floating point noise never tells a share from the same percentage as written."""
    tally = done(1000, failed=part, x=label(1))
    text = f"{part // 10}.{part % 10}%"

    assert state(f"iteration_error_rate <= {text}", tally) == "passed"
    assert state(f"iteration_error_rate >= {text}", tally) == "passed"
    assert state(f"iteration_error_rate < {text}", tally) == "failed"
    assert state(f"rps >= {whole}", done(x=label(*[1.0] * 10)), 10 / whole) == "passed"


@given(microseconds=st.integers(0, 10**7))
def test_duration_at_its_limit_is_equal(microseconds: int) -> None:
    """A time that is the limit to the microsecond is equal to it."""
    tally = done(x=label(microseconds / 1000))

    assert state(f"max <= {microseconds}us", tally) == "passed"
    assert state(f"max < {microseconds}us", tally) == "failed"


@given(
    observed_us=st.integers(0, 5_000_000),
    limit_us=st.integers(1, 5_000_000),
    slack_us=st.integers(0, 5_000_000),
    op=st.sampled_from(["<", "<="]),
    metric=st.sampled_from(["p50", "p99.9", "avg", "min", "max", "p95(service)"]),
)
def test_laxer_limit_never_breaks(
    observed_us: int, limit_us: int, slack_us: int, op: str, metric: str
) -> None:
    """What passes an upper bound passes every larger one, and passes no lower bound that is stricter."""
    tally = done(x=label(observed_us / 1000, service=observed_us / 1000))
    strict = state(f"{metric} {op} {limit_us}us", tally)
    lax = state(f"{metric} {op} {limit_us + slack_us}us", tally)
    opposite = state(f"{metric} {op.replace('<', '>')} {limit_us + slack_us}us", tally)

    assert (strict, lax) != ("passed", "failed")
    assert strict == "failed" or slack_us == 0 or opposite == "failed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p95 < 300ms", "p95 412 ms, limit < 300 ms"),
        ("p95(service) <= 1.5s", "p95(service) 50 ms, limit <= 1.5 s"),
        ("p95 < 411.9us", "p95 412 ms, limit < 412 us"),
        ("error_rate < 1%", "error_rate 25%, limit < 1%"),
        ("rps > 200/s", "rps 0.4/s, limit > 200/s"),
        ("rps > 12000/m", "rps 0.4/s, limit > 200/s"),
        ("requests >= 1000", "requests 4, limit >= 1000"),
        ("iterations >= 12345678", "iterations 10, limit >= 12345678"),
    ],
)
def test_message_has_observed_value_and_limit(text: str, words: str) -> None:
    """Every message names the metric, what was observed, and the limit with its operator."""
    tally = done(a=label(412, 412, 412, 412, failures=1, service=50))

    assert message(text, tally) == words


@pytest.mark.parametrize(
    ("text", "milliseconds", "words"),
    [
        ("max < 300ms", 300.4, "max 300.4 ms, limit < 300 ms"),
        ("max < 300ms", 300.001, "max 300.001 ms, limit < 300 ms"),
        ("max < 300ms", 299.9, "max 299.9 ms, limit < 300 ms"),
        ("max < 90s", 90_004, "max 90.004 s, limit < 90 s"),
        ("max < 1s", 1000.4, "max 1.0004 s, limit < 1 s"),
        ("max < 300.4us", 0.3, "max 300 us, limit < 300.4 us"),
        ("max < 300ms", 300, "max 300 ms, limit < 300 ms"),
    ],
)
def test_message_shows_digits_until_the_numbers_differ(text: str, milliseconds: float, words: str) -> None:
    """Nobody reads "300 ms, limit < 300 ms" for a value that is not the limit."""
    assert message(text, done(x=label(milliseconds))) == words


def test_message_shows_digits_of_shares_and_rates() -> None:
    """Percentages and rates, too, get the digits that tell them from the limit."""
    tally = done(100_000, failed=1001, x=label(*[1.0] * 10))

    assert message("iteration_error_rate <= 1%", tally) == "iteration_error_rate 1.001%, limit <= 1%"
    assert message("rps > 200/s", tally, 10 / 199.9) == "rps 199.9/s, limit > 200/s"
    assert message("rps > 5/s", tally, 10 / 4.9999) == "rps 4.9999/s, limit > 5/s"


def test_columns_of_a_report_differ_like_the_message() -> None:
    """Reports that show both numbers in columns get the digits of the message."""
    assert spell_apart(0.3004, 0.3, "duration") == ("300.4 ms", "300 ms")
    assert spell_apart(3, 5, "count") == ("3", "5")


@given(
    text=st.sampled_from(["iteration_error_rate {} {}%", "failed_iterations {} {}"]),
    op=st.sampled_from(["<", "<=", ">", ">="]),
    limit=st.integers(0, 100),
    failed=st.integers(0, 10**7),
)
def test_broken_threshold_never_looks_kept(text: str, op: str, limit: int, failed: int) -> None:
    """In the words of a broken threshold the two numbers differ, unless they are equal."""
    outcome = judge(parse(text.format(op, limit)), done(10**7, failed=failed), 1.0)
    found = re.fullmatch(r"\w+ (.*), limit \S+ (.*)", outcome.message)
    assert found

    is_equal = outcome.observed == outcome.limit
    assert (found[1] == found[2]) is is_equal


def test_outcome_carries_numbers_for_reports() -> None:
    """Reports get the text as written, its label, and unrounded numbers in base units."""
    expected = Outcome(
        expr="login: max < 300ms",
        label="login",
        observed=0.412345,
        limit=0.3,
        state="failed",
        message="max 412 ms, limit < 300 ms",
    )

    assert expected == judge(parse(" login: max < 300ms"), done(login=label(412.345)), 1.0)


# ---- no data


@pytest.mark.parametrize(
    ("text", "tally", "words"),
    [
        ("p95 < 1s", done(), "p95: no data, no request or sample has a response time"),
        (
            "p95(service) < 1s",
            done(x=label(5)),
            "p95(service): no data, no request or sample has a service time",
        ),
        ("error_rate < 1%", done(), "error_rate: no data, no request or sample was recorded"),
        (
            "iteration_error_rate < 1%",
            done(0, x=label(5)),
            "iteration_error_rate: no data, no iteration ended",
        ),
    ],
)
def test_nothing_to_judge_by_is_an_error(text: str, tally: Tally, words: str) -> None:
    """Where k6 passes, a threshold without data is an error that says what is missing."""
    outcome = judge(parse(text), tally, 10.0)

    assert (outcome.state, outcome.observed, outcome.message) == ("error", None, words)


@pytest.mark.parametrize(
    "text",
    ["requests < 1", "iterations >= 0", "failed_iterations < 1", "rps < 1", "p95 < 1s", "*: requests < 1"],
)
@pytest.mark.parametrize(
    "tally", [Tally(), Tally(labels={"never": LabelTally("request")}, dropped_iterations=3)]
)
def test_blank_scenario_passes_no_threshold(text: str, tally: Tally) -> None:
    """When nothing at all was recorded, zero is no answer either."""
    assert state(text, tally) == "error"


@pytest.mark.parametrize("text", ["requests == 0", "rps < 1", "failed_iterations == 0", "*: requests < 1"])
def test_zero_is_data_when_something_happened(text: str) -> None:
    """Iterations without a request have made zero requests."""
    assert state(text, done(3)) == "passed"


def test_rate_without_time_is_an_error() -> None:
    """A rate over zero seconds is no number."""
    assert message("rps > 5", shop(), 0.0) == "rps: no data, the measured time is zero"
    assert state("rps > 5", shop(), 0.0) == "error"


def test_share_of_skipped_iterations_is_an_error() -> None:
    """Iterations that were all skipped say nothing about how many fail."""
    tally = shop()
    tally.skipped_iterations = 10

    assert message("iteration_error_rate < 1%", tally) == (
        "iteration_error_rate: no data, all 10 iterations were skipped"
    )


def test_label_that_never_came_lists_those_that_did() -> None:
    """A label that was not seen is an error with the labels seen and the nearest of them."""
    outcome = judge(parse("lgoin: p95 < 1s"), shop(), 10.0)

    assert outcome.state == "error"
    assert outcome.message == (
        'p95: no data, label "lgoin" never came; labels seen: "cart", "checkout", "login", "query"; '
        "did you mean 'login'?"
    )


@pytest.mark.parametrize("text", ["x: requests < 5", "x: rps < 5", "x: error_rate < 5%"])
def test_label_that_never_came_is_not_zero(text: str) -> None:
    """Not even counts take an unseen label for zero."""
    assert state(text, shop()) == "error"
    assert message(text, done(5)).endswith('no data, label "x" never came, nor did any other')


def test_label_without_samples_was_not_seen() -> None:
    """A label that is known but has no sample is treated as one that never came."""
    tally = done(login=label(), cart=label(1))

    assert message("login: requests < 5", tally).endswith('"login" never came; labels seen: "cart"')
    assert observed("*o*: requests < 5", tally) is None


def test_listed_labels_are_bounded() -> None:
    """Five hundred labels make one sentence of ten, and long names are cut."""
    tally = Tally(iterations=1, labels={f"{n:03} {'x' * 1000}": label(1) for n in range(500)})

    words = message("zzz: p95 < 1s", tally)

    assert "and 490 more" in words
    assert len(words) < 2000


# ---- the verdict


def test_kept_thresholds_pass() -> None:
    """Kept thresholds and whole iterations are a pass without findings."""
    judgement = verdict_on(shop(), "p95 < 300ms", "error_rate < 10%")

    assert (judgement.verdict, judgement.findings) == ("passed", [])
    assert [outcome.state for outcome in judgement.outcomes] == ["passed", "passed"]
    assert not judgement.failed_iterations_excused


def test_whole_iterations_pass_without_thresholds() -> None:
    """A scenario needs no threshold to pass."""
    assert verdict_on(shop()).verdict == "passed"


def test_broken_threshold_fails_with_its_numbers() -> None:
    """The finding has the threshold as written, the observed value and the limit."""
    judgement = verdict_on(done(a=label(412)), "p95<300ms", "p95 < 1s")

    assert judgement.verdict == "failed"
    assert judgement.findings == ["threshold broken: p95<300ms: p95 412 ms, limit < 300 ms"]


def test_threshold_without_data_is_an_error() -> None:
    """A threshold that can't be judged is an error of the scenario."""
    judgement = verdict_on(done(), "p95 < 300ms")

    assert judgement.verdict == "error"
    assert judgement.findings == [
        (
            "no samples: 10 iterations timed nothing; send requests with vu.http, or time what is done with "
            '"with vu.sample(label):"'
        ),
        "threshold not judged: p95 < 300ms: p95: no data, no request or sample has a response time",
    ]


def test_failed_iteration_fails_without_thresholds() -> None:
    """One failed iteration is a failed test; the finding counts and names the most frequent errors."""
    tally = done(120, failed=3, by_sample=1, a=label(1))
    tally.error("", "assert", "assert '{}' == 'paid'", 2)
    tally.error("GET /cart", "status", "503 Service Unavailable", 1)
    tally.error("", "skipped", "not today", 50)

    judgement = verdict_on(tally)

    assert judgement.verdict == "failed"
    (finding,) = judgement.findings
    what, errors = finding.split(", most often: ")
    assert what == (
        '3 of 120 iterations failed and no threshold allows any (add for example "iteration_error_rate < 1%")'
    )
    assert errors == "2 x assert '{}' == 'paid'; 1 x 503 Service Unavailable in \"GET /cart\""


def test_named_errors_are_bounded() -> None:
    """A hundred long messages become three short ones, and the number of the others."""
    tally = done(120, failed=100, a=label(1))
    for number in range(100):
        tally.error("", "exception", f"{'x' * 1000}\n{number}", 1 + number)

    (finding,) = verdict_on(tally).findings

    assert "and 97 more" in finding
    assert "\n" not in finding
    assert len(finding) < 1000


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("iteration_error_rate < 5%", "passed"),
        ("iteration_error_rate <= 3%", "passed"),
        ("iteration_error_rate < 3%", "failed"),
        ("iteration_error_rate > 0%", "failed"),
        ("failed_iterations <= 3", "passed"),
        ("failed_iterations == 3", "passed"),
        ("failed_iterations < 3", "failed"),
        ("failed_iterations >= 0", "failed"),
        ("failed_iterations != 4", "failed"),
        ("error_rate < 50%", "failed"),
        ("p95 < 1s", "failed"),
    ],
)
def test_threshold_says_how_many_iterations_may_fail(text: str, verdict: str) -> None:
    """Only an upper bound on failed iterations allows some, and only as many as it says."""
    judgement = verdict_on(done(100, failed=3, a=label(1)), text)

    assert verdict == judgement.verdict
    metric, op, _ = text.split()
    allows = metric in ("iteration_error_rate", "failed_iterations") and op in ("<", "<=", "==")
    assert judgement.failed_iterations_excused is allows
    assert any("iterations failed" in finding for finding in judgement.findings) is not allows


@pytest.mark.parametrize(
    ("text", "by_sample", "unexcused"),
    [
        ("error_rate < 50%", 3, 0),
        ("*: error_rate <= 50%", 3, 0),
        ("error_rate < 50%", 1, 2),
        ("error_rate < 50%", 0, 3),
        ("error_rate >= 0%", 3, 3),
        ("a: error_rate < 50%", 3, 3),
        ("?: error_rate < 50%", 3, 3),
    ],
)
def test_error_rate_excuses_iterations_that_a_sample_ended(text: str, by_sample: int, unexcused: int) -> None:
    """An unlabelled error_rate is over samples: it never covers assertions and other exceptions."""
    judgement = verdict_on(done(100, failed=3, by_sample=by_sample, a=label(1, 1, 1)), text)

    assert judgement.verdict == ("failed" if unexcused else "passed")
    assert judgement.failed_iterations_excused is not bool(unexcused)
    assert [f"{unexcused} of 100"] * bool(unexcused) == [finding[:8] for finding in judgement.findings]


def test_uncovered_failures_are_named_without_the_covered() -> None:
    """Under an error_rate the finding names assertions and exceptions, not the failed samples."""
    tally = done(10, failed=9, by_sample=7, a=label(1))
    tally.error("a", "status", "503 Busy", 7)
    tally.error("", "exception", "KeyError: 'id'")
    tally.error("a", "assert", "assert {} == {}")

    (finding,) = verdict_on(tally, "error_rate < 99%").findings
    what, errors = finding.split(", most often: ")
    assert what == (
        "2 of 10 iterations failed by an assertion or another exception, which error_rate does not cover "
        '(add for example "iteration_error_rate < 1%")'
    )
    assert errors == "1 x KeyError: 'id'; 1 x assert {} == {} in \"a\""


def test_assertions_fail_while_every_status_is_200() -> None:
    """A scenario whose assert fails every time never ends green because no sample failed."""
    judgement = verdict_on(done(10, failed=10, a=label(1)), "error_rate < 1%", "p95 < 1s")

    assert judgement.verdict == "failed"
    assert [outcome.state for outcome in judgement.outcomes] == ["passed", "passed"]


def test_blank_scenario_is_an_error() -> None:
    """No sample and no iteration never end green, with or without thresholds."""
    judgement = verdict_on(Tally(users=5))

    assert judgement.verdict == "error"
    assert judgement.findings == ["nothing was recorded: no sample was taken and no iteration ended"]
    assert len(verdict_on(Tally(), "iterations >= 0").findings) == 2


def test_scenario_that_was_skipped_throughout_is_an_error() -> None:
    """Iterations that were all skipped are an error that gives pytest.skip's reason."""
    tally = done(20)
    tally.skipped_iterations = 20
    tally.error("", "skipped", "no account left", 20)

    (finding,) = verdict_on(tally, "iterations >= 20").findings
    assert finding == (
        "all 20 iterations were skipped by pytest.skip and no sample was taken, "
        "most often: 20 x no account left"
    )
    assert verdict_on(tally).verdict == "error"


def test_single_skipped_iteration_is_an_error() -> None:
    """One user, one iteration, skipped: nothing was tested."""
    judgement = verdict_on(Tally(iterations=1, skipped_iterations=1))

    assert judgement.findings == ["the only iteration was skipped by pytest.skip and no sample was taken"]


def test_skipped_iterations_that_took_samples_pass() -> None:
    """Iterations that end by pytest.skip after their requests have measured something."""
    tally = shop()
    tally.skipped_iterations = 10

    assert verdict_on(tally, "p95 < 1s").verdict == "passed"


def test_some_skipped_iterations_pass() -> None:
    """Skipped iterations beside others are no reason against the scenario."""
    tally = shop()
    tally.skipped_iterations = 9

    assert verdict_on(tally).verdict == "passed"


def test_graver_verdicts_keep_all_other_findings() -> None:
    """Aborted goes before invalid, error and failed, and hides none of what they found."""
    thresholds = [parse("p95 < 300ms"), parse("nowhere: p95 < 1s")]
    tally = done(10, failed=1, a=label(412))
    lost = ["node b fell silent at second 7", "3 frames are lost"]

    aborted = decide(thresholds, tally, 10.0, invalid=lost, aborted="interrupted by Ctrl-C")
    invalid = decide(thresholds, tally, 10.0, invalid=lost)
    error = decide(thresholds, tally, 10.0)
    failed = decide(thresholds[:1], tally, 10.0)

    assert [j.verdict for j in (aborted, invalid, error, failed)] == ["aborted", "invalid", "error", "failed"]
    assert aborted.findings[1:] == invalid.findings
    assert invalid.findings[2:] == error.findings
    assert [finding.split(":")[0][:22] for finding in aborted.findings] == [
        "aborted",
        "invalid",
        "invalid",
        "threshold not judged",
        "threshold broken",
        "1 of 10 iterations fai",
    ]
    assert [outcome.state for outcome in aborted.outcomes] == ["failed", "error"]


@pytest.mark.parametrize(
    ("verdict", "aborted", "invalid"),
    [("aborted", "pytest.exit: enough", []), ("invalid", "", ["node a was lost"])],
)
def test_good_numbers_do_not_save_a_bad_run(verdict: str, aborted: str, invalid: list[str]) -> None:
    """Kept thresholds never turn an invalid or aborted run green."""
    judgement = decide([parse("p95 < 5s")], shop(), 10.0, aborted=aborted, invalid=invalid)

    assert verdict == judgement.verdict
    assert judgement.findings == [f"aborted: {aborted}"] * bool(aborted) + [f"invalid: {r}" for r in invalid]


@given(
    iterations=st.integers(0, 50),
    failed=st.integers(0, 50),
    by_sample=st.integers(0, 50),
    skipped=st.integers(0, 50),
    samples=st.integers(0, 5),
    texts=st.lists(
        st.sampled_from(
            ["p95 < 1s", "error_rate < 50%", "failed_iterations < 9", "x: p95 < 1s", "requests >= 1"]
        ),
        max_size=3,
    ),
)
def test_green_means_that_nothing_speaks_against_it(
    iterations: int, failed: int, by_sample: int, skipped: int, samples: int, texts: list[str]
) -> None:
    """Passed: something was recorded, all thresholds hold, and every failed iteration is accounted for."""
    failed = min(failed, iterations)
    tally = done(iterations, failed=failed, by_sample=min(by_sample, failed), a=label(*[1.0] * samples))
    tally.skipped_iterations = min(skipped, iterations - failed)
    judgement = verdict_on(tally, *texts)

    assert (judgement.verdict == "passed") is not bool(judgement.findings)
    if judgement.verdict == "passed":
        assert iterations or samples
        assert {outcome.state for outcome in judgement.outcomes} <= {"passed"}
        assert not failed or judgement.failed_iterations_excused


def test_judging_twice_gives_the_same() -> None:
    """Judging changes nothing: live progress and the end may both ask."""
    tally = shop()
    thresholds = [parse("p95 < 300ms"), parse("c*: avg < 1ms")]

    assert decide(thresholds, tally, 10.0) == decide(thresholds, tally, 10.0)


def test_iterations_without_a_sample_are_never_green() -> None:
    """A scenario that timed nothing has shown nothing, however many iterations passed."""
    judgement = verdict_on(done())

    assert judgement.verdict == "error"
    assert judgement.findings[0].startswith("no samples: 10 iterations timed nothing")


def test_dropped_iterations_are_judged_as_a_count_and_as_a_share_of_the_scheduled_ones() -> None:
    """Only a scenario with a rate schedules any: without it none was dropped, and a share says nothing."""
    some = Tally(iterations=90, scheduled_iterations=100, started_iterations=90, dropped_iterations=10)
    closed = Tally(iterations=90)

    assert judge(parse("dropped_iterations == 0"), some, 10.0).message == "dropped_iterations 10, limit == 0"
    assert judge(parse("dropped_rate < 5%"), some, 10.0).message == "dropped_rate 10%, limit < 5%"
    assert judge(parse("dropped_rate <= 10%"), some, 10.0).state == "passed"
    assert judge(parse("dropped_iterations == 0"), closed, 10.0).state == "passed"
    unknown = judge(parse("dropped_rate < 5%"), closed, 10.0)
    assert unknown.state == "error"
    assert "only a scenario with a rate schedules them" in unknown.message
