"""Keeps secrets out of what is shown: whoever answers may have put ours into the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

SHORTEST = 4
"""Characters of a secret that is looked for; a shorter one is part of half the words there are."""

_FREE_TEXTS = {"detail", "hint", "problems", "version", "python", "commands", "log", "image", "group"}
_NAMED = re.compile(
    r"""(?ix) ( (?:passw(?:or)?d|passwd|pwd|secret|token|credential|api[-_]?key|access[-_]?key) [\w.-]*
    ["']? \s* [:=] \s* ) (?: "[^"]*(?:"|$) | '[^']*(?:'|$) | (?:bearer\s+|basic\s+)? [^\s"',;&]+ )"""
)
_LOGIN = re.compile(r"(?i)(authorization\W{1,4}\w+\s+|\bbearer\s+)[\w.~+/=-]{8,}")
_OPTION = re.compile(r"(?i)(\s--?[\w-]*(?:pass|password|token|secret|key)\s+)[^\s-]\S*")
_IN_URL = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(@)")
Report = TypeVar("Report", bound=msgspec.Struct)


def redacted(report: Report, secrets: Sequence[str]) -> Report:
    """Return a report with stars for the secrets in all of its free texts."""
    looked_for = [secret for secret in secrets if len(secret) >= SHORTEST]
    return msgspec.convert(_without(msgspec.to_builtins(report), looked_for), type(report))


def without_secrets(line: str) -> str:
    """Return a line of a stranger's log with stars for what looks like a password, key or token in it."""
    line = _NAMED.sub(r"\1***", line)
    line = _LOGIN.sub(r"\1***", line)
    line = _OPTION.sub(r"\1***", line)
    return _IN_URL.sub(r"\1***\2", line)


def _without(value: Any, secrets: Sequence[str], *, free: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _without(each, secrets, free=key in _FREE_TEXTS) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, secrets, free=free) for each in value]
    if free and isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
    return value
