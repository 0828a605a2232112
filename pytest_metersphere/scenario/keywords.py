"""The keywords of `load_scenario`: what they are for, and what they may hold."""

from __future__ import annotations

import msgspec

from pytest_metersphere.scenario.arrivals import LEAST_MAX_USERS, Process, RateStage
from pytest_metersphere.scenario.jmeter import Table
from pytest_metersphere.scenario.model import DataEnd
from pytest_metersphere.scenario.profile import DEFAULT_HOLD, DEFAULT_USERS, Stage


class Asked(msgspec.Struct, frozen=True, kw_only=True):
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


KEYWORDS = Asked.__struct_fields__
"""The keywords of `load_scenario`."""

EXAMPLES = {
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
"""What each keyword may say, for messages."""

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
