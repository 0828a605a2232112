"""What values the keywords of `load_scenario` may have; readers raise ConfigError with what is wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, TypeVar, get_args

from pytest_metersphere.errors import ConfigError, did_you_mean
from pytest_metersphere.scenario.arrivals import Process, RateStage
from pytest_metersphere.scenario.model import DataEnd
from pytest_metersphere.scenario.profile import Stage
from pytest_metersphere.units import MAX_RATE, MAX_USERS, parse_duration, parse_rate

AnyStage = TypeVar("AnyStage", Stage, RateStage)

DATA_SUFFIXES = (".csv", ".jsonl")
"""How names of data files end."""

_LONGEST_NAME = 100
_ENDS: tuple[DataEnd, ...] = get_args(DataEnd)


def read_count(value: object) -> int:
    """Return a number of users or iterations."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_USERS:
        raise ConfigError(f"{value!r} is not a whole number from 1 to {MAX_USERS}")
    return value


def _level(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    try:
        return read_count(value)
    except ConfigError:
        raise ConfigError(f"users {value!r} are not a whole number from 0 to {MAX_USERS}") from None


def read_seconds(value: object) -> float:
    """Return a duration in seconds, from a text with a unit or a number of seconds."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{value!r} is not a duration, neither a text with a unit nor a number of seconds")
    return _finite(value)


def _finite(value: float) -> float:
    if not 0 <= value < math.inf:
        raise ConfigError(f"{value!r} is not a duration, which is a finite number of seconds from 0")
    return float(value)


def read_period(value: object) -> float:
    """Return the seconds between two starts."""
    seconds = read_seconds(value)
    if seconds == 0:
        raise ConfigError(f"{value!r} is no time between two starts, which is more than 0 s")
    return seconds


def read_rate(value: object) -> float:
    """Return a rate per second that starts something."""
    rate = _level_of_rate(value)
    if rate == 0:
        raise ConfigError(f"{value!r} starts nothing, a rate is more than 0")
    return rate


def _level_of_rate(value: object) -> float:
    if isinstance(value, str):
        rate = parse_rate(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{value!r} is not a rate, neither a text such as 200/s nor a number per second")
    else:
        rate = float(value)
    if not 0 <= rate <= MAX_RATE:
        raise ConfigError(f"{value!r} is not a rate from 0 to {MAX_RATE}/s")
    return rate


def read_process(value: object) -> Process:
    """Return how arrivals are spread."""
    for process in get_args(Process):
        if value == process:
            known: Process = process
            return known
    raise ConfigError(f"{value!r} is neither even nor poisson")


def read_think(value: object) -> tuple[float, float]:
    """Return the shortest and the longest pause in seconds."""
    if not isinstance(value, str) or "-" not in value:
        pause = read_seconds(value)
        return pause, pause
    low, _, high = value.partition("-")
    shortest, longest = parse_duration(low), parse_duration(high)
    if shortest > longest:
        raise ConfigError(f"the shortest pause {low.strip()} is longer than the longest {high.strip()}")
    return shortest, longest


def read_stages(value: object) -> tuple[Stage, ...] | tuple[RateStage, ...]:
    """Return the stages of a curve, all of users or all of rates."""
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError(f"{value!r} is not a list of stages, each a duration and the users at its end")
    pairs = [_pair(number, pair) for number, pair in enumerate(value, start=1)]
    are_rates = {isinstance(level, str) and "/" in level for _, level in pairs}
    if len(are_rates) > 1:
        raise ConfigError("some stages are of users and some of rates, one curve has one kind")
    if are_rates == {True}:
        return _some_of_them(tuple(_stage(*each, RateStage, _level_of_rate) for each in enumerate(pairs, 1)))
    return _some_of_them(tuple(_stage(*each, Stage, _level) for each in enumerate(pairs, 1)))


def _pair(number: int, pair: object) -> tuple[object, object]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ConfigError(f"stage {number}, {pair!r}, is not a pair of a duration and the users at its end")
    return pair[0], pair[1]


def _stage(
    number: int,
    pair: tuple[object, object],
    kind: Callable[[float, Any], AnyStage],
    level: Callable[[object], float],
) -> AnyStage:
    try:
        return kind(read_seconds(pair[0]), level(pair[1]))
    except ConfigError as error:
        raise ConfigError(f"stage {number}: {error}") from None


def _some_of_them(stages: tuple[AnyStage, ...]) -> tuple[AnyStage, ...]:
    """Return the stages; they must last and have something in them."""
    if not any(stage.duration for stage in stages):
        raise ConfigError("the stages last 0 s altogether, give one of them a longer duration")
    levels = [stage.users if isinstance(stage, Stage) else stage.rate for stage in stages]
    if not any(levels):
        what = "users" if isinstance(stages[0], Stage) else "a rate"
        raise ConfigError(f"no stage has {what}, at least one needs some")
    return stages


def read_data_name(value: object) -> str:
    """Return the name of a data file."""
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ConfigError(f"{value!r} is not the name of a file")
    name = os.fspath(value)
    suffix = PurePath(name).suffix.lower() if isinstance(name, str) else ""
    if not isinstance(name, str) or suffix not in DATA_SUFFIXES:
        known = " or ".join(DATA_SUFFIXES)
        raise ConfigError(f"the name of a data file ends with {known}{did_you_mean(suffix, DATA_SUFFIXES)}")
    return name


def read_data_end(value: object) -> DataEnd:
    """Return what becomes of users without a row."""
    for known in _ENDS:
        if value == known:
            return known
    hint = did_you_mean(value, _ENDS) if isinstance(value, str) else ""
    raise ConfigError(f"{value!r} is none of {', '.join(_ENDS)}{hint}")


def read_group(value: object) -> str:
    """Return the name of a group."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{value!r} is not the name of a group, which is a text")
    if not value.isprintable() or len(value) > _LONGEST_NAME:
        raise ConfigError(f"the name of a group is one line of at most {_LONGEST_NAME} characters")
    return value.strip()
