"""The Markdown page says what was measured, and what a reader must know to believe it."""

from __future__ import annotations

import dataclasses
import json

from benchmarks.compare.results import (
    Accuracy,
    Cost,
    Latency,
    ManyUsers,
    Measured,
    Memory,
    Pair,
    Results,
    pair,
)
from benchmarks.compare.table import render

_METHOD: dict[str, str | int | float] = {"text": "How it was measured.", "fixed rate": 2000}
_MACHINE: dict[str, str | int] = {
    "date": "2026-11-26T10:00:00+00:00",
    "processor": "Example CPU",
    "cores": 2,
    "system": "Debian",
    "kernel": "6.1",
    "python": "CPython 3.11",
}


def _run(requests: int, cpu: float, **changes: object) -> Measured:
    usual = Measured(
        requests=requests,
        reported=requests,
        failures=0,
        connections=100,
        cpu=cpu,
        seconds=5.0,
        to_first=1.25,
        after_last=0.5,
        rate=requests / 4.0,
        server=0.5,
        others=0.0,
        memory=0,
        note="",
    )
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def _pair(each: float, requests: int = 40_000, start: float = 1.0, **changes: object) -> Pair:
    """Return two runs of a load generator for which a request costs `each` CPU seconds."""
    short = requests // 4
    return pair(_run(short, start + each * short), _run(requests, start + each * requests, **changes))


def _cost(name: str, *pairs: Pair | None, course: str = "100 users", users: int = 100) -> Cost:
    version = "" if name.startswith("*") else "1.0"
    return Cost(name, version, course, users, list(pairs))


def _page(**parts: object) -> str:
    results = Results(machine=_MACHINE, method=_METHOD, seconds=600.0, **parts)  # type: ignore[arg-type]
    results.derive()
    return render(results)


def _row(page: str, name: str) -> list[str]:
    """Return the cells of the first row of a name."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_cost_range_ratios_and_times() -> None:
    """Microseconds of a request with their range, and how many times less that is than the references'."""
    ours = _cost("**def**", _pair(20e-6), _pair(24e-6), _pair(22e-6))
    locust = _cost("Locust FastHttpUser", _pair(160e-6), _pair(192e-6), _pair(176e-6))
    wrk = _cost("wrk", _pair(10e-6), _pair(12e-6), _pair(11e-6))

    row = _row(_page(costs=[ours, locust, wrk]), "**def**")

    assert row == [
        "**def**",
        "22.0",
        "20.0 to 24.0",
        "3",
        "8.00",
        "-",
        "0.50",
        "10,000",
        "50 %",
        "1.25",
        "0.50",
    ]


def test_rows_stand_in_the_order_of_their_cost() -> None:
    """The cheapest comes first; who came to no result stands last, and why is said below."""
    broken = _cost("k6", None)
    broken.troubles.append("it crashed")
    page = _page(costs=[broken, _cost("slow", _pair(2e-4)), _cost("quick", _pair(1e-5))])
    names = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]

    assert names[2:] == ["quick 1.0", "slow 1.0", "k6 1.0"]
    assert "- k6, 100 users: it crashed" in page


def test_courses_are_compared_apart() -> None:
    """Over TLS the reference is the one over TLS."""
    plain = _cost("wrk", _pair(10e-6))
    tls = [
        _cost("**def**", _pair(40e-6), course="100 users over TLS"),
        _cost("wrk", _pair(20e-6), course="100 users over TLS"),
    ]

    page = _page(costs=[plain, *tls])

    assert "## 100 users: what a request costs" in page
    assert "## 100 users over TLS: what a request costs" in page
    assert _row(page, "**def**")[6] == "0.50"


def test_goals_are_held_against_the_medians() -> None:
    """Each goal for which both sides were measured is met or missed; the others are left out."""
    costs = [
        _cost("**async def**", _pair(20e-6)),
        _cost("Locust FastHttpUser", _pair(160e-6)),
        _cost("wrk", _pair(8e-6)),
    ]

    page = _page(costs=costs)

    assert "| **async def** | 100 users | Locust FastHttpUser | 7.0 x | 8.00 x | met |" in page
    assert "| **async def** | 100 users | wrk | 0.5 x | 0.40 x | missed |" in page
    assert page.count(" | met |") + page.count(" | missed |") == 2


def test_who_is_missing_is_named_with_the_reason() -> None:
    """A load generator that could not be installed is not left out in silence."""
    assert "- Not there: k6: go is not there" in _page(missing={"k6": "go is not there"})


def test_a_busy_machine_is_admitted() -> None:
    """When other programs used the cores meanwhile, the page says so."""
    busy = _page(costs=[_cost("wrk", _pair(1e-5, others=0.4))])
    quiet = _page(costs=[_cost("wrk", _pair(1e-5, others=0.01))])

    assert "Not a quiet machine" in busy
    assert "took 0.40 cores" in busy
    assert "Not a quiet machine" not in quiet


def test_the_servers_headroom_is_told() -> None:
    """How many times the fastest other's rate wrk had from the server is printed for each course."""
    page = _page(costs=[_cost("wrk", _pair(1e-5, 80_000)), _cost("k6", _pair(1e-4, 20_000))])

    assert (
        "wrk had 20,000 answers a second from the server, 4.0 times as many as the fastest other, k6." in page
    )


def test_failures_wrong_counts_and_verdicts_are_remarked_on() -> None:
    """What makes a row doubtful stands below the tables."""
    doubtful = _pair(1e-5, 40_000, reported=36_000, failures=7, note="invalid: too late")
    page = _page(costs=[_cost("**def**", doubtful)])

    assert "- def, 100 users: 7 failed requests." in page
    assert "- def, 100 users: its own count is up to 9.8% off the server's." in page
    assert "- def, 100 users: invalid: too late" in page


def test_the_fixed_rate_shows_what_is_added_to_the_truth() -> None:
    """Medians of truth and of what is added to it, with a sign, and how often it was close enough."""
    runs = [
        Latency(1990.0, 0.005, 0.025, 0.0052, 0.0256, ""),
        Latency(2000.0, 0.005, 0.025, 0.0054, 0.0290, ""),
        Latency(2000.0, 0.005, 0.025, 0.0049, 0.0248, ""),
    ]
    page = _page(accuracies=[Accuracy("k6", "1.0", "arrival rate", runs)])

    assert _row(page, "k6 1.0") == [
        "k6 1.0",
        "arrival rate",
        "2,000",
        "5.00",
        "+0.20",
        "25.00",
        "+0.60",
        "-0.20 to 4.00",
        "2 of 3",
    ]


def test_memory_is_that_of_one_more_user() -> None:
    """What the program holds without users is taken out; busy users come from the runs that never pause."""
    mib = 2**20
    hundred = _cost("k6", _pair(1e-4, memory=60 * mib))
    thousand = _cost("k6", _pair(1e-4, memory=150 * mib), course="1,000 users", users=1000)
    page = _page(
        costs=[hundred, thousand],
        memories=[Memory("k6", idle={100: 50 * mib, 1100: 50 * mib + 1000 * 65_536})],
    )

    assert _row(page, "k6")[1:] == ["64", "16,384", "102", "10,240"]


def test_many_users_show_memory_of_a_thousand() -> None:
    """Verdict, memory per 1,000 users, and both counts of the requests."""
    many = ManyUsers(20_000, 10.0, 400 * 2**20, 59_000, 58_990, 20_000, 0.8, 0.001, 0.02, "passed")

    page = _page(many=many)

    assert "## 20,000 users that think 10 s" in page
    assert "Verdict: passed. 20.0 MiB per 1,000 users (400 MiB of all its processes)" in page
    assert "59,000 requests seen by the server and 58,990 reported; p50 1.0 ms, p99 20.0 ms." in page


def test_the_json_holds_every_repetition() -> None:
    """Values, median, range and ratios can be read by a program."""
    costs = [_cost("**def**", _pair(20e-6), None, _pair(22e-6)), _cost("wrk", _pair(10e-6), _pair(9e-6))]
    results = Results(machine=_MACHINE, method=_METHOD, costs=costs)
    results.derive()

    read = json.loads(json.dumps(dataclasses.asdict(results)))

    ours = read["costs"][0]
    assert read["schema"] == "pytest-metersphere/benchmark/1"
    assert [one and round(one["cpu_per_request"] * 1e6) for one in ours["pairs"]] == [20, None, 22]
    assert round(ours["cpu"]["median"] * 1e6) == 21
    assert len(ours["efficiency"]["wrk"]["values"]) == 1
