"""The types that cross the wire, as tables for docs/wire.md, from their declarations and docstrings."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from docs.docstrings import described, first_paragraph
from docs.tables import code, prose, table
from pytest_metersphere.dist import control, wire
from pytest_metersphere.metrics.frame import Frame

ROOTS = (
    *(wire.NodeInfo, wire.CheckRequest, wire.CheckAnswer, wire.StartRequest, wire.SliceInfo),
    *(wire.StopRequest, wire.FrameBatch, wire.Refusal, Frame),
    *(control.Commission, control.Command, control.Report),
)
"""What is sent by itself; all other types are parts of these."""

_WORDS = {bool: "bool", int: "int", float: "float", str: "text", bytes: "bytes", type(None): "null"}


def types_text() -> str:
    """Return the section about the types.

    Raises:
        LookupError: a field of which its struct's docstring says nothing.
    """
    return "\n\n".join(_parts())


def structs() -> dict[str, type[msgspec.Struct]]:
    """Return all types that are sent, by their names."""
    return reached(ROOTS)


def reached(roots: tuple[Any, ...]) -> dict[str, type[msgspec.Struct]]:
    """Return types and those of their fields by their names, in the order in which they are met."""
    found: dict[str, type[msgspec.Struct]] = {}
    waiting: list[Any] = [*roots]
    while waiting:
        kind = waiting.pop(0)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in found:
            found[kind.__name__] = kind
            waiting += get_type_hints(kind).values()
        waiting += get_args(kind)
    return found


def _parts() -> Iterator[str]:
    found = structs()
    arrays = [code(name) for name, kind in found.items() if kind.__struct_config__.array_like]
    yield prose(
        f"{', '.join(arrays[:-1])} and {arrays[-1]} are arrays of their fields in the order below, all others"
        " maps by the fields' names. What has a default may be missing. Fields that are not known are passed"
        " over."
    )
    for name, kind in found.items():
        texts = dict(described(kind, "Attributes"))
        hints = get_type_hints(kind)
        yield f"### {name}"
        yield f"{first_paragraph(kind)}.".replace("?.", "?")
        rows = [
            (code(each), spoken(hints[each]), _said(texts, name, each)) for each in kind.__struct_fields__
        ]
        tag = kind.__struct_config__.tag
        told = [(code("type"), "text", f"{code(str(tag))}: tells it from others in its place")] if tag else []
        yield table(("field", "type", "meaning"), [*told, *rows])


def _said(texts: dict[str, str], struct: str, field: str) -> str:
    if field not in texts:
        raise LookupError(f"nothing is said of {struct}.{field}: describe it in the docstring of {struct}")
    return re.sub(r"\bNone\b", "`null`", texts[field])


def spoken(kind: Any) -> str:
    """Return a type in words, structs as links."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in _WORDS:
        return _WORDS[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if origin is Literal:
        return "text"
    if origin in (types.UnionType, Union):
        return " or ".join(map(spoken, inner))
    if origin is dict:
        return f"map of {spoken(inner[0])} to {spoken(inner[1])}"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"list of {len(inner)} {spoken(inner[0])}"
    return f"list of {spoken(inner[0])}"
