"""Where a run's frames come from: one small interface; here what is asked of the nodes."""

from __future__ import annotations

import abc
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pytest_metersphere.dist.client import LIVELY_LIMIT
from pytest_metersphere.dist.nodes import SliceClient
from pytest_metersphere.dist.wire import Manifest, WorkerLoss
from pytest_metersphere.errors import NodeError

LONG_POLL = 2.0
SILENCE = 10.0
"""Seconds without an answer after which a node counts as lost."""
_RETRY = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came from one slice.

    Attributes:
        slice: its id, empty when it is not known before the frames are checked.
        frames: signed frames, not checked yet.
        manifest: how the slice ended, with its last frames.
        losses: workers that were lost so far.
        silence: why the slice counts as lost, empty while it answers.
    """

    slice: str
    frames: list[bytes]
    manifest: Manifest | None = None
    losses: Sequence[WorkerLoss] = ()
    silence: str = ""


class Feed(Protocol):
    """Delivers the frames of a run, each at least once or never, in any order."""

    def receive(self, timeout: float) -> list[Arrival]:
        """Wait up to `timeout` seconds for something to come; return all that is there."""

    def close(self) -> None:
        """Stop delivering and free what is held."""


class _PollingFeed(abc.ABC):
    """Asks the node of each slice again and again, one thread a node, until the slice has ended."""

    def __init__(self, slices: dict[str, Callable[[], SliceClient]]) -> None:
        """Start asking; `slices` gives for each slice a function that makes a client of its node."""
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._closing = threading.Event()
        for slice_id, connect in slices.items():
            name = f"feed-{slice_id}"
            threading.Thread(target=self._follow, args=(slice_id, connect), name=name, daemon=True).start()

    def receive(self, timeout: float) -> list[Arrival]:
        """Wait up to `timeout` seconds for something to come; return all that is there."""
        try:
            arrivals = [self._arrivals.get(timeout=timeout) if timeout > 0 else self._arrivals.get_nowait()]
        except queue.Empty:
            return []
        while not self._arrivals.empty():
            arrivals.append(self._arrivals.get())
        return arrivals

    def close(self) -> None:
        """Stop asking; a question that is under way ends by itself."""
        self._closing.set()

    @abc.abstractmethod
    def _question(self, client: SliceClient, slice_id: str) -> Callable[[], Arrival]:
        """Return what asks once for news; each answer is the ground for the next question."""

    def _follow(self, slice_id: str, connect: Callable[[], SliceClient]) -> None:
        heard = time.monotonic()
        with connect() as client:
            ask = self._question(client, slice_id)
            while not self._closing.is_set():
                try:
                    arrival = ask()
                except NodeError as error:
                    if error.status is not None or time.monotonic() - heard > SILENCE:
                        self._arrivals.put(Arrival(slice_id, [], silence=str(error)))
                        return
                    self._closing.wait(_RETRY)
                    continue
                heard = time.monotonic()
                if arrival.frames or arrival.manifest or arrival.losses:
                    self._arrivals.put(arrival)
                if arrival.manifest is not None:
                    return


class SpoolFeed(_PollingFeed):
    """Pulls the frames of each slice from its node's spool."""

    def _question(self, client: SliceClient, slice_id: str) -> Callable[[], Arrival]:
        after = 0

        def ask() -> Arrival:
            nonlocal after
            batch = client.frames(slice_id, after=after, wait=LONG_POLL)
            after = batch.last_sequence
            return Arrival(slice_id, batch.frames, batch.manifest, batch.losses)

        return ask


class StateFeed(_PollingFeed):
    """Says how each slice stands, without its frames: these come another way."""

    def _question(self, client: SliceClient, slice_id: str) -> Callable[[], Arrival]:
        known = ""

        def ask() -> Arrival:
            nonlocal known
            info = client.state(slice_id, wait_while=known, wait=LONG_POLL, limit=LIVELY_LIMIT)
            known = info.state
            return Arrival(slice_id, [], info.manifest, info.losses)

        return ask


class JoinedFeed:
    """Several feeds as one."""

    def __init__(self, first: Feed, *others: Feed) -> None:
        """Join them; the first is the one that is waited for."""
        self._first = first
        self._others = others

    def receive(self, timeout: float) -> list[Arrival]:
        """Wait up to `timeout` seconds for the first feed; return all that is there of any."""
        arrivals = self._first.receive(timeout)
        return arrivals + [arrival for feed in self._others for arrival in feed.receive(0.0)]

    def close(self) -> None:
        """Close them all."""
        for feed in (self._first, *self._others):
            feed.close()
