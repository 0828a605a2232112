"""Load-scoped fixtures where the load runs: how often they run, in which order, and what when they fail."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn

import pytest

from pytest_metersphere.engine import life, runner
from pytest_metersphere.engine.runner import LoadRunner
from pytest_metersphere.scenario.fixtures import THE_USER, Declaration, Pending
from tests.engine.loads import FOREVER, Kind, Steps, callee, fixture_of, pending, run, scenario, until

both_kinds = pytest.mark.parametrize("kind", ["async", "thread"])
styles = pytest.mark.parametrize("style", ["def", "yield", "async def", "async yield"])


def quick(vu: Any, **values: Any) -> Steps:
    """Do nothing, in a millisecond."""
    yield 0.001


@both_kinds
@styles
def test_a_user_fixture_runs_once_for_each_user(kind: Kind, style: str) -> None:
    """Set up before the first iteration, torn down behind the last; every iteration gets the same value."""
    log: list[str] = []
    value = object()
    got: list[object] = []

    def steps(vu: Any, own: object) -> Steps:
        got.append(own)
        yield 0.001

    own = pending(fixture_of(style, log, "own", value))
    outcome = run(callee(scenario(kind, steps), users=3, hold=FOREVER, iterations=2, own=own))

    downs = 3 if "yield" in style else 0
    assert sorted(log) == ["own down"] * downs + ["own up"] * 3
    assert got == [value] * 6
    assert outcome.errors() == []


@both_kinds
@styles
def test_a_worker_fixture_runs_once(kind: Kind, style: str) -> None:
    """All users share it, however many ask at once, and it is torn down when the last one is gone."""
    log: list[str] = []
    value = object()
    got: list[object] = []

    def steps(vu: Any, shared: object, own: object) -> Steps:
        got.append(shared)
        yield 0.001

    test = callee(
        scenario(kind, steps),
        users=4,
        hold=FOREVER,
        iterations=1,
        shared=pending(fixture_of(style, log, "shared", value), "worker"),
        own=pending(fixture_of("yield", log, "own")),
    )
    outcome = run(test)

    assert log.count("shared up") == 1
    assert log[0] == "shared up"
    assert log.count("shared down") == ("yield" in style)
    assert log[-1] == ("shared down" if "yield" in style else "own down")
    assert got == [value] * 4
    assert outcome.errors() == []


@both_kinds
def test_fixtures_get_what_they_ask_for(kind: Kind) -> None:
    """The user, ordinary values, and other fixtures of either scope; shared ones are made once."""
    log: list[str] = []

    def base(host: str) -> Iterator[str]:
        log.append("base up")
        yield f"http://{host}"
        log.append("base down")

    async def account(vu: Any, base: str) -> AsyncIterator[str]:
        log.append(f"account {vu.id} up")
        yield f"{base}/{vu.id}"
        log.append(f"account {vu.id} down")

    def cart(account: str, base: str, vu: Any) -> Iterator[str]:
        log.append(f"cart {vu.id} up")
        yield f"{account}/cart of {base}"
        log.append(f"cart {vu.id} down")

    shared = pending(base, "worker", host="h")
    own = pending(account, vu=THE_USER, base=shared)
    got: list[tuple[str, str]] = []

    def steps(vu: Any, cart: str, account: str) -> Steps:
        got.append((cart, account))
        yield 0.001

    asked = pending(cart, account=own, base=shared, vu=THE_USER)
    run(callee(scenario(kind, steps), hold=FOREVER, iterations=2, cart=asked, account=own))

    assert got == [("http://h/1/cart of http://h", "http://h/1")] * 2
    assert log == [
        "base up",
        "account 1 up",
        "cart 1 up",
        "cart 1 down",
        "account 1 down",
        "base down",
    ]


@both_kinds
def test_a_fixture_uses_the_user_it_belongs_to(kind: Kind) -> None:
    """Samples that a fixture takes, in set-up and tear-down, count as that user's."""

    def own(vu: Any) -> Iterator[None]:
        with vu.sample("log in"):
            vu.state.token = f"token {vu.id}"
        yield
        with vu.sample("log out"):
            assert vu.state.token == f"token {vu.id}"

    def steps(vu: Any, own: None) -> Steps:
        assert vu.state.token == f"token {vu.id}"
        yield 0.001

    outcome = run(
        callee(scenario(kind, steps), users=2, hold=FOREVER, iterations=1, own=pending(own, vu=THE_USER))
    )

    assert {name: label.requests for name, label in outcome.tally().labels.items()} == {
        "log in": 2,
        "log out": 2,
    }
    assert outcome.errors() == []


@both_kinds
def test_fixtures_that_are_only_used_are_set_up_first(kind: Kind) -> None:
    """A fixture that the test does not take is there before its arguments, and torn down after them."""
    log: list[str] = []

    run(
        callee(
            scenario(kind, quick),
            hold=FOREVER,
            iterations=1,
            used=[pending(fixture_of("yield", log, "used"))],
            own=pending(fixture_of("yield", log, "own")),
        )
    )

    assert log == ["used up", "own up", "own down", "used down"]


class Shop:
    """A test class, made once for each user."""

    made: list[Shop] = []  # noqa: RUF012 - emptied by the test

    def __init__(self) -> None:
        self.visits = 0
        Shop.made.append(self)

    def basket(self, vu: Any) -> list[int]:
        """Make a basket that knows whose it is."""
        return [vu.id, id(self)]

    async def visits_async(self, vu: Any, basket: list[int]) -> None:
        """Count a visit."""
        self.visits += 1
        assert basket == [vu.id, id(self)]

    def visits_blocking(self, vu: Any, basket: list[int]) -> None:
        """Count a visit."""
        self.visits += 1
        assert basket == [vu.id, id(self)]

    @staticmethod
    def visits_static(vu: Any, basket: list[int]) -> None:
        """Count nothing."""
        assert basket[0] == vu.id

    @classmethod
    def visits_class(cls, vu: Any, basket: list[int]) -> None:
        """Count nothing."""
        assert cls is Shop


@pytest.mark.parametrize(
    ("name", "visits"),
    [("visits_async", 3), ("visits_blocking", 3), ("visits_static", 0), ("visits_class", 0)],
)
def test_each_user_has_an_instance_of_the_class(name: str, visits: int) -> None:
    """Attributes live as long as the user, and fixtures that are methods get the same instance."""
    Shop.made.clear()
    basket = Pending(Declaration("basket", "user", Shop.basket), {"vu": THE_USER}, is_method=True)
    test = callee(
        Shop.__dict__[name], owner=Shop, users=2, hold=FOREVER, iterations=3, vu=THE_USER, basket=basket
    )

    outcome = run(test)

    assert outcome.errors() == []
    assert [shop.visits for shop in Shop.made] == [visits, visits]


@both_kinds
@pytest.mark.parametrize("is_async", [False, True])
def test_a_set_up_that_fails_is_tried_again(kind: Kind, is_async: bool) -> None:  # noqa: FBT001
    """Each try is a failed iteration, with a pause behind it; what was set up before is kept."""
    log: list[str] = []
    tries: list[int] = []
    got: list[int] = []

    def flaky() -> int:
        tries.append(len(tries))
        if len(tries) < 3:
            raise RuntimeError("no account yet")
        return 7

    async def async_flaky() -> int:
        return flaky()

    def steps(vu: Any, first: object, own: int) -> Steps:
        got.append(own)
        yield 0.001

    outcome = run(
        callee(
            scenario(kind, steps),
            hold=FOREVER,
            iterations=5,
            first=pending(fixture_of("yield", log, "first")),
            own=pending(async_flaky if is_async else flaky),
        )
    )

    tally = outcome.tally()
    assert (len(tries), got) == (3, [7, 7, 7])
    assert (tally.iterations, tally.failed_iterations) == (5, 2)
    assert outcome.errors() == [("", "exception", "RuntimeError: no account yet", 2)]
    assert log == ["first up", "first down"]


@both_kinds
def test_a_set_up_that_never_works_is_not_spun_on(kind: Kind) -> None:
    """With no think time at all, it is tried a few times a second."""

    def broken() -> NoReturn:
        raise RuntimeError("no")

    tally = run(callee(scenario(kind, quick), hold=0.6, own=pending(broken))).tally()

    assert 2 <= tally.iterations <= 4
    assert tally.failed_iterations == tally.iterations


@both_kinds
@pytest.mark.parametrize("scope", ["user", "worker"])
@pytest.mark.parametrize("style", ["yield", "async yield"])
def test_a_tear_down_that_fails_is_told(kind: Kind, scope: Any, style: str) -> None:
    """It counts as a failed iteration, and all other fixtures are still torn down."""
    log: list[str] = []

    def broken() -> Iterator[int]:
        yield 1
        log.append("broken")
        raise RuntimeError("the cart is locked")

    async def async_broken() -> AsyncIterator[int]:
        yield 1
        log.append("broken")
        raise RuntimeError("the cart is locked")

    outcome = run(
        callee(
            scenario(kind, quick),
            hold=FOREVER,
            iterations=2,
            first=pending(fixture_of(style, log, "first"), scope),
            own=pending(broken if style == "yield" else async_broken, scope),
            last=pending(fixture_of(style, log, "last"), scope),
        )
    )

    tally = outcome.tally()
    assert log == ["first up", "last up", "last down", "broken", "first down"]
    assert (tally.iterations, tally.failed_iterations) == (3, 1)
    assert outcome.errors() == [("", "exception", "RuntimeError: the cart is locked", 1)]


@both_kinds
@pytest.mark.parametrize("scope", ["user", "worker"])
@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (lambda: sys.exit(2), ("exception", "SystemExit: {}", 1)),
        (lambda: pytest.fail("not empty"), ("failed", "not empty", 1)),
        (lambda: pytest.skip("never mind"), ("skipped", "never mind", 1)),
    ],
    ids=["exit", "fail", "skip"],
)
def test_nothing_that_a_tear_down_raises_ends_the_worker(
    kind: Kind, scope: Any, ends: Any, told: Any
) -> None:
    """Exceptions that are none in name are told as those of an iteration are."""

    def own() -> Iterator[int]:
        yield 1
        ends()

    outcome = run(callee(scenario(kind, quick), hold=FOREVER, iterations=1, own=pending(own, scope)))

    assert outcome.errors() == [("", *told)]
    assert outcome.tally().iterations == 2


@both_kinds
@pytest.mark.parametrize("scope", ["user", "worker"])
def test_a_fixture_that_yields_twice_is_told(kind: Kind, scope: Any) -> None:
    """As with pytest's own fixtures, there is one yield."""

    def twice() -> Iterator[int]:
        yield 1
        yield 2

    async def async_twice() -> AsyncIterator[int]:
        yield 1
        yield 2

    outcome = run(
        callee(
            scenario(kind, quick),
            hold=FOREVER,
            iterations=1,
            one=pending(twice, scope),
            two=pending(async_twice, scope),
        )
    )

    messages = [message for _, _, message, _ in outcome.errors()]
    assert len(messages) >= 1
    assert all("yields more than once" in message for message in messages)


@both_kinds
@pytest.mark.parametrize("scope", ["user", "worker"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_fixture_that_does_not_yield_is_told(kind: Kind, scope: Any, is_async: bool) -> None:  # noqa: FBT001
    """A generator that returns before its yield has made no value."""

    def empty() -> Iterator[int]:
        return
        yield

    async def async_empty() -> AsyncIterator[int]:
        return
        yield

    function = async_empty if is_async else empty
    outcome = run(callee(scenario(kind, quick), hold=0.05, own=pending(function, scope)))

    (error,) = outcome.errors()
    assert f"fixture {function.__name__} did not yield" in error[2]


@both_kinds
@pytest.mark.parametrize("style", ["yield", "async yield"])
def test_a_tear_down_that_hangs_is_cut_off(kind: Kind, style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its user had to go, and when it outlasts the time that its user had; it is told either way."""
    monkeypatch.setattr(life, "TEARDOWN_LIMIT", 0.05)
    log: list[str] = []

    async def async_hangs(vu: Any) -> AsyncIterator[None]:
        yield
        await asyncio.sleep(600)

    def hangs(vu: Any) -> Iterator[None]:
        yield
        vu.sleep(600)

    def steps(vu: Any, **values: Any) -> Steps:
        log.append("begun")
        yield 600 if vu.id == 1 else 0.001

    async_style = style == "async yield" or kind == "async"
    own = pending(async_hangs if async_style else hangs, vu=THE_USER)
    first = pending(fixture_of("yield", log, "first"))
    outcome = run(callee(scenario(kind, steps), users=2, hold=0.05, graceful_stop=0.1, first=first, own=own))

    assert log.count("first down") == 2
    cut_off = "TimeoutError: the tear-down of the user's fixtures was cut off, because the user had to go"
    assert outcome.errors() == [("", "exception", cut_off, 2)]


@both_kinds
def test_a_shared_tear_down_that_hangs_is_cut_off(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends, and the failure is told."""
    monkeypatch.setattr(runner, "TEARDOWN_LIMIT", 0.05)

    async def hangs() -> AsyncIterator[None]:
        yield
        await asyncio.sleep(600)

    outcome = run(callee(scenario(kind, quick), hold=FOREVER, iterations=1, own=pending(hangs, "worker")))

    assert [error[:2] for error in outcome.errors()] == [("", "exception")]
    assert "TimeoutError" in outcome.errors()[0][2]


@both_kinds
def test_a_user_that_must_go_during_its_set_up_tears_down_what_it_has(kind: Kind) -> None:
    """What was set up so far is torn down; nothing is counted."""
    log: list[str] = []

    async def slow(vu: Any) -> None:
        log.append("slow")
        await asyncio.sleep(600)

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: "slow" in log)
        load.stop(0.0)

    outcome = run(
        callee(
            scenario(kind, quick),
            hold=FOREVER,
            first=pending(fixture_of("yield", log, "first")),
            own=pending(slow, vu=THE_USER),
        ),
        meanwhile=meanwhile,
    )

    assert log == ["first up", "slow", "first down"]
    assert (outcome.tally().iterations, outcome.errors()) == (0, [])


@both_kinds
def test_a_worker_fixture_survives_the_user_that_set_it_up(kind: Kind) -> None:
    """When that user has to go in the middle of it, another one sets it up."""
    tries: list[float] = []
    got: list[int] = []

    async def shared() -> int:
        tries.append(time.monotonic())
        if len(tries) == 1:
            await asyncio.sleep(600)
        return 5

    def steps(vu: Any, shared: int) -> Steps:
        got.append(vu.id)
        yield 0.001

    async def meanwhile(load: LoadRunner) -> None:
        await until(lambda: len(tries) == 1 and len(load._lives) == 2)
        load._lives[0, 1].stop(0.0)
        await until(lambda: len(got) > 0)
        load.stop(0.0)

    run(
        callee(scenario(kind, steps), users=2, hold=FOREVER, shared=pending(shared, "worker")),
        meanwhile=meanwhile,
    )

    assert len(tries) == 2
    assert set(got) == {2}
