"""What cannot be divided over nodes, or would be dropped: refused with the element and its line."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_metersphere.engine.jmeter.data import CSV
from pytest_metersphere.engine.jmeter.document import Element, JmxError
from pytest_metersphere.engine.jmeter.limits import KNOWN
from pytest_metersphere.engine.jmeter.values import Names, enabled, is_true, kind_of, pairs

_SUSPICIOUS = re.compile(r"ThreadGroup|Timer$|Throughput|DataSet|CSV|Counter(?!Gui)")
_IN_PLACE = {"VariableThroughputTimer": "load_profile", "UltimateThreadGroup": "threads_schedule"}
"""JMeter properties that take the place of an element's rows."""


def refuse_unknown(element: Element) -> None:
    """Refuse what limits or numbers the whole plan in a way that is not known (JmxError)."""
    kind = kind_of(element)
    if kind == "IncludeController":
        raise JmxError(
            f"{element.title}: what an included file holds is not divided; put its content into the plan"
        )
    if kind in KNOWN or kind == CSV or "ThreadGroup" in kind:
        return
    if _SUSPICIOUS.search(kind) or _SUSPICIOUS.search(element.get("testclass", "").rpartition(".")[2]):
        raise JmxError(
            f"{element.title}: how {kind} is to be divided over nodes is not known; take it out, or use "
            "what is known (docs/jmx.md has the list)"
        )


def refuse_property_in_place(element: Element, properties: Mapping[str, str]) -> None:
    """Refuse an element whose rows a JMeter property would take the place of (JmxError)."""
    name = _IN_PLACE.get(kind_of(element))
    if name in properties:
        raise JmxError(
            f"{element.title}: the JMeter property {name} would take the place of its rows, and is not "
            "divided; take it out of properties=, and write the rows into the plan"
        )


def refuse_assertions_of_a_transaction(element: Element, below: Element | None, names: Names) -> None:
    """Refuse assertions that are for a transaction as one sample, which it is not in a load (JmxError)."""
    if kind_of(element) != "TransactionController" or below is None:
        return
    if not is_true(element, "TransactionController.parent", names):
        return
    for assertion, _ in pairs(below):
        if kind_of(assertion).endswith("Assertion") and enabled(assertion):
            raise JmxError(
                f"{assertion.title}: it is for {element.title} as one sample, and here each sample in it is "
                'told by itself; put it below these samples, switch "generate parent sample" off, or use a '
                "threshold"
            )
