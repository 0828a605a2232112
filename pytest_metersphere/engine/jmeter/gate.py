"""Holds a JMeter back before it takes the time of its start, for plans with timers that count from there.

Ordinarily a JMeter waits for go at its results (`process`), when its test has begun already. A Precise
Throughput Timer would make up for that wait at once. So such a plan gets an Include Controller, in a thread
group that is switched off, whose file is a FIFO: JMeter reads the file when it has read all of the plan and
not begun yet, and blocks until somebody writes (POSIX). Its threads then begin up to a second after go.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from pytest_metersphere.engine.jmeter.document import Element, new_element
from pytest_metersphere.engine.jmeter.values import kind_of

NAME = "ms-gate.jmx"
"""The FIFO's name, in the folder of the plan."""

_COUNTS_FROM_START = "PreciseThroughputTimer"
_NOTHING = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<jmeterTestPlan version="1.2" properties="5.0"><hashTree>'
    b'<TestFragmentController guiclass="TestFragmentControllerGui" testclass="TestFragmentController"'
    b' testname="gate" enabled="false"/><hashTree/></hashTree></jmeterTestPlan>\n'
)


def is_needed(elements: Iterable[Element]) -> bool:
    """Return whether something in a plan counts from the start of JMeter's test."""
    return any(kind_of(element) == _COUNTS_FROM_START for element in elements)


def gate_elements() -> list[Element]:
    """Return what stands in a plan that waits at a gate: a thread group, and the tree below it."""
    group = new_element(
        "ThreadGroup",
        guiclass="ThreadGroupGui",
        testclass="ThreadGroup",
        testname="ms-load gate",
        enabled="false",
    )
    include = new_element(
        "IncludeController",
        guiclass="IncludeControllerGui",
        testclass="IncludeController",
        testname="ms-load gate",
        enabled="true",
    )
    include.append(new_element("stringProp", NAME, name="IncludeController.includepath"))
    below = new_element("hashTree")
    below.extend([include, new_element("hashTree")])
    return [group, below]


class Gate:
    """The FIFO of one JMeter."""

    def __init__(self, folder: Path) -> None:
        """Make it in the folder of the plan (OSError)."""
        self._path = folder / NAME
        self._writing: int | None = None
        os.mkfifo(self._path, 0o600)

    def is_reached(self) -> bool:
        """Return whether JMeter waits there."""
        if self._writing is None:
            # without a reader there is nobody to open it for
            with contextlib.suppress(OSError):
                self._writing = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        return self._writing is not None

    def open(self) -> None:
        """Let JMeter go on; it waits there."""
        assert self._writing is not None, "is_reached() comes first"
        # it may read the file more than once
        plain = self._path.with_suffix(".open")
        plain.write_bytes(_NOTHING)
        plain.replace(self._path)
        with contextlib.suppress(OSError):
            os.write(self._writing, _NOTHING)
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None
