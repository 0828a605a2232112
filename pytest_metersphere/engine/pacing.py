"""How long a user pauses between two iterations."""

from __future__ import annotations

import random
import socket

from pytest_metersphere.engine.failures import ConnectionFailure

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_MOST_CAUSES = 20


class Pacer:
    """Decides how long one user waits after an iteration.

    The pause is drawn evenly between the shortest and longest think time. After connection failures
    in a row, or fixtures that cannot be set up, it grows from 0.1 s, doubling, to 5 s, so that a server
    that refuses is never spun on.
    """

    def __init__(self, think: tuple[float, float], seed: int) -> None:
        """Start without failures; `seed` makes the pauses of a user the same in every run."""
        self._think = think
        self._random = random.Random(seed)
        self._failures = 0

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
