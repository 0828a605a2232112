"""GitHub's expressions, so far as actions and workflows here use them.

Operators, literals and their loose comparison follow "Evaluate expressions in workflows and actions" in
GitHub's documentation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|'(?P<text>(?:[^']|'')*)'"
    r"|(?P<name>[A-Za-z_][\w-]*)|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!().,\[\]]))"
)
_LITERALS = {"true": True, "false": False, "null": None}
_BINDING = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4}
_STATUS = ("success", "failure", "always", "cancelled")


def evaluate(text: str, contexts: Mapping[str, Any], *, failed: bool = False) -> Any:
    """Return the value of an expression; `failed` says whether a step before has failed."""
    parser = _Parser(text, contexts, failed=failed)
    value = parser.expression(0)
    assert parser.done, f"{text!r}: not understood from {parser.rest!r} on"
    return value


def filled(text: str, contexts: Mapping[str, Any]) -> str:
    """Return a text with every `${{ … }}` replaced by its value."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: as_text(evaluate(found[1].strip(), contexts)), text)


def holds(condition: str, contexts: Mapping[str, Any], *, failed: bool) -> bool:
    """Return whether a step with this `if` runs; without a status function all before must have passed."""
    bare = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", condition.strip()).strip() or "true"
    asks = re.search(rf"\b(?:{'|'.join(_STATUS)})\(", bare)
    return bool(asks or not failed) and _truth(evaluate(bare, contexts, failed=failed))


def as_text(value: Any) -> str:
    """Return a value as GitHub writes it into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


class _Parser:
    def __init__(self, text: str, contexts: Mapping[str, Any], *, failed: bool) -> None:
        self._tokens = [found for found in _tokens(text) if found]
        self._contexts = contexts
        self._failed = failed
        self._place = 0

    @property
    def done(self) -> bool:
        return self._place == len(self._tokens)

    @property
    def rest(self) -> list[tuple[str, str]]:
        return self._tokens[self._place :]

    def expression(self, binding: int) -> Any:
        left = self._operand()
        while (sign := self._sign()) and _BINDING.get(sign, 0) > binding:
            self._place += 1
            right = self.expression(_BINDING[sign])
            left = _OPERATIONS[sign](left, right)
        return left

    def _operand(self) -> Any:
        kind, text = self._take()
        if kind == "number":
            return float(text)
        if kind == "text":
            return text.replace("''", "'")
        if text == "!":
            return not _truth(self._operand())
        if text == "(":
            value = self.expression(0)
            assert self._take()[1] == ")"
            return value
        assert kind == "name", text
        if text in _LITERALS:
            return _LITERALS[text]
        return self._call(text) if self._sign() == "(" else self._looked_up(text)

    def _call(self, name: str) -> Any:
        self._place += 1
        assert self._take()[1] == ")", f"{name} takes no argument here"
        return {"always": True, "success": not self._failed, "failure": self._failed, "cancelled": False}[
            name
        ]

    def _looked_up(self, name: str) -> Any:
        assert name in self._contexts, f"there is no context {name!r}"
        value: Any = self._contexts[name]
        while self._sign() == ".":
            self._place += 1
            key = self._take()[1]
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def _sign(self) -> str:
        return (
            self._tokens[self._place][1] if not self.done and self._tokens[self._place][0] == "sign" else ""
        )

    def _take(self) -> tuple[str, str]:
        token = self._tokens[self._place]
        self._place += 1
        return token


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    place = 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        assert found, f"{text!r}: not understood at {text[place:]!r}"
        assert found.lastgroup
        tokens.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    return tokens


def _truth(value: Any) -> bool:
    return value not in (None, False, 0, "") and not (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value) if value.strip() else 0.0
        except ValueError:
            return math.nan
    return float(value or 0)


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def comparison(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compare(left.lower(), right.lower())
        return compare(_number(left), _number(right))

    return comparison


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "||": lambda left, right: left if _truth(left) else right,
    "&&": lambda left, right: right if _truth(left) else left,
    "==": _compared(lambda left, right: left == right),
    "!=": _compared(lambda left, right: left != right),
    "<": _compared(lambda left, right: left < right),
    "<=": _compared(lambda left, right: left <= right),
    ">": _compared(lambda left, right: left > right),
    ">=": _compared(lambda left, right: left >= right),
}
