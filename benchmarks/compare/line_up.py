"""Who takes part, in what, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.compare.clock import Clock
from benchmarks.compare.results import K6, LOCUST, WRK, Memory, Results
from benchmarks.compare.rivals.aiohttp_bare import AiohttpBare
from benchmarks.compare.rivals.artillery import Artillery
from benchmarks.compare.rivals.autocannon import Autocannon
from benchmarks.compare.rivals.base import Load, MissingPart, Rival
from benchmarks.compare.rivals.jmeter import Jmeter
from benchmarks.compare.rivals.k6 import GrafanaK6
from benchmarks.compare.rivals.locust import Locust
from benchmarks.compare.rivals.ours import Ours, knows_rates
from benchmarks.compare.rivals.vegeta import Vegeta
from benchmarks.compare.rivals.wrk import Wrk
from benchmarks.compare.sections.base import Cores, Task
from benchmarks.compare.sections.cost import CostTask, Course
from benchmarks.compare.sections.fixed_rate import RATE, USERS, FixedRateTask
from benchmarks.compare.sections.many_users import ManyUsersTask
from benchmarks.compare.sections.memory import IdleTask
from benchmarks.compare.server import Server

_SLOW_STARTERS = 3
"""Repetitions of those that take long to start and cost so much that two more would say nothing new."""

_ASYNC, _DEF, _ASSERTS = "async def", "def", "async def, asserts"
_RIVALS: tuple[Callable[[], Rival], ...] = (
    Wrk,
    GrafanaK6,
    lambda: Locust("FastHttpUser"),
    Vegeta,
    AiohttpBare,
    Autocannon,
    lambda: Locust("HttpUser"),
    Jmeter,
    Artillery,
)
_FEWER = ("Locust HttpUser", "JMeter", "Artillery")
_WITH_TLS = (WRK, K6)
_THOUSANDS = (WRK, K6, LOCUST)
_IDLE = (LOCUST, K6, "JMeter", "aiohttp, bare loop")
_MODELS = {
    LOCUST: "constant_throughput",
    K6: "arrival rate",
    "vegeta": "arrival rate",
    "autocannon": "overall rate",
    "aiohttp, bare loop": "users with a period",
    "JMeter": "throughput timer",
}


class LineUp:
    """The load generators that are there, and what is measured of them.

    Attributes:
        missing: why something does not take part, by name.
    """

    def __init__(self, only: Sequence[str], makers: Iterable[Callable[[], Rival]] = _RIVALS) -> None:
        """Take parts of names (without any, all take part), and what makes the others."""
        self.missing: dict[str, str] = {}
        self._only = only
        self._versions: dict[str, str] = {}
        self._rivals = [rival for rival in (make() for make in makers) if self._wanted(rival.name)]
        self._costs: list[CostTask] = []
        self._rates: list[FixedRateTask] = []
        self._idle: list[IdleTask] = []
        self._many: list[ManyUsersTask] = []

    def _wanted(self, name: str) -> bool:
        return not self._only or any(part.lower() in name.lower() for part in self._only)

    def install(self, cache: Path) -> None:
        """Install all of them; who cannot be had is missing, and the others go on."""
        cache.mkdir(parents=True, exist_ok=True)
        there = []
        for rival in self._rivals:
            try:
                self._versions[rival.name] = rival.install(cache)
                there.append(rival)
            except (MissingPart, OSError) as reason:
                self.missing[rival.name] = " ".join(str(reason).split())
        self._rivals = there

    def tasks(
        self, target: Server, clock: Clock, nginx: str, kafka: str, cores: Cores, repetitions: int
    ) -> list[Task]:
        """Return what is to be measured, in the order of one repetition."""
        hundred = Course("100 users", target.url, 100)
        tls = Course("100 users over TLS", target.tls_url, 100)
        thousand = Course("1,000 users", target.url, 1000, settles=2)
        ours = [Ours(_ASYNC), Ours(_DEF), Ours(_ASSERTS)]
        if kafka:
            ours.append(Ours(_ASYNC, kafka=kafka))
        self._add_costs([*ours, *self._rivals], hundred, target, cores, repetitions)
        verifying = Ours(_ASYNC, authority=target.authority)
        self._add_costs([verifying, *self._named(_WITH_TLS)], tls, target, cores, repetitions)
        self._add_costs([*ours[:2], *self._named(_THOUSANDS)], thousand, target, cores, repetitions)
        self._add_rates([ours[0], *self._named(_MODELS)], clock, cores, repetitions)
        idle = [one for one in (*ours[:2], *self._named(_IDLE)) if self._wanted(one.name)]
        self._idle = [IdleTask(rival, target, cores) for rival in idle]
        if self._wanted(ours[0].name):
            self._many = [ManyUsersTask(ours[0], nginx, cores)]
        return [*self._costs, *self._rates, *self._idle, *self._many]

    def _named(self, names: Iterable[str]) -> list[Rival]:
        return [rival for rival in self._rivals if rival.name in names]

    def _add_costs(
        self, rivals: Iterable[Rival], course: Course, target: Server, cores: Cores, repetitions: int
    ) -> None:
        for rival in rivals:
            load = Load(url=course.url, users=course.users, seconds=1)
            if self._wanted(rival.name) and not rival.refusal(load):
                version = self._versions.get(rival.name, "")
                times = min(repetitions, _SLOW_STARTERS) if rival.name in _FEWER else repetitions
                self._costs.append(CostTask(rival, version, course, target, cores, times))

    def _add_rates(self, rivals: Iterable[Rival], clock: Clock, cores: Cores, repetitions: int) -> None:
        ours = "arrival rate" if knows_rates() else "users that pause"
        for rival in rivals:
            load = Load(url=clock.url, users=USERS, seconds=1, rate=RATE)
            if self._wanted(rival.name) and not rival.refusal(load):
                model, version = _MODELS.get(rival.name, ours), self._versions.get(rival.name, "")
                times = min(repetitions, _SLOW_STARTERS)
                self._rates.append(FixedRateTask(rival, version, model, clock, cores, times))

    def collect(self, results: Results) -> None:
        """Put what was measured into the results."""
        results.missing = self.missing
        results.costs = [task.cost for task in self._costs]
        results.accuracies = [task.accuracy for task in self._rates]
        results.memories = [task.memory for task in self._idle]
        known = {memory.name for memory in results.memories}
        busy = dict.fromkeys(cost.name for cost in results.costs if cost.users == 1000)
        results.memories += [Memory(name) for name in busy if name not in known]
        for task in self._many:
            results.many, results.many_trouble = task.found, task.trouble
