"""JMX files: read safely, with the line of every element, and written again."""

from __future__ import annotations

import xml.parsers.expat
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.units import format_size

MAX_SIZE = 20 << 20
"""The largest test plan, bytes."""
MAX_DEPTH = 200
MAX_ELEMENTS = 500_000

_SAFE_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_SAFE_VALUE = _SAFE_TEXT | {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"}


class JmxError(ConfigError):
    """A test plan that is no test plan, or holds what cannot be divided; names element and line."""


class Element(ET.Element):
    """An XML element that knows its line, from 1; 0 when it was not read from a file."""

    line = 0

    @property
    def title(self) -> str:
        """Return what a person calls it: its tag without the package, its name and its line."""
        name = self.get("testname")
        named = f" {name!r}" if name else ""
        return f"{self.tag.rpartition('.')[2]}{named} (line {self.line})"


def read_xml(data: bytes) -> Element:
    """Return the root of a test plan.

    Raises:
        JmxError: it is too large, no well-formed XML, declares a document type (which is how external
            and swelling entities come in), or is no JMeter test plan.
    """
    if len(data) > MAX_SIZE:
        raise JmxError(
            f"a test plan of {format_size(len(data))} is too large, at most {format_size(MAX_SIZE)} are read"
        )
    try:
        root = _Reader().read(data)
    except xml.parsers.expat.ExpatError as error:
        why = xml.parsers.expat.ErrorString(error.code)
        raise JmxError(f"line {error.lineno}: this is no XML: {why}") from None
    except (ValueError, LookupError) as error:
        raise JmxError(f"this is no XML: {error}") from None
    tree = root.find("hashTree")
    if root.tag != "jmeterTestPlan" or tree is None or tree.find("TestPlan") is None:
        raise JmxError(
            f"line {root.line}: this is no JMeter test plan (jmeterTestPlan with a TestPlan in it), "
            f"but {root.tag!r}; save it with JMeter"
        )
    return root


def write_xml(root: Element) -> bytes:
    """Return a test plan as a file's content; what was read and not changed means the same again."""
    return "".join(['<?xml version="1.0" encoding="UTF-8"?>\n', *_pieces(root), "\n"]).encode()


def new_element(tag: str, text: str = "", **attributes: str) -> Element:
    """Return an element that was in no file."""
    element = Element(tag, attributes)
    element.text = text or None
    return element


class _Reader:
    """Builds elements from what expat reports."""

    def __init__(self) -> None:
        self._parser = xml.parsers.expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._open: list[Element] = []
        self._root: Element | None = None
        self._last: Element | None = None
        self._count = 0

    def read(self, data: bytes) -> Element:
        self._parser.Parse(data, True)
        assert self._root is not None, "expat refuses a document without an element"
        return self._root

    def _refuse_doctype(self, *_declared: object) -> None:
        line = self._parser.CurrentLineNumber
        raise JmxError(f"line {line}: a test plan has no document type; remove the DOCTYPE")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes)
        element.line = self._parser.CurrentLineNumber
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise JmxError(f"line {element.line}: this is deeper or has more elements than any test plan")
        if self._open:
            self._open[-1].append(element)
        else:
            self._root = element
        self._open.append(element)
        self._last = None

    def _end(self, _tag: str) -> None:
        self._last = self._open.pop()

    def _text(self, text: str) -> None:
        if self._last is not None:
            self._last.tail = (self._last.tail or "") + text
        elif self._open:
            self._open[-1].text = (self._open[-1].text or "") + text


def _pieces(element: ET.Element) -> Iterator[str]:
    attributes = "".join(f' {name}="{_escaped(value, _SAFE_VALUE)}"' for name, value in element.items())
    if not len(element) and not element.text:
        yield f"<{element.tag}{attributes}/>"
    else:
        yield f"<{element.tag}{attributes}>{_escaped(element.text or '', _SAFE_TEXT)}"
        for child in element:
            yield from _pieces(child)
        yield f"</{element.tag}>"
    yield _escaped(element.tail or "", _SAFE_TEXT)


def _escaped(text: str, replacements: dict[str, str]) -> str:
    return text.translate({ord(character): safe for character, safe in replacements.items()})
