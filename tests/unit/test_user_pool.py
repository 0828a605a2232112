"""Who takes what is due: the user that was free last, a new one, or nobody."""

from __future__ import annotations

import asyncio
import time
from itertools import groupby

import pytest

from pytest_metersphere.engine.arrivals import Schedule, UserPool
from pytest_metersphere.engine.recorder import Recorder
from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.scenario.profile import Profile, Stage
from tests.engine.loads import level


class Guest:
    """A user that takes what it is given, unless it has to go."""

    def __init__(self, *, leaving: bool = False) -> None:
        self.leaving = leaving
        self.given: list[float] = []
        self.dismissed = False

    def give(self, due: float) -> bool:
        if self.leaving:
            return False
        self.given.append(due)
        return True

    def dismiss(self) -> None:
        self.dismissed = True


class Place:
    """A pool with users to make, and what became of its arrivals."""

    def __init__(self, users: int) -> None:
        self._recorder = Recorder([0.0])
        self.made: list[int] = []
        self.pool = UserPool(0, range(1, users + 1), self._recorder)

    def start(self, *dues: float) -> list[bool]:
        """Return of each whether a user was made for it."""
        return [self.pool.start(due, lambda user, _due: self.made.append(user)) for due in dues]

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many were scheduled, and how many of these dropped."""
        found = Tally()
        for cut in self._recorder.cut(1 << 40):
            found.merge(cut.tallies[0])
        return found.scheduled_iterations, found.dropped_iterations


def test_users_are_made_in_order_and_then_starts_are_dropped() -> None:
    """As long as none is free."""
    place = Place(users=2)

    assert place.start(1.0, 2.0, 3.0, 4.0) == [True, True, False, False]
    assert place.made == [1, 2]
    assert place.counts == (4, 2)


def test_the_user_that_was_free_last_goes_first() -> None:
    """Before one is made, and each once."""
    place, first, last = Place(users=1), Guest(), Guest()
    place.pool.join(first)
    place.pool.join(last)

    place.start(1.0, 2.0, 3.0, 4.0)

    assert (last.given, first.given, place.made) == ([1.0], [2.0], [1])
    assert place.counts == (4, 1)


def test_a_user_that_has_to_go_is_passed_over() -> None:
    """The next free one takes it, or a new one."""
    place, stays = Place(users=1), Guest()
    place.pool.join(stays)
    place.pool.join(Guest(leaving=True))
    place.start(1.0)
    place.pool.join(Guest(leaving=True))
    place.start(2.0, 3.0)

    assert (stays.given, place.made) == ([1.0], [1])
    assert place.counts == (3, 1)


def test_a_closed_pool_dismisses_everybody() -> None:
    """Those that are free, and whoever joins later."""
    place, free, late = Place(users=1), Guest(), Guest()
    place.pool.join(free)

    place.pool.close()
    place.pool.join(late)

    assert (free.dismissed, late.dismissed) == (True, True)


@pytest.mark.parametrize(("new", "at_once"), [(True, [1] * 20), (False, [10, 10])])
def test_what_is_late_leaves_room_for_answers(*, new: bool, at_once: list[int]) -> None:
    """Answers are read behind each user that is made, and behind ten iterations of users that were free."""
    order: list[str] = []

    async def late() -> None:
        loop = asyncio.get_running_loop()

        def start(_part: int, _due: float) -> bool:
            if order[-1:] != ["start"]:
                loop.call_soon(order.append, "answers")
            order.append("start")
            return new

        profile = Profile(stages=(Stage(0.0, 30), Stage(1.0, 30)), arrivals=level(20, 1.0))
        await Schedule(time.monotonic() - 2.0, loop, start).run([(0, profile, range(1, 31))])

    asyncio.run(late())

    assert [len(list(found)) for what, found in groupby(order) if what == "start"] == at_once
