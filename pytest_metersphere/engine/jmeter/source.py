"""From a scenario to its test plan: the file read, its load known, its slices divided and written."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pytest_metersphere.engine.jmeter.document import MAX_SIZE, JmxError
from pytest_metersphere.engine.jmeter.groups import Curve
from pytest_metersphere.engine.jmeter.plan import Divided, JmxPlan
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.model import Jmx, Scenario
from pytest_metersphere.scenario.profile import Profile, Stage
from pytest_metersphere.units import format_duration

MAX_DATA = 50 << 20
"""The largest file that a plan reads, bytes: no more fits into a bundle."""


def with_plan(scenario: Scenario, root: Path) -> Scenario:
    """Return a scenario with the load that its test plan asks for, where its mark says nothing.

    Args:
        scenario: its mark names a test plan.
        root: the rootdir.

    Raises:
        ConfigError: the plan is not there, is none, or cannot be divided.
    """
    jmx = _jmx(scenario)
    plan = read_plan(scenario, root)
    profile = scenario.profile
    users = plan.threads if jmx.own_users else profile.peak
    if jmx.own_curve:
        profile = _own_profile(profile, plan, users, jmx.path)
    elif jmx.own_users:
        stages = tuple(Stage(stage.duration, users) for stage in profile.stages)
        profile = msgspec.structs.replace(profile, stages=stages)
    if profile.warmup >= profile.duration:
        raise ConfigError(
            f"the warmup of {format_duration(profile.warmup)} takes all of the load's "
            f"{format_duration(profile.duration)}; give a shorter warmup or a longer hold"
        )
    return msgspec.structs.replace(scenario, profile=profile)


def _own_profile(profile: Profile, plan: JmxPlan, users: int, path: str) -> Profile:
    try:
        span = plan.span()
    except JmxError as error:
        raise ConfigError(f"{path}: {error}") from None
    if span.end is None:
        stages = (Stage(span.ramp, users), Stage(math.inf, users))
        return msgspec.structs.replace(profile, stages=stages, iterations=span.loops)
    if not span.end:
        raise ConfigError(f'{path}: the test plan lasts 0 s by itself; give hold="30s"')
    ramp = min(span.ramp, span.end)
    return msgspec.structs.replace(profile, stages=(Stage(ramp, users), Stage(span.end - ramp, users)))


def read_plan(scenario: Scenario, root: Path) -> JmxPlan:
    """Return the test plan of a scenario (ConfigError when it is not there, or is none)."""
    jmx = _jmx(scenario)
    data = _read(root / jmx.path, jmx.path, MAX_SIZE)
    try:
        return JmxPlan(data, jmx.properties, jmx.hosts)
    except JmxError as error:
        raise ConfigError(f"{jmx.path}: {error}") from None


def files_of(scenario: Scenario, root: Path) -> list[Path]:
    """Return the test plan and the files that it reads, all below the rootdir.

    Raises:
        ConfigError: one is not there or lies outside.
    """
    jmx = _jmx(scenario)
    plan = read_plan(scenario, root)
    try:
        names = plan.files()
    except JmxError as error:
        raise ConfigError(f"{jmx.path}: {error}") from None
    folder = (root / jmx.path).parent
    found = [Path(os.path.normpath(folder / name)) for name in names]
    for name, path in zip(names, found, strict=True):
        if not path.is_relative_to(root) or not path.is_file():
            raise ConfigError(
                f"{jmx.path}: it reads {name!r}, and {path} is no file below the rootdir {root}; names are "
                "relative to the plan's folder"
            )
    return [root / jmx.path, *found]


def curve_of(scenario: Scenario) -> Curve | None:
    """Return the curve that the thread groups follow, None for their own."""
    if _jmx(scenario).own_curve:
        return None
    profile = scenario.profile
    ramp, hold = profile.stages[0].duration, profile.stages[-1].duration
    return Curve(ramp, hold, profile.iterations)


def shares_of(slices: Sequence[int]) -> list[Share]:
    """Return each node's share, from their numbers of users in order; nodes without users have none."""
    some = [users for users in slices if users]
    total = sum(some)
    befores = itertools.accumulate(some, initial=0)
    return [
        Share(users=users, before=before, total=total, node=node, nodes=len(some))
        for node, (users, before) in enumerate(zip(some, befores, strict=False))
    ]


def divided_for(scenario: Scenario, share: Share, root: Path) -> Divided:
    """Return what a node with a share runs (ConfigError names the plan, the element and its line)."""
    jmx = _jmx(scenario)
    plan = read_plan(scenario, root)
    folder = (root / jmx.path).parent
    try:
        return plan.divided(share, curve_of(scenario), lambda name: _read(folder / name, name, MAX_DATA))
    except JmxError as error:
        raise ConfigError(f"{jmx.path}: {error}") from None


def write_divided(divided: Divided, plan: Path) -> Path:
    """Write what one JMeter runs beside the plan, whose folder is ours alone; return the new plan."""
    for name, data in divided.files.items():
        (plan.parent / name).write_bytes(data)
    path = plan.with_name(f"{plan.stem}.ms-slice.jmx")
    path.write_bytes(divided.plan)
    return path


def _read(path: Path, name: str, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise JmxError(f"{name!r} cannot be read: {error.strerror or error}") from None
    if len(data) > limit:
        raise JmxError(f"{name!r} is larger than {limit} bytes")
    return data


def _jmx(scenario: Scenario) -> Jmx:
    assert scenario.jmx is not None, "only of a scenario with a test plan"
    return scenario.jmx
