"""How long the threads of a plan run for certain, so that threads that died are not taken for its end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from pytest_metersphere.engine.jmeter.data import CSV
from pytest_metersphere.engine.jmeter.document import Element, JmxError
from pytest_metersphere.engine.jmeter.groups import ThreadGroup
from pytest_metersphere.engine.jmeter.limits import shaped_seconds, slowest_interval
from pytest_metersphere.engine.jmeter.values import Names, decimal, is_true, kind_of, text_of

_TAIL = 4.0
"""Of what is drawn from a distribution without an end, that many times its width is not exceeded for long."""
_STOP, _PAUSE, _STOP_NOW = "0", "1", "2"


@dataclasses.dataclass(frozen=True, slots=True)
class Lasting:
    """How long the threads run.

    Attributes:
        end: seconds until the last thread group ends by its own times.
        pause: a thread may end so many seconds earlier: JMeter begins no pause that would last until then.
    """

    end: float
    pause: float


def lasting_of(
    elements: Iterable[Element], groups: Sequence[ThreadGroup], names: Names, threads: int
) -> Lasting | None:
    """Return how long thread groups run, None where loops, rows, scripts or steps decide.

    Args:
        elements: what runs in them.
        groups: as they are on the node.
        names: what variables and properties mean.
        threads: of all the groups.
    """
    try:
        ends = [end for group in groups if (end := group.lasts()) is not None]
        if not ends:
            return None
        end, pause = max(ends), 0.0
        for element in elements:
            if _stops_threads(element, names):
                return None
            pause += _pause(element, names, threads)
            end = min(end, shaped_seconds(element, names))
    except JmxError:
        # only the running plan knows
        return None
    return Lasting(end, pause) if pause < end else None


def _stops_threads(element: Element, names: Names) -> bool:
    if element.tag == CSV:
        return is_true(element, "stopThread", names) and not is_true(element, "recycle", names)
    action = names.resolved(text_of(element, "ActionProcessor.action"))
    return kind_of(element) == "TestAction" and action in (_STOP, _STOP_NOW)


def _pause(element: Element, names: Names, threads: int) -> float:
    """Return the longest pause that a timer or a Flow Control Action makes, in seconds."""
    kind = kind_of(element)
    if kind == "TestAction" and names.resolved(text_of(element, "ActionProcessor.action")) == _PAUSE:
        return decimal(element, "ActionProcessor.duration", names, 0.0) / 1000
    if kind == "ConstantTimer":
        return decimal(element, "ConstantTimer.delay", names, 0.0) / 1000
    if kind in ("UniformRandomTimer", "GaussianRandomTimer", "PoissonRandomTimer"):
        wide = decimal(element, "RandomTimer.range", names, 0.0)
        width = wide if kind == "UniformRandomTimer" else _TAIL * wide
        return (decimal(element, "ConstantTimer.delay", names, 0.0) + width) / 1000
    if kind in ("JSR223Timer", "BSFTimer", "BeanShellTimer"):
        return math.inf
    return slowest_interval(element, names, threads)
