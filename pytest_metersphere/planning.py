"""The plan of a run: which users of which scenarios live on which node, and which rows they have."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pytest_metersphere.dist.plan import (
    Plan,
    PlanRow,
    RateRow,
    make_plans,
    rate_timetable,
    timetable,
    timetable_at,
)
from pytest_metersphere.engine.datafile import read_rows
from pytest_metersphere.engine.jmeter.source import shares_of
from pytest_metersphere.engine.messages import Part
from pytest_metersphere.engine.rows import Rows
from pytest_metersphere.errors import CapacityError, ConfigError, PreflightError
from pytest_metersphere.reports.wording import plural
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.units import format_size

MAX_ROWS = 32 << 20
"""The most bytes of rows that one node is sent for a run."""


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """A scenario with the session's options applied, and who gets its users.

    Attributes:
        nodes: names, in the order of the pool.
        capacities: what they had free.
        plan: of the users that start: those without a row do not when the rows are to stop.
        rows: the rows of all its users, None without a data file.
        before: users of the run's scenarios before this one.
    """

    scenario: Scenario
    nodes: list[str]
    capacities: list[int]
    plan: Plan
    rows: Rows | None = None
    before: int = 0

    def timetable(self) -> list[PlanRow]:
        """Return the shares over time."""
        return timetable(self.plan, self.scenario.profile)

    def rates(self) -> list[RateRow]:
        """Return the nodes' shares of the arrivals over time, none in the closed model."""
        arrivals = self.scenario.profile.arrivals
        return [] if arrivals is None else rate_timetable(self.plan, arrivals)

    def shares(self) -> list[int]:
        """Return the users of each node at the peak."""
        return self.plan.shares(self.plan.users)

    def part_on(self, node: int, part: Part) -> Part:
        """Return the part of a scenario that runs on a node (its index)."""
        users = self.plan.users_of(node)
        rows = self.rows.only_of(users) if self.rows is not None else None
        return msgspec.structs.replace(
            part, scenario=self._with_its_start(), users=users, rows=rows, before=self.before
        )

    def _with_its_start(self) -> Scenario:
        """Return the scenario; what users have together falls on those of them that start."""
        profile = self.scenario.profile
        if profile.peak == self.plan.users:
            return self.scenario
        fewer = msgspec.structs.replace(profile, starting=self.plan.users)
        return msgspec.structs.replace(self.scenario, profile=fewer)

    def without_row(self) -> str:
        """Return in a sentence that users do not start because they have no row; empty when all do."""
        peak, started = self.scenario.profile.peak, self.plan.users
        if started == peak or self.scenario.data is None or self.rows is None:
            return ""
        has = plural(self.rows.length, "row")
        return (
            f"{peak - started} of {plural(peak, 'user')} have no row and do not start: "
            f'{self.scenario.data.name} has {has}, and data_end is "stop"'
        )

    def rows_note(self) -> str:
        """Return in a sentence that rows are missing, and what comes of it; empty when none are."""
        data, rows, peak = self.scenario.data, self.rows, self.scenario.profile.peak
        if data is None or rows is None or data.end == "cycle" or rows.users(peak) == peak:
            return ""
        return missing_rows(self.scenario, rows) if data.end == "fail" else self.without_row()


def plan_run(
    scenarios: Sequence[Scenario], names: list[str], capacities: list[int], root: Path
) -> list[Planned]:
    """Plan the scenarios of one run, options applied, on nodes with these names and free capacities.

    Raises:
        CapacityError: the users are more than the nodes carry.
        ConfigError: a data file cannot be read, or has no row for any user of a scenario.
    """
    rows = leased(scenarios, root)
    users = [_starting(scenario, row) for scenario, row in zip(scenarios, rows, strict=True)]
    try:
        plans = make_plans(capacities, users)
    except CapacityError as error:
        listed = ", ".join(f"{name} {capacity}" for name, capacity in zip(names, capacities, strict=True))
        raise CapacityError(f"{run_name(scenarios)}: {error} ({listed})") from None
    befores = itertools.accumulate(users, initial=0)
    return [
        Planned(scenario, names, capacities, plan, row, before)
        for scenario, plan, row, before in zip(scenarios, plans, rows, befores, strict=False)
    ]


def parts_by_node(planned: Sequence[Planned], parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Yield what each node has of a run, in the order of the pool; a node without users has empty parts."""
    first = planned[0]
    # a test plan runs by itself, so if there is one, it is the first
    shares = iter(shares_of(first.shares()) if first.scenario.jmx is not None else [])
    for node in range(len(first.nodes)):
        there = [each.part_on(node, part) for each, part in zip(planned, parts, strict=True)]
        share = next(shares, None) if there[0].users else None
        yield [msgspec.structs.replace(part, share=share) for part in there]


def run_name(scenarios: Sequence[Scenario]) -> str:
    """Return what messages call a run: its scenario, or its group with the scenarios and their users."""
    if len(scenarios) == 1:
        return scenarios[0].nodeid
    each = ", ".join(f"{scenario.name} {scenario.profile.peak}" for scenario in scenarios)
    return f"group {scenarios[0].group} ({each})"


def timetable_of_all(planned: Sequence[Planned]) -> list[PlanRow]:
    """Return the shares of all scenarios of a run together over time."""
    seconds = sorted({row.second for each in planned for row in each.timetable()})
    tables = [timetable_at(each.plan, each.scenario.profile, seconds) for each in planned]
    return [
        PlanRow(
            rows[0].second,
            sum(row.total for row in rows),
            tuple(map(sum, zip(*(row.shares for row in rows), strict=True))),
        )
        for rows in zip(*tables, strict=True)
    ]


def leased(scenarios: Sequence[Scenario], root: Path) -> list[Rows | None]:
    """Return the rows of each scenario's users, None without a data file.

    Scenarios of a run that name the same file share it: each row has one user of the run. Of a file no
    more rows are read than there are users.

    Raises:
        ConfigError: a data file cannot be read.
    """
    wanted: dict[Path, int] = {}
    firsts: list[int] = []
    paths = [root / scenario.data.path if scenario.data else None for scenario in scenarios]
    for scenario, path in zip(scenarios, paths, strict=True):
        firsts.append(wanted.get(path, 0) if path else 0)
        if path:
            wanted[path] = wanted.get(path, 0) + scenario.profile.peak
    names = {
        path: scenario.data.path for scenario, path in zip(scenarios, paths, strict=True) if scenario.data
    }
    found = {path: read_rows(path, names[path], most) for path, most in wanted.items()}
    return [
        msgspec.structs.replace(found[path], first=first) if path else None
        for path, first in zip(paths, firsts, strict=True)
    ]


def require_rows(scenarios: Sequence[Scenario], root: Path) -> None:
    """See that every user has a row where the mark asks for it.

    Raises:
        ConfigError: rows are missing (with `data_end="fail"`), or a data file cannot be read.
    """
    for scenario, rows in zip(scenarios, leased(scenarios, root), strict=True):
        peak = scenario.profile.peak
        if rows is None or scenario.data is None or scenario.data.end != "fail" or rows.users(peak) == peak:
            continue
        raise ConfigError(missing_rows(scenario, rows))


def missing_rows(scenario: Scenario, rows: Rows) -> str:
    """Return how many rows are missing, and what to do."""
    assert scenario.data is not None
    peak, enough = scenario.profile.peak, rows.users(scenario.profile.peak)
    before = f", {rows.first} of them for other scenarios of the group" if rows.first else ""
    fewer = f"ask for fewer users (--ms-users={enough}), " if enough else ""
    return (
        f"{scenario.data.name} has {plural(rows.length, 'row')}{before}, so {peak - enough} of "
        f'{plural(peak, "user")} would have none, and data_end is "fail": add rows, {fewer}or let rows be '
        'used again with data_end="cycle"'
    )


def require_size(node: str, parts: Sequence[Part]) -> None:
    """See that the rows for a node are not too large.

    Raises:
        PreflightError: they are larger than MAX_ROWS.
    """
    size = sum(part.rows.size for part in parts if part.rows is not None)
    if size > MAX_ROWS:
        users = sum(len(part.users) for part in parts)
        raise PreflightError(
            f"node {node}: the rows of its {plural(users, 'user')} take {format_size(size)}, at most "
            f"{format_size(MAX_ROWS)} are allowed; leave out columns that the scenario does not need, or "
            "use more nodes"
        )


def _starting(scenario: Scenario, rows: Rows | None) -> int:
    """Return how many users of a scenario start.

    Raises:
        ConfigError: not one of them.
    """
    peak = scenario.profile.peak
    if rows is None or scenario.data is None or scenario.data.end != "stop":
        return peak
    users = rows.users(peak)
    if not users:
        raise ConfigError(
            f"{scenario.nodeid}: {scenario.data.name} has {plural(rows.length, 'row')}, all of them for "
            "other scenarios of the group, so no user of this one would start; add rows"
        )
    return users
