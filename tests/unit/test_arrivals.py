"""When iterations of the open model are due, and who starts them."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.plan import make_plan
from pytest_metersphere.scenario.arrivals import Arrivals, Process, RateStage

LEVELS = st.lists(
    st.tuples(st.floats(0, 5), st.one_of(st.just(0.0), st.floats(0.1, 60))).map(
        lambda pair: RateStage(*pair)
    ),
    min_size=1,
    max_size=4,
).map(tuple)
PROCESSES = st.sampled_from(["even", "poisson"])


def level(rate: float, seconds: float, process: Process = "even", seed: int = 0) -> Arrivals:
    """Return arrivals at one rate from the first second on."""
    return Arrivals(stages=(RateStage(0.0, rate), RateStage(seconds, rate)), process=process, seed=seed)


def everything(arrivals: Arrivals) -> list[float]:
    """Return when all arrivals are due, as a single place would start them."""
    return list(arrivals.due([1], 1))


def integral(stages: tuple[RateStage, ...], second: float) -> float:
    """Return how many arrivals the curve is good for up to a second, in small steps of the trapezoid rule."""
    total, begin, before = 0.0, 0.0, 0.0
    for stage in stages:
        length = min(max(0.0, second - begin), stage.duration)
        if stage.duration:
            reached = before + (stage.rate - before) * (length / stage.duration)
            total += (before + reached) / 2 * length
        begin, before = begin + stage.duration, stage.rate
    return total


def test_a_constant_rate_is_due_at_k_over_the_rate() -> None:
    """100/s for 8 s are 800 arrivals, the first at once and the last a hundredth before the end."""
    due = everything(level(100, 8))

    assert len(due) == level(100, 8).count() == 800
    assert due == pytest.approx([k / 100 for k in range(800)])


@pytest.mark.parametrize(
    ("rate", "seconds", "count"),
    [(1, 1, 1), (3, 1, 3), (0.1, 1, 1), (0.1, 11, 2), (1 / 3, 9, 3), (2.5, 1, 3)],
)
def test_what_is_due_before_the_end_is_scheduled(rate: float, seconds: float, count: int) -> None:
    """What would be due exactly at the end is not."""
    assert level(rate, seconds).count() == len(everything(level(rate, seconds))) == count


def test_a_ramp_is_due_by_its_integral() -> None:
    """From 0 to 100/s within 10 s are 500, the k-th after the root of k / 5 seconds."""
    due = everything(Arrivals(stages=(RateStage(10, 100),)))

    assert len(due) == 500
    assert due == pytest.approx([math.sqrt(k / 5) for k in range(500)])


def test_a_pause_in_the_curve_starts_nothing() -> None:
    """At a rate of 0 the clock goes on."""
    stages = (
        RateStage(0, 2),
        RateStage(1, 2),
        RateStage(0, 0),
        RateStage(5, 0),
        RateStage(0, 2),
        RateStage(1, 2),
    )

    assert everything(Arrivals(stages=stages)) == pytest.approx([0, 0.5, 6, 6.5])


@given(LEVELS)
def test_even_arrivals_follow_the_integral_of_any_curve(stages: tuple[RateStage, ...]) -> None:
    """When arrival k is due, the curve is good for k arrivals; none is due after the end."""
    due = everything(Arrivals(stages=stages))
    end = sum(stage.duration for stage in stages)

    assert due == sorted(due)
    assert all(0 <= second <= end for second in due)
    for k, second in enumerate(due):
        assert integral(stages, second) == pytest.approx(k, abs=1e-6)
    assert len(due) == pytest.approx(integral(stages, end), abs=1.001)


@given(LEVELS, PROCESSES, st.integers(1, 12), st.integers(1, 4), st.integers(0, 99))
def test_every_arrival_is_started_by_exactly_one(
    stages: tuple[RateStage, ...], process: Process, of: int, workers: int, seed: int
) -> None:
    """However the places are dealt, the shares put together are the whole list, each arrival once."""
    arrivals = Arrivals(stages=stages, process=process, seed=seed)
    places = list(range(1, of + 1))
    random.Random(seed).shuffle(places)

    shares = [list(arrivals.due(sorted(places[worker::workers]), of)) for worker in range(workers)]

    assert all(share == sorted(share) for share in shares)
    assert sorted(itertools.chain(*shares)) == everything(arrivals)
    assert sum(map(len, shares)) == arrivals.count()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any), st.integers(1, 60), st.floats(0, 10))
def test_shares_of_the_nodes_sum_to_the_total_at_every_instant(
    capacities: list[int], of: int, second: float
) -> None:
    """And within a round of the plan's list each node has its plan's share, no more and no less."""
    of = min(of, sum(capacities))
    plan = make_plan(capacities, of)
    arrivals = level(17, 10)

    started = [
        sum(due <= second for due in arrivals.due(plan.users_of(node), of)) for node in range(len(capacities))
    ]

    total = sum(due <= second for due in everything(arrivals))
    rounds, rest = divmod(total, of)
    assert sum(started) == total
    assert started == [
        rounds * whole + part for whole, part in zip(plan.shares(of), plan.shares(rest), strict=True)
    ]


@given(st.integers(0, 2**32), st.floats(20, 200))
def test_poisson_arrivals_are_the_same_in_every_run(seed: int, rate: float) -> None:
    """The seed decides; another one gives other times."""
    first = everything(level(rate, 2, "poisson", seed))

    assert everything(level(rate, 2, "poisson", seed)) == first
    assert everything(level(rate, 2, "poisson", seed + 1)) != first


def test_poisson_arrivals_have_the_rate_and_the_spread_of_their_distribution() -> None:
    """Mean and standard deviation of the gaps are both 1 / rate, and even ones would have no deviation."""
    due = everything(level(100, 200, "poisson", 7))
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]

    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(0.01, rel=0.05)
    assert deviation == pytest.approx(0.01, rel=0.05)


def test_the_default_of_places_is_a_second_of_arrivals() -> None:
    """And ten at least, so that a low rate has users to spare."""
    assert level(0.5, 9).default_places == 10
    assert level(200, 9).default_places == 200
    assert Arrivals(stages=(RateStage(5, 99.5), RateStage(5, 20))).default_places == 100


@pytest.mark.parametrize(("second", "rate"), [(-1, 0), (0, 0), (5, 50), (10, 100), (14.9, 100), (15, 0)])
def test_the_rate_at_a_second(second: float, rate: float) -> None:
    """Straight between the stages' ends, 0 outside."""
    assert Arrivals(stages=(RateStage(10, 100), RateStage(5, 100))).rate_at(second) == pytest.approx(rate)
