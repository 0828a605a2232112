"""What stands in a test plan: properties of its elements, and the numbers behind variables."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pytest_metersphere.engine.jmeter.document import Element, JmxError, new_element

Number = TypeVar("Number", int, float)

_PROPERTY = re.compile(r"\$\{__(?:P|property)\(\s*([^,(){}$]+?)\s*(?:,([^,(){}$]*))?(?:,([^,(){}$]*))?\)\}")
_VARIABLE = re.compile(r"\$\{([^{}$()]+)\}")
_MAX_DEPTH = 10
_NESTED = ("doubleProp", "FloatProperty")
"""Properties whose name and value are elements below them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """What `${…}` means in a test plan, as far as that is known before it runs.

    Attributes:
        variables: user defined variables of the whole plan, by name, as they are written.
        properties: JMeter properties that it is started with.
    """

    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def resolved(self, text: str) -> str:
        """Return the text with known variables and properties in place; the rest stays as it is."""
        for _ in range(_MAX_DEPTH):
            known = _VARIABLE.sub(self._variable, _PROPERTY.sub(self._property, text))
            if known == text:
                break
            text = known
        return text

    def _property(self, found: re.Match[str]) -> str:
        name, second, third = found.groups()
        default = third if "__property(" in found[0] else second
        if name in self.properties:
            return self.properties[name]
        # JMeter's own defaults: 1 for __P, the name for __property
        return default if default is not None else "1" if "__P(" in found[0] else name

    def _variable(self, found: re.Match[str]) -> str:
        return self.variables.get(found[1], found[0])


def kind_of(element: Element) -> str:
    """Return an element's class, without its package."""
    return element.tag.rpartition(".")[2]


def prop(element: Element, name: str) -> Element | None:
    """Return an element's property of that name, of whatever type; None without one."""
    return next((child for child in children(element) if _name(child) == name), None)


def text_of(element: Element, name: str, default: str = "") -> str:
    """Return a property as it is written, stripped."""
    found = prop(element, name)
    if found is None:
        return default
    text = found.findtext("value") if found.tag in _NESTED else found.text
    return (text or "").strip()


def is_true(element: Element, name: str, names: Names) -> bool:
    """Return whether a property is switched on."""
    return names.resolved(text_of(element, name)).lower() == "true"


def set_prop(element: Element, kind: str, name: str, value: str) -> None:
    """Set a property, in place of those of that name of any type: with two of them JMeter takes either."""
    old = [child for child in children(element) if _name(child) == name]
    for child in old:
        element.remove(child)
    element.append(new_element(kind, value, name=name))


def whole(element: Element, name: str, names: Names, default: int | None = None) -> int:
    """Return a property as a whole number of at least -1.

    Raises:
        JmxError: it is not there and has no default, or is no number; names element and line.
    """
    return _number(element, name, names, default, lambda text: int(text.strip()))


def decimal(element: Element, name: str, names: Names, default: float | None = None) -> float:
    """Return a property as a finite number of at least 0 (JmxError names element and line)."""
    value = _number(element, name, names, default, float)
    if not 0 <= value < math.inf:
        raise JmxError(f"{element.title}: {name} is {value!r}, which is no number from 0")
    return value


def _number(
    element: Element, name: str, names: Names, default: Number | None, read: Callable[[str], Number]
) -> Number:
    text = text_of(element, name)
    if not text and default is not None:
        return default
    return as_number(element, name, text, names, read)


def as_number(element: Element, name: str, text: str, names: Names, read: Callable[[str], Number]) -> Number:
    """Return what a text comes to (JmxError when that is only known while the plan runs)."""
    known = names.resolved(text)
    try:
        value = read(known)
    except ValueError:
        raise JmxError(
            f"{element.title}: {name} is {text!r}, which is no number before the plan runs; write a number, "
            "a user defined variable of the plan with one, or ${__P(name,10)}"
        ) from None
    if value < -1:
        raise JmxError(f"{element.title}: {name} is {value}, which is no number from 0")
    return value


def _name(element: Element) -> str | None:
    return element.findtext("name") if element.tag in _NESTED else element.get("name")


def children(element: Element) -> Iterator[Element]:
    """Yield the elements directly below one."""
    for child in element:
        assert isinstance(child, Element)
        yield child


def pairs(tree: Element) -> Iterator[tuple[Element, Element | None]]:
    """Yield the elements of a hashTree with the hashTree of what is below each, None without one."""
    waiting: Element | None = None
    for child in children(tree):
        if child.tag != "hashTree":
            if waiting is not None:
                yield waiting, None
            waiting = child
        elif waiting is not None:
            yield waiting, child
            waiting = None
    if waiting is not None:
        yield waiting, None


def enabled(element: Element) -> bool:
    """Return whether JMeter looks at an element and at what is below it."""
    return element.get("enabled", "true").strip().lower() != "false"
