"""What the mark's keywords for JMeter test plans may say."""

from __future__ import annotations

import ipaddress
from pathlib import PurePosixPath

from pytest_metersphere.errors import ConfigError

Table = dict[str, str]
"""Texts by name."""
_MAX_TABLE = 1000


def plan_path(value: object) -> str:
    """Return the path of a test plan, relative to the test's folder (ConfigError when it is none)."""
    if not isinstance(value, str) or not value.strip() or "\\" in value or "\0" in value:
        raise ConfigError(f"{value!r} is no path of a file, with slashes and relative to the test's folder")
    if PurePosixPath(value).is_absolute():
        raise ConfigError(f"{value!r} is an absolute path; write it relative to the test's folder")
    return value.strip()


def table(value: object) -> Table:
    """Return texts by name; numbers become texts (ConfigError when it is something else)."""
    if not isinstance(value, dict) or len(value) > _MAX_TABLE:
        raise ConfigError(f"{value!r} is no dict of texts by name")
    found: Table = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name.strip() or isinstance(text, bool):
            raise ConfigError(f"{name!r}: {text!r} is no text by name")
        if not isinstance(text, str | int | float):
            raise ConfigError(f"the value of {name!r} is {text!r}, neither a text nor a number")
        found[name.strip()] = str(text)
    return found


def addresses(value: object) -> Table:
    """Return IP addresses by host name (ConfigError when one is none)."""
    found = table(value)
    for name, address in found.items():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ConfigError(f"{address!r} of host {name!r} is no IP address") from None
    return found
