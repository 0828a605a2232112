"""Thread groups: what they ask for, and a node's share of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from pytest_metersphere.engine.jmeter.document import Element, JmxError, new_element
from pytest_metersphere.engine.jmeter.share import Share, apportioned
from pytest_metersphere.engine.jmeter.values import (
    Names,
    as_number,
    children,
    decimal,
    is_true,
    prop,
    set_prop,
    text_of,
    whole,
)

FOREVER = -1
_THREADS = "ThreadGroup.num_threads"
_LOOPS = "LoopController.loops"
_LOOP = "ThreadGroup.main_controller"
_ROWS = "ultimatethreadgroupdata"
_STEPS = ("Start users count", "Start users count burst", "Stop users count")


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """The load curve that every thread group is to follow instead of its own.

    Attributes:
        ramp: seconds until all its threads run.
        hold: seconds that they run from then on; infinity when only iterations end them.
        iterations: how many iterations each thread does at most, None for no limit.
    """

    ramp: float
    hold: float
    iterations: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """How long a thread group takes by itself.

    Attributes:
        ramp: seconds until all its threads run.
        end: seconds until they have ended; None when its loops decide.
        loops: iterations of each thread, None for no limit.
    """

    ramp: float
    end: float | None
    loops: int | None = None


class ThreadGroup:
    """JMeter's own thread group; the base of the others.

    Attributes:
        element: where it stands in the plan.
        threads: its own number of threads.
    """

    def __init__(self, element: Element, names: Names) -> None:
        """Read it (JmxError when a number is not known before the plan runs)."""
        self.element = element
        self.names = names
        self.threads = self._own_threads()
        if self.threads < 0:
            raise JmxError(f"{element.title}: {self.threads} threads cannot be")

    def _own_threads(self) -> int:
        return whole(self.element, _THREADS, self.names, 1)

    def span(self) -> Span:
        """Return how long it takes (JmxError when it never ends)."""
        element, names = self.element, self.names
        ramp = decimal(element, "ThreadGroup.ramp_time", names, 0.0)
        if is_true(element, "ThreadGroup.scheduler", names):
            lasts = decimal(element, "ThreadGroup.duration", names, 0.0)
            if lasts:
                return Span(ramp, lasts + decimal(element, "ThreadGroup.delay", names, 0.0))
        loops = self._loops()
        if loops == FOREVER:
            raise JmxError(
                f'{element.title}: its threads loop for ever and nothing ends them; give hold="1m", or set '
                "its number of loops or its duration"
            )
        return Span(ramp, None, loops)

    def lasts(self) -> float | None:
        """Return the seconds after which its threads end at the earliest, None where others end them too."""
        element, names = self.element, self.names
        if self._loops() != FOREVER or not is_true(element, "ThreadGroup.scheduler", names):
            return None
        lasts = decimal(element, "ThreadGroup.duration", names, 0.0)
        return lasts + decimal(element, "ThreadGroup.delay", names, 0.0) if lasts else None

    def _loops(self) -> int:
        loop = prop(self.element, _LOOP)
        return 1 if loop is None else whole(loop, _LOOPS, self.names, 1)

    def give(self, share: Share, curve: Curve | None) -> None:
        """Let it run a node's share of its threads, on a curve of its own or that one."""
        if not share.users:
            self.element.set("enabled", "false")
        elif curve is None:
            self._divide(share)
        else:
            self._follow(share, curve)

    def _divide(self, share: Share) -> None:
        set_prop(self.element, "intProp", _THREADS, str(share.users))

    def _follow(self, share: Share, curve: Curve) -> None:
        self._become_plain(share.users, curve.iterations or FOREVER, curve.ramp)
        if curve.hold < math.inf:
            set_prop(self.element, "boolProp", "ThreadGroup.scheduler", "true")
            set_prop(self.element, "longProp", "ThreadGroup.duration", str(_seconds(curve.ramp + curve.hold)))
            set_prop(self.element, "longProp", "ThreadGroup.delay", "0")

    def run_once(self) -> None:
        """Let it run one thread, and that one iteration."""
        self._become_plain(1, 1, 0.0)

    def _become_plain(self, threads: int, loops: int, ramp: float) -> None:
        element = self.element
        set_prop(element, "intProp", _THREADS, str(threads))
        set_prop(element, "intProp", "ThreadGroup.ramp_time", str(_seconds(ramp)))
        set_prop(element, "boolProp", "ThreadGroup.scheduler", "false")
        loop = prop(element, _LOOP)
        if loop is None:
            loop = new_element("elementProp", name=_LOOP, elementType="LoopController")
            element.append(loop)
        set_prop(loop, "intProp", _LOOPS, str(loops))
        set_prop(loop, "boolProp", "LoopController.continue_forever", "false")


class _Foreign(ThreadGroup):
    """A thread group of a plugin: given another curve it becomes JMeter's own."""

    def _become_plain(self, threads: int, loops: int, ramp: float) -> None:
        self.element.tag = "ThreadGroup"
        self.element.set("guiclass", "ThreadGroupGui")
        self.element.set("testclass", "ThreadGroup")
        old = prop(self.element, _LOOP)
        if old is not None:
            self.element.remove(old)
        super()._become_plain(threads, loops, ramp)


class ConcurrencyThreadGroup(_Foreign):
    """The Concurrency Thread Group of the custom thread groups' plugin: a target, reached in steps."""

    def _own_threads(self) -> int:
        return whole(self.element, "TargetLevel", self.names, 0)

    def span(self) -> Span:
        """Return how long it takes."""
        unit = 60.0 if self.names.resolved(text_of(self.element, "Unit", "M")).upper() == "M" else 1.0
        ramp = unit * decimal(self.element, "RampUp", self.names, 0.0)
        return Span(ramp, ramp + unit * decimal(self.element, "Hold", self.names, 0.0))

    def lasts(self) -> float | None:
        """Return when it ends, unless its iterations are counted."""
        counted = self.names.resolved(text_of(self.element, "Iterations")) not in ("", "0")
        return None if counted else self.span().end

    def _divide(self, share: Share) -> None:
        set_prop(self.element, "stringProp", "TargetLevel", str(share.users))


class SteppingThreadGroup(_Foreign):
    """The Stepping Thread Group of that plugin: so many threads more each time, then so many less."""

    def span(self) -> Span:
        """Return how long it takes at most."""
        number = {name: self._number(name) for name in ("Start users period", "Stop users period", "rampUp")}
        steps = math.ceil(self.threads / (self._number(_STEPS[0]) or self.threads or 1))
        downs = math.ceil(self.threads / (self._number(_STEPS[2]) or self.threads or 1))
        ramp = self._number("Threads initial delay") + steps * (
            number["Start users period"] + number["rampUp"]
        )
        return Span(ramp, ramp + self._number("flighttime") + downs * number["Stop users period"])

    def lasts(self) -> float | None:
        """Return None: its span is the longest that it may take."""
        return None

    def _number(self, name: str) -> float:
        return decimal(self.element, name, self.names, 0.0)

    def _divide(self, share: Share) -> None:
        for name in _STEPS:
            own = whole(self.element, name, self.names, 0)
            part, rest = divmod(own * share.users, self.threads)
            if rest:
                raise JmxError(
                    f"{self.element.title}: {name!r} is {own}, of which {share.users} of {self.threads} "
                    "users have no whole part; choose steps or capacities that fit, give hold= for a plain "
                    "curve, or use an Ultimate or a Concurrency Thread Group"
                )
            set_prop(self.element, "stringProp", name, str(part))
        super()._divide(share)


class UltimateThreadGroup(_Foreign):
    """The Ultimate Thread Group of that plugin: rows of threads, delay, startup, hold and shutdown."""

    def _own_threads(self) -> int:
        return sum(self._numbers(0))

    def span(self) -> Span:
        """Return how long it takes."""
        columns = [self._numbers(column) for column in (1, 2, 3, 4)]
        ends = [sum(row) for row in zip(*columns, strict=True)]
        ramps = [delay + startup for delay, startup in zip(columns[0], columns[1], strict=True)]
        return Span(max(ramps, default=0), max(ends, default=0))

    def lasts(self) -> float | None:
        """Return when the first thread of its last row ends."""
        holds = [sum(row) for row in zip(*(self._numbers(column) for column in (1, 2, 3)), strict=True)]
        return float(max(holds, default=0)) if self._loops() == FOREVER else None

    def _rows(self) -> list[list[Element]]:
        rows = prop(self.element, _ROWS)
        found = [] if rows is None else [list(children(row)) for row in children(rows)]
        if not all(len(row) == 5 for row in found):
            raise JmxError(f"{self.element.title}: its rows are not of five numbers each")
        return found

    def _numbers(self, column: int) -> list[int]:
        texts = [(row[column].text or "").strip() or "0" for row in self._rows()]
        return [as_number(self.element, _ROWS, text, self.names, int) for text in texts]

    def _divide(self, share: Share) -> None:
        rows = self._numbers(0)
        before, after = (apportioned(count, rows) for count in (share.before, share.before + share.users))
        table = prop(self.element, _ROWS)
        assert table is not None, "it has rows, as it has threads"
        for row, first, past in zip(list(children(table)), before, after, strict=True):
            if past > first:
                next(children(row)).text = str(past - first)
            else:
                # the plugin gives every row at least one thread, which the last one would lack then
                table.remove(row)


_KINDS: dict[str, type[ThreadGroup]] = {
    "ThreadGroup": ThreadGroup,
    "ConcurrencyThreadGroup": ConcurrencyThreadGroup,
    "SteppingThreadGroup": SteppingThreadGroup,
    "UltimateThreadGroup": UltimateThreadGroup,
}
ONCE_A_NODE = ("SetupThreadGroup", "PostThreadGroup")
"""Thread groups that run on every node as they are: before the others, and after them."""


def main_group(element: Element, names: Names) -> ThreadGroup:
    """Return the thread group that an element is.

    Raises:
        JmxError: it is of a kind that cannot be divided.
    """
    kind = element.tag.rpartition(".")[2]
    if kind not in _KINDS:
        raise JmxError(
            f"{element.title}: this kind of thread group cannot be divided; known are {', '.join(_KINDS)}, "
            f"{' and '.join(ONCE_A_NODE)}"
        )
    return _KINDS[kind](element, names)


def loop_once(element: Element, names: Names) -> None:
    """Let a Loop Controller that has no end run one iteration."""
    if names.resolved(text_of(element, _LOOPS)) == str(FOREVER):
        set_prop(element, "intProp", _LOOPS, "1")


def longest(spans: Sequence[Span]) -> Span:
    """Return how long thread groups take together that begin together."""
    loops = [span.loops for span in spans if span.end is None]
    ends = [span.end for span in spans if span.end is not None]
    return Span(
        max(span.ramp for span in spans),
        None if loops else max(ends),
        max((count or 1 for count in loops), default=None),
    )


def _seconds(value: float) -> int:
    return math.ceil(value)
