"""What limits or numbers things for the whole plan: throughput timers, counters and their like."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from pytest_metersphere.engine.jmeter.document import Element, JmxError
from pytest_metersphere.engine.jmeter.share import Share
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

_THIS_THREAD_ONLY = 0
_WITHIN_GROUPS = (2, 4)
_ALL_SHARED = 3
_MANY_INTERVALS = 5
_MODES = {
    "calcMode.1": 0,
    "calcMode.2": 1,
    "calcMode.3": 2,
    "calcMode.4": 3,
    "calcMode.5": 4,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """What an element is for.

    Attributes:
        node: the node's share of all users.
        own: its share of the users that the element is for: those of its thread group, or all.
        groups: how many thread groups the element is for.
        names: what variables and properties mean.
    """

    node: Share
    own: Share
    groups: int
    names: Names


def divide_limit(element: Element, scope: Scope) -> None:
    """Give an element a node's part, if it is of a kind that limits or numbers the whole plan.

    Raises:
        JmxError: it cannot be divided; names element and line.
    """
    kind = element.tag.rpartition(".")[2]
    if kind in _DIVIDED:
        _DIVIDED[kind](element, scope)
    elif kind in _ALONE and not scope.node.alone and _ALONE[kind](element, scope.names):
        raise JmxError(
            f"{element.title}: it works within one JMeter, and this load runs in {scope.node.nodes}; take it "
            "out, or use one node"
        )


def _constant_throughput(element: Element, scope: Scope) -> None:
    mode = _mode(element, scope.names)
    if mode == _THIS_THREAD_ONLY:
        return
    if mode in _WITHIN_GROUPS:
        _scale(element, _within_one_group(element, scope), scope.names)
    elif mode == _ALL_SHARED:
        # its one schedule is for the threads that come by, wherever those of other groups are
        _scale(element, scope.own, scope.names)
    else:
        _scale(element, scope.node, scope.names)


def shares_one_schedule(element: Element, names: Names) -> bool:
    """Return whether it is a Constant Throughput Timer of "all active threads (shared)".

    All of these in a JMeter have one schedule, wherever they stand.
    """
    return (
        element.tag.rpartition(".")[2] == "ConstantThroughputTimer" and _mode(element, names) == _ALL_SHARED
    )


def _mode(element: Element, names: Names) -> int:
    text = names.resolved(text_of(element, "calcMode", "0"))
    return _MODES[text] if text in _MODES else as_number(element, "calcMode", text, names, int)


def _precise_throughput(element: Element, scope: Scope) -> None:
    # JMeter keeps one schedule for each thread group, wherever the timer stands
    _scale(element, _within_one_group(element, scope), scope.names)


def slowest_interval(element: Element, names: Names, threads: int) -> float:
    """Return how many seconds a throughput timer may let one of so many threads wait; 0 for all others."""
    kind = element.tag.rpartition(".")[2]
    if kind == "ConstantThroughputTimer":
        waiting = 1 if _mode(element, names) == _THIS_THREAD_ONLY else threads
        return waiting * _interval(60.0, decimal(element, "throughput", names))
    if kind == "PreciseThroughputTimer":
        period = decimal(element, "throughputPeriod", names, 3600.0)
        return _MANY_INTERVALS * _interval(period, decimal(element, "throughput", names))
    return 0.0


def _interval(period: float, count: float) -> float:
    return period / count if count else math.inf


def shaped_seconds(element: Element, names: Names) -> float:
    """Return after how many seconds a Throughput Shaping Timer ends the test; infinity for all others."""
    rows = prop(element, "load_profile") if element.tag.endswith("VariableThroughputTimer") else None
    if rows is None:
        return math.inf
    cells = [list(children(row))[-1] for row in children(rows)]
    return sum(as_number(element, "load_profile", (c.text or "").strip(), names, float) for c in cells)


def _within_one_group(element: Element, scope: Scope) -> Share:
    if scope.groups > 1 and not scope.node.alone:
        raise JmxError(
            f"{element.title}: it is for each thread group by itself and stands outside of them, and the "
            "nodes have different parts of each; move it into the thread groups"
        )
    return scope.own


def _scale(element: Element, share: Share, names: Names) -> None:
    value = decimal(element, "throughput", names) * share.fraction
    set_prop(element, "stringProp", "throughput", repr(value))


def _shaping(element: Element, scope: Scope) -> None:
    rows = prop(element, "load_profile")
    for row in () if rows is None else children(rows):
        cells = list(children(row))
        if len(cells) != 3:
            raise JmxError(f"{element.title}: its rows are not of three numbers each")
        for cell in cells[:2]:
            rate = as_number(element, "load_profile", (cell.text or "").strip(), scope.names, float)
            cell.text = repr(rate * scope.own.fraction)


def _total_executions(element: Element, scope: Scope) -> None:
    names = scope.names
    percent = whole(element, "ThroughputController.style", names, 0) == 1
    if percent or is_true(element, "ThroughputController.perThread", names):
        return
    count = whole(element, "ThroughputController.maxThroughput", names, 1)
    set_prop(element, "intProp", "ThroughputController.maxThroughput", str(scope.own.part_of(count)))


def _counter(element: Element, scope: Scope) -> None:
    """Let the nodes count in turns: with three, the second one has the second, fifth, eighth number."""
    names, share = scope.names, scope.node
    if is_true(element, "CounterConfig.per_user", names) or share.nodes == 1:
        return
    start = whole(element, "CounterConfig.start", names, 0)
    step = whole(element, "CounterConfig.incr", names, 1)
    end = text_of(element, "CounterConfig.end")
    if end and start + (share.nodes - 1) * step > whole(element, "CounterConfig.end", names):
        raise JmxError(
            f"{element.title}: from {start} to {names.resolved(end)} there are fewer numbers than the "
            f"{share.nodes} nodes; let it count further, or use fewer nodes"
        )
    set_prop(element, "stringProp", "CounterConfig.start", str(start + share.node * step))
    set_prop(element, "stringProp", "CounterConfig.incr", str(step * share.nodes))


def _gathers_some(element: Element, names: Names) -> bool:
    return whole(element, "groupSize", names, 0) > 0


def _always(_element: Element, _names: Names) -> bool:
    return True


_DIVIDED: dict[str, Callable[[Element, Scope], None]] = {
    "ConstantThroughputTimer": _constant_throughput,
    "PreciseThroughputTimer": _precise_throughput,
    "VariableThroughputTimer": _shaping,
    "ThroughputController": _total_executions,
    "CounterConfig": _counter,
}
_ALONE: dict[str, Callable[[Element, Names], bool]] = {
    "SyncTimer": _gathers_some,
    "CriticalSectionController": _always,
}
KNOWN = {
    *_DIVIDED,
    *_ALONE,
    "ConstantTimer",
    "UniformRandomTimer",
    "GaussianRandomTimer",
    "PoissonRandomTimer",
    "JSR223Timer",
    "BSFTimer",
    "BeanShellTimer",
}
"""Timers, counters and their like that are divided, or are each thread's own business."""
