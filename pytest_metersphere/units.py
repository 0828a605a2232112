"""Durations, rates, percentages and sizes, as users write and read them."""

from __future__ import annotations

import re

from pytest_metersphere.errors import ConfigError

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(us|µs|ms|min|s|m|h)")
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
        raise ConfigError(f'{text!r} is not a duration{hint or ", write for example 30s, 500ms or 1m30s"}')
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Return seconds as people read them: "870 us", "12.3 ms", "1.24 s", "2m05s", "1h02m"."""
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
    return f"{percent:.2g}%"


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


def _three_digits(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(?:\.\d+)?", text) is not None
