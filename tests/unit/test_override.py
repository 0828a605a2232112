"""What --ms-users, --ms-rate, --ms-hold and --ms-ramp make of a load curve."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.arrivals import Arrivals, RateStage
from pytest_metersphere.scenario.override import apply
from pytest_metersphere.scenario.profile import Profile, Stage, plain_stages
from pytest_metersphere.units import RateOverride, UsersOverride, parse_rate_override, parse_users


def rates(*pairs: tuple[float, float]) -> tuple[RateStage, ...]:
    """Return stages of rates."""
    return tuple(RateStage(*pair) for pair in pairs)


PLAIN = Profile(stages=plain_stages(100, 10.0, 60.0), warmup=5.0)
WAVES = Profile(stages=(Stage(10.0, 50), Stage(20.0, 200), Stage(5.0, 0)), warmup=5.0)


def test_without_options_nothing_changes() -> None:
    """The scenario's own curve is the default."""
    assert apply(WAVES) is WAVES


@pytest.mark.parametrize(("text", "users"), [("7", 7), ("50%", 50), ("300%", 300), ("0.1%", 1)])
def test_users_replace_or_scale_a_plain_curve(text: str, users: int) -> None:
    """Durations and warm-up stay."""
    assert apply(PLAIN, users=parse_users(text)) == Profile(
        stages=plain_stages(users, 10.0, 60.0), warmup=5.0
    )


@pytest.mark.parametrize(
    ("text", "levels"), [("100", [25, 100, 0]), ("50%", [25, 100, 0]), ("3", [1, 3, 0]), ("1", [0, 1, 0])]
)
def test_users_scale_every_stage_to_an_exact_peak(text: str, levels: list[int]) -> None:
    """A replaced peak scales the stages below it in proportion."""
    changed = apply(WAVES, users=parse_users(text))

    assert [stage.users for stage in changed.stages] == levels
    assert [stage.duration for stage in changed.stages] == [10.0, 20.0, 5.0]


def test_a_plain_curve_keeps_what_is_not_given() -> None:
    """Hold alone leaves the ramp, ramp alone leaves the hold."""
    assert apply(PLAIN, hold=6.0).stages == plain_stages(100, 10.0, 6.0)
    assert apply(PLAIN, ramp=1.0).stages == plain_stages(100, 1.0, 60.0)
    assert apply(PLAIN, ramp=0.0, hold=6.0).stages == plain_stages(100, 0.0, 6.0)


def test_stages_give_way_to_hold_and_ramp_at_their_peak() -> None:
    """What is not given is no ramp, and 30 seconds."""
    assert apply(WAVES, hold=6.0).stages == plain_stages(200, 0.0, 6.0)
    assert apply(WAVES, ramp=6.0).stages == plain_stages(200, 6.0, 30.0)
    assert apply(WAVES, hold=6.0, ramp=2.0, users=UsersOverride(count=20)).stages == plain_stages(
        20, 2.0, 6.0
    )


def test_a_hold_bounds_a_run_by_iterations() -> None:
    """The limit of iterations stays beside it; a ramp or users leave the run without end."""
    endless = Profile(stages=plain_stages(10, 0.0, math.inf), iterations=5)

    assert apply(endless, hold=6.0) == Profile(stages=plain_stages(10, 0.0, 6.0), iterations=5)
    assert apply(endless, ramp=2.0, users=UsersOverride(count=3)).stages == plain_stages(3, 2.0, math.inf)


@pytest.mark.parametrize(("hold", "ramp"), [(5.0, 0.0), (1.0, 2.0), (0.5, 0.0)])
def test_a_warmup_that_no_longer_fits_is_an_error(hold: float, ramp: float) -> None:
    """The message names the options and the numbers."""
    with pytest.raises(ConfigError, match=r"within the warmup of 5 s; give a longer --ms-hold or --ms-ramp"):
        apply(PLAIN, hold=hold, ramp=ramp)


def test_a_load_of_no_time_is_an_error() -> None:
    """The message names the options and an example."""
    with pytest.raises(ConfigError, match=r"a load of 0 s; give more, for example --ms-hold=10s"):
        apply(PLAIN, hold=0.0, ramp=0.0)


STAGES = st.lists(st.builds(Stage, st.just(1.0), st.integers(0, 10**6)), min_size=1, max_size=6).filter(
    lambda stages: any(stage.users for stage in stages)
)


@given(STAGES, st.integers(1, 10**6))
def test_a_replaced_peak_is_exact_and_the_rest_nearest(stages: list[Stage], count: int) -> None:
    """Each stage is within half a user of its exact proportion, and the peak has none to miss."""
    before = Profile(stages=tuple(stages))

    after = apply(before, users=UsersOverride(count=count))

    assert after.peak == count
    for old, new in zip(before.stages, after.stages, strict=True):
        assert abs(2 * (new.users * before.peak - old.users * count)) <= before.peak


@given(STAGES, st.floats(0.001, 5))
def test_scaling_leaves_at_least_one_user(stages: list[Stage], factor: float) -> None:
    """However small the factor, the peak is the nearest whole number of users, or 1."""
    before = Profile(stages=tuple(stages))

    after = apply(before, users=UsersOverride(factor=factor))

    assert after.peak >= 1
    assert after.peak == 1 or abs(after.peak - before.peak * factor) <= 0.5


OPEN = Profile(
    stages=plain_stages(80, 0.0, 70.0), arrivals=Arrivals(stages=rates((10.0, 100.0), (60.0, 100.0)))
)
RATE_WAVES = Arrivals(stages=rates((10.0, 50.0), (20.0, 200.0), (5.0, 0.0)), places_by_default=True)
OPEN_WAVES = Profile(stages=plain_stages(200, 0.0, 35.0), arrivals=RATE_WAVES)


def test_a_rate_leaves_the_closed_model_alone() -> None:
    """There is none to replace."""
    assert apply(PLAIN, rate=RateOverride(rate=5.0)) is PLAIN
    assert apply(OPEN) is OPEN


@pytest.mark.parametrize(("text", "rate"), [("7/s", 7.0), ("50%", 50.0), ("120/m", 2.0)])
def test_a_rate_replaces_or_scales_a_plain_curve(text: str, rate: float) -> None:
    """Durations stay, and how many users the scenario says may run at once."""
    changed = apply(OPEN, rate=parse_rate_override(text))

    assert changed.arrivals is not None
    assert changed.arrivals.stages == rates((10.0, rate), (60.0, rate))
    assert changed.stages == OPEN.stages


def test_a_rate_scales_every_stage_and_the_users_that_nobody_spoke_of() -> None:
    """The peak is exact; of the places by default there are as many as the new peak asks for."""
    changed = apply(OPEN_WAVES, rate=RateOverride(rate=400.0))

    assert changed.arrivals is not None
    assert changed.arrivals.stages == rates((10.0, 100.0), (20.0, 400.0), (5.0, 0.0))
    assert changed.peak == 400


def test_users_of_the_open_model_are_how_many_may_run_at_once() -> None:
    """The rate stays."""
    assert apply(OPEN, users=UsersOverride(count=9)) == msgspec.structs.replace(
        OPEN, stages=plain_stages(9, 0.0, 70.0)
    )
    assert apply(OPEN_WAVES, users=UsersOverride(factor=0.5), rate=RateOverride(rate=60.0)).peak == 30


def test_hold_and_ramp_replace_the_stages_of_rates_at_their_peak() -> None:
    """As they do in the closed model; users may run as long as iterations are due."""
    changed = apply(OPEN_WAVES, hold=6.0)

    assert changed.arrivals is not None
    assert changed.arrivals.stages == rates((0.0, 200.0), (6.0, 200.0))
    assert changed.stages == plain_stages(200, 0.0, 6.0)
    kept = apply(OPEN, ramp=1.0).arrivals
    assert kept is not None
    assert kept.stages == rates((1.0, 100.0), (60.0, 100.0))


def test_an_open_load_of_no_time_is_an_error() -> None:
    """As a closed one."""
    with pytest.raises(ConfigError, match="a load of 0 s"):
        apply(OPEN, hold=0.0, ramp=0.0)
