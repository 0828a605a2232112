"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.compare.figures import Spread, spread
from benchmarks.compare.goals import Finding, findings
from benchmarks.compare.results import (
    REFERENCES,
    WRK,
    Accuracy,
    Cost,
    ManyUsers,
    Measured,
    Memory,
    Results,
)

NONE = "-"
_BUSY_NEIGHBOURS = 0.05
_GIB = 2**30


def render(results: Results) -> str:
    """Return the whole page; `results.derive()` has been called."""
    pieces = [_head(results)]
    pieces += [_costs(course, costs) for course, costs in _by_course(results.costs).items()]
    pieces.append(_goals(findings(results)))
    if results.accuracies:
        pieces.append(_accuracies(results.accuracies, results.method))
    if results.memories:
        pieces.append(_memories(results.memories))
    if results.many is not None:
        pieces.append(_many(results.many))
    pieces.append(_remarks(results))
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _head(results: Results) -> str:
    machine = results.machine
    where = f"{machine['cores']} x {machine['processor']}, {machine['system']}, kernel {machine['kernel']}"
    lines = [f"# Benchmark, {machine['date']}", "", f"{where}, {machine['python']}."]
    lines += ["", str(results.method["text"])]
    return "\n".join(lines)


def _by_course(costs: Iterable[Cost]) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {}
    for cost in costs:
        found.setdefault(cost.course, []).append(cost)
    return found


def _costs(course: str, costs: Sequence[Cost]) -> str:
    titles = ["load generator", "CPU us/request", "lowest to highest", "n"]
    titles += ["x Locust Fast", "x k6", "x wrk", "requests/s", "server busy"]
    titles += ["s to first request", "s from last to end"]
    rows = []
    for cost in sorted(costs, key=lambda one: one.cpu.median if one.cpu else float("inf")):
        longs = [one.long for one in cost.kept]
        name = f"{cost.name} {cost.version}" if not cost.name.startswith("*") else cost.name
        rows.append(
            [
                name,
                _number(cost.cpu, 1e6, 1),
                _range(cost.cpu, 1e6, 1),
                str(len(cost.cpu.values)) if cost.cpu else "0",
                *(_number(cost.efficiency.get(reference), 1, 2) for reference in REFERENCES),
                _number(spread(one.rate for one in longs), 1, 0),
                _number(spread(one.server for one in longs), 100, 0, " %"),
                _number(spread(one.to_first for one in longs), 1, 2),
                _number(spread(one.after_last for one in longs), 1, 2),
            ]
        )
    return f"## {course}: what a request costs\n\n{_table(titles, rows)}"


def _goals(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    titles = ["load generator", "course", "beside", "goal", "found", ""]
    rows = [
        [
            one.goal.name,
            one.goal.course,
            one.goal.reference,
            f"{one.goal.factor:.1f} x",
            f"{one.found:.2f} x",
            "met" if one.met else "missed",
        ]
        for one in found
    ]
    return f"## Goals: how many times less CPU a request takes\n\n{_table(titles, rows)}"


def _accuracies(accuracies: Sequence[Accuracy], method: dict[str, str | int | float]) -> str:
    titles = ["load generator", "how", "requests/s", "true p50 ms", "added p50 ms", "true p99 ms"]
    titles += ["added p99 ms", "lowest to highest", "within 1 ms or 5 %"]
    rows = [
        [
            f"{one.name} {one.version}" if not one.name.startswith("*") else one.name,
            one.model,
            _number(spread(run.rate for run in one.runs), 1, 0),
            _number(spread(run.truth_p50 for run in one.runs), 1e3, 2),
            _number(one.added_p50, 1e3, 2, sign=True),
            _number(spread(run.truth_p99 for run in one.runs), 1e3, 2),
            _number(one.added_p99, 1e3, 2, sign=True),
            _range(one.added_p99, 1e3, 2),
            f"{one.close} of {len(one.runs)}",
        ]
        for one in accuracies
    ]
    title = f"## {method['fixed rate']} requests/s: what is added to the server's own times"
    return f"{title}\n\n{_table(titles, rows)}"


def _memories(memories: Iterable[Memory]) -> str:
    titles = ["load generator", "idle: KiB a user", "users per GiB", "busy: KiB a user", "users per GiB"]
    rows = []
    for memory in memories:
        cells = [memory.name]
        for per_user in (memory.idle_per_user, memory.active_per_user):
            cells += (
                [NONE, NONE] if per_user is None else [f"{per_user / 1024:.0f}", f"{_GIB / per_user:,.0f}"]
            )
        rows.append(cells)
    return f"## Memory that one more user takes\n\n{_table(titles, rows)}"


def _many(many: ManyUsers) -> str:
    per_thousand = many.memory / many.users * 1000 / 2**20
    times = ", ".join(
        f"{name} {value * 1e3:.1f} ms"
        for name, value in (("p50", many.p50), ("p99", many.p99))
        if value is not None
    )
    return (
        f"## {many.users:,} users that think {many.think:.0f} s, on all cores\n\n"
        f"Verdict: {many.verdict}. {per_thousand:.1f} MiB per 1,000 users ({many.memory / 2**20:.0f} MiB "
        f"of all its processes), {many.cpu:.2f} cores, {many.connections:,} connections, {many.requests:,} "
        f"requests seen by the server and {many.reported:,} reported{f'; {times}' if times else ''}."
    )


def _remarks(results: Results) -> str:
    """Return what a reader must know to believe the numbers, or not to."""
    lines = [f"- Not there: {name}: {reason}" for name, reason in results.missing.items()]
    lines += _headroom(results.costs)
    lines += _neighbours(results.costs)
    for cost in results.costs:
        lines += _cost_remarks(cost)
    rates = [(f"{one.name}, fixed rate", one.troubles) for one in results.accuracies]
    idle = [(f"{one.name}, idle users", one.troubles) for one in results.memories]
    for name, troubles in (*rates, *idle):
        lines += [f"- {name.replace('**', '')}: {trouble}" for trouble in dict.fromkeys(troubles)]
    if results.many_trouble:
        lines.append(f"- Many users: {results.many_trouble}")
    lines.append(f"- It took {results.seconds / 60:.1f} minutes.")
    return "## Remarks\n\n" + "\n".join(lines)


def _headroom(costs: Sequence[Cost]) -> list[str]:
    """Return how much more than the fastest load generator beside wrk the server can answer."""
    lines = []
    for course, those in _by_course(costs).items():
        rates = {cost.name: _fastest(cost) for cost in those if cost.kept}
        others = {name: rate for name, rate in rates.items() if name != WRK}
        if WRK in rates and others:
            name = max(others, key=lambda one: others[one])
            lines.append(
                f"- {course}: wrk had {rates[WRK]:,.0f} answers a second from the server, "
                f"{rates[WRK] / others[name]:.1f} times as many as the fastest other, {name.strip('*')}."
            )
    return lines


def _fastest(cost: Cost) -> float:
    return max(one.long.rate for one in cost.kept)


def _neighbours(costs: Sequence[Cost]) -> list[str]:
    seen = spread(one.long.others for cost in costs for one in cost.kept)
    if seen is None or seen.median < _BUSY_NEIGHBOURS:
        return []
    line = (
        f"- **Not a quiet machine**: other programs, or its host, took {seen.median:.2f} cores meanwhile "
        f"(median; {seen.lowest:.2f} to {seen.highest:.2f}). These figures are provisional."
    )
    return [line]


def _cost_remarks(cost: Cost) -> list[str]:
    name = f"{cost.name.strip('*')}, {cost.course}"
    lines = [f"- {name}: {trouble}" for trouble in dict.fromkeys(cost.troubles)]
    runs = [run for one in cost.kept for run in (one.short, one.long)]
    lines += [f"- {name}: {note}" for note in dict.fromkeys(run.note for run in runs if run.note)]
    failures = sum(run.failures for run in runs)
    if failures:
        lines.append(f"- {name}: {failures:,} failed requests.")
    off = max((_miscounted(run, cost.users) for run in runs), default=0.0)
    if off > 0.01:
        lines.append(f"- {name}: its own count is up to {off:.1%} off the server's.")
    return lines


def _miscounted(run: Measured, users: int) -> float:
    """Return the share of requests that it counted differently, but for those under way at the end."""
    return max(abs(run.reported - run.requests) - users, 0) / run.requests


def _number(found: Spread | None, factor: float, digits: int, unit: str = "", *, sign: bool = False) -> str:
    if found is None:
        return NONE
    return f"{found.median * factor:{'+' if sign else ''},.{digits}f}{unit}"


def _range(found: Spread | None, factor: float, digits: int) -> str:
    if found is None or len(found.values) < 2:
        return NONE
    return f"{found.lowest * factor:,.{digits}f} to {found.highest * factor:,.{digits}f}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
