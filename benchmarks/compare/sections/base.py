"""What the sections share: where things run, and the task, which is done once in every repetition."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Cores:
    """The server's core, the load generators' core, and both kinds together."""

    server: int
    load: int
    all: frozenset[int]


class Task(Protocol):
    """One measurement that is repeated.

    Attributes:
        name: for the progress on the terminal.
        repetitions: how often at most.
    """

    name: str
    repetitions: int

    def measure(self) -> str:
        """Measure once, keep what was found, and return it in a few words.

        Raises:
            RunFailed: a load generator came to no result; this, too, has been kept.
        """


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for one run, gone at the end of the block even when files still appear in it."""
    return tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)


def inside(folder: str, name: str) -> Path:
    """Return a new folder inside one."""
    path = Path(folder, name)
    path.mkdir()
    return path
