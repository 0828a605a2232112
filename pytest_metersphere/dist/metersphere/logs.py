"""Lines of JMETER_LOGS: what JMeters log, and what node-controllers say of their containers.

A line is `<reportId> <resourceId> <resourceIndex> <text>`; what has the resource id `none` is not from
JMeter. Lines may be missing, come twice, or be cut at their end.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from pytest_metersphere.dist.metersphere.elements import SHUT
from pytest_metersphere.engine.jmeter.results import Summary
from pytest_metersphere.engine.jmeter.words import self_stop

MAX_RECORD = 1 << 20
"""Bytes above which a record is not even looked at."""
LAST_LINES = 200
"""Lines that are kept of a JMeter's log."""
MAX_LINE = 2000
"""Characters that are kept of a line."""

_HEAD = re.compile(r"(\S+) (\S+) (-?\d{1,9}) (.*)", re.ASCII)
_NOT_JMETER = "none"
_ENDED = "Notifying test listeners"
_REMOVED = "Remove container"
_SUMMARY = re.compile(r"ms-summary\s*=\s*(\d{1,18}) in .*?Err:\s*(\d{1,18})\s*\(")
_RENAMED = re.compile(r"(?<![\w-])summary\s*=\s*\d{1,18} in ")
_LEVEL = re.compile(r"\b(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b")
_HEAD_OF_TEXT = 200
_BROKEN = (
    (
        "There is insufficient memory for the Java Runtime Environment to continue",
        "Java had not enough memory",
    ),
    ("Problem loading XML from", "JMeter could not load the test plan"),
    ("Caused by: java.lang.IllegalArgumentException: File", "JMeter misses a file"),
    ("Unable to get local host IP address", "JMeter does not find the address of its own host"),
    ("java.lang.OutOfMemoryError", "Java's heap was too small"),
    (SHUT, "JMeter did not take go"),
)
"""Sentences after which nothing that JMeter counted can be believed: MeterSphere's own, and two more."""
_LACKING = (
    ("java.lang.ClassNotFoundException", "JMeter misses a plugin"),
    ("CannotResolveClassException", "JMeter misses a plugin"),
)


class Line(NamedTuple):
    """A line of the topic.

    Attributes:
        report: whose it is.
        resource: id of the resource, `none` when it is not from a JMeter.
        text: what is said.
    """

    report: str
    resource: str
    text: str


def read_lines(record: bytes) -> Iterator[Line]:
    """Yield the lines of a record; one without a head belongs to the one before, and the first to nobody."""
    if len(record) > MAX_RECORD:
        return
    head: tuple[str, str] | None = None
    for text in record.decode("utf-8", "replace").splitlines():
        found = _HEAD.fullmatch(text)
        if found is not None:
            head = (found[1], found[2])
            yield Line(*head, found[4])
        elif head is not None and text.strip():
            yield Line(*head, text)


class JMeterLog:
    """What the log of one JMeter has told so far.

    Attributes:
        spoke: a line of JMeter's own of level INFO has come, so that its words about its end would, too.
        ended: JMeter said that its test has ended; rows may still come.
        removed: the node-controller said that the container has ended.
        summary: the last that JMeter's own summary said, None before it said anything.
        renamed: a summary of another name has come: JMeter does not know our properties.
        trouble: the first line that tells of a failure, with what it means; empty without one.
        broken: the first such line of those after which no load can be believed; empty without one.
        stopped: JMeter's words that the plan itself ended the test; empty when it did not.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self.spoke = self.ended = self.removed = self.renamed = False
        self.summary: Summary | None = None
        self.trouble = self.broken = self.stopped = ""
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def add(self, line: Line) -> None:
        """Take a line, perhaps not for the first time."""
        text = line.text[:MAX_LINE]
        if line.resource == _NOT_JMETER:
            self.removed = self.removed or text.startswith(_REMOVED)
        else:
            self._last.append(text)
            self.spoke = self.spoke or _is_info(text)
            self.renamed = self.renamed or _RENAMED.search(text) is not None
            self.ended = self.ended or _ENDED in text
            self._note_summary(text)
            if not self.stopped and SHUT not in text:
                self.stopped = self_stop(text)
        self.broken = self.broken or _told(text, _BROKEN)
        self.trouble = self.trouble or _told(text, _BROKEN + _LACKING)

    @property
    def last_lines(self) -> str:
        """Return the last lines that JMeter itself wrote."""
        return "\n".join(self._last)

    def _note_summary(self, text: str) -> None:
        found = _SUMMARY.search(text)
        if found is None:
            return
        self.spoke = True
        said = Summary(int(found[1]), int(found[2]))
        # it only ever grows, whatever order lines come in
        if self.summary is None or said.samples >= self.summary.samples:
            self.summary = said


def _is_info(text: str) -> bool:
    """Return whether a line is of level INFO; the first level in it is its own, wherever that stands."""
    found = _LEVEL.search(text[:_HEAD_OF_TEXT])
    return found is not None and found[0] == "INFO"


def _told(text: str, sentences: tuple[tuple[str, str], ...]) -> str:
    """Return what a line means, and the line, if one of the sentences is in it; else nothing."""
    meaning = next((meaning for words, meaning in sentences if words in text), "")
    return f"{meaning}: {text.strip()[:300]}" if meaning else ""
