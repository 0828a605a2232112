"""The files of a test plan: which it reads, and a node's part of its CSV data sets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from pytest_metersphere.engine.jmeter.document import Element, JmxError
from pytest_metersphere.engine.jmeter.rows import rows_of
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.jmeter.values import Names, is_true, prop, set_prop, text_of

CSV = "CSVDataSet"
_FILE_PROPERTIES = (
    "File.path",
    "filename",
    "BeanShellSampler.filename",
    "BeanShellAssertion.filename",
    "BSFSampler.filename",
    "scriptFile",
    "xmlschema_assertion_filename",
    "jms.input_file",
)
_CLASSPATH = "TestPlan.user_define_classpath"
# the name may hold variables, which end with a brace, too
_FILE_FUNCTION = re.compile(r"\$\{__(FileToString|StringFromFile|CSVRead)\(\s*((?:\$\{[^{}]*\}|[^,)}])+)")
_ROW_BY_ROW = ("StringFromFile", "CSVRead")
_COUNTER = re.compile(r"\$\{__counter\(([^,)]*)")
_WRITERS = (
    "PerfMonCollector",
    "JMXMonCollector",
    "DbMonCollector",
    "FlexibleFileWriter",
    "ResultSaver",
)
_WIDE = ("utf-16", "utf16", "ucs", "utf-32", "utf32", "unicode")

Read = Callable[[str], bytes]
"""Returns the content of a file, by its name as the plan has it; raises JmxError."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """A file that an element reads.

    Attributes:
        element: which element.
        name: the file's name, relative to the plan's folder.
    """

    element: Element
    name: str


def references(element: Element, names: Names) -> Iterator[Reference]:
    """Yield the files that an element reads; those are left out whose names only the running plan knows.

    Raises:
        JmxError: a CSV data set's name is not known before the plan runs, or one cannot be on the nodes.
    """
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return name

    _rename(element, names, note, write=False)
    yield from (Reference(element, name) for name in found)


def move_references(element: Element, names: Names, moved: Callable[[str], str]) -> None:
    """Let an element read its files elsewhere: `moved` returns where, by their names.

    Raises:
        JmxError: as of `references`.
    """
    _rename(element, names, moved, write=True)


def writes_files(element: Element) -> bool:
    """Return whether it is a listener that writes what it hears to a file on the node."""
    kind = element.tag.rpartition(".")[2]
    return kind.endswith("ResultCollector") or kind in _WRITERS


def _rename(element: Element, names: Names, rename: Callable[[str], str], *, write: bool) -> None:
    if writes_files(element):
        return

    def renamed(text: str) -> str:
        if element.tag != CSV and "${" in names.resolved(text):
            # a row may say it, or a sample: it stays as it is, but for a function in it that reads a file
            return in_functions(text)
        return rename(_known(element, text.strip(), names))

    def in_functions(text: str) -> str:
        return _FILE_FUNCTION.sub(lambda found: f"${{__{found[1]}({renamed(found[2])}", text)

    for below in element.iter():
        assert isinstance(below, Element)
        text = (below.text or "").strip()
        if not text:
            continue
        if below.get("name") == _CLASSPATH:
            changed = ",".join(renamed(path) for path in text.split(",") if path.strip())
        elif below.get("name") in _FILE_PROPERTIES and not _is_idle(element, below):
            changed = renamed(text)
        else:
            changed = in_functions(below.text or "")
        if write:
            below.text = changed


def _is_idle(element: Element, below: Element) -> bool:
    """Return whether a JMS sampler has a file of which it makes no use."""
    choice = text_of(element, "jms.config_choice")
    return below.get("name") == "jms.input_file" and choice in ("jms_use_text", "jms_use_random_file")


def refuse_row_functions(element: Element, names: Names) -> None:
    """Refuse functions that hand out rows or numbers to all threads of one JMeter (JmxError)."""
    for below in element.iter():
        for counter in _COUNTER.finditer(below.text or ""):
            if names.resolved(counter[1]).strip().lower() != "true":
                raise JmxError(
                    f"{element.title}: {counter[0]}…)}} would hand out the same numbers on every node; use a "
                    "Counter, which is divided, ${__counter(TRUE,)} for each user by itself, or one node"
                )
        for found in _FILE_FUNCTION.finditer(below.text or ""):
            if found[1] in _ROW_BY_ROW:
                raise JmxError(
                    f"{element.title}: ${{__{found[1]}(…)}} would hand out all rows on every node; use a CSV "
                    "Data Set, whose rows are divided, or one node"
                )


class DataSets:
    """Divides the CSV data sets of a plan for one node.

    Attributes:
        files: content of the node's own files by name, relative to the plan's folder.
    """

    def __init__(self, read: Read, names: Names) -> None:
        self.files: dict[str, bytes] = {}
        self._read = read
        self._names = names
        self._own: dict[tuple[str, bool, bool], tuple[Share, str]] = {}

    def divide(self, element: Element, share: Share) -> None:
        """Let a data set read a node's rows only.

        Where each thread reads the file by itself (sharing mode "current thread"), it stays whole.

        Raises:
            JmxError: it cannot be divided, or the node would have no row.
        """
        if text_of(element, "shareMode") == "shareMode.thread" or share.alone:
            return
        name = csv_name(element, self._names)
        header = not text_of(element, "variableNames") or is_true(element, "ignoreFirstLine", self._names)
        quoted = is_true(element, "quotedData", self._names)
        key = (name, header, quoted)
        if key not in self._own:
            self._own[key] = (share, self._part(element, share, key))
        known, own = self._own[key]
        if known != share:
            raise JmxError(
                f"{element.title}: {name!r} is read in several thread groups, of which the nodes have "
                "different parts; use a CSV Data Set at the level of the plan, or one file for each group"
            )
        set_prop(element, "stringProp", "filename", own)

    def _part(self, element: Element, share: Share, key: tuple[str, bool, bool]) -> str:
        name, header, quoted = key
        encoding = self._names.resolved(text_of(element, "fileEncoding")).lower()
        if encoding.startswith(_WIDE):
            raise JmxError(f"{element.title}: a file in {encoding} cannot be divided; save it in UTF-8")
        data, count = rows_of(self._read(name), share, header=header, quoted=quoted)
        if not count:
            raise JmxError(
                f"{element.title}: {name!r} has fewer rows than nodes with users of it, so that one would "
                "have none; add rows, or use fewer nodes"
            )
        path = PurePosixPath(name)
        own = str(path.with_name(f"{path.stem}.ms-{len(self._own) + 1}{path.suffix}"))
        self.files[own] = data
        return own


def csv_name(element: Element, names: Names) -> str:
    """Return the name of a data set's file (JmxError when it is not known before the plan runs)."""
    if prop(element, "filename") is None:
        raise JmxError(f"{element.title}: it names no file")
    return _known(element, text_of(element, "filename"), names)


def _known(element: Element, text: str, names: Names) -> str:
    name = names.resolved(text)
    if "${" in name or not name:
        raise JmxError(
            f"{element.title}: the file {text!r} is not known before the plan runs; write its name, relative "
            "to the plan"
        )
    if "\\" in name or "\0" in name or PurePosixPath(name).is_absolute() or re.match(r"[A-Za-z]:", name):
        raise JmxError(
            f"{element.title}: the file {name!r} does not exist on the nodes; keep it beside the plan and "
            "write its name relative to the plan, with slashes"
        )
    return name
