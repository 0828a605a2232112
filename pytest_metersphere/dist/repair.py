"""Frames that are late or missing on their way over Kafka, fetched from the nodes' spools."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from pytest_metersphere.dist.nodes import in_parallel
from pytest_metersphere.dist.run import Slice
from pytest_metersphere.errors import NodeError

Gap = tuple[Slice, int]
"""A slice, and the sequence behind which its frames are wanted."""


class Repairs:
    """Fetches in the background, so that a node that hangs holds up nobody; one round at a time."""

    def __init__(self) -> None:
        """Fetch nothing yet."""
        self._fetched: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._round: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Return whether a round is under way."""
        return self._round is not None and self._round.is_alive()

    def begin(self, gaps: Sequence[Gap]) -> None:
        """Begin a round; while one is under way nothing happens."""
        if gaps and not self.busy:
            self._round = threading.Thread(target=self._fetch, args=(gaps,), name="repair", daemon=True)
            self._round.start()

    def finish(self, gaps: Sequence[Gap]) -> None:
        """Wait for the round that is under way, then for one of these."""
        if self._round is not None:
            self._round.join()
        self._fetch(gaps)

    def take(self) -> list[bytes]:
        """Return the signed frames that were fetched since the last time."""
        return [self._fetched.get() for _ in range(self._fetched.qsize())]

    def _fetch(self, gaps: Sequence[Gap]) -> None:
        for frames in in_parallel(_frames_behind, gaps):
            for signed in frames:
                self._fetched.put(signed)


def _frames_behind(gap: Gap) -> list[bytes]:
    """Return what a spool holds behind a sequence, as far as its node answers."""
    item, after = gap
    frames: list[bytes] = []
    try:
        with item.node.connect() as client:
            while True:
                batch = client.frames(item.id, after=after, wait=0.0)
                frames += batch.frames
                if not batch.frames or batch.manifest is not None:
                    return frames
                after = batch.last_sequence
    except NodeError:
        return frames
