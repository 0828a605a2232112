"""The plans of scenarios that run at the same time: one list, shared out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.plan import Plan, make_plan, make_plans
from pytest_metersphere.errors import CapacityError

CAPACITIES = st.lists(
    st.one_of(st.integers(0, 60), st.sampled_from([1, 2, 100])), min_size=1, max_size=6
).filter(any)


@st.composite
def groups(
    draw: st.DrawFn, capacities: st.SearchStrategy[list[int]] = CAPACITIES
) -> tuple[list[int], list[int]]:
    """Return capacities, and the users of scenarios that fit together: often all that fit."""
    pool = draw(capacities)
    total = draw(st.one_of(st.just(sum(pool)), st.integers(1, sum(pool))))
    cuts = sorted(draw(st.lists(st.integers(0, total), max_size=4)))
    ends = [0, *cuts, total]
    return pool, [end - begin for begin, end in itertools.pairwise(ends)]


def off(plan: Plan, total: int) -> list[int]:
    """Return how far each node is from exact proportion at a total, in users times the pool's capacity."""
    pool = sum(plan.capacities)
    pairs = zip(plan.shares(total), plan.capacities, strict=True)
    return [abs(share * pool - total * p) for share, p in pairs]


def summed(shares: Sequence[Sequence[int]]) -> list[int]:
    """Return the users of each node over several scenarios."""
    return [sum(each) for each in zip(*shares, strict=True)]


@given(groups(), st.data())
def test_no_node_carries_more_than_its_capacity_whatever_the_curves_do(
    group: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    """Each scenario anywhere between none and all of its users, each moment on its own."""
    capacities, users = group
    plans = make_plans(capacities, users)
    totals = [data.draw(st.integers(0, wanted)) for wanted in users]

    shares = [plan.shares(total) for plan, total in zip(plans, totals, strict=True)]

    assert [sum(each) for each in shares] == totals
    assert all(has <= p for has, p in zip(summed(shares), capacities, strict=True))


@given(groups())
def test_each_scenario_is_less_than_two_users_away_from_proportion(
    group: tuple[list[int], list[int]],
) -> None:
    """At each of its totals, the first less than one; and no share falls while the total rises."""
    capacities, users = group
    pool = sum(capacities)
    for place, plan in enumerate(make_plans(capacities, users)):
        before = [0] * len(capacities)
        for total in range(plan.users + 1):
            shares = plan.shares(total)
            assert max(off(plan, total)) < (2 if place else 1) * pool
            assert all(share >= earlier for share, earlier in zip(shares, before, strict=True))
            before = shares


@given(groups(st.builds(lambda p, n: [p] * n, st.integers(1, 40), st.integers(1, 6))))
def test_on_equal_nodes_each_scenario_is_less_than_one_user_away(
    group: tuple[list[int], list[int]],
) -> None:
    """They take turns, so that it does not matter where in the list a scenario begins."""
    capacities, users = group

    for plan in make_plans(capacities, users):
        assert all(max(off(plan, total)) < sum(capacities) for total in range(plan.users + 1))


@given(groups())
def test_all_together_are_as_exact_as_one_scenario(group: tuple[list[int], list[int]]) -> None:
    """At their peaks the first, the first two, and so on have the shares of one scenario of their size."""
    capacities, users = group
    plans = make_plans(capacities, users)

    for count in range(1, len(users) + 1):
        together = make_plan(capacities, sum(users[:count])).shares(sum(users[:count]))
        assert summed([plan.shares(plan.users) for plan in plans[:count]]) == together


@given(groups())
def test_each_users_of_a_scenario_are_numbered_from_one(group: tuple[list[int], list[int]]) -> None:
    """Whatever stands before it in the list."""
    capacities, users = group

    for plan, wanted in zip(make_plans(capacities, users), users, strict=True):
        lists = [plan.users_of(node) for node in range(len(capacities))]
        assert sorted(user for each in lists for user in each) == list(range(1, wanted + 1))


def test_a_scenario_alone_has_the_plan_that_it_always_has() -> None:
    """A group of one is none."""
    (alone,) = make_plans([4, 4, 2], [7])

    assert list(alone.owners) == list(make_plan([4, 4, 2], 7).owners)


def test_small_scenarios_do_not_all_begin_on_the_first_node() -> None:
    """Four scenarios of one user each on four nodes."""
    plans = make_plans([5, 5, 5, 5], [1, 1, 1, 1])

    assert [list(plan.owners) for plan in plans] == [[0], [1], [2], [3]]


def test_more_users_than_capacity_are_refused_for_all_together() -> None:
    """With the sum; --ms-users, which goes for each scenario, is not what helps."""
    with pytest.raises(CapacityError, match="11 users are asked for, but the pool has room for 10") as caught:
        make_plans([5, 5], [6, 5])

    assert "--ms-users" not in str(caught.value)
