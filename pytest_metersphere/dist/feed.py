"""Where a run's frames come from: one small interface, here over the spools of the nodes."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.wire import FrameBatch, Manifest, WorkerLoss
from pytest_metersphere.errors import NodeError

LONG_POLL = 2.0
SILENCE = 10.0
"""Seconds without an answer after which a node counts as lost."""
_RETRY = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came from one slice.

    Attributes:
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


class SpoolFeed:
    """Pulls the frames of each slice from its node's spool, one thread a node."""

    def __init__(self, slices: dict[str, Callable[[], NodeClient]]) -> None:
        """Start pulling; `slices` gives for each slice a function that makes a client of its node."""
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._pull, args=(slice_id, connect), name=f"feed-{slice_id}", daemon=True
            )
            for slice_id, connect in slices.items()
        ]
        for thread in self._threads:
            thread.start()

    def receive(self, timeout: float) -> list[Arrival]:
        """Wait up to `timeout` seconds for something to come; return all that is there."""
        try:
            arrivals = [self._arrivals.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self._arrivals.empty():
            arrivals.append(self._arrivals.get())
        return arrivals

    def close(self) -> None:
        """Stop pulling; a poll that is under way ends by itself."""
        self._closing.set()

    def _pull(self, slice_id: str, connect: Callable[[], NodeClient]) -> None:
        after, heard = 0, time.monotonic()
        with connect() as client:
            while not self._closing.is_set():
                try:
                    batch = client.frames(slice_id, after=after, wait=LONG_POLL)
                except NodeError as error:
                    if error.status is not None or time.monotonic() - heard > SILENCE:
                        self._arrivals.put(Arrival(slice_id, [], silence=str(error)))
                        return
                    self._closing.wait(_RETRY)
                    continue
                after, heard = batch.last_sequence, time.monotonic()
                self._deliver(slice_id, batch)
                if batch.manifest is not None:
                    return

    def _deliver(self, slice_id: str, batch: FrameBatch) -> None:
        if batch.frames or batch.manifest or batch.losses:
            self._arrivals.put(Arrival(slice_id, batch.frames, batch.manifest, batch.losses))
