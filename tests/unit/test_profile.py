"""Load curves: levels, users, and the spans in which each user is there."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_metersphere.scenario.profile import Profile, Stage, plain_stages

STAGES = st.lists(
    st.builds(Stage, st.sampled_from([0.0, 0.1, 1.0, 7.0, 30.0, 3600.0]), st.integers(0, 50)),
    min_size=1,
    max_size=6,
)


def profile(*stages: tuple[float, int]) -> Profile:
    """Return the profile of (duration, users) pairs."""
    return Profile(stages=tuple(Stage(duration, users) for duration, users in stages))


def test_a_plain_curve_climbs_and_stays() -> None:
    """A ramp of 10 s to 10 users, then level."""
    curve = Profile(stages=plain_stages(10, 10.0, 20.0))

    assert (curve.duration, curve.peak) == (30.0, 10)
    assert [curve.users_at(second) for second in (0, 0.9, 1, 5, 10, 30)] == [0, 0, 1, 5, 10, 10]


def test_without_a_ramp_all_are_there_at_once() -> None:
    """A stage of no duration is a jump."""
    curve = Profile(stages=plain_stages(3, 0.0, 5.0))

    assert curve.users_at(0) == 3
    assert [curve.presence(user) for user in (1, 2, 3, 4)] == [[(0.0, 5.0)]] * 3 + [[]]


@pytest.mark.parametrize("second", [-0.1, 30.1])
def test_nobody_is_there_outside_the_run(second: float) -> None:
    """Before the start and after the end the level is 0."""
    assert Profile(stages=plain_stages(10, 10.0, 20.0)).level_at(second) == 0.0


def test_a_user_comes_back_with_the_second_wave() -> None:
    """A curve that falls and rises again gives several spans."""
    waves = profile((0, 4), (10, 4), (4, 0), (6, 0), (0, 2), (10, 2))

    assert waves.presence(1) == [(0.0, 13.0), (20.0, 30.0)]
    assert waves.presence(4) == [(0.0, 10.0)]


def test_iterations_alone_give_a_curve_without_end() -> None:
    """With an infinite hold users climb as ever and stay for good."""
    curve = Profile(stages=plain_stages(4, 4.0, math.inf), iterations=3)

    assert curve.duration == math.inf
    assert [curve.users_at(second) for second in (2, 4, 1e9)] == [2, 4, 4]
    assert curve.presence(2) == [(2.0, math.inf)]


@given(STAGES, st.floats(0, 1))
@example([Stage(0.0, 1), Stage(3600.0, 0)], 0.0)
def test_spans_and_curve_agree(stages: list[Stage], part: float) -> None:
    """At any moment as many users are within their spans as the curve says.

    At the very ends of a span, where a float decides, the moments just beside are accepted too.
    """
    curve = Profile(stages=tuple(stages))
    second = curve.duration * part
    near = 1e-5  # users_at forgives 1e-9 of a user, which the slowest curve here takes 3.6e-6 s for

    here = sum(
        any(start <= second < end for start, end in curve.presence(user)) for user in range(1, curve.peak + 1)
    )
    around = [
        curve.users_at(moment)
        for moment in (max(second - near, 0), second, min(second + near, curve.duration))
    ]

    assert second == curve.duration or min(around) <= here <= max(around)


@given(STAGES, st.integers(1, 60))
def test_spans_are_apart_in_order_and_within_the_run(stages: list[Stage], user: int) -> None:
    """Every span has a length, and the next one begins after it."""
    curve = Profile(stages=tuple(stages))
    ends = [moment for span in curve.presence(user) for moment in span]

    assert ends == sorted(ends)
    assert all(start < end for start, end in curve.presence(user))
    assert not ends or (ends[0] >= 0 and ends[-1] <= curve.duration * (1 + 1e-12))


@given(STAGES, st.integers(1, 60))
def test_a_lower_user_is_there_whenever_a_higher_one_is(stages: list[Stage], user: int) -> None:
    """So a slice's users come and go in the order of the plan."""
    curve = Profile(stages=tuple(stages))
    lower = curve.presence(user)

    for start, end in curve.presence(user + 1):
        assert any(first <= start and end <= last for first, last in lower)


@given(st.integers(1, 10**6), st.sampled_from([0.3, 10.0, 86_400.0]), st.integers(0, 10**6))
def test_a_user_is_counted_from_the_moment_it_comes(peak: int, ramp: float, number: int) -> None:
    """Large numbers of users do not fall between two floats."""
    user = number % peak + 1
    curve = Profile(stages=plain_stages(peak, ramp, 10.0))

    assert curve.users_at(curve.presence(user)[0][0]) == user


def test_users_that_come_at_once_begin_one_after_another() -> None:
    """Evenly within the time between two iterations, in the order of the plan's list."""
    profile = Profile(stages=plain_stages(400, 0.0, 60.0))

    begins = [profile.stagger(user, 2.0) for user in range(1, 401)]

    assert begins == pytest.approx([(user - 1) * 2.0 / 400 for user in range(1, 401)])


@pytest.mark.parametrize(
    ("users", "hold", "period", "spread"),
    [(400, 60.0, 2.0, 2.0), (400, 60.0, 600.0, 4.0), (400, 10.0, 600.0, 1.0), (2, 60.0, 600.0, 0.02)],
    ids=["the period", "10 ms each", "a tenth of the load", "a few users"],
)
def test_the_spread_is_bounded(users: int, hold: float, period: float, spread: float) -> None:
    """A few users, or those of a short load, are not kept waiting."""
    profile = Profile(stages=plain_stages(users, 0.0, hold))

    assert profile.stagger(users, period) == pytest.approx(spread * (users - 1) / users)


def test_users_along_a_ramp_begin_as_they_come() -> None:
    """They come one after another anyway; so does nobody wait who does not pause."""
    profile = Profile(stages=(Stage(10.0, 50), Stage(5.0, 50), Stage(0.0, 60), Stage(5.0, 60)))

    assert {profile.stagger(user, 1.0) for user in range(1, 51)} == {0.0}
    assert [profile.stagger(user, 1.0) for user in (51, 52, 60)] == pytest.approx([0.0, 0.01, 0.09])
    assert {profile.stagger(user, 0.0) for user in range(1, 61)} == {0.0}


@given(st.integers(1, 60), st.integers(1, 500), st.integers(1, 5))
def test_shared_iterations_are_dealt_exactly(users: int, count: int, workers: int) -> None:
    """However the users are divided, their shares sum to what was asked for, each within one a user."""
    profile = Profile(stages=plain_stages(users, 0.0, 60.0), shared_iterations=count)
    crews = [range(1 + worker, users + 1, workers) for worker in range(workers)]

    shares = [profile.shared_among(crew) for crew in crews]

    assert sum(shares) == count
    for crew, share in zip(crews, shares, strict=True):
        assert abs(share - count * len(crew) / users) <= len(crew)
