"""Java's properties files, as JMeter reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping


def properties_text(properties: Mapping[str, str]) -> str:
    """Return a file's content, ASCII alone, from values by name (java.util.Properties.load)."""
    return "".join(f"{_key(name)}={_value(value)}\n" for name, value in properties.items())


def _key(text: str) -> str:
    return re.sub(r"([ :=#!])", r"\\\1", _escaped(text))


def _value(text: str) -> str:
    return re.sub(r"^ ", r"\\ ", _escaped(text))


def _escaped(text: str) -> str:
    """Return a text with backslashes, control characters and what is not ASCII spelled out."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    units = escaped.encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if 32 <= code < 127 else f"\\u{code:04x}" for code in codes)
