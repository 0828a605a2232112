"""Frames as they cross the wire: numbered, packed, and never larger than MAX_FRAME."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from pytest_metersphere.dist.node.seconds import Span
from pytest_metersphere.metrics.frame import VERSION, ErrorTally, Frame, LabelTally, Tally

MAX_FRAME = 256 << 10
"""Bytes above which a frame is split by labels; one label or error alone may still be larger."""

_MARGIN = 1 << 10
_encode = msgspec.msgpack.Encoder().encode


class Press:
    """Makes the packed frames of one slice.

    Attributes:
        sequence: sequence of the last frame made, 0 before the first.
    """

    def __init__(self, run: str, slice_id: str, incarnation: int, limit: int = MAX_FRAME) -> None:
        self._run = run
        self._slice = slice_id
        self._incarnation = incarnation
        self._limit = limit
        self.sequence = 0

    def pack(self, span: Span) -> list[tuple[int, bytes]]:
        """Return the frames of one span with their sequences: one, or several when it is large."""
        whole = self._encoded(span, [span.tallies])
        if len(whole[0]) > self._limit:
            head = self._encoded(span, [[_shell(tally) for tally in span.tallies]])
            room = self._limit - len(head[0]) - _MARGIN
            whole = self._encoded(span, list(_pieces(span.tallies, room)))
        first = self.sequence + 1
        self.sequence += len(whole)
        return list(enumerate(whole, first))

    def _encoded(self, span: Span, pieces: list[list[Tally]]) -> list[bytes]:
        """Return the packed frames of the pieces, numbered on from the last sequence."""
        return [
            _encode(
                Frame(
                    version=VERSION,
                    run=self._run,
                    slice=self._slice,
                    incarnation=self._incarnation,
                    sequence=self.sequence + 1 + number,
                    second=span.second,
                    phase=span.phase,
                    complete=span.complete and number == len(pieces) - 1,
                    tallies=tallies,
                    health=span.health if number == 0 else [],
                    seconds=span.seconds,
                )
            )
            for number, tallies in enumerate(pieces)
        ]


def _pieces(tallies: list[Tally], room: int) -> Iterator[list[Tally]]:
    """Cut tallies into pieces of about `room` bytes; only the first has users and iterations."""
    piece = [_shell(tally) for tally in tallies]
    used = 0
    for size, put in _items(tallies):
        if used and used + size > room:
            yield piece
            piece, used = [Tally() for _ in tallies], 0
        put(piece)
        used += size
    yield piece


def _items(tallies: list[Tally]) -> Iterator[tuple[int, Callable[[list[Tally]], None]]]:
    """Yield each label and each error with its packed size, as what puts it into a piece."""
    for part, tally in enumerate(tallies):
        for name, labelled in tally.labels.items():
            yield len(_encode((name, labelled))), partial(_put_label, part, name, labelled)
        for error in tally.errors:
            yield len(_encode(error)), partial(_put_error, part, error)


def _put_label(part: int, name: str, labelled: LabelTally, piece: list[Tally]) -> None:
    piece[part].labels[name] = labelled


def _put_error(part: int, error: ErrorTally, piece: list[Tally]) -> None:
    piece[part].errors.append(error)


def _shell(tally: Tally) -> Tally:
    """Return a tally with the same counts, without labels and errors."""
    return msgspec.structs.replace(tally, labels={}, errors=[])
