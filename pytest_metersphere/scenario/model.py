"""A load scenario as a value: one marked test and what was asked of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_metersphere.scenario.profile import Profile

DataEnd = Literal["cycle", "stop", "fail"]
"""What happens to users for whom a data file has no row: rows go round, they do not start, or nobody does."""


class DataFile(msgspec.Struct, frozen=True):
    """A file that has a row for each user.

    Attributes:
        name: as the mark names it, relative to the test's file.
        path: relative to the rootdir, with slashes, or absolute.
        end: what happens when there are fewer rows than users.
    """

    name: str
    path: str
    end: DataEnd = "cycle"


class Jmx(msgspec.Struct, frozen=True, kw_only=True):
    """The JMeter test plan that a scenario runs.

    Attributes:
        path: the file, relative to the rootdir, with slashes.
        properties: JMeter properties by name.
        hosts: addresses by host name, in place of what DNS says.
        own_users: the plan's own threads are run, as the mark says nothing of users.
        own_curve: its thread groups keep their ramps and durations, as the mark says nothing of them.
    """

    path: str
    properties: dict[str, str] = {}
    hosts: dict[str, str] = {}
    own_users: bool = False
    own_curve: bool = False


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One marked test.

    Attributes:
        nodeid: pytest's node id, with the parameter set in brackets.
        name: the test's name with the parameter set.
        path: the test's file, relative to the rootdir, with slashes.
        line: the test's line in it, from 1.
        profile: the load curve.
        think: shortest and longest pause between two iterations of a user, seconds.
        thresholds: texts of the thresholds, in the order test, module, command line, ini.
        is_async: the function is a coroutine function.
        pacing: seconds from one intended start of a user's iterations to the next, None to go by `think`.
        data: the file that has a row for each user, None without one.
        group: scenarios of the same group run at the same time; empty without one.
        jmx: the test plan that JMeter runs, None when the load is the test function.
    """

    nodeid: str
    name: str
    path: str
    line: int
    profile: Profile
    think: tuple[float, float] = (0.0, 0.0)
    thresholds: tuple[str, ...] = ()
    is_async: bool = True
    pacing: float | None = None
    data: DataFile | None = None
    group: str = ""
    jmx: Jmx | None = None

    @property
    def base_nodeid(self) -> str:
        """Return the node id without the parameter set."""
        return self.path + self.nodeid[len(self.path) :].split("[", 1)[0]
