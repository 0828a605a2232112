"""What this engine means to reach, and whether it did: ratios, which differ less from machine to machine."""

from __future__ import annotations

import dataclasses

from benchmarks.compare.results import K6, LOCUST, WRK, Results

_ASYNC, _DEF = "**async def**", "**def**"
_HUNDRED, _TLS, _THOUSAND = "100 users", "100 users over TLS", "1,000 users"


@dataclasses.dataclass(frozen=True)
class Goal:
    """How many times less CPU a request is to take than with another load generator on a course."""

    name: str
    course: str
    reference: str
    factor: float


GOALS = (
    Goal(_ASYNC, _HUNDRED, LOCUST, 7.0),
    Goal(_ASYNC, _HUNDRED, K6, 4.0),
    Goal(_ASYNC, _HUNDRED, WRK, 0.5),
    Goal(_DEF, _HUNDRED, LOCUST, 4.5),
    Goal(_DEF, _HUNDRED, K6, 2.5),
    Goal(_DEF, _HUNDRED, WRK, 0.3),
    Goal(_DEF, _THOUSAND, LOCUST, 2.0),
    Goal(_ASYNC, _TLS, WRK, 0.4),
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """A goal and what was found: the median of the ratios within repetitions."""

    goal: Goal
    found: float

    @property
    def met(self) -> bool:
        """Return whether it was reached."""
        return self.found >= self.goal.factor


def findings(results: Results) -> list[Finding]:
    """Return what was found of each goal for which both sides were measured."""
    found = []
    for goal in GOALS:
        cost = results.cost_of(goal.name, goal.course)
        ratio = cost.efficiency.get(goal.reference) if cost is not None else None
        if ratio is not None:
            found.append(Finding(goal, ratio.median))
    return found
