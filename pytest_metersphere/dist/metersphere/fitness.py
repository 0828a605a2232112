"""Whether a test plan can wait at the gate, as it does in the stock JMeter image, and still do what it says.

The gate is a request of JMeter's own test: what stands directly below the test plan is for it, too, and
what counts from the start of the test has counted long before go.
"""

from __future__ import annotations

from pathlib import Path

from pytest_metersphere.engine.jmeter.document import Element, JmxError
from pytest_metersphere.engine.jmeter.plan import JmxPlan
from pytest_metersphere.engine.jmeter.source import read_plan
from pytest_metersphere.engine.jmeter.values import text_of
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.model import Scenario

_ELSEWHERE = "put it into the thread group, or use our own nodes"
_FOR_THE_GATE = {
    "VariableThroughputTimer": "its schedule would begin with that request, before the load",
    "SyncTimer": "it would count that request's thread, or hold it up for ever",
}


def require_fit(scenario: Scenario, root: Path) -> None:
    """See that a scenario's test plan can run in the stock JMeter image.

    Args:
        scenario: its load is a test plan.
        root: the rootdir.

    Raises:
        ConfigError: it cannot; names the plan, the element and its line, and says what to do.
    """
    assert scenario.jmx is not None, "only of a scenario with a test plan"
    plan = read_plan(scenario, root)
    try:
        _refuse_schedules(plan)
        for element in plan.top_level():
            _refuse_for_the_gate(element, plan)
    except JmxError as error:
        raise ConfigError(f"{scenario.jmx.path}: {error}") from None


def _refuse_schedules(plan: JmxPlan) -> None:
    for element in plan.elements():
        if _kind(element) == "PreciseThroughputTimer":
            raise JmxError(
                f"{element.title}: it counts from the start of JMeter's test, and a JMeter on a stock"
                " MeterSphere node waits from then on for the common begin, so what was due meanwhile would"
                " come at once; use a Constant Throughput Timer, or a Throughput Shaping Timer in the thread"
                " group, or our own nodes"
            )


def _refuse_for_the_gate(element: Element, plan: JmxPlan) -> None:
    why = _FOR_THE_GATE.get(_kind(element))
    if why is not None:
        raise JmxError(
            f"{element.title}: outside of thread groups it is also for the request by which a JMeter on a"
            f" stock MeterSphere node waits for the common begin: {why}; {_ELSEWHERE}"
        )
    proxy = plan.resolved(text_of(element, "HTTPSampler.proxyHost"))
    if element.tag == "ConfigTestElement" and proxy:
        raise JmxError(
            f"{element.title}: the request by which a JMeter on a stock MeterSphere node waits for the common"
            f" begin would go over its proxy {proxy!r}, too; {_ELSEWHERE}"
        )


def _kind(element: Element) -> str:
    return element.tag.rpartition(".")[2]
