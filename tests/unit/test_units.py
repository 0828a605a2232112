"""Durations, rates, percentages, sizes and numbers of users as text."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.units import (
    MAX_USERS,
    RateOverride,
    UsersOverride,
    format_duration,
    format_percentage,
    format_rate,
    format_size,
    parse_duration,
    parse_percentage,
    parse_rate,
    parse_rate_override,
    parse_users,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250us", 250e-6),
        ("250µs", 250e-6),
        ("300ms", 0.3),
        ("1.5s", 1.5),
        ("1m30s", 90.0),
        ("1m 30s", 90.0),
        (" 5 min ", 300.0),
        ("2h", 7200.0),
        ("1h1m1s1ms", 3661.001),
        ("0", 0.0),
        ("0s", 0.0),
        ("10000h", 3.6e7),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Every unit is understood, alone and in a row."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "5x", "abc", "-5s", "1e3s", "1.5.5s", "5sec", "1m30", "1,5s", "nan", "inf", "0.s", "5S"],
)
def test_what_is_not_a_duration_is_refused_with_an_example(text: str) -> None:
    """The message repeats the text as it was written and shows a correct one."""
    with pytest.raises(ConfigError, match=r"write for example 30s, 500ms or 1m30s") as caught:
        parse_duration(text)

    assert repr(text) in str(caught.value)


def test_a_number_without_a_unit_is_told_to_add_one() -> None:
    """The commonest mistake gets the text that was meant."""
    with pytest.raises(ConfigError, match="'30' is not a duration; add a unit, for example \"30s\""):
        parse_duration("30")


@pytest.mark.parametrize("text", ["10001h", "9" * 400 + "s"])
def test_a_duration_has_a_limit(text: str) -> None:
    """No text comes to infinity, whatever it says."""
    with pytest.raises(ConfigError, match="durations go up to 10000h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.00087, "870 us"),
        (0.0009994, "999 us"),
        (0.0009996, "1 ms"),
        (0.0123, "12.3 ms"),
        (0.412, "412 ms"),
        (0.9996, "1 s"),
        (1.238, "1.24 s"),
        (59.94, "59.9 s"),
        (59.96, "1m00s"),
        (125, "2m05s"),
        (3599.4, "59m59s"),
        (3599.6, "1h00m"),
        (3720, "1h02m"),
        (-1.5, "-1.5 s"),
        (math.inf, "unlimited"),
    ],
)
def test_seconds_are_shown_as_people_read_them(seconds: float, text: str) -> None:
    """Three digits, and never 60 of a unit that has a larger one."""
    assert format_duration(seconds) == text


@given(st.floats(min_value=1e-6, max_value=59.9))
def test_a_shown_duration_reads_back_within_its_digits(seconds: float) -> None:
    """What is printed can be typed again and is the same to half a percent, or half a microsecond."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.0051, abs=0.51e-6)


@pytest.mark.parametrize(
    ("text", "fraction"), [("1%", 0.01), ("0.5 %", 0.005), (" 100% ", 1.0), ("0%", 0.0), ("150%", 1.5)]
)
def test_a_percentage_is_read_as_a_fraction(text: str, fraction: float) -> None:
    """Spaces around number and sign do not matter."""
    assert parse_percentage(text) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["1", "%", "", "-1%", "1%%", "a%", "1e1%"])
def test_what_is_not_a_percentage_is_refused(text: str) -> None:
    """A number without the sign is no percentage either."""
    with pytest.raises(ConfigError, match=re.escape(f"{text!r} is not a percentage, write for example 1%")):
        parse_percentage(text)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "0%"), (0.01, "1%"), (0.00123, "0.12%"), (0.5, "50%"), (0.12345, "12.35%"), (1, "100%")],
)
def test_a_fraction_is_shown_as_a_percentage(fraction: float, text: str) -> None:
    """Small ones with two digits, large ones with up to four."""
    assert format_percentage(fraction) == text


@pytest.mark.parametrize(
    ("text", "rate"), [("200/s", 200.0), ("1200/m", 20.0), ("90/min", 1.5), ("36000 / h", 10.0)]
)
def test_a_rate_is_read_per_second(text: str, rate: float) -> None:
    """Rates may be given per second, minute or hour."""
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["200", "/s", "200/d", "-1/s", "200/ms", ""])
def test_what_is_not_a_rate_is_refused(text: str) -> None:
    """A rate needs a number and a unit of time."""
    with pytest.raises(ConfigError, match=re.escape(f"{text!r} is not a rate, write for example 200/s")):
        parse_rate(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 << 20, "20 MiB"), (3 << 30, "3 GiB")],
)
def test_a_size_is_shown_in_binary_units(size: float, text: str) -> None:
    """The largest unit that fits is used."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("50", UsersOverride(count=50)),
        (" 1 ", UsersOverride(count=1)),
        (str(MAX_USERS), UsersOverride(count=MAX_USERS)),
        ("50%", UsersOverride(factor=0.5)),
        ("150 %", UsersOverride(factor=1.5)),
        ("0.5%", UsersOverride(factor=0.005)),
    ],
)
def test_users_are_a_count_or_a_factor(text: str, override: UsersOverride) -> None:
    """A percent sign makes it a factor."""
    assert parse_users(text) == override


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "0%", "1.5", "1_000", "1,000", "1e3", "fifty", "%", "1000000000", "+5", "٣"]
)
def test_what_is_not_a_number_of_users_is_refused(text: str) -> None:
    """Zero, fractions and thousands separators are refused with an example."""
    with pytest.raises(
        ConfigError, match=re.escape(f"{text!r} is not a number of users, write for example 50")
    ):
        parse_users(text)


@pytest.mark.parametrize(
    ("text", "peak", "users"),
    [("7", 500, 7), ("50%", 500, 250), ("50%", 501, 251), ("110%", 100, 110), ("0.1%", 10, 1)],
)
def test_users_replace_or_scale_a_peak(text: str, peak: int, users: int) -> None:
    """Halves are rounded up, and one user is always left."""
    assert parse_users(text).applied_to(peak) == users


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("50/s", RateOverride(rate=50.0)),
        (" 90 / m ", RateOverride(rate=1.5)),
        ("50%", RateOverride(factor=0.5)),
        ("250 %", RateOverride(factor=2.5)),
    ],
)
def test_a_rate_override_is_a_rate_or_a_factor(text: str, override: RateOverride) -> None:
    """A percentage scales."""
    assert parse_rate_override(text) == override


@pytest.mark.parametrize("text", ["", "50", "0/s", "0%", "-5/s", "5/d", "99999999/s", "1e3/s", "5 %%"])
def test_what_is_no_rate_override_is_refused(text: str) -> None:
    """The message shows both ways to write one."""
    with pytest.raises(
        ConfigError, match=re.escape(f"{text!r} is not an arrival rate, write for example 50/s")
    ):
        parse_rate_override(text)


@pytest.mark.parametrize(
    ("rate", "text"),
    [(200.0, "200/s"), (0.5, "0.5/s"), (1 / 3, "0.3333/s"), (12345.6, "12346/s"), (0, "0/s")],
)
def test_rates_are_written_as_they_are_read(rate: float, text: str) -> None:
    """Four digits below a thousand a second, whole numbers above."""
    assert format_rate(rate) == text
    assert parse_rate(text) == pytest.approx(rate, rel=1e-3)
