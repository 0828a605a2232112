"""Text from elsewhere (labels, messages, exemplars) made safe to show and to encode."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u2028\u2029"
    "\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff"
    f"\ufdd0-\ufdef{_NONCHARACTERS}]"
)


def visible(text: str) -> str:
    r"""Return the text with what no reader sees, or no XML may hold, written as an escape.

    Control characters, lone surrogates, noncharacters, line separators and the marks that reverse
    the writing direction become `\x1b`, `\u202e` and so on; tabs and line ends stay, `\r\n` and
    `\r` become `\n`.
    """
    return _INVISIBLE.sub(_escape, text.replace("\r\n", "\n").replace("\r", "\n"))


def encodable(text: str) -> str:
    r"""Return the text with lone surrogates, which UTF-8 cannot hold, as escapes such as `\ud800`."""
    return _SURROGATE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return the visible text with every run of white space as one space."""
    return " ".join(visible(text).split())


def clipped(text: str, length: int) -> str:
    """Return the text, or its beginning and "…" when it is longer than `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
