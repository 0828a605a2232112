"""The tables that --ms-plan prints, read back."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_metersphere.units import parse_duration, parse_rate


@dataclasses.dataclass(frozen=True)
class Table:
    """The plan of one scenario: (seconds, users, users of each node) for every row, and the same of rates."""

    nodes: list[str]
    capacities: list[int]
    rows: list[tuple[float, int, list[int]]]
    rates: list[tuple[float, float, list[float]]] = dataclasses.field(default_factory=list)

    @property
    def peak(self) -> tuple[int, list[int]]:
        """Return the most users there are at once, and each node's share of them."""
        _, users, shares = max(self.rows, key=lambda row: row[1])
        return users, shares

    @property
    def times(self) -> list[float]:
        """Return the times of the rows, in seconds."""
        return [seconds for seconds, _, _ in self.rows]


def tables(result: pytest.RunResult) -> dict[str, Table]:
    """Return the plans by node id; the session must have ended well."""
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    found: dict[str, Table] = {}
    nodeid, of_rates = "", False
    for line in result.outlines:
        words = line.split()
        if "::" in line and len(words) == 1:
            nodeid = line
        elif words[:2] == ["time", "users"]:
            found[nodeid], of_rates = Table(words[2:], [], []), False
        elif words[:1] == ["capacity"]:
            found[nodeid].capacities.extend(map(int, words[1:]))
        elif words[:2] == ["time", "rate"]:
            of_rates = True
        elif nodeid in found and line.startswith("  ") and of_rates:
            found[nodeid].rates.append(_rate_row(words, len(found[nodeid].nodes)))
        elif nodeid in found and line.startswith("  "):
            moment, users, shares = _row(words, len(found[nodeid].nodes))
            found[nodeid].rows.append((moment, users, shares))
    assert found
    return found


def table(result: pytest.RunResult) -> Table:
    """Return the only plan."""
    (only,) = tables(result).values()
    return only


def _row(words: list[str], nodes: int) -> tuple[float, int, list[int]]:
    users, *shares = map(int, words[-nodes - 1 :])
    return parse_duration("".join(words[: -nodes - 1])), users, shares


def _rate_row(words: list[str], nodes: int) -> tuple[float, float, list[float]]:
    total, *shares = map(parse_rate, words[-nodes - 1 :])
    return parse_duration("".join(words[: -nodes - 1])), total, shares
