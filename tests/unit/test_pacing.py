"""When a user goes on: think time, a pace, growing pauses when a server refuses; and shared iterations."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.failures import ConnectionFailure, RequestTimeout
from pytest_metersphere.engine.pacing import Pacer, SharedIterations

REFUSED = ConnectionFailure("refused", kind="refused", group="refused")
LADDER = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


class OtherLibraryError(Exception):
    """What another HTTP client makes of a failed connection."""


def wrapped(cause: BaseException) -> OtherLibraryError:
    """Return another library's exception, raised from a cause."""
    error = OtherLibraryError()
    error.__cause__ = cause
    return error


def raised_while_handling(cause: BaseException) -> AssertionError:
    """Return an exception raised while another was being handled."""
    error = AssertionError("the cart is empty")
    error.__context__ = cause
    return error


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 10**9))
def test_think_time_lies_between_its_bounds(one: float, other: float, seed: int) -> None:
    """Every pause is drawn from the span, and all the same when the span has no width."""
    low, high = sorted((one, other))
    pacer = Pacer((low, high), seed)

    assert all(low <= pacer.pause(None) <= high for _ in range(10))
    assert Pacer((low, low), seed).pause(None) == low


def test_a_user_pauses_the_same_in_every_run() -> None:
    """The seed decides, so users differ from one another and a user repeats itself."""
    first, again, other = Pacer((1, 3), 7), Pacer((1, 3), 7), Pacer((1, 3), 8)

    pauses = [first.pause(None) for _ in range(5)]

    assert [again.pause(None) for _ in range(5)] == pauses
    assert [other.pause(None) for _ in range(5)] != pauses
    assert len(set(pauses)) == 5


def test_connection_failures_in_a_row_wait_longer_and_longer() -> None:
    """From 0.1 s doubling to 5 s, however many follow."""
    pacer = Pacer((0, 0), 1)

    assert [pacer.pause(REFUSED) for _ in LADDER] == LADDER
    assert {pacer.pause(REFUSED) for _ in range(5000)} == {5.0}


def test_an_iteration_that_gets_through_starts_the_ladder_again() -> None:
    """Success and any other failure mean that the server was reached."""
    for reached in (None, AssertionError("wrong"), RequestTimeout("slow", kind="timeout", group="timeout")):
        pacer = Pacer((0, 0), 1)

        pauses = [pacer.pause(error) for error in (REFUSED, REFUSED, reached, REFUSED)]

        assert pauses == [0.1, 0.2, 0.0, 0.1]


def test_think_time_is_the_least_after_a_failure_too() -> None:
    """A failed iteration is followed by think time, or by the longer pause."""
    pacer = Pacer((0.3, 0.3), 1)

    assert pacer.pause(ValueError("no")) == 0.3
    assert [pacer.pause(REFUSED) for _ in range(4)] == [0.3, 0.3, 0.4, 0.8]


def test_failed_connections_of_other_libraries_count() -> None:
    """The operating system's error is found behind what another client raises, and in groups."""
    causes: list[BaseException] = [
        ConnectionRefusedError("refused"),
        ConnectionResetError("reset"),
        socket.gaierror(-2, "unknown"),
        wrapped(wrapped(ConnectionRefusedError())),
        raised_while_handling(ConnectionRefusedError()),
        raised_while_handling(REFUSED),
        ExceptionGroup("tasks", [ValueError("no"), ExceptionGroup("more", [REFUSED])]),
        wrapped(ExceptionGroup("tasks", [BrokenPipeError()])),
    ]
    for cause in causes:
        pacer = Pacer((0, 0), 1)
        assert [pacer.pause(cause), pacer.pause(cause)] == [0.1, 0.2], cause


def test_other_failures_are_not_taken_for_failed_connections() -> None:
    """Missing files, timeouts and groups of assertions bring think time only."""
    causes: list[BaseException] = [
        FileNotFoundError("users.csv"),
        TimeoutError(),
        wrapped(ValueError("no")),
        ExceptionGroup("tasks", [AssertionError("wrong")]),
    ]
    for cause in causes:
        assert Pacer((0, 0), 1).pause(cause) == 0.0, cause


def test_exceptions_that_are_their_own_cause_end_somewhere() -> None:
    """A circle of causes is not followed for ever."""
    error, cause = ValueError("one"), ValueError("two")
    error.__cause__, cause.__cause__ = cause, error

    assert Pacer((0, 0), 1).pause(error) == 0.0


def test_fixtures_that_cannot_be_set_up_are_tried_again_later() -> None:
    """Whatever a fixture raises, its user waits, and longer the next time."""
    pacer = Pacer((0, 0), 1)

    assert [pacer.pause(ValueError("no"), set_up=False) for _ in range(3)] == [0.1, 0.2, 0.4]
    assert pacer.pause(None) == 0.0


def test_think_time_counts_from_the_end_of_an_iteration() -> None:
    """However long that took."""
    pacer = Pacer((2, 2), 1)

    assert pacer.due_after(10.0, 17.0, None) == 19.0


def test_a_pace_counts_from_when_an_iteration_was_due() -> None:
    """One that takes longer makes the next one late, and does not move those behind it."""
    pacer = Pacer((0, 0), 1, pacing=2.0)

    assert pacer.due_after(10.0, 10.5, None) == 12.0
    assert pacer.due_after(12.0, 17.0, None) == 14.0
    assert pacer.due_after(14.0, 17.1, None) == 16.0


def test_a_server_that_refuses_moves_the_pace() -> None:
    """The pause that grows is kept, and what follows counts from its end."""
    pacer = Pacer((0, 0), 1, pacing=0.15)

    assert pacer.due_after(10.0, 10.01, REFUSED) == pytest.approx(10.15)
    assert pacer.due_after(10.15, 10.16, REFUSED) == pytest.approx(10.36)
    assert pacer.due_after(10.36, 10.37, None) == pytest.approx(10.51)


def test_shared_iterations_are_taken_until_none_is_left() -> None:
    """By however many users, from threads too."""
    shared = SharedIterations(1000)
    taken: list[bool] = []

    def take() -> None:
        while shared.take():
            taken.append(True)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(taken), shared.left, shared.take()) == (1000, 0, False)
