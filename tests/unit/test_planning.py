"""The plan of a run: users, nodes and rows of all its scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_metersphere.dist.plan import PlanRow
from pytest_metersphere.engine.messages import Part
from pytest_metersphere.engine.rows import Rows
from pytest_metersphere.errors import CapacityError, ConfigError, PreflightError
from pytest_metersphere.planning import (
    MAX_ROWS,
    Planned,
    leased,
    plan_run,
    require_rows,
    require_size,
    timetable_of_all,
)
from pytest_metersphere.scenario.model import DataEnd, DataFile, Scenario
from pytest_metersphere.scenario.profile import Profile, Stage


def asked(
    name: str, users: int, data: str = "", end: DataEnd = "cycle", stages: tuple[Stage, ...] = ()
) -> Scenario:
    """Return a scenario of a group, with a data file or none."""
    return Scenario(
        nodeid=f"test_x.py::{name}",
        name=name,
        path="test_x.py",
        line=1,
        profile=Profile(stages=stages or (Stage(0.0, users), Stage(10.0, users))),
        data=DataFile(data, data, end) if data else None,
        group="peak",
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with two tables, of five and of two rows."""
    (tmp_path / "five.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(1, 6)))
    (tmp_path / "two.csv").write_text("n\na\nb\n")
    return tmp_path


def rows_of(planned: Planned) -> list[str]:
    """Return the row of each user that starts, from all nodes."""
    part = Part(scenario=planned.scenario, users=[])
    parts = [planned.part_on(node, part) for node in range(len(planned.nodes))]
    found = {user: of.rows.of(user)["n"] for of in parts if of.rows is not None for user in of.users}
    return [found[user] for user in sorted(found)]


def test_scenarios_that_name_the_same_file_share_its_rows(root: Path) -> None:
    """The second's users have the rows behind those of the first, another file begins at its begin."""
    run = [asked("a", 2, "five.csv"), asked("b", 2, "two.csv"), asked("c", 3, "./five.csv"), asked("d", 1)]

    planned = plan_run(run, ["n1", "n2"], [5, 5], root)

    assert [rows_of(each) for each in planned] == [["1", "2"], ["a", "b"], ["3", "4", "5"], []]
    assert [each.before for each in planned] == [0, 2, 4, 7]


def test_rows_that_go_round_go_round_for_all_of_them(root: Path) -> None:
    """Nobody gets a row twice before everybody had one."""
    planned = plan_run([asked("a", 3, "five.csv"), asked("b", 4, "five.csv")], ["n1"], [9], root)

    assert [rows_of(each) for each in planned] == [["1", "2", "3"], ["4", "5", "1", "2"]]


def test_users_behind_the_last_row_are_not_planned(root: Path) -> None:
    """They need no capacity, and the next scenario's users are numbered behind those that start."""
    run = [asked("a", 9, "two.csv", "stop"), asked("b", 1)]

    stopped, other = plan_run(run, ["n1"], [3], root)

    assert (stopped.plan.users, stopped.shares(), other.before) == (2, [2], 2)
    assert stopped.timetable() == [PlanRow(0.0, 2, (2,)), PlanRow(10.0, 2, (2,))]
    assert stopped.without_row() == (
        '7 of 9 users have no row and do not start: two.csv has 2 rows, and data_end is "stop"'
    )
    assert other.without_row() == ""


def test_a_scenario_of_which_nobody_would_start_is_refused(root: Path) -> None:
    """Others of the group have all the rows."""
    with pytest.raises(ConfigError, match=r"test_x\.py::b: two\.csv has 2 rows, all of them for other"):
        plan_run([asked("a", 2, "two.csv"), asked("b", 1, "two.csv", "stop")], ["n1"], [9], root)


def test_missing_rows_are_counted_behind_those_of_others(root: Path) -> None:
    """With data_end="fail", and only then."""
    others = asked("a", 4, "five.csv")
    require_rows([others, asked("b", 1, "five.csv", "fail")], root)
    require_rows([others, asked("b", 9, "five.csv", "stop")], root)

    with pytest.raises(ConfigError) as caught:
        require_rows([others, asked("b", 3, "five.csv", "fail")], root)

    assert str(caught.value).startswith(
        "five.csv has 5 rows, 4 of them for other scenarios of the group, so 2 of 3 users would have none"
    )


def test_no_more_rows_are_read_than_there_are_users(root: Path) -> None:
    """However long the file is."""
    (rows,) = leased([asked("a", 2, "five.csv")], root)

    assert rows is not None
    assert sorted(rows.rows) == [0, 1]


def test_the_rows_of_a_node_have_a_limit() -> None:
    """Of all scenarios together; the message says what to do."""
    half = Rows(names=None, length=1, rows={0: b"x" * (MAX_ROWS // 2)})
    part = Part(scenario=asked("a", 1), users=[1], rows=half)
    require_size("n1", [part, part])

    over = Part(scenario=asked("b", 1), users=[1], rows=Rows(names=None, length=1, rows={0: b"x"}))
    with pytest.raises(PreflightError, match="node n1: the rows of its 3 users take 32 MiB, at most 32 MiB"):
        require_size("n1", [part, part, over])


def test_a_group_that_does_not_fit_is_named_with_its_scenarios(root: Path) -> None:
    """Whose users are too many is to be seen."""
    with pytest.raises(CapacityError) as caught:
        plan_run([asked("a", 2), asked("b", 3)], ["n1", "n2"], [2, 2], root)

    assert str(caught.value).startswith(
        "group peak (a 2, b 3): 5 users are asked for, but the pool has room for 4"
    )
    assert str(caught.value).endswith("(n1 2, n2 2)")


def test_the_timetable_of_a_group_is_the_sum_of_its_curves(root: Path) -> None:
    """At every moment that one of its curves has; a curve that is over has no users."""
    run = [asked("a", 2, stages=(Stage(0.0, 2), Stage(4.0, 2))), asked("b", 4, stages=(Stage(8.0, 4),))]

    table = timetable_of_all(plan_run(run, ["n1", "n2"], [4, 4], root))

    assert [(row.second, row.total) for row in table] == [(0.0, 2), (2.0, 3), (4.0, 4), (6.0, 3), (8.0, 4)]
    assert all(sum(row.shares) == row.total for row in table)
