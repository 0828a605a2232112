"""The open model: when iterations are due, and on which virtual user's place each of them falls.

Arrival k (from 0) falls on place `k % places + 1` of the plan's ordered list, and the node and worker
on which that user lives start it. So each computes its own share, nobody needs to be asked, every
arrival belongs to exactly one, and at every moment each node's share is within one arrival a round of
its exact proportion.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

Process = Literal["even", "poisson"]

SPARE_SECONDS = 1.0
"""How many seconds of arrivals at the peak the default of max_users has room for."""
LEAST_MAX_USERS = 10
_ROUNDING = 1e-9


class RateStage(msgspec.Struct, frozen=True):
    """A straight piece of the curve: from the rate before it to its own.

    Attributes:
        duration: seconds that it takes.
        rate: arrivals per second at its end.
    """

    duration: float
    rate: float


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """When iterations are due, in seconds from the start of the load.

    With the process `even` arrival k is due when the integral of the rate reaches k, at a constant rate
    so at k / rate. With `poisson` the integral between two arrivals is drawn from the exponential
    distribution of mean 1, always the same for the same seed. Only what is due before the end is
    scheduled.

    Attributes:
        stages: the pieces of the rate's curve, which starts from 0.
        process: even or poisson.
        seed: of the random numbers of `poisson`.
        places_by_default: nobody said how many users there may be at once, so another rate may change it.
    """

    stages: tuple[RateStage, ...]
    process: Process = "even"
    seed: int = 0
    places_by_default: bool = False

    @property
    def peak(self) -> float:
        """Return the largest rate, per second."""
        return max(stage.rate for stage in self.stages)

    @property
    def default_places(self) -> int:
        """Return how many users may run at once when nobody says it: a second of arrivals, 10 at least."""
        return max(LEAST_MAX_USERS, math.ceil(self.peak * SPARE_SECONDS - _ROUNDING))

    def rate_at(self, second: float) -> float:
        """Return the rate at a second from the start, 0 outside the load."""
        begin, rate = 0.0, 0.0
        for stage in self.stages:
            if begin <= second < begin + stage.duration:
                return rate + (stage.rate - rate) * ((second - begin) / stage.duration)
            begin, rate = begin + stage.duration, stage.rate
        return 0.0

    def count(self) -> int:
        """Return how many arrivals are scheduled, over all nodes."""
        if self.process == "even":
            return self._even_count()
        return sum(1 for _ in self._positions())

    def due(self, places: Sequence[int], of: int) -> Iterator[float]:
        """Yield when the arrivals of some places are due, ascending.

        Args:
            places: numbers from 1 to `of`, ascending: the users that live on one worker.
            of: all places, the most users that run at once on all nodes.
        """
        if self.process == "even":
            return self._times(self._even_numbers(places, of))
        return self._times(self._drawn_at(frozenset(places), of))

    def _even_count(self) -> int:
        total = self._total
        return max(0, math.ceil(total - _ROUNDING * max(1.0, total)))

    def _even_numbers(self, places: Sequence[int], of: int) -> Iterator[float]:
        """Yield the numbers of the arrivals of some places, from 0."""
        count = self._even_count()
        for first in range(0, count, of):
            for place in places:
                number = first + place - 1
                if number >= count:
                    break
                yield number

    def _drawn_at(self, places: frozenset[int], of: int) -> Iterator[float]:
        for number, position in enumerate(self._positions()):
            if number % of + 1 in places:
                yield position

    def _positions(self) -> Iterator[float]:
        """Yield at which integral of the rate each arrival of `poisson` is due."""
        drawn, total = random.Random(self.seed).random, self._total
        position = -math.log(1.0 - drawn())
        while position < total:
            yield position
            position -= math.log(1.0 - drawn())

    @property
    def _total(self) -> float:
        """Return the integral of the rate over the whole load."""
        rates = [0.0, *(stage.rate for stage in self.stages)]
        return sum(
            (before + stage.rate) / 2 * stage.duration
            for before, stage in zip(rates, self.stages, strict=False)
        )

    def _times(self, positions: Iterator[float]) -> Iterator[float]:
        """Yield at which second the integral of the rate reaches each of these ascending positions."""
        begin, passed, rate = 0.0, 0.0, 0.0
        stages = iter(self.stages)
        stage = next(stages)
        within = (rate + stage.rate) / 2 * stage.duration
        for position in positions:
            while position >= passed + within:
                following = next(stages, None)
                if following is None:
                    break
                begin, passed, rate = begin + stage.duration, passed + within, stage.rate
                stage = following
                within = (rate + stage.rate) / 2 * stage.duration
            yield begin + _time_to(position - passed, rate, stage)


def _time_to(position: float, rate: float, stage: RateStage) -> float:
    """Return after how many seconds of a stage that starts with `rate` its integral reaches a position.

    That is the root of rate * t + slope / 2 * t**2 = position, written so that it holds without a slope.
    """
    if stage.duration <= 0:
        return 0.0
    if stage.rate == rate:
        return position / rate if rate else 0.0
    slope = (stage.rate - rate) / stage.duration
    root = math.sqrt(max(0.0, rate * rate + 2 * slope * position))
    if position <= 0 or rate + root <= 0:
        return 0.0
    return min(2 * position / (rate + root), stage.duration)
