"""What was measured, as the JSON file has it: every repetition, and what the tables make of them."""

from __future__ import annotations

import dataclasses

from benchmarks.compare.figures import Point, Spread, close_enough, ratios, slope, spread

LOCUST, K6, WRK = "Locust FastHttpUser", "k6", "wrk"
REFERENCES = (LOCUST, K6, WRK)
"""Whose cost the others' is compared with."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run of one load generator.

    Attributes:
        requests: as the server counted them.
        reported: as the load generator says.
        cpu: CPU seconds of its whole tree of processes.
        seconds: from its start to its end.
        to_first, after_last: seconds from its start to the first request, from the last request to its end.
        server: share of its core that the server used between first and last request.
        others: cores that neither it nor the server nor this program used, on average.
        memory: bytes that it held in the middle of the run, 0 when it was not looked at.
        note: its own verdict when it is not `passed`.
    """

    requests: int
    reported: int
    failures: int
    connections: int
    cpu: float
    seconds: float
    to_first: float
    after_last: float
    rate: float
    server: float
    others: float
    memory: int
    note: str


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two lengths of the same run; the CPU seconds of a request are the slope between them."""

    short: Measured
    long: Measured
    cpu_per_request: float | None


def pair(short: Measured, long: Measured) -> Pair:
    """Return the pair with its slope."""
    points = (Point(one.requests, one.cpu) for one in (short, long))
    return Pair(short, long, slope(*points))


@dataclasses.dataclass
class Cost:
    """What a request costs a load generator on one course.

    Attributes:
        course: users and scheme, "100 users".
        pairs: one for each repetition, None where it was not measured or failed.
        efficiency: by reference on the same course: how many times less CPU a request takes here.
        troubles: what went wrong.
    """

    name: str
    version: str
    course: str
    users: int
    pairs: list[Pair | None] = dataclasses.field(default_factory=list)
    troubles: list[str] = dataclasses.field(default_factory=list)
    cpu: Spread | None = None
    efficiency: dict[str, Spread] = dataclasses.field(default_factory=dict)

    @property
    def kept(self) -> list[Pair]:
        """Return the repetitions that came to a result."""
        return [one for one in self.pairs if one is not None]

    @property
    def per_request(self) -> list[float | None]:
        """Return the CPU seconds of a request, repetition by repetition."""
        return [None if one is None else one.cpu_per_request for one in self.pairs]


@dataclasses.dataclass(frozen=True)
class Latency:
    """One run at a fixed rate: what was reported, and the truth (server's clock plus network), in seconds."""

    rate: float
    truth_p50: float
    truth_p99: float
    reported_p50: float
    reported_p99: float
    note: str

    @property
    def added_p50(self) -> float:
        """Return what the load generator reports beyond the truth."""
        return self.reported_p50 - self.truth_p50

    @property
    def added_p99(self) -> float:
        """Return the same of the 99th percentile."""
        return self.reported_p99 - self.truth_p99


@dataclasses.dataclass
class Accuracy:
    """How a load generator's times compare with the truth at a fixed rate; `model`: how it keeps the rate."""

    name: str
    version: str
    model: str
    runs: list[Latency] = dataclasses.field(default_factory=list)
    troubles: list[str] = dataclasses.field(default_factory=list)
    added_p50: Spread | None = None
    added_p99: Spread | None = None
    close: int = 0


@dataclasses.dataclass
class Memory:
    """Bytes that the tree of processes held for some numbers of users, each with a kept connection.

    Attributes:
        idle: users that had sent one request and wait.
        active: users that never pause.
    """

    name: str
    idle: dict[int, int] = dataclasses.field(default_factory=dict)
    active: dict[int, int] = dataclasses.field(default_factory=dict)
    troubles: list[str] = dataclasses.field(default_factory=list)
    idle_per_user: float | None = None
    active_per_user: float | None = None


@dataclasses.dataclass
class ManyUsers:
    """One run of this engine with many users that think, on all cores of the machine.

    Attributes:
        memory: bytes of all its processes at the end of the run.
        cpu: cores that it used, on average.
        verdict: `passed`, or its verdict with the reasons.
    """

    users: int
    think: float
    memory: int
    requests: int
    reported: int
    connections: int
    cpu: float
    p50: float | None
    p99: float | None
    verdict: str


@dataclasses.dataclass
class Results:
    """Everything that one run of the comparison found."""

    machine: dict[str, str | int]
    method: dict[str, str | int | float]
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    costs: list[Cost] = dataclasses.field(default_factory=list)
    accuracies: list[Accuracy] = dataclasses.field(default_factory=list)
    memories: list[Memory] = dataclasses.field(default_factory=list)
    many: ManyUsers | None = None
    many_trouble: str = ""
    seconds: float = 0.0
    schema: str = "pytest-metersphere/benchmark/1"

    def derive(self) -> None:
        """Fill in medians, ratios and costs of a user from the single values."""
        for cost in self.costs:
            cost.cpu = spread(value for value in cost.per_request if value is not None)
            for other in self.costs:
                if other.course == cost.course and other.name in REFERENCES and other is not cost:
                    found = ratios(other.per_request, cost.per_request)
                    if found is not None:
                        cost.efficiency[other.name] = found
        for accuracy in self.accuracies:
            accuracy.added_p50 = spread(run.added_p50 for run in accuracy.runs)
            accuracy.added_p99 = spread(run.added_p99 for run in accuracy.runs)
            accuracy.close = sum(close_enough(run.reported_p99, run.truth_p99) for run in accuracy.runs)
        for memory in self.memories:
            memory.active = self._active(memory.name)
            memory.idle_per_user = _per_user(memory.idle)
            memory.active_per_user = _per_user(memory.active)

    def _active(self, name: str) -> dict[int, int]:
        """Return what was held in the middle of the runs that never pause: medians, by number of users."""
        found = {}
        for cost in self.costs:
            held = spread(one.long.memory for one in cost.kept if one.long.memory)
            if cost.name == name and held is not None and "TLS" not in cost.course:
                found[cost.users] = int(held.median)
        return found

    def cost_of(self, name: str, course: str) -> Cost | None:
        """Return one row."""
        return next((cost for cost in self.costs if (cost.name, cost.course) == (name, course)), None)


def _per_user(held: dict[int, int]) -> float | None:
    """Return the bytes that one more user takes."""
    if len(held) < 2:
        return None
    few, many = min(held), max(held)
    return slope(Point(few, held[few]), Point(many, held[many]))
