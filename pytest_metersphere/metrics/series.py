"""What happened second by second, kept small: closed seconds are held packed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pytest_metersphere.metrics.frame import Tally
from pytest_metersphere.metrics.histogram import Histogram

MAX_SLOTS = 600
_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Tally)
_NO_TIMES = Histogram()


class Series:
    """The seconds of one scenario, warm-up included, over all nodes.

    Users add up, because each worker reports its users of a second once. Errors and service times
    are not kept.

    Attributes:
        interval: how many seconds come summed up under the first of them; no slot is narrower.
    """

    def __init__(self, interval: int = 1) -> None:
        """Start without seconds."""
        self.interval = interval
        self._open: dict[int, Tally] = {}
        self._packed: dict[int, bytes] = {}

    def add(self, second: int, tally: Tally) -> None:
        """Add what some users did in a second; also late, when the second was closed before."""
        mine = self._open.get(second)
        if mine is None:
            packed = self._packed.pop(second, None)
            mine = self._open[second] = Tally() if packed is None else _decoder.decode(packed)
        mine.merge_parallel(_kept(tally))

    def close(self, before: int) -> None:
        """Pack all seconds below `before`."""
        for second in [second for second in self._open if second < before]:
            self._packed[second] = _encoder.encode(self._open.pop(second))

    def end(self, before: int) -> None:
        """Forget the seconds from `before` on: others went on, this scenario had ended."""
        for seconds in (self._open, self._packed):
            for second in [second for second in seconds if second >= before]:
                del seconds[second]

    def at(self, second: int) -> Tally | None:
        """Return what happened in a second, None when nothing is known of it."""
        if second in self._open:
            return self._open[second]
        packed = self._packed.get(second)
        return None if packed is None else _decoder.decode(packed)

    @property
    def seconds(self) -> int:
        """Return the number of seconds from 0 to the last one known, inclusive."""
        return max((*self._open, *self._packed), default=-1) + 1

    @property
    def width(self) -> int:
        """Return the seconds of a chart's slot: the first fit that gives at most MAX_SLOTS of them."""
        seconds = self.seconds
        widths = [width * self.interval for width in _WIDTHS]
        return next((width for width in widths if seconds <= width * MAX_SLOTS), widths[-1])

    def slots(self) -> Iterator[tuple[int, Tally]]:
        """Yield the begin (second) and the content of every slot, in order, empty ones included."""
        width = self.width
        for begin in range(0, self.seconds, width):
            merged = Tally()
            for second in range(begin, begin + width):
                tally = self.at(second)
                if tally is not None:
                    merged.merge(tally)
            yield begin, merged


def _kept(tally: Tally) -> Tally:
    """Return a tally without what a series does not keep; what it keeps is shared."""
    labels = {name: msgspec.structs.replace(label, service=_NO_TIMES) for name, label in tally.labels.items()}
    return msgspec.structs.replace(tally, labels=labels, errors=[])
