"""From marks to values: what `load_scenario` and `threshold` may say, and what it comes to."""

from __future__ import annotations

import math
import posixpath
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, Protocol, TypeVar

import msgspec

from pytest_metersphere.errors import ConfigError, did_you_mean
from pytest_metersphere.scenario.arrivals import Arrivals, RateStage
from pytest_metersphere.scenario.jmeter import addresses, plan_path, table
from pytest_metersphere.scenario.keywords import EXAMPLES, KEYWORDS, Asked
from pytest_metersphere.scenario.model import DataFile, Jmx, Scenario
from pytest_metersphere.scenario.profile import (
    DEFAULT_HOLD,
    DEFAULT_USERS,
    Profile,
    Stage,
    places,
    plain_stages,
)
from pytest_metersphere.scenario.values import (
    read_count,
    read_data_end,
    read_data_name,
    read_group,
    read_period,
    read_process,
    read_rate,
    read_seconds,
    read_stages,
    read_think,
)
from pytest_metersphere.units import format_duration

Value = TypeVar("Value")


class MarkLike(Protocol):
    """What is read of a `pytest.Mark`."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments."""


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
        asked = Asked()
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


def _read(mark: MarkLike) -> Asked:
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
    return Asked(
        users=_take(mark, "users", read_count),
        rate=_take(mark, "rate", read_rate),
        max_users=_take(mark, "max_users", read_count),
        arrivals=_take(mark, "arrivals", read_process),
        ramp=_take(mark, "ramp", read_seconds),
        hold=_take(mark, "hold", read_seconds),
        stages=_take(mark, "stages", read_stages),
        iterations=_take(mark, "iterations", read_count),
        shared_iterations=_take(mark, "shared_iterations", read_count),
        warmup=_take(mark, "warmup", read_seconds),
        think=_take(mark, "think", read_think),
        pacing=_take(mark, "pacing", read_period),
        graceful_stop=_take(mark, "graceful_stop", read_seconds),
        data=_take(mark, "data", read_data_name),
        data_end=_take(mark, "data_end", read_data_end),
        group=_take(mark, "group", read_group),
        jmx=_take(mark, "jmx", plan_path),
        properties=_take(mark, "properties", table),
        hosts=_take(mark, "hosts", addresses),
    )


def _unknown(keyword: str, value: object) -> str:
    hint = did_you_mean(keyword, KEYWORDS)
    return (
        f"load_scenario({keyword}={value!r}): there is no keyword {keyword!r}, known are "
        f"{', '.join(KEYWORDS)}; correct: {EXAMPLES['users']}{hint}"
    )


def _take(mark: MarkLike, keyword: str, read: Callable[[object], Value]) -> Value | None:
    """Return what one keyword says, None when it is not there."""
    if keyword not in mark.kwargs:
        return None
    value = mark.kwargs[keyword]
    try:
        return read(value)
    except ConfigError as error:
        example = EXAMPLES[keyword]
        raise ConfigError(f"load_scenario({keyword}={value!r}): {error}; correct: {example}") from None


def _data_file(asked: Asked, test: str) -> DataFile | None:
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


def _jmx(asked: Asked, test: str) -> Jmx | None:
    """Return the test plan, None without one; the profile of a plan's own load is not known here."""
    if asked.jmx is None:
        for keyword in _ONLY_WITH_JMX:
            if getattr(asked, keyword) is not None:
                raise ConfigError(
                    f"load_scenario({keyword}=…): it is for JMeter test plans; correct: "
                    f'jmx="plans/shop.jmx", {EXAMPLES[keyword]}'
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


def _merged(outer: Asked, inner: Asked) -> Asked:
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


def _turned_from(outer: Asked, inner: Asked) -> set[str]:
    """Return which inherited keywords have no meaning in the model that a mark turns to."""
    if inner.is_open and not outer.is_open:
        return {*_CLOSED_ONLY}
    if outer.is_open and (inner.users is not None or inner.user_stages):
        return {"rate", *_OPEN_ONLY}
    return set()


def _profile(asked: Asked, seed: int) -> Profile:
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


def _check_model(asked: Asked) -> None:
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
                f'there is none; correct: rate="200/s", {EXAMPLES[keyword]}'
            )


def _arrivals(asked: Asked, seed: int) -> Arrivals:
    rate, hold = asked.rate or 0.0, DEFAULT_HOLD if asked.hold is None else asked.hold
    return Arrivals(
        stages=asked.rate_stages or (RateStage(asked.ramp or 0.0, rate), RateStage(hold, rate)),
        process=asked.arrivals or "even",
        seed=seed,
        places_by_default=asked.max_users is None,
    )


def _plain(asked: Asked) -> tuple[Stage, ...]:
    """Return the plain curve; iterations without a hold last until every user has done them."""
    hold = asked.hold
    if hold is None:
        limited = asked.iterations is not None or asked.shared_iterations is not None
        hold = math.inf if limited else DEFAULT_HOLD
    return plain_stages(DEFAULT_USERS if asked.users is None else asked.users, asked.ramp or 0.0, hold)
