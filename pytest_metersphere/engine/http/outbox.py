"""When requests are written: those of users that were woken together, one behind the other."""

from __future__ import annotations

import asyncio
import weakref
from typing import Protocol

_LONGEST = 0.002


class Sender(Protocol):
    """A connection with a request that is to be sent."""

    def send(self) -> None:
        """Send it, unless that has become pointless."""


class Outbox:
    """Requests on an event loop that wait until other users, whose answers came with theirs, have run.

    Scenarios in Python and the kernel's TCP drive each other out of the processor's caches when they take
    turns with each request. A request whose user is alone does not come here; others wait until the scenarios
    of those have run that were woken with it, but not much longer than _LONGEST seconds.

    Attributes:
        awake: answers that came since requests were last written: as many users are about to run.
    """

    __slots__ = ("_since", "_waiting", "awake")

    def __init__(self) -> None:
        """Start empty."""
        self.awake = 0
        self._waiting: list[Sender] = []
        self._since = 0.0

    def put(self, sender: Sender, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """Let a request wait; `now` is a clock reading."""
        waiting = self._waiting
        waiting.append(sender)
        if len(waiting) == 1:
            self._since = now
            loop.call_soon(self._send)
        elif now - self._since > _LONGEST:
            self._empty()

    def _send(self) -> None:
        """Send what waits: those that were woken together have run."""
        self.awake = 0
        self._empty()

    def _empty(self) -> None:
        waiting, self._waiting = self._waiting, []
        for sender in waiting:
            sender.send()


_outboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = weakref.WeakKeyDictionary()


def outbox_of(loop: asyncio.AbstractEventLoop) -> Outbox:
    """Return the one outbox of an event loop."""
    outbox = _outboxes.get(loop)
    if outbox is None:
        outbox = _outboxes[loop] = Outbox()
    return outbox
