"""When a user's next iteration is to begin, and how many all of them may run."""

from __future__ import annotations

import random
import socket
import threading

from pytest_metersphere.engine.failures import ConnectionFailure

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_MOST_CAUSES = 20


class Pacer:
    """Decides how long one user waits after an iteration.

    The pause is drawn evenly between the shortest and longest think time. After connection failures
    in a row, or fixtures that cannot be set up, it grows from 0.1 s, doubling, to 5 s, so that a server
    that refuses is never spun on.

    With `pacing` iterations are due at fixed intervals. One that takes longer does not shift those behind
    it: the next one begins at once, late, and so on until the user has caught up. What its samples report
    counts from when they were due, as wrk2 does it. Only a pause after connection failures moves the grid.
    """

    def __init__(self, think: tuple[float, float], seed: int, pacing: float | None = None) -> None:
        """Start without failures; `seed` makes the pauses of a user the same in every run."""
        self._think = think
        self._pacing = pacing
        self._random = random.Random(seed)
        self._failures = 0

    def due_after(self, due: float, now: float, error: BaseException | None, *, set_up: bool = True) -> float:
        """Return the clock reading at which the next iteration is due.

        Args:
            due: clock reading at which the one that just ended was due.
            now: clock reading at which it ended.
            error: what it ended with, if anything.
            set_up: the user's fixtures were there, so that the scenario could be called.
        """
        pause = self.pause(error, set_up=set_up)
        if self._pacing is None:
            return now + pause
        return max(due + self._pacing, now + pause if self._failures else 0.0)

    def pause(self, error: BaseException | None, *, set_up: bool = True) -> float:
        """Return the seconds to wait after an iteration that ended with `error`, or without one.

        `set_up` says whether the user's fixtures were there, so that the scenario could be called.
        """
        low, high = self._think
        think = low if low == high else self._random.uniform(low, high)
        if set_up and (error is None or not _is_connection_failure(error)):
            self._failures = 0
            return think
        self._failures += 1
        return max(think, min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._failures - 1, 10)))


class SharedIterations:
    """How many iterations the users of a worker may still begin together; from any thread."""

    def __init__(self, count: int) -> None:
        """Start with so many."""
        self._left = count
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Return how many nobody has begun."""
        return self._left

    def take(self) -> bool:
        """Take one; return whether there was one left."""
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            return True


def _is_connection_failure(error: BaseException | None) -> bool:
    """Return whether a failed connection is behind an exception, of whichever library."""
    for _ in range(_MOST_CAUSES):
        if isinstance(error, (ConnectionFailure, ConnectionError, socket.gaierror)):
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(map(_is_connection_failure, error.exceptions))
        if error is None:
            break
        error = error.__cause__ or error.__context__
    return False
