"""What every load generator is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class MissingPart(Exception):
    """A load generator cannot be had here; the text says why and what would help."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What to send: GET requests for one URL, over kept connections, one for each user.

    Attributes:
        seconds: how long, once all users are there.
        rate: requests a second of all users together; 0: each user sends again when it has its answer.
        think: seconds that a user pauses after an answer.
        ramp: seconds over which the users of this engine begin; others have ways of their own.
        answers_in: seconds that the server takes, for who can only keep a rate by pausing in between.
    """

    url: str
    users: int
    seconds: int
    rate: int = 0
    think: float = 0.0
    ramp: int = 0
    answers_in: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """How to start a load generator.

    Attributes:
        environment: variables beside those of this process.
        answer: the file with its results; None when they are its standard output.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    answer: Path | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a load generator says of its run; times in seconds, None where it does not say.

    Attributes:
        note: a verdict of its own that is not `passed`.
    """

    requests: int
    failures: int = 0
    p50: float | None = None
    p99: float | None = None
    note: str = ""


class Rival(Protocol):
    """A load generator.

    Attributes:
        name: as the tables have it.
        settles: seconds until a just-in-time compiler has done most of its work; runs are that much longer.
    """

    name: str
    settles: int

    def install(self, cache: Path) -> str:
        """Install what is missing, below `cache` where it can be, and return the version.

        Raises:
            MissingPart: it cannot be had.
        """

    def refusal(self, load: Load) -> str:
        """Return why it cannot make such a load, or nothing."""

    def command(self, load: Load, folder: Path) -> Command:
        """Write what it needs into an empty folder, its working directory, and return its command."""

    def parse(self, text: str) -> Report:
        """Read its results.

        Raises:
            ValueError: there are none, or they are no results of it.
        """
