"""The plan: one ordered list that says on which node each virtual user lives.

User k lives on node n(k), by the quota method (Balinski and Young, "The quota method of apportionment",
American Mathematical Monthly 82, 1975). With p a node's capacity, P the pool's and a the users the node
has already, the h-th user goes, among the nodes with a * P < p * h (one more user keeps such a node
within its upper quota), to the one with the largest p / (a + 1); ties in the order listed. So at every
total h each node has less than one user more or fewer than its exact proportion p * h / P, and because
the list only ever grows at its end, no share falls while the total rises. As h never exceeds P, no
node exceeds its capacity.

Scenarios that run at the same time share one list, as long as all their users together: the first has the
users 1 to u1 of it, the second the next u2, and so on, each counting its own from 1. Whatever the curves
do, the users alive at any instant are some of the list's, each at a place of its own, and the whole list
breaks no capacity; so none is ever exceeded. A scenario's share of a node at its total h is the
difference of two shares of the list, at its begin b and at b + h. Each is less than one user away from
proportion, so the difference is less than two; it is less than one for the first scenario, and for every
scenario on nodes of equal capacity, which take turns. At the end of each scenario's users the shares of
it and those before it together are less than one user away from proportion.
"""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import msgspec

from pytest_metersphere.errors import CapacityError
from pytest_metersphere.scenario.arrivals import Arrivals
from pytest_metersphere.scenario.profile import Profile, Stage
from pytest_metersphere.units import MAX_USERS

_BETWEEN = 4


class Plan:
    """Who lives where.

    Attributes:
        capacities: users that each node may carry, in the order listed.
        owners: the list itself: `owners[k - 1]` is the index of user k's node.
    """

    def __init__(self, capacities: Sequence[int], owners: array[int]) -> None:
        self.capacities = tuple(capacities)
        self.owners = owners

    def __repr__(self) -> str:
        """Return a short text: the list may hold a million users."""
        return f"Plan(capacities={self.capacities}, users={self.users})"

    @property
    def users(self) -> int:
        """Return the number of users planned for, the peak of the profile."""
        return len(self.owners)

    def shares(self, total: int) -> list[int]:
        """Return how many of the users 1 to `total` live on each node.

        Raises:
            ValueError: total is below 0 or above the planned users.
        """
        return list(next(self.shares_at([total])))

    def users_of(self, node: int) -> list[int]:
        """Return the ids of the users that live on a node (its index), ascending from 1."""
        return list(self._tenants[node])

    @cached_property
    def _tenants(self) -> list[array[int]]:
        tenants = [array("i") for _ in self.capacities]
        for user, owner in enumerate(self.owners, start=1):
            tenants[owner].append(user)
        return tenants

    def shares_at(self, totals: Iterable[int]) -> Iterator[tuple[int, ...]]:
        """Yield the shares at each of several ascending totals; every user is counted once.

        Raises:
            ValueError: a total is below 0 or above the planned users.
        """
        counts: Counter[int] = Counter()
        counted = 0
        for total in totals:
            if not 0 <= total <= self.users:
                raise ValueError(f"the plan is for 0 to {self.users} users, not for {total}")
            counts.update(self.owners[counted:total])
            counted = total
            yield tuple(counts[node] for node in range(len(self.capacities)))


class PlanRow(msgspec.Struct, frozen=True):
    """The users at one moment of the load curve.

    Attributes:
        second: seconds from the start of the load.
        total: users on all nodes.
        shares: users on each node, in the order of the plan; they sum to `total`.
    """

    second: float
    total: int
    shares: tuple[int, ...]


def make_plan(capacities: Sequence[int], users: int) -> Plan:
    """Return the plan of users 1 to `users` on nodes with these (free) capacities, 0 and more each.

    Time is O(users * log nodes): two heaps hold the nodes that may get the next user, by what the
    method prefers, and those that must wait, by the user from which on they may.

    Raises:
        CapacityError: the nodes together carry fewer users.
        ValueError: a number is negative, or above MAX_USERS.
    """
    if users > sum(capacities):
        raise CapacityError(_too_many(capacities, users, advice=f"(--ms-users={sum(capacities)}) "))
    if min([users, *capacities]) < 0 or max([users, *capacities]) > MAX_USERS:
        raise ValueError(f"users and capacities are numbers from 0 to {MAX_USERS}")
    return Plan(capacities, array("i", _owners(capacities, users)))


def make_plans(capacities: Sequence[int], users: Sequence[int]) -> list[Plan]:
    """Return the plans of scenarios that run at the same time, with so many users each.

    They share one list, see the module's text; errors as make_plan.
    """
    if sum(users) > sum(capacities) and len(users) > 1:
        raise CapacityError(_too_many(capacities, sum(users)))
    whole = make_plan(capacities, sum(users))
    ends = list(itertools.accumulate(users, initial=0))
    return [Plan(capacities, whole.owners[begin:end]) for begin, end in itertools.pairwise(ends)]


def _owners(capacities: Sequence[int], users: int) -> Iterator[int]:
    """Yield the nodes of the users 1 to `users`.

    p / (a + 1) is compared as the whole number p * 2**64 // (a + 1). That is exact: two different
    fractions with denominators up to 10**9 differ by at least 10**-18, more than 18 * 2**-64, so
    rounding down cannot change their order, and equal ones stay equal.
    """
    pool = sum(capacities)
    waiting: list[tuple[int, int]] = []
    able = [(-(p << 64), node) for node, p in enumerate(capacities) if p]
    heapq.heapify(able)
    has = [0] * len(capacities)
    for user in range(1, users + 1):
        while waiting and waiting[0][0] <= user:
            node = heapq.heappop(waiting)[1]
            heapq.heappush(able, (-(capacities[node] << 64) // (has[node] + 1), node))
        node = heapq.heappop(able)[1]
        yield node
        has[node] += 1
        heapq.heappush(waiting, (has[node] * pool // capacities[node] + 1, node))


def _too_many(capacities: Sequence[int], users: int, advice: str = "") -> str:
    total = sum(capacities)
    each = " + ".join(str(capacity) for capacity in capacities[:8])
    if len(capacities) > 8:
        each += f" + … ({len(capacities)} nodes)"
    listed = f" ({each})" if len(capacities) > 1 else ""
    fewer = f"ask for fewer users {advice}or " if total else ""
    return (
        f"{users} users are asked for, but the pool has room for {total}{listed}; "
        f"{fewer}add nodes or capacity to the pool"
    )


def timetable(plan: Plan, profile: Profile) -> list[PlanRow]:
    """Return who gets how many users over time: at the ends of the stages and between those of a slope.

    Only moments with a number are there: of a stage without end only the begin. Users of the profile that
    the plan has not are left out.
    """
    return timetable_at(plan, profile, sorted(set(_moments(profile.stages))))


def timetable_at(plan: Plan, profile: Profile, seconds: Sequence[float]) -> list[PlanRow]:
    """Return who gets how many users at these moments, seconds from the start of the load."""
    moments = {second: min(profile.users_at(second), plan.users) for second in seconds}
    totals = sorted(set(moments.values()))
    shares = dict(zip(totals, plan.shares_at(totals), strict=True))
    return [PlanRow(second, total, shares[total]) for second, total in moments.items()]


class RateRow(msgspec.Struct, frozen=True):
    """The arrivals per second at one moment: on all nodes, and on each in the order of the plan."""

    second: float
    total: float
    shares: tuple[float, ...]


def rate_timetable(plan: Plan, arrivals: Arrivals) -> list[RateRow]:
    """Return who starts how many iterations a second: at the stages' ends and between those of a slope.

    Each arrival falls on the place of a user (`scenario.arrivals`), so each node has the rate in proportion
    to its users. Where the curve jumps, the rate behind the jump is given, at the end that before it.
    """
    shares = plan.shares(plan.users)
    moments = dict(_pieces([(stage.duration, stage.rate) for stage in arrivals.stages]))
    return [
        RateRow(second, rate, tuple(rate * share / plan.users for share in shares))
        for second, rate in moments.items()
    ]


def _moments(stages: Sequence[Stage]) -> Iterator[float]:
    return (second for second, _ in _pieces([(stage.duration, stage.users) for stage in stages]))


def _pieces(stages: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield moments and levels of a curve of pieces, each a duration and the level at its end."""
    begin, level = 0.0, 0.0
    yield begin, level
    for duration, reached in stages:
        if duration == float("inf"):
            return
        if reached != level:
            step = (reached - level) / _BETWEEN
            for piece in range(1, _BETWEEN):
                yield begin + duration * piece / _BETWEEN, level + step * piece
        begin, level = begin + duration, reached
        yield begin, level
