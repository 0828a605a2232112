"""From marks to values: what `load_scenario` and `threshold` may say, and what it comes to."""

from __future__ import annotations

import ipaddress
import math
import posixpath
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Protocol, TypeVar

import msgspec

from pytest_metersphere.errors import ConfigError, did_you_mean
from pytest_metersphere.scenario.model import Jmx, Scenario
from pytest_metersphere.scenario.profile import DEFAULT_HOLD, DEFAULT_USERS, Profile, Stage, plain_stages
from pytest_metersphere.units import MAX_USERS, format_duration, parse_duration

Value = TypeVar("Value")


class MarkLike(Protocol):
    """What is read of a `pytest.Mark`."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments."""


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the keywords of a mark, or of several, say; None where they say nothing."""

    users: int | None = None
    ramp: float | None = None
    hold: float | None = None
    stages: tuple[Stage, ...] | None = None
    iterations: int | None = None
    warmup: float | None = None
    think: tuple[float, float] | None = None
    graceful_stop: float | None = None
    jmx: str | None = None
    properties: dict[str, str] | None = None
    hosts: dict[str, str] | None = None


KEYWORDS = _Asked.__struct_fields__
"""The keywords of `load_scenario`."""

_PLAIN = ("users", "ramp", "hold")
_ONLY_WITH_JMX = ("properties", "hosts")
_WITH_JMX = ("jmx", *_ONLY_WITH_JMX, *_PLAIN, "iterations", "warmup", "graceful_stop")
_MAX_TABLE = 1000


def merge_marks(
    marks: Iterable[MarkLike], *, nodeid: str, name: str, path: str, line: int, is_async: bool
) -> Scenario:
    """Return the scenario that `load_scenario` marks come to.

    Args:
        marks: outermost (module) to innermost (function): later keywords override earlier ones. `stages`
            takes the place of inherited users, ramp and hold, and each of these that of inherited stages.
        nodeid: pytest's node id, with the parameter set in brackets.
        name: the test's name with the parameter set.
        path: the test's file, relative to the rootdir, with slashes.
        line: the test's line in it, from 1.
        is_async: the function is a coroutine function.

    Raises:
        ConfigError: a keyword or value that is not understood, or values that do not go together; the
            message begins with `path:line: `.
    """
    try:
        asked = _Asked()
        for mark in marks:
            asked = _merged(asked, _read(mark))
        profile = _profile(asked)
        jmx = _jmx(asked, path)
    except ConfigError as error:
        raise ConfigError(f"{path}:{line}: {error}") from None
    return Scenario(
        nodeid=nodeid,
        name=name,
        path=path,
        line=line,
        profile=profile,
        think=asked.think or (0.0, 0.0),
        is_async=is_async,
        jmx=jmx,
    )


def threshold_texts(marks: Iterable[MarkLike], *, path: str, line: int) -> tuple[str, ...]:
    """Return the texts of `threshold` marks in their order, each once; the texts are not looked at.

    Raises:
        ConfigError: a mark that has not exactly one text; the message begins with `path:line: `.
    """
    return tuple(dict.fromkeys(_threshold_text(mark, f"{path}:{line}: ") for mark in marks))


def _threshold_text(mark: MarkLike, where: str) -> str:
    example = 'write for example threshold("p95 < 300ms")'
    if mark.kwargs:
        keyword, value = next(iter(mark.kwargs.items()))
        raise ConfigError(
            f"{where}threshold({keyword}={value!r}): there is no keyword {keyword!r}, {example}"
        )
    if len(mark.args) != 1:
        said = ", ".join(map(repr, mark.args))
        raise ConfigError(f"{where}threshold({said}): one text is expected, not {len(mark.args)}, {example}")
    text = mark.args[0]
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{where}threshold({text!r}): a text is expected, {example}")
    return text.strip()


def _read(mark: MarkLike) -> _Asked:
    if mark.args:
        said = ", ".join(map(repr, mark.args))
        raise ConfigError(
            f"load_scenario({said}): it takes keywords only, for example load_scenario(users=20)"
        )
    for keyword, value in mark.kwargs.items():
        if keyword not in KEYWORDS:
            raise ConfigError(_unknown(keyword, value))
    if "stages" in mark.kwargs:
        for keyword in _PLAIN:
            if keyword in mark.kwargs:
                raise ConfigError(
                    f"load_scenario(stages=…, {keyword}={mark.kwargs[keyword]!r}): stages are the whole "
                    f'curve, leave {keyword} out; correct: stages=[("30s", 500), ("1m", 500)]'
                )
    return _Asked(
        users=_take(mark, "users", _count),
        ramp=_take(mark, "ramp", _seconds),
        hold=_take(mark, "hold", _seconds),
        stages=_take(mark, "stages", _stages),
        iterations=_take(mark, "iterations", _count),
        warmup=_take(mark, "warmup", _seconds),
        think=_take(mark, "think", _think),
        graceful_stop=_take(mark, "graceful_stop", _seconds),
        jmx=_take(mark, "jmx", _plan_path),
        properties=_take(mark, "properties", _table),
        hosts=_take(mark, "hosts", _hosts),
    )


_EXAMPLES = {
    "users": "users=20",
    "ramp": 'ramp="10s"',
    "hold": 'hold="30s"',
    "stages": 'stages=[("30s", 500), ("1m", 500)]',
    "iterations": "iterations=100",
    "warmup": 'warmup="5s"',
    "think": 'think="1s" or think="1s-3s"',
    "graceful_stop": 'graceful_stop="30s"',
    "jmx": 'jmx="plans/shop.jmx"',
    "properties": 'properties={"host": "shop.example"}',
    "hosts": 'hosts={"shop.example": "10.0.0.3"}',
}
DESCRIPTIONS = {
    "users": f"Virtual users at the peak; {DEFAULT_USERS} when nothing is said",
    "ramp": "Time from no users to the peak; none when nothing is said",
    "hold": f"Time at the peak; {DEFAULT_HOLD:g}s when nothing is said, no end when `iterations` are",
    "stages": "The whole curve, as pairs of a duration and the users at its end; it takes the place of "
    "`users`, `ramp` and `hold`",
    "iterations": "How many times each user calls the test at most; no limit when nothing is said",
    "warmup": "Time from the start whose samples do not count; none when nothing is said",
    "think": "Pause of each user between two iterations, or the shortest and the longest; none when nothing "
    "is said",
    "graceful_stop": "Time that a running iteration gets to end when its user must go; 30s when nothing is "
    "said",
    "jmx": "A JMeter test plan, relative to the test's folder, that is the load ([jmx.md](jmx.md)); the "
    "test's body runs afterwards, on the controller",
    "properties": "JMeter properties by name, with `jmx`",
    "hosts": "IP addresses by host name, in place of what DNS says, for the plan's HTTP requests; with `jmx`",
}
"""What each keyword is for, for docs/options.md."""


def _unknown(keyword: str, value: object) -> str:
    hint = did_you_mean(keyword, KEYWORDS)
    return (
        f"load_scenario({keyword}={value!r}): there is no keyword {keyword!r}, known are "
        f"{', '.join(KEYWORDS)}; correct: {_EXAMPLES['users']}{hint}"
    )


def _take(mark: MarkLike, keyword: str, read: Callable[[object], Value]) -> Value | None:
    """Return what one keyword says, None when it is not there."""
    if keyword not in mark.kwargs:
        return None
    value = mark.kwargs[keyword]
    try:
        return read(value)
    except ConfigError as error:
        example = _EXAMPLES[keyword]
        raise ConfigError(f"load_scenario({keyword}={value!r}): {error}; correct: {example}") from None


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_USERS:
        raise ConfigError(f"{value!r} is not a whole number from 1 to {MAX_USERS}")
    return value


def _level(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    try:
        return _count(value)
    except ConfigError:
        raise ConfigError(f"users {value!r} are not a whole number from 0 to {MAX_USERS}") from None


def _seconds(value: object) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{value!r} is not a duration, neither a text with a unit nor a number of seconds")
    return _finite(value)


def _finite(value: float) -> float:
    if not 0 <= value < math.inf:
        raise ConfigError(f"{value!r} is not a duration, which is a finite number of seconds from 0")
    return float(value)


def _think(value: object) -> tuple[float, float]:
    if not isinstance(value, str) or "-" not in value:
        pause = _seconds(value)
        return pause, pause
    low, _, high = value.partition("-")
    shortest, longest = parse_duration(low), parse_duration(high)
    if shortest > longest:
        raise ConfigError(f"the shortest pause {low.strip()} is longer than the longest {high.strip()}")
    return shortest, longest


def _plan_path(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\\" in value or "\0" in value:
        raise ConfigError(f"{value!r} is no path of a file, with slashes and relative to the test's folder")
    if PurePosixPath(value).is_absolute():
        raise ConfigError(f"{value!r} is an absolute path; write it relative to the test's folder")
    return value.strip()


def _table(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MAX_TABLE:
        raise ConfigError(f"{value!r} is no dict of texts by name")
    found: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not name.strip() or isinstance(text, bool):
            raise ConfigError(f"{name!r}: {text!r} is no text by name")
        if not isinstance(text, str | int | float):
            raise ConfigError(f"the value of {name!r} is {text!r}, neither a text nor a number")
        found[name.strip()] = str(text)
    return found


def _hosts(value: object) -> dict[str, str]:
    found = _table(value)
    for name, address in found.items():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ConfigError(f"{address!r} of host {name!r} is no IP address") from None
    return found


def _stages(value: object) -> tuple[Stage, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError(f"{value!r} is not a list of stages, each a duration and the users at its end")
    stages = tuple(_stage(number, pair) for number, pair in enumerate(value, start=1))
    if not any(stage.duration for stage in stages):
        raise ConfigError("the stages last 0 s altogether, give one of them a longer duration")
    if not any(stage.users for stage in stages):
        raise ConfigError("no stage has users, at least one needs some")
    return stages


def _stage(number: int, pair: object) -> Stage:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ConfigError(f"stage {number}, {pair!r}, is not a pair of a duration and the users at its end")
    try:
        return Stage(_seconds(pair[0]), _level(pair[1]))
    except ConfigError as error:
        raise ConfigError(f"stage {number}: {error}") from None


def _merged(outer: _Asked, inner: _Asked) -> _Asked:
    said: dict[str, Any] = {k: v for k, v in msgspec.structs.asdict(inner).items() if v is not None}
    if "stages" in said:
        said = {**dict.fromkeys(_PLAIN), **said}
    elif said.keys() & set(_PLAIN):
        said["stages"] = None
    return msgspec.structs.replace(outer, **said)


def _jmx(asked: _Asked, test: str) -> Jmx | None:
    """Return the test plan, None without one; the profile of a plan's own load is not known here."""
    if asked.jmx is None:
        for keyword in _ONLY_WITH_JMX:
            if getattr(asked, keyword) is not None:
                raise ConfigError(
                    f"load_scenario({keyword}=…): it is for JMeter test plans; correct: "
                    f'jmx="plans/shop.jmx", {_EXAMPLES[keyword]}'
                )
        return None
    for keyword in KEYWORDS:
        if keyword not in _WITH_JMX and getattr(asked, keyword) is not None:
            raise ConfigError(
                f"load_scenario(jmx={asked.jmx!r}, {keyword}=…): {keyword} does not go with jmx; of the "
                "load curve a test plan takes users, ramp and hold, and what it does stands in the plan; "
                'correct: jmx="plans/shop.jmx", users=20, hold="30s"'
            )
    path = posixpath.normpath(posixpath.join(posixpath.dirname(test), asked.jmx))
    if path.startswith("../"):
        raise ConfigError(
            f"load_scenario(jmx={asked.jmx!r}): the file lies outside the rootdir, so it cannot be sent to "
            "the nodes; give pytest a --rootdir above it"
        )
    return Jmx(
        path=path,
        properties=asked.properties or {},
        hosts=asked.hosts or {},
        own_users=asked.users is None,
        own_curve=asked.ramp is None and asked.hold is None and asked.iterations is None,
    )


def _profile(asked: _Asked) -> Profile:
    profile = Profile(
        stages=asked.stages or _plain(asked),
        warmup=asked.warmup or 0.0,
        iterations=asked.iterations,
        graceful_stop=30.0 if asked.graceful_stop is None else asked.graceful_stop,
    )
    if profile.duration == 0:
        raise ConfigError(
            'load_scenario(hold="0s"): the load lasts 0 s, give hold or ramp more; correct: hold="30s"'
        )
    if profile.warmup >= profile.duration:
        warmup, lasts = format_duration(profile.warmup), format_duration(profile.duration)
        raise ConfigError(
            f"load_scenario(warmup={warmup!r}): the warmup takes all of the load's {lasts} (it counts from "
            f'the begin, ramp included), nothing is left to measure; correct: warmup="5s", hold="30s"'
        )
    return profile


def _plain(asked: _Asked) -> tuple[Stage, ...]:
    """Return the plain curve; iterations without a hold last until every user has done them."""
    hold = asked.hold
    if hold is None:
        hold = DEFAULT_HOLD if asked.iterations is None else math.inf
    return plain_stages(DEFAULT_USERS if asked.users is None else asked.users, asked.ramp or 0.0, hold)
