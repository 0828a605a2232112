"""Where a slice keeps its frames until the controller lets go of it."""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path


class Spool:
    """An append-only file of packed frames with its index in memory.

    It never fails a run: a frame that finds no room, in the limit or on the disk, is dropped and
    counted, and the gap shows in the sequences that can be read. What is there stays.

    Attributes:
        dropped: number of frames that found no room.
    """

    def __init__(self, path: Path, limit: int) -> None:
        """Make the file; `limit` is its largest size in bytes."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._limit = limit
        self._sequences: list[int] = []
        self._ends: list[int] = []
        self._size = 0
        self._closed = False
        self.dropped = 0

    @property
    def closed(self) -> bool:
        """Return whether the file was let go."""
        return self._closed

    def append(self, sequence: int, frame: bytes) -> None:
        """Keep a frame; sequences must ascend."""
        if self._closed or self._size + len(frame) > self._limit or not self._write(frame):
            self.dropped += 1
            return
        self._size += len(frame)
        self._sequences.append(sequence)
        self._ends.append(self._size)

    def _write(self, frame: bytes) -> bool:
        """Write behind the last whole frame; what a failed attempt left there is overwritten."""
        try:
            return os.pwrite(self._file, frame, self._size) == len(frame)
        except OSError:
            return False

    def holds_more_than(self, after: int) -> bool:
        """Return whether there is a frame with a sequence above `after`."""
        return not self._closed and bool(self._sequences) and self._sequences[-1] > after

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return the frames with sequences above `after`, in order, each with its sequence.

        They are `limit` bytes at most; but one frame is returned even when it alone is larger. A
        closed spool has none.
        """
        first = bisect_right(self._sequences, after)
        if self._closed or first == len(self._sequences):
            return []
        start = self._ends[first - 1] if first else 0
        past = max(bisect_right(self._ends, start + limit), first + 1)
        data = os.pread(self._file, self._ends[past - 1] - start, start)
        edges = [0, *(end - start for end in self._ends[first:past])]
        return [
            (sequence, data[low:high])
            for sequence, low, high in zip(self._sequences[first:past], edges, edges[1:], strict=False)
        ]

    def close(self) -> None:
        """Let go of the file; removing it is the owner's business."""
        if not self._closed:
            self._closed = True
            os.close(self._file)
