"""Thresholds as users write them: what is understood, and how mistakes are explained."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.thresholds.grammar import Threshold, parse

DURATIONS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
ORDERING = ("<", "<=", ">", ">=")


def refusal(text: str) -> list[str]:
    """Return the lines of the error that the text gets."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value).splitlines()


def marked(text: str) -> str:
    """Return the piece of the text under which the carets stand."""
    _, shown, carets, _ = refusal(text)
    return shown[carets.index("^") : len(carets)]


@pytest.mark.parametrize(
    ("text", "metric", "op", "limit", "unit"),
    [
        ("p95 < 300ms", "p95", "<", 0.3, "duration"),
        ("p99.9<=1.5s", "p99.9", "<=", 1.5, "duration"),
        ("p100 < 1m30s", "p100", "<", 90.0, "duration"),
        ("p0.5 >= 250us", "p0.5", ">=", 0.00025, "duration"),
        ("avg < 20 ms", "avg", "<", 0.02, "duration"),
        ("min > 0", "min", ">", 0.0, "duration"),
        ("max < 2 min", "max", "<", 120.0, "duration"),
        ("error_rate < 1%", "error_rate", "<", 0.01, "fraction"),
        ("error_rate <= 0.7 %", "error_rate", "<=", 0.007, "fraction"),
        ("iteration_error_rate < 100%", "iteration_error_rate", "<", 1.0, "fraction"),
        ("rps > 200/s", "rps", ">", 200.0, "rate"),
        ("rps > 200", "rps", ">", 200.0, "rate"),
        ("rps >= 90/m", "rps", ">=", 1.5, "rate"),
        ("requests >= 1000", "requests", ">=", 1000.0, "count"),
        ("iterations != 0", "iterations", "!=", 0.0, "count"),
        ("failed_iterations == 0", "failed_iterations", "==", 0.0, "count"),
        ("dropped_iterations == 0", "dropped_iterations", "==", 0.0, "count"),
        ("dropped_rate < 5%", "dropped_rate", "<", 0.05, "fraction"),
    ],
)
def test_every_metric_is_read_in_its_own_unit(
    text: str, metric: str, op: str, limit: float, unit: str
) -> None:
    """Each metric takes its own kind of value, which comes out in the base unit."""
    threshold = parse(text)

    assert (metric, op, limit, unit) == (threshold.metric, threshold.op, threshold.limit, threshold.unit)
    assert threshold.label is None


def test_percentile_is_a_number() -> None:
    """A percentile keeps its decimals; other metrics have none."""
    assert parse("p99.95 < 1s").percentile == 99.95
    assert parse("avg < 1s").percentile is None


@pytest.mark.parametrize(
    ("text", "times", "title"),
    [
        ("p95 < 1s", "response", "p95"),
        ("p95(response) < 1s", "response", "p95"),
        ("p95(service) < 1s", "service", "p95(service)"),
        ("max ( service ) < 1s", "service", "max(service)"),
    ],
)
def test_times_are_response_unless_service_is_asked_for(text: str, times: str, title: str) -> None:
    """Service times are named in brackets and in messages; response times are the default."""
    assert (times, title) == (parse(text).times, parse(text).title)


@pytest.mark.parametrize(
    "label", ["login", "GET /items/{}", "step 1: pay", "http://shop:80/x", "a < b", "*", "GET /?a=1", "登录"]
)
def test_label_may_hold_almost_anything(label: str) -> None:
    """Spaces, colons, slashes, braces and operators belong to the label: it is read from the right."""
    threshold = parse(f"  {label} : error_rate < 1%  ")

    assert label == threshold.label
    assert threshold.metric == "error_rate"


def test_expr_is_the_text_as_written() -> None:
    """Reports show the user's own words, only white space around them goes."""
    assert parse("  p95<300ms ").expr == "p95<300ms"


@pytest.mark.parametrize(
    ("text", "everything"), [("p95 < 1s", True), ("*: p95 < 1s", True), ("x*: p95 < 1s", False)]
)
def test_bare_star_is_everything(text: str, *, everything: bool) -> None:
    """A bare star says the same as no label at all."""
    assert everything is parse(text).over_everything


@pytest.mark.parametrize(
    ("text", "piece", "reason"),
    [
        ("p95 < 300", "300", "no unit, add one: 300ms"),
        ("p95 < fast", "fast", "not a duration"),
        ("p95 < -5ms", "-5ms", "not a duration"),
        ("p95 < baseline * 1.10", "baseline * 1.10", "not a duration"),
        ("error_rate < 0.01", "0.01", "not a percentage"),
        ("error_rate < 101%", "101%", "above 100%"),
        ("rps > 200/week", "200/week", "not a rate"),
        ("requests > 1.5", "1.5", "not a whole number"),
        ("requests > 10%", "10%", "not a whole number"),
        ("requests > ٣", "٣", "not a whole number"),
        (f"rps > {'9' * 400}", "9" * 400, "too large"),
        ("p95 < 300ms over 10s", "over 10s", "not understood"),
        ("error_rate < 1% lasting 5s", "lasting 5s", "not understood"),
        ("p95 < 300ms and p99 < 1s", "p95 < 300ms and p99", "one comparison"),
        ("p95 = 300ms", "=", "not an operator"),
        ("p95 => 300ms", "=>", "did you mean '>='?"),
        ("requests = 3", "=", "did you mean '=='?"),
        ("p95 == 300ms", "==", "whole numbers only"),
        ("error_rate != 1%", "!=", "whole numbers only"),
        ("erorr_rate < 1%", "erorr_rate", "did you mean 'error_rate'?"),
        ("P95 < 1s", "P95", "did you mean 'p95'?"),
        ("p(95) < 1s", "p(95)", "did you mean 'p95'?"),
        ("mean < 1s", "mean", "did you mean 'avg'?"),
        ("login: qps > 5", "qps", "did you mean 'rps'?"),
        ("zzz < 1s", "zzz", "iteration_error_rate, rps"),
        ("login p95 < 1s", "login p95", "'login: p95'"),
        ("p0 < 1s", "p0", "above p0 and at most p100"),
        ("p100.1 < 1s", "p100.1", "above p0 and at most p100"),
        ("p999 < 1s", "p999", "did you mean 'p99.9'?"),
        ("p95(servce) < 1s", "p95(servce)", "did you mean 'service'?"),
        ("rps(service) > 5", "rps(service)", "only durations"),
        ("cart: iterations > 5", "cart", "have no label"),
        ("cart: failed_iterations < 5", "cart", "have no label"),
        ("cart: dropped_iterations < 5", "cart", "have no label"),
        ("cart: dropped_rate < 5%", "cart", "have no label"),
        ("*: iteration_error_rate < 5%", "*", "have no label"),
        (": p95 < 1s", ":", "label before the colon is empty"),
        ("login: < 1s", "<", "metric before '<' is missing"),
        ("< 1s", "<", "metric before '<' is missing"),
        ("GET /a\tb: p95 < 1s", " ", "U+0009"),
        ("登录: p95 < 3", "3", "no unit"),
    ],
)
def test_mistake_is_marked_and_explained(text: str, piece: str, reason: str) -> None:
    """The message gives the reason, marks the offending piece of the text, and shows a correct example."""
    first, shown, carets, last = refusal(text)

    assert reason in first
    assert shown == f"  {text}".replace("\t", " ")
    wide = 2 if text.startswith("登录") else 0
    start = carets.index("^") - wide
    assert shown[start : start + carets.count("^")] == piece
    assert last.startswith("A correct example: ")


@pytest.mark.parametrize("text", ["p95", "p95 <", "login: p95", "GET /?a=1: p95"])
def test_missing_end_is_marked_behind_the_text(text: str) -> None:
    """What is missing at the end is marked where it should stand."""
    assert marked(text) == ""
    assert "is missing" in refusal(text)[0]


def test_empty_text_is_refused() -> None:
    """An empty threshold says so instead of passing everything."""
    assert "empty" in refusal("  ")[0]


@pytest.mark.parametrize(
    "text",
    [
        "p95 < 5",
        "p95 ! 5ms",
        "error_rate < 5",
        "rps > x",
        "requests > x",
        "failed_iterations < x",
        "x: iterations < 5",
    ],
)
def test_example_in_a_message_is_a_threshold(text: str) -> None:
    """Whoever copies the example gets something that works."""
    example_text = refusal(text)[3].removeprefix("A correct example: ")

    assert parse(example_text).expr == example_text


def written_thresholds() -> st.SearchStrategy[tuple[str, Threshold]]:
    """Return texts with the thresholds that they must become."""
    labels = st.none() | st.text(min_size=1, max_size=20).filter(
        lambda text: text.isprintable() and text.strip() == text
    )
    return st.one_of(
        st.builds(
            written_duration,
            labels,
            st.integers(1, 10_000).map(lambda hundredths: f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")),
            st.sampled_from(["", "(response)", "(service)"]),
            st.sampled_from(ORDERING),
            st.integers(0, 10_000),
            st.sampled_from(sorted(DURATIONS)),
            st.sampled_from(["", " ", "  "]),
        ),
        st.builds(
            written_count,
            st.sampled_from(["requests", "iterations", "failed_iterations"]),
            labels,
            st.sampled_from([*ORDERING, "==", "!="]),
            st.integers(0, 10**12),
        ),
    )


def written_duration(
    label: str | None, percent: str, times: str, op: str, number: int, unit: str, space: str
) -> tuple[str, Threshold]:
    """Return a threshold on a percentile, as text and as the value it must become."""
    text = f"{label}{space}:{space}" if label else ""
    text += f"p{percent}{space}{times}{space}{op}{space}{number}{space}{unit}"
    return text, Threshold(
        expr=text,
        label=label,
        metric=f"p{percent}",
        percentile=float(percent),
        times="service" if times == "(service)" else "response",
        op=op,  # type: ignore[arg-type]
        limit=float(f"{number * DURATIONS[unit]:.15g}"),
        unit="duration",
    )


def written_count(metric: str, label: str | None, op: str, number: int) -> tuple[str, Threshold]:
    """Return a threshold on a count, as text and as the value it must become."""
    label = label if metric == "requests" else None
    text = f"{label}: {metric} {op} {number}" if label else f"{metric} {op} {number}"
    return text, Threshold(
        expr=text,
        label=label,
        metric=metric,
        percentile=None,
        times="response",
        op=op,  # type: ignore[arg-type]
        limit=number,
        unit="count",
    )


@given(written_thresholds())
def test_what_is_written_is_what_is_read(written: tuple[str, Threshold]) -> None:
    """Parsing gives back every part that was written, whatever the label holds."""
    text, threshold = written

    assert parse(text) == threshold


@given(st.text() | st.text(alphabet="p95 avgrps:<>=!%/sm.0(){}", max_size=30))
@example("p95 < 1s\x00")
@example("=:=")
def test_any_other_text_gets_a_config_error(text: str) -> None:
    """No text whatsoever gives anything but a threshold or a ConfigError with four lines."""
    try:
        understood, lines = parse(text).expr, 4
    except ConfigError as error:
        understood, lines = text.strip(), len(str(error).split("\n"))

    assert (understood, lines) == (text.strip(), 4)
