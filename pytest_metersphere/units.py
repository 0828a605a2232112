"""Durations, rates, percentages and sizes, as users write and read them."""

from __future__ import annotations

import math
import re

import msgspec

from pytest_metersphere.errors import ConfigError

MAX_USERS = 999_999_999
"""The most virtual users, and the largest capacity, that can be asked for."""
MAX_RATE = 10_000_000
"""The largest arrival rate that can be asked for, per second."""

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(us|µs|ms|min|s|m|h)")
_LONGEST = 10_000 * 3600.0
_BYTES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def parse_duration(text: str) -> float:
    """Return the seconds of a text such as "250us", "300ms", "1.5s", "1m30s" or "2h".

    Raises:
        ConfigError: the text is not a duration, or has no unit.
    """
    stripped = text.strip()
    parts = _PART.findall(stripped)
    if not parts or _PART.sub("", stripped).strip():
        if stripped == "0":
            return 0.0
        hint = f'; add a unit, for example "{stripped}s"' if _is_number(stripped) else ""
        raise ConfigError(f"{text!r} is not a duration{hint or ', write for example 30s, 500ms or 1m30s'}")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ConfigError(f"{text!r} is too long, durations go up to {_LONGEST / 3600:.0f}h")
    return seconds


def format_duration(seconds: float) -> str:
    """Return seconds as people read them: "870 us", "12.3 ms", "1.24 s", "2m05s", "1h02m"."""
    if math.isinf(seconds):
        return "unlimited"
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds == 0:
        return "0 s"
    if seconds < 0.000_999_5:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.999_5:
        return f"{_three_digits(seconds * 1e3)} ms"
    if seconds < 59.95:
        return f"{_three_digits(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class UsersOverride(msgspec.Struct, frozen=True):
    """Another number of virtual users: either a count, or a factor on what was asked for.

    Attributes:
        count: the number of users at the peak, None when `factor` says it.
        factor: what the peak is multiplied by, 0.5 for "50%"; unused when `count` is set.
    """

    count: int | None = None
    factor: float = 1.0

    def applied_to(self, peak: int) -> int:
        """Return the users that stand in for a peak, at least 1; halves are rounded up."""
        return max(1, math.floor(peak * self.factor + 0.5)) if self.count is None else self.count


def parse_users(text: str) -> UsersOverride:
    """Return what a text such as "50" or "50%" makes of a scenario's users.

    Raises:
        ConfigError: the text is neither a whole number from 1 to MAX_USERS nor a percentage above 0.
    """
    stripped = text.strip()
    override = _users_of(stripped)
    if override is None:
        raise ConfigError(f"{text!r} is not a number of users, write for example 50, or 50% to scale")
    return override


def _users_of(text: str) -> UsersOverride | None:
    if text.endswith("%") and _is_number(text.removesuffix("%").strip()):
        factor = parse_percentage(text)
        return UsersOverride(factor=factor) if 0 < factor <= MAX_USERS else None
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) > 0:
        return UsersOverride(count=int(text))
    return None


def parse_percentage(text: str) -> float:
    """Return the fraction of a text such as "1%" or "0.5 %".

    Raises:
        ConfigError: the text is not a percentage.
    """
    number = text.strip().removesuffix("%").strip()
    if not text.strip().endswith("%") or not _is_number(number):
        raise ConfigError(f"{text!r} is not a percentage, write for example 1%")
    return float(number) / 100


def format_percentage(fraction: float) -> str:
    """Return a fraction as a percentage with as many digits as say something."""
    percent = fraction * 100
    if percent == 0 or percent >= 10:
        return f"{percent:.4g}%"
    decimals = 1 - math.floor(math.log10(percent))
    return f"{percent:.{max(0, decimals)}f}".rstrip("0").rstrip(".") + "%"


def parse_rate(text: str) -> float:
    """Return the events per second of a text such as "200/s", "1200/m" or "36000/h".

    Raises:
        ConfigError: the text is not a rate.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|m|min|h)\s*", text)
    if not found:
        raise ConfigError(f"{text!r} is not a rate, write for example 200/s")
    return float(found[1]) / _SECONDS[found[2]]


def format_size(size: float) -> str:
    """Return a number of bytes as "512 B", "1.5 KiB", "20 MiB" or "3 GiB"."""
    for name, unit in _BYTES:
        if size >= unit:
            return f"{_three_digits(size / unit)} {name}"
    return f"{size:.0f} B"


def format_rate(per_second: float) -> str:
    """Return a rate as people write it: "200/s", "0.5/s"."""
    return f"{per_second:.0f}/s" if per_second >= 1000 else f"{per_second:.4g}/s"


class RateOverride(msgspec.Struct, frozen=True):
    """Another arrival rate: either one per second, or a factor on what was asked for.

    Attributes:
        rate: the rate at the peak, None when `factor` says it.
        factor: what the peak is multiplied by, 0.5 for "50%"; unused when `rate` is set.
    """

    rate: float | None = None
    factor: float = 1.0

    def applied_to(self, peak: float) -> float:
        """Return the rate that stands in for a peak."""
        return peak * self.factor if self.rate is None else self.rate


def parse_rate_override(text: str) -> RateOverride:
    """Return what a text such as "50/s" or "50%" makes of a scenario's arrival rate.

    Raises:
        ConfigError: the text is neither a rate above 0, at most MAX_RATE, nor a percentage above 0.
    """
    stripped = text.strip()
    if stripped.endswith("%") and _is_number(stripped.removesuffix("%").strip()):
        factor = parse_percentage(stripped)
        if 0 < factor <= MAX_RATE:
            return RateOverride(factor=factor)
    try:
        rate = parse_rate(stripped)
    except ConfigError:
        rate = 0.0
    if not 0 < rate <= MAX_RATE:
        raise ConfigError(f"{text!r} is not an arrival rate, write for example 50/s, or 50% to scale")
    return RateOverride(rate=rate)


def _three_digits(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(?:\.\d+)?", text) is not None
