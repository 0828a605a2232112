"""Which frames of a slice have come, and with what content."""

from __future__ import annotations

from typing import Literal

from pytest_metersphere.dist.signing import DIGEST_SIZE

Receipt = Literal["new", "duplicate", "conflict"]


class Receipts:
    """The sequences and the digests of all frames that a slice has delivered, in any order.

    What came without a gap costs DIGEST_SIZE bytes a frame.

    Attributes:
        received: number of different frames.
        conflicts: sequences that came with several contents; the first content was taken.
    """

    def __init__(self) -> None:
        """Start with nothing received."""
        self.received = 0
        self.conflicts: set[int] = set()
        self._digests = bytearray()
        self._ahead: dict[int, bytes] = {}

    def note(self, sequence: int, digest: bytes) -> Receipt:
        """Note a frame (its sequence from 1) and return what it is: new, known, or known otherwise."""
        known = self._digest_of(sequence)
        if known is None:
            self._ahead[sequence] = digest
            self._close_up()
            self.received += 1
            return "new"
        if known == digest:
            return "duplicate"
        self.conflicts.add(sequence)
        return "conflict"

    @property
    def follows(self) -> int:
        """Return the sequence up to which every frame has come."""
        return len(self._digests) // DIGEST_SIZE

    @property
    def highest(self) -> int:
        """Return the highest sequence that has come, 0 before any."""
        return max(self._ahead, default=self.follows)

    def _digest_of(self, sequence: int) -> bytes | None:
        if sequence > self.follows:
            return self._ahead.get(sequence)
        end = sequence * DIGEST_SIZE
        return bytes(self._digests[end - DIGEST_SIZE : end])

    def _close_up(self) -> None:
        while (digest := self._ahead.pop(self.follows + 1, None)) is not None:
            self._digests += digest
