"""How long a call may take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

DEFAULT_TIMEOUT = 30.0
_NAMES = ("connect", "read", "total")


class Limits(NamedTuple):
    """The time limits of a call, in seconds.

    Attributes:
        total: from the call to the last byte, redirects included.
        connect: for one connection, TLS included.
        read: between two pieces of an answer.
    """

    total: float = DEFAULT_TIMEOUT
    connect: float = math.inf
    read: float = math.inf


DEFAULT_LIMITS = Limits()


def limits_of(timeout: Any) -> Limits:
    """Return the limits that `timeout=` means: seconds in all, or a mapping of connect, read and total.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(timeout, Mapping):
        unknown = [name for name in timeout if name not in _NAMES]
        if unknown or not timeout:
            raise TypeError(f"timeout={timeout!r}: give connect, read, total, or some of them")
        return Limits(**{name: _seconds(seconds) for name, seconds in timeout.items()})
    return Limits(_seconds(timeout))


def _seconds(timeout: Any) -> float:
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < math.inf:
        raise TypeError(f"timeout={timeout!r}: give the seconds as a positive number, for example timeout=5")
    return float(timeout)
