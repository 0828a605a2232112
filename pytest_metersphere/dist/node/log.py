"""What the workers of a slice print."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CUT = b"[... earlier output was dropped ...]\n"


class SliceLog:
    """The merged output of a slice's workers in a file that stays within a limit.

    When the file is full, its older half goes. A disk without room costs output, nothing else.
    """

    def __init__(self, path: Path, limit: int) -> None:
        """Make the file; `limit` is its largest size in bytes."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._limit = limit
        self._size = 0
        self._closed = False

    def write(self, data: bytes) -> None:
        """Append output."""
        data = data[-self._limit // 2 :]
        with contextlib.suppress(OSError):
            if self._size + len(data) > self._limit:
                self._halve()
            self._size += os.pwrite(self._file, data, self._size)

    def note(self, line: str) -> None:
        """Append a line of the supervisor's own, unless nobody keeps the log any more."""
        if not self._closed:
            self.write(f"{line}\n".encode(errors="replace"))

    def _halve(self) -> None:
        kept = _CUT + self.tail(self._limit // 2 - len(_CUT))
        os.ftruncate(self._file, 0)
        self._size = 0
        self._size = os.pwrite(self._file, kept, 0)

    def tail(self, size: int) -> bytes:
        """Return the last `size` bytes at most, from the start of a line where there is one."""
        if self._closed:
            return b""
        start = max(self._size - size, 0)
        data = os.pread(self._file, self._size - start, start)
        return data[data.find(b"\n") + 1 :] if start else data

    def close(self) -> None:
        """Let go of the file; removing it is the owner's business."""
        if not self._closed:
            self._closed = True
            os.close(self._file)


class OutputPipe:
    """The pipe that all workers of a slice print into.

    A pipe, not the file itself: only who writes the file can hold it to its limit.
    """

    def __init__(self, log: SliceLog) -> None:
        """Open the pipe; what comes out of it goes to the log."""
        self._log = log
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)

    def drain(self) -> None:
        """Move what was printed so far to the log, as long as the pipe is open.

        At most 1 MiB at a time: workers that print without end get no more than their share.
        """
        with contextlib.suppress(BlockingIOError):
            for _ in range(16 if self.reading >= 0 else 0):
                self._log.write(os.read(self.reading, 1 << 16))

    def close(self) -> None:
        """Close both ends."""
        if self.reading >= 0:
            os.close(self.reading)
            os.close(self.writing)
            self.reading = self.writing = -1
