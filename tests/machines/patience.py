"""A pytest plugin for sessions on the examples: none of their thresholds depends on how fast this machine is.

The limits of the examples are for people. Beside a broker, three nodes and a shop on a small machine they
may be broken, which says nothing about counts, splits or ledgers; so each limit of a time becomes one that
every run keeps, and users think twice as long.
"""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest

LONG = "10m"
THINK = "4s-8s"
_A_TIME = re.compile(r"\d+(\.\d+)?m?s$")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Change the marks of new items before the plugin reads them."""
    report = yield
    for item in report.result or ():
        if isinstance(item, pytest.Item):
            item.own_markers[:] = map(_patient, item.own_markers)
    return report


def _patient(mark: pytest.Mark) -> pytest.Mark:
    if "think" in mark.kwargs:
        slower: pytest.MarkDecorator = pytest.mark.load_scenario(**{**mark.kwargs, "think": THINK})
        return slower.mark
    if mark.name != "threshold":
        return mark
    patient: pytest.MarkDecorator = pytest.mark.threshold(*(_A_TIME.sub(LONG, text) for text in mark.args))
    return patient.mark
