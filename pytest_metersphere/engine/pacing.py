"""How long a user pauses between two iterations."""

from __future__ import annotations

import random

from pytest_metersphere.engine.failures import ConnectionFailure

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0


class Pacer:
    """Decides how long one user waits after an iteration.

    The pause is drawn evenly between the shortest and longest think time. After connection failures
    in a row it grows from 0.1 s, doubling, to 5 s, so that a server that refuses is never spun on.
    """

    def __init__(self, think: tuple[float, float], seed: int) -> None:
        """Start without failures; `seed` makes the pauses of a user the same in every run."""
        self._think = think
        self._random = random.Random(seed)
        self._failures = 0

    def pause(self, error: BaseException | None) -> float:
        """Return the seconds to wait after an iteration that ended with `error`, or without one."""
        low, high = self._think
        think = low if low == high else self._random.uniform(low, high)
        if not isinstance(error, (ConnectionFailure, ConnectionError)):
            self._failures = 0
            return think
        self._failures += 1
        return max(think, min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._failures - 1, 10)))
