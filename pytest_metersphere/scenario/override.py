"""What --ms-users, --ms-hold and --ms-ramp make of a load curve."""

from __future__ import annotations

import msgspec

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.profile import DEFAULT_HOLD, Profile, Stage, plain_stages
from pytest_metersphere.units import UsersOverride, format_duration


def apply(
    profile: Profile,
    *,
    users: UsersOverride | None = None,
    hold: float | None = None,
    ramp: float | None = None,
) -> Profile:
    """Return the profile with the options of this session in place of what the scenario asks for.

    `users` replaces or scales the peak, and every stage with it; each stage is rounded to the nearest
    whole user and the peak is exact. `hold` and `ramp` (seconds) replace the stages by a plain curve at
    that peak. Of a curve that is plain already (a ramp, then level) the one that is not given stays; of
    any other, the ramp becomes 0 and the hold 30 seconds.

    Raises:
        ConfigError: nothing is left of the curve, or no time after the warm-up; it names the options.
    """
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
