"""The load curve of a scenario: how many virtual users at which second."""

from __future__ import annotations

import math

import msgspec

DEFAULT_USERS = 10
DEFAULT_HOLD = 30.0


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


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The closed model: virtual users over time, starting from none.

    User k (from 1) is there while the curve is at k or above.

    Attributes:
        stages: the pieces of the curve; the last may have duration infinity when `iterations` is set.
        warmup: seconds from the start whose samples do not count.
        iterations: how many iterations each user runs at most, None for no limit.
        graceful_stop: seconds that a running iteration gets to end when its user must go.
    """

    stages: tuple[Stage, ...]
    warmup: float = 0.0
    iterations: int | None = None
    graceful_stop: float = 30.0

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
