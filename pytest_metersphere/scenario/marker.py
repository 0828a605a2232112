"""From marks to values: what `load_scenario` and `threshold` may say, and what it comes to."""

from __future__ import annotations

import math
import os
import posixpath
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, Protocol, TypeVar, get_args

import msgspec

from pytest_metersphere.errors import ConfigError, did_you_mean
from pytest_metersphere.scenario.arrivals import LEAST_MAX_USERS, Arrivals, Process, RateStage
from pytest_metersphere.scenario.jmeter import Table, addresses, plan_path, table
from pytest_metersphere.scenario.model import DataEnd, DataFile, Jmx, Scenario
from pytest_metersphere.scenario.profile import (
    DEFAULT_HOLD,
    DEFAULT_USERS,
    Profile,
    Stage,
    places,
    plain_stages,
)
from pytest_metersphere.units import MAX_RATE, MAX_USERS, format_duration, parse_duration, parse_rate

Value = TypeVar("Value")
AnyStage = TypeVar("AnyStage", Stage, RateStage)


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
    rate: float | None = None
    max_users: int | None = None
    arrivals: Process | None = None
    ramp: float | None = None
    hold: float | None = None
    stages: tuple[Stage, ...] | tuple[RateStage, ...] | None = None
    iterations: int | None = None
    shared_iterations: int | None = None
    warmup: float | None = None
    think: tuple[float, float] | None = None
    pacing: float | None = None
    graceful_stop: float | None = None
    data: str | None = None
    data_end: DataEnd | None = None
    group: str | None = None
    jmx: str | None = None
    properties: Table | None = None
    hosts: Table | None = None

    @property
    def rate_stages(self) -> tuple[RateStage, ...]:
        """Return the stages when they are of rates, else nothing."""
        return tuple(stage for stage in self.stages or () if isinstance(stage, RateStage))

    @property
    def user_stages(self) -> tuple[Stage, ...]:
        """Return the stages when they are of users, else nothing."""
        return tuple(stage for stage in self.stages or () if isinstance(stage, Stage))

    @property
    def is_open(self) -> bool:
        """Return whether it asks for the open model."""
        return self.rate is not None or bool(self.rate_stages)


KEYWORDS = _Asked.__struct_fields__
"""The keywords of `load_scenario`."""

DATA_SUFFIXES = (".csv", ".jsonl")
"""How names of data files end."""

_PLAIN = ("users", "rate", "ramp", "hold")
_OPEN_ONLY = ("max_users", "arrivals")
_CLOSED_ONLY = {
    "users": "max_users= says how many may run at once",
    "iterations": "hold= says how long they start",
    "shared_iterations": "hold= says how long they start",
    "think": "no user pauses between them",
    "pacing": "no user has a pace of its own",
}
_ONLY_WITH_JMX = ("properties", "hosts")
_WITH_JMX = ("jmx", *_ONLY_WITH_JMX, "users", "ramp", "hold", "iterations", "warmup", "graceful_stop")
_ALTERNATIVES = (("iterations", "shared_iterations"), ("think", "pacing"))
_LONGEST_NAME = 100
_ENDS: tuple[DataEnd, ...] = get_args(DataEnd)


def merge_marks(
    marks: Iterable[MarkLike], *, nodeid: str, name: str, path: str, line: int, is_async: bool
) -> Scenario:
    """Return the scenario that `load_scenario` marks come to.

    Args:
        marks: outermost (module) to innermost (function): later keywords override earlier ones. `stages`
            takes the place of inherited users, rate, ramp and hold, and each of these that of inherited
            stages. Where a mark turns to the other model, what belongs to the inherited one alone is gone.
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
        profile = _profile(asked, seed=zlib.crc32(nodeid.encode()))
        data = _data_file(asked, path)
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
        pacing=asked.pacing,
        data=data,
        group=asked.group or "",
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
    for one, other in _ALTERNATIVES:
        if one in mark.kwargs and other in mark.kwargs:
            raise ConfigError(f"load_scenario({one}=…, {other}=…): it is the one or the other, leave one out")
    return _Asked(
        users=_take(mark, "users", _count),
        rate=_take(mark, "rate", _rate),
        max_users=_take(mark, "max_users", _count),
        arrivals=_take(mark, "arrivals", _process),
        ramp=_take(mark, "ramp", _seconds),
        hold=_take(mark, "hold", _seconds),
        stages=_take(mark, "stages", _stages),
        iterations=_take(mark, "iterations", _count),
        shared_iterations=_take(mark, "shared_iterations", _count),
        warmup=_take(mark, "warmup", _seconds),
        think=_take(mark, "think", _think),
        pacing=_take(mark, "pacing", _period),
        graceful_stop=_take(mark, "graceful_stop", _seconds),
        data=_take(mark, "data", _data_name),
        data_end=_take(mark, "data_end", _data_end),
        group=_take(mark, "group", _group),
        jmx=_take(mark, "jmx", plan_path),
        properties=_take(mark, "properties", table),
        hosts=_take(mark, "hosts", addresses),
    )


_EXAMPLES = {
    "users": "users=20",
    "rate": 'rate="200/s"',
    "max_users": "max_users=50",
    "arrivals": 'arrivals="poisson"',
    "ramp": 'ramp="10s"',
    "hold": 'hold="30s"',
    "stages": 'stages=[("30s", 500), ("1m", 500)] or, of rates, stages=[("30s", "200/s"), ("1m", "200/s")]',
    "iterations": "iterations=100",
    "shared_iterations": "shared_iterations=1000",
    "warmup": 'warmup="5s"',
    "think": 'think="1s" or think="1s-3s"',
    "pacing": 'pacing="2s"',
    "graceful_stop": 'graceful_stop="30s"',
    "data": 'data="users.csv"',
    "data_end": 'data_end="cycle", "stop" or "fail"',
    "group": 'group="peak"',
    "jmx": 'jmx="plans/shop.jmx"',
    "properties": 'properties={"host": "shop.example"}',
    "hosts": 'hosts={"shop.example": "10.0.0.3"}',
}
DESCRIPTIONS = {
    "users": f"Virtual users at the peak; {DEFAULT_USERS} when nothing is said",
    "rate": "Iterations that begin per second on the whole pool, whether earlier ones have ended or not (the "
    "open model)",
    "max_users": "Most users at once in the open model; a second's worth of the rate, at least "
    f"{LEAST_MAX_USERS}, when nothing is said. A start that finds no user free is dropped and counted",
    "arrivals": "How the starts of the open model are spread: `even` when nothing is said, or `poisson`",
    "ramp": "Time from no users, or a rate of 0, to the peak; none when nothing is said",
    "hold": f"Time at the peak; {DEFAULT_HOLD:g}s when nothing is said, no end when `iterations` are",
    "stages": "The whole curve, as pairs of a duration and the users, or the rate, at its end; it takes the "
    "place of `users` or `rate`, `ramp` and `hold`",
    "iterations": "How many times each user calls the test at most; no limit when nothing is said",
    "shared_iterations": "How many times all users together call the test at most; no limit when nothing is "
    "said",
    "warmup": "Time from the start whose samples do not count; none when nothing is said",
    "think": "Pause of each user between two iterations, or the shortest and the longest; none when nothing "
    "is said",
    "pacing": "Time from the intended start of each user's iteration to that of its next one, in place of "
    "`think`",
    "graceful_stop": "Time that a running iteration gets to end when its user must go; 30s when nothing is "
    "said",
    "data": "File (.csv with a head, or .jsonl) with a row for each user, which has it as `vu.data`; beside "
    "the test, or relative to it",
    "data_end": "What becomes of users for whom no row is left: `cycle` (rows are used again) when nothing "
    "is said, `stop` (they do not start), `fail` (no user does)",
    "group": "Scenarios that name the same group run at the same time, as one run, each with its own verdict",
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


def _period(value: object) -> float:
    seconds = _seconds(value)
    if seconds == 0:
        raise ConfigError(f"{value!r} is no time between two starts, which is more than 0 s")
    return seconds


def _rate(value: object) -> float:
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


def _process(value: object) -> Process:
    for process in get_args(Process):
        if value == process:
            known: Process = process
            return known
    raise ConfigError(f"{value!r} is neither even nor poisson")


def _think(value: object) -> tuple[float, float]:
    if not isinstance(value, str) or "-" not in value:
        pause = _seconds(value)
        return pause, pause
    low, _, high = value.partition("-")
    shortest, longest = parse_duration(low), parse_duration(high)
    if shortest > longest:
        raise ConfigError(f"the shortest pause {low.strip()} is longer than the longest {high.strip()}")
    return shortest, longest


def _stages(value: object) -> tuple[Stage, ...] | tuple[RateStage, ...]:
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
        return kind(_seconds(pair[0]), level(pair[1]))
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


def _data_name(value: object) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ConfigError(f"{value!r} is not the name of a file")
    name = os.fspath(value)
    suffix = PurePath(name).suffix.lower() if isinstance(name, str) else ""
    if not isinstance(name, str) or suffix not in DATA_SUFFIXES:
        known = " or ".join(DATA_SUFFIXES)
        raise ConfigError(f"the name of a data file ends with {known}{did_you_mean(suffix, DATA_SUFFIXES)}")
    return name


def _data_end(value: object) -> DataEnd:
    for known in _ENDS:
        if value == known:
            return known
    hint = did_you_mean(value, _ENDS) if isinstance(value, str) else ""
    raise ConfigError(f"{value!r} is none of {', '.join(_ENDS)}{hint}")


def _group(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{value!r} is not the name of a group, which is a text")
    if not value.isprintable() or len(value) > _LONGEST_NAME:
        raise ConfigError(f"the name of a group is one line of at most {_LONGEST_NAME} characters")
    return value.strip()


def _data_file(asked: _Asked, test: str) -> DataFile | None:
    """Return the data file of a scenario whose test is in the file `test`, relative to the rootdir."""
    if asked.data is None:
        if asked.data_end is not None:
            raise ConfigError(
                f"load_scenario(data_end={asked.data_end!r}): there is no data that could end; correct: "
                f'data="users.csv", data_end={asked.data_end!r}'
            )
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(test), PurePath(asked.data).as_posix()))
    return DataFile(asked.data, path, asked.data_end or "cycle")


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


def _merged(outer: _Asked, inner: _Asked) -> _Asked:
    said: dict[str, Any] = {k: v for k, v in msgspec.structs.asdict(inner).items() if v is not None}
    gone = _turned_from(outer, inner)
    for alternatives in _ALTERNATIVES:
        if said.keys() & set(alternatives):
            gone |= set(alternatives)
    if "stages" in said:
        gone |= set(_PLAIN)
    elif said.keys() & set(_PLAIN):
        gone.add("stages")
        if outer.rate_stages and not said.keys() & {"users", "rate"}:
            said["rate"] = max(stage.rate for stage in outer.rate_stages)
    return msgspec.structs.replace(outer, **{**dict.fromkeys(gone), **said})


def _turned_from(outer: _Asked, inner: _Asked) -> set[str]:
    """Return which inherited keywords have no meaning in the model that a mark turns to."""
    if inner.is_open and not outer.is_open:
        return {*_CLOSED_ONLY}
    if outer.is_open and (inner.users is not None or inner.user_stages):
        return {"rate", *_OPEN_ONLY}
    return set()


def _profile(asked: _Asked, seed: int) -> Profile:
    _check_model(asked)
    stages: tuple[Stage, ...]
    arrivals = _arrivals(asked, seed) if asked.is_open else None
    if arrivals is None:
        stages = asked.user_stages or _plain(asked)
    else:
        stages = places(asked.max_users or arrivals.default_places, arrivals)
    profile = Profile(
        stages=stages,
        warmup=asked.warmup or 0.0,
        iterations=asked.iterations,
        graceful_stop=30.0 if asked.graceful_stop is None else asked.graceful_stop,
        shared_iterations=asked.shared_iterations,
        arrivals=arrivals,
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


def _check_model(asked: _Asked) -> None:
    """Refuse what belongs to the other model."""
    if asked.is_open:
        how = 'rate="200/s", max_users=50'
        for keyword, instead in _CLOSED_ONLY.items():
            if getattr(asked, keyword) is not None:
                raise ConfigError(
                    f"load_scenario(rate=…, {keyword}=…): with a rate, iterations start by the clock, and "
                    f"{instead}; leave {keyword} out; correct: {how}"
                )
        return
    for keyword in _OPEN_ONLY:
        if getattr(asked, keyword) is not None:
            raise ConfigError(
                f"load_scenario({keyword}=…): it belongs to a load that starts iterations at a rate, and "
                f'there is none; correct: rate="200/s", {_EXAMPLES[keyword]}'
            )


def _arrivals(asked: _Asked, seed: int) -> Arrivals:
    rate, hold = asked.rate or 0.0, DEFAULT_HOLD if asked.hold is None else asked.hold
    return Arrivals(
        stages=asked.rate_stages or (RateStage(asked.ramp or 0.0, rate), RateStage(hold, rate)),
        process=asked.arrivals or "even",
        seed=seed,
        places_by_default=asked.max_users is None,
    )


def _plain(asked: _Asked) -> tuple[Stage, ...]:
    """Return the plain curve; iterations without a hold last until every user has done them."""
    hold = asked.hold
    if hold is None:
        limited = asked.iterations is not None or asked.shared_iterations is not None
        hold = math.inf if limited else DEFAULT_HOLD
    return plain_stages(DEFAULT_USERS if asked.users is None else asked.users, asked.ramp or 0.0, hold)
