"""What --ms-users, --ms-rate, --ms-hold and --ms-ramp make of a load curve."""

from __future__ import annotations

import msgspec

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.arrivals import Arrivals, RateStage
from pytest_metersphere.scenario.profile import DEFAULT_HOLD, Profile, Stage, places, plain_stages
from pytest_metersphere.units import RateOverride, UsersOverride, format_duration


def apply(
    profile: Profile,
    *,
    users: UsersOverride | None = None,
    hold: float | None = None,
    ramp: float | None = None,
    rate: RateOverride | None = None,
) -> Profile:
    """Return the profile with the options of this session in place of what the scenario asks for.

    `users` replaces or scales the peak, and every stage with it; each stage is rounded to the nearest
    whole user and the peak is exact. `hold` and `ramp` (seconds) replace the stages by a plain curve at
    that peak. Of a curve that is plain already (a ramp, then level) the one that is not given stays; of
    any other, the ramp becomes 0 and the hold 30 seconds.

    In the open model `users` replaces or scales how many may run at once, and `rate` the peak of the
    arrivals as `users` does that of a closed curve; what nobody said of how many may run at once is derived
    from the new rate. `rate` leaves the closed model alone.

    Raises:
        ConfigError: nothing is left of the curve, or no time after the warm-up; it names the options.
    """
    if profile.arrivals is not None:
        return _open(profile, profile.arrivals, users, _curve(profile.arrivals, rate, hold, ramp))
    stages = profile.stages
    if users is not None:
        stages = _scaled(stages, profile.peak, users.applied_to(profile.peak))
    if hold is not None or ramp is not None:
        stages = _replaced(stages, hold, ramp)
    if stages == profile.stages:
        return profile
    changed = msgspec.structs.replace(profile, stages=stages)
    _check(changed)
    return changed


def _curve(arrivals: Arrivals, rate: RateOverride | None, hold: float | None, ramp: float | None) -> Arrivals:
    """Return the arrivals with another rate, hold or ramp."""
    stages, old_peak = arrivals.stages, arrivals.peak
    peak = old_peak if rate is None else rate.applied_to(old_peak)
    if rate is not None:
        stages = tuple(RateStage(s.duration, peak * (s.rate / old_peak)) for s in stages)
    if hold is not None or ramp is not None:
        plain = len(stages) == 2 and stages[0].rate == stages[1].rate
        old_ramp, old_hold = (stages[0].duration, stages[1].duration) if plain else (0.0, DEFAULT_HOLD)
        stages = (
            RateStage(old_ramp if ramp is None else ramp, peak),
            RateStage(old_hold if hold is None else hold, peak),
        )
    return msgspec.structs.replace(arrivals, stages=stages)


def _open(profile: Profile, old: Arrivals, users: UsersOverride | None, arrivals: Arrivals) -> Profile:
    """Return the profile with other arrivals, and with as many places as are asked for."""
    most = arrivals.default_places if old.places_by_default else profile.peak
    if users is not None:
        most = users.applied_to(most)
    changed = msgspec.structs.replace(profile, stages=places(most, arrivals), arrivals=arrivals)
    if changed == profile:
        return profile
    _check(changed)
    return changed


def _scaled(stages: tuple[Stage, ...], peak: int, target: int) -> tuple[Stage, ...]:
    return tuple(Stage(s.duration, (2 * s.users * target + peak) // (2 * peak)) for s in stages)


def _replaced(stages: tuple[Stage, ...], hold: float | None, ramp: float | None) -> tuple[Stage, ...]:
    plain = len(stages) == 2 and stages[0].users == stages[1].users
    old_ramp, old_hold = (stages[0].duration, stages[1].duration) if plain else (0.0, DEFAULT_HOLD)
    peak = max(stage.users for stage in stages)
    return plain_stages(peak, old_ramp if ramp is None else ramp, old_hold if hold is None else hold)


def _check(profile: Profile) -> None:
    lasts = format_duration(profile.duration)
    if profile.duration == 0:
        raise ConfigError("--ms-hold and --ms-ramp leave a load of 0 s; give more, for example --ms-hold=10s")
    if profile.warmup >= profile.duration:
        warmup = format_duration(profile.warmup)
        raise ConfigError(
            f"with --ms-hold and --ms-ramp the load lasts {lasts}, all of it within the warmup of {warmup}; "
            f"give a longer --ms-hold or --ms-ramp, or shorten the scenario's warmup"
        )
