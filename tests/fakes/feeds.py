"""Takes what a feed delivers, and waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pytest_metersphere.dist.feed import Arrival, Feed
from tests.fakes.nodes import PATIENCE


class Taken:
    """Everything that came from a feed so far; at the end the feed is closed.

    Attributes:
        arrivals: as they came.
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.arrivals: list[Arrival] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.feed.close()

    @property
    def all(self) -> list[bytes]:
        """Return all frames so far."""
        return [frame for arrival in self.arrivals for frame in arrival.frames]

    def look(self, timeout: float = 0.05) -> None:
        """Take what is there."""
        self.arrivals += self.feed.receive(timeout)

    def frames(self, count: int, patience: float = PATIENCE) -> list[bytes]:
        """Return all frames once there are so many."""
        deadline = time.monotonic() + patience
        while len(self.all) < count:
            assert time.monotonic() < deadline, f"{len(self.all)} of {count} frames came"
            self.look(0.2)
        return self.all

    def first(self, met: Callable[[Arrival], object], what: str) -> Arrival:
        """Return the first arrival of which something holds, once it is there."""
        deadline = time.monotonic() + PATIENCE
        while not (found := [arrival for arrival in self.arrivals if met(arrival)]):
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
            self.look(0.2)
        return found[0]
