"""The load curve of a scenario: how many virtual users at which second."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from pytest_metersphere.scenario.arrivals import Arrivals

DEFAULT_USERS = 10
DEFAULT_HOLD = 30.0

_SPREAD_PER_USER = 0.01
_SPREAD_SHARE = 0.1


class Stage(msgspec.Struct, frozen=True):
    """A straight piece of the curve, from the level before it.

    Attributes:
        duration: seconds that it takes.
        users: virtual users at its end.
    """

    duration: float
    users: int


def plain_stages(users: int, ramp: float, hold: float) -> tuple[Stage, Stage]:
    """Return the stages of the plain curve: up to `users` within `ramp` seconds, then level for `hold`."""
    return Stage(ramp, users), Stage(hold, users)


def places(users: int, arrivals: Arrivals) -> tuple[Stage, Stage]:
    """Return the stages of the open model: so many users may run at once as long as iterations are due."""
    return plain_stages(users, 0.0, sum(stage.duration for stage in arrivals.stages))


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Virtual users over time, starting from none.

    User k (from 1) is there while the curve is at k or above. In the open model, with `arrivals`, the curve
    is level: it says how many users may run at once, and each runs an iteration when one is due.

    Attributes:
        stages: the pieces of the curve; the last may have duration infinity when iterations are limited.
        warmup: seconds from the start whose samples do not count.
        iterations: how many iterations each user runs at most, None for no limit.
        graceful_stop: seconds that a running iteration gets to end when its user must go.
        shared_iterations: how many iterations all users together run at most, None for no limit.
        arrivals: when iterations are due, None in the closed model.
        starting: how many of the users start, when those without a row do not; None for all. Shared
            iterations and arrivals fall on these.
    """

    stages: tuple[Stage, ...]
    warmup: float = 0.0
    iterations: int | None = None
    graceful_stop: float = 30.0
    shared_iterations: int | None = None
    arrivals: Arrivals | None = None
    starting: int | None = None

    @property
    def duration(self) -> float:
        """Return the seconds from start to end, infinity when only iterations limit the run."""
        return sum(stage.duration for stage in self.stages)

    @property
    def peak(self) -> int:
        """Return the largest number of users."""
        return max(stage.users for stage in self.stages)

    def level_at(self, second: float) -> float:
        """Return the curve's exact height at a second from the start, 0 outside the run."""
        if second < 0 or second > self.duration:
            return 0.0
        begin, level = 0.0, 0.0
        for stage in self.stages:
            if second < begin + stage.duration:
                return level + (stage.users - level) * ((second - begin) / stage.duration)
            begin, level = begin + stage.duration, float(stage.users)
        return level

    def users_at(self, second: float) -> int:
        """Return how many users are there at a second from the start."""
        return math.floor(self.level_at(second) + 1e-9)

    def stagger(self, user: int, period: float) -> float:
        """Return for how many seconds a user that comes together with others waits before it begins.

        Users that pause between iterations would send in bursts if all of them began at once. So where the
        curve jumps, those who come then begin evenly within `period` (the shortest time between two
        iterations of a user), within 10 ms for each of them and a tenth of the load, whichever is least.
        """
        level = 0
        for stage in self.stages:
            if stage.duration == 0 and level < user <= stage.users:
                many = stage.users - level
                spread = min(period, _SPREAD_PER_USER * many, _SPREAD_SHARE * self.duration)
                return spread * ((user - level - 1) / many)
            level = stage.users
        return 0.0

    def shared_among(self, users: Sequence[int]) -> int:
        """Return how many of the shared iterations some of the users run.

        They are dealt in the order of the plan's list: one for each user from user 1 on, then from the
        first one again.
        """
        whole, left = divmod(self.shared_iterations or 0, self.starting or self.peak)
        return whole * len(users) + sum(1 for user in users if user <= left)

    def presence(self, user: int) -> list[tuple[float, float]]:
        """Return the spans (start, end), in seconds from the start, in which user k is there."""
        spans: list[tuple[float, float]] = []
        begin, level = 0.0, 0
        entered: float | None = None
        for stage in self.stages:
            if entered is None and level < user <= stage.users:
                entered = begin + stage.duration * ((user - level) / (stage.users - level))
            elif entered is not None and stage.users < user <= level:
                left = begin + stage.duration * ((level - user) / (level - stage.users))
                if left > entered:
                    spans.append((entered, left))
                entered = None
            begin, level = begin + stage.duration, stage.users
        if entered is not None and begin > entered:
            spans.append((entered, begin))
        return spans
