"""The plan: the promises of the quota method, and the cases everybody can check by head."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.plan import Plan, PlanRow, RateRow, make_plan, rate_timetable, timetable
from pytest_metersphere.errors import CapacityError
from pytest_metersphere.scenario.arrivals import Arrivals, RateStage
from pytest_metersphere.scenario.profile import Profile, Stage, plain_stages
from pytest_metersphere.units import MAX_USERS

CAPACITIES = st.lists(
    st.one_of(st.integers(0, 60), st.sampled_from([1, 2, 100])), min_size=1, max_size=8
).filter(any)


def by_the_book(capacities: list[int], users: int) -> list[int]:
    """Return the list by the rule as it is written, looking at every node for every user."""
    pool = sum(capacities)
    has = [0] * len(capacities)
    owners = []
    for h in range(1, users + 1):
        able = [n for n, p in enumerate(capacities) if has[n] * pool < p * h]
        chosen = max(able, key=lambda n: (Fraction(capacities[n], has[n] + 1), -n))
        has[chosen] += 1
        owners.append(chosen)
    return owners


@given(CAPACITIES)
def test_the_list_is_the_one_of_the_written_rule(capacities: list[int]) -> None:
    """The two heaps find the same node as a search through all of them."""
    users = sum(capacities)

    assert list(make_plan(capacities, users).owners) == by_the_book(capacities, users)


@given(CAPACITIES)
def test_the_promises_hold_at_every_total(capacities: list[int]) -> None:
    """Shares sum exactly, break no capacity, never fall, and are within one user of proportion."""
    pool = sum(capacities)
    plan = make_plan(capacities, pool)
    before = [0] * len(capacities)
    for total in range(pool + 1):
        shares = plan.shares(total)
        assert sum(shares) == total
        assert all(share <= capacity for share, capacity in zip(shares, capacities, strict=True))
        assert all(share >= earlier for share, earlier in zip(shares, before, strict=True))
        assert all(abs(share * pool - total * p) < pool for share, p in zip(shares, capacities, strict=True))
        before = shares


@given(CAPACITIES, st.data())
def test_a_smaller_plan_is_the_begin_of_a_larger_one(capacities: list[int], data: st.DataObject) -> None:
    """How many users are asked for does not move those that come first."""
    pool = sum(capacities)
    users = data.draw(st.integers(0, pool))

    assert list(make_plan(capacities, users).owners) == list(make_plan(capacities, pool).owners[:users])


@given(CAPACITIES)
def test_every_user_lives_on_one_node(capacities: list[int]) -> None:
    """The nodes' lists of users are ascending, disjoint and complete."""
    plan = make_plan(capacities, sum(capacities))
    lists = [plan.users_of(node) for node in range(len(capacities))]

    assert all(users == sorted(users) for users in lists)
    assert sorted(user for users in lists for user in users) == list(range(1, plan.users + 1))
    assert [len(users) for users in lists] == plan.shares(plan.users) == capacities


@pytest.mark.parametrize(
    ("capacities", "users", "shares"),
    [
        ([4000, 4000, 2000], 10_000, [4000, 4000, 2000]),
        ([4000, 4000, 2000], 1000, [400, 400, 200]),
        ([5, 5, 5, 5], 2, [1, 1, 0, 0]),
        ([10_000] * 8, 80_000, [10_000] * 8),
        ([1000, 1, 1], 501, [500, 1, 0]),
        ([0, 7, 0, 7], 4, [0, 2, 0, 2]),
        ([3], 3, [3]),
        ([3, 4], 0, [0, 0]),
        ([0, 0], 0, [0, 0]),
        ([], 0, []),
    ],
)
def test_the_cases_of_the_documentation(capacities: list[int], users: int, shares: list[int]) -> None:
    """Numbers that can be checked by head."""
    plan = make_plan(capacities, users)

    assert plan.users == users
    assert plan.shares(users) == shares


@pytest.mark.parametrize(
    ("capacities", "users", "message"),
    [
        (
            [400, 400, 200],
            1001,
            "1001 users are asked for, but the pool has room for 1000 (400 + 400 + 200); ask for fewer users",
        ),
        ([5], 6, "fewer users (--ms-users=5) or add nodes or capacity to the pool"),
        ([5], 6, "6 users are asked for, but the pool has room for 5; ask for fewer users (--ms-users=5) or"),
        ([0], 1, "1 users are asked for, but the pool has room for 0; add nodes or capacity to the pool"),
        ([1] * 9, 10, "room for 9 (1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + … (9 nodes))"),
    ],
)
def test_more_users_than_capacity_are_refused_with_the_numbers(
    capacities: list[int], users: int, message: str
) -> None:
    """The message says what there is, and how many users would go."""
    with pytest.raises(CapacityError) as caught:
        make_plan(capacities, users)

    assert message in str(caught.value)


@pytest.mark.parametrize(("capacities", "users"), [([5, -1], 2), ([5], -1), ([MAX_USERS + 1], 1)])
def test_numbers_out_of_range_are_refused(capacities: list[int], users: int) -> None:
    """They would break the exact comparison, or mean nothing."""
    with pytest.raises(ValueError, match="numbers from 0 to"):
        make_plan(capacities, users)


def test_capacities_at_the_limit_are_told_apart() -> None:
    """One user more in a billion decides who gets the first user."""
    big = MAX_USERS
    plan = make_plan([big - 1, big], 2)

    assert list(plan.owners) == by_the_book([big - 1, big], 2) == [1, 0]


def test_a_large_pool_keeps_its_promises() -> None:
    """A hundred thousand users on three hundred unlike nodes, looked at along the way."""
    chance = random.Random(7)
    capacities = [chance.randint(1, 2000) for _ in range(300)]
    pool, users = sum(capacities), 100_000
    plan = make_plan(capacities, users)

    for total in (1, 299, 4567, 50_000, users):
        shares = plan.shares(total)
        assert sum(shares) == total
        assert all(abs(share * pool - total * p) < pool for share, p in zip(shares, capacities, strict=True))


@pytest.mark.parametrize("total", [-1, 4])
def test_shares_exist_for_planned_totals_only(total: int) -> None:
    """A total outside of the plan is a mistake of the caller."""
    with pytest.raises(ValueError, match="the plan is for 0 to 3 users"):
        make_plan([2, 2], 3).shares(total)


def test_a_plan_shows_itself_shortly() -> None:
    """A million users do not end in a log."""
    assert repr(make_plan([2, 2], 3)) == "Plan(capacities=(2, 2), users=3)"


def rows(capacities: list[int], *stages: Stage) -> list[PlanRow]:
    """Return the timetable of these stages."""
    profile = Profile(stages=stages)
    return timetable(make_plan(capacities, profile.peak), profile)


def test_the_timetable_has_ends_of_stages_and_points_of_slopes() -> None:
    """A ramp is shown in quarters, a level by its ends."""
    assert rows([6, 3], *plain_stages(8, 8.0, 20.0)) == [
        PlanRow(0.0, 0, (0, 0)),
        PlanRow(2.0, 2, (2, 0)),
        PlanRow(4.0, 4, (3, 1)),
        PlanRow(6.0, 6, (4, 2)),
        PlanRow(8.0, 8, (6, 2)),
        PlanRow(28.0, 8, (6, 2)),
    ]


def test_a_jump_is_shown_after_it() -> None:
    """Without a ramp all users are there in second 0."""
    assert rows([6, 3], *plain_stages(3, 0.0, 5.0)) == [PlanRow(0.0, 3, (2, 1)), PlanRow(5.0, 3, (2, 1))]


def test_a_stage_without_end_has_a_begin_only() -> None:
    """What is limited by iterations has no last second."""
    assert rows([9], *plain_stages(4, 0.0, math.inf)) == [PlanRow(0.0, 4, (4,))]


@given(
    CAPACITIES,
    st.lists(st.builds(Stage, st.sampled_from([0.0, 1.0, 10.0]), st.integers(0, 9)), min_size=1, max_size=5),
)
def test_the_timetable_follows_curve_and_plan(capacities: list[int], stages: list[Stage]) -> None:
    """In each row the total is the curve's and the shares are the plan's; time goes on."""
    profile = Profile(stages=tuple(stages))
    plan = make_plan([capacity + 9 for capacity in capacities], profile.peak)

    table = timetable(plan, profile)

    assert [row.second for row in table] == sorted({row.second for row in table})
    assert (table[0].second, table[-1].second) == (0.0, profile.duration)
    for row in table:
        assert row.total == profile.users_at(row.second)
        assert list(row.shares) == plan.shares(row.total)


def test_a_plan_is_what_its_list_says() -> None:
    """Capacities are kept as given, the list by user."""
    plan: Plan = make_plan([1, 2], 3)

    assert plan.capacities == (1, 2)
    assert list(plan.owners) == [1, 0, 1]


def test_arrivals_are_divided_by_the_users_that_may_run() -> None:
    """At the ends of the stages and between those of a slope, each node with its part of the rate."""
    plan = make_plan([30, 10], 40)
    arrivals = Arrivals(stages=(RateStage(8.0, 100.0), RateStage(10.0, 100.0)))

    assert rate_timetable(plan, arrivals) == [
        RateRow(0.0, 0.0, (0.0, 0.0)),
        RateRow(2.0, 25.0, (18.75, 6.25)),
        RateRow(4.0, 50.0, (37.5, 12.5)),
        RateRow(6.0, 75.0, (56.25, 18.75)),
        RateRow(8.0, 100.0, (75.0, 25.0)),
        RateRow(18.0, 100.0, (75.0, 25.0)),
    ]
