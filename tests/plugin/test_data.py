"""`data`: each user of a scenario has a row of a file, which no other user of the whole pool has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.projects import Project, mentions
from tests.plugin.test_marks import collection_errors

pytestmark = pytest.mark.timeout(120)
POOL = "--ms-pool=local=2+2+1"
# the nodes are on this machine, so that users can leave notes in one place
NOTES = """
    import json, os, pathlib

    def note(vu):
        with open(pathlib.Path(os.environ["NOTES"], f"{vu.node}-{os.getpid()}"), "a") as file:
            file.write(json.dumps([vu.node, vu.id, vu.iteration, vu.data]) + "\\n")
"""
BOTH = """
    import pytest
    from notes import note

    MARK = pytest.mark.load_scenario(users={users}, iterations=2, graceful_stop="2s", {data})

    @MARK
    async def test_async(vu):
        with vu.sample("step"):
            note(vu)

    @MARK
    def test_plain(vu):
        with vu.sample("step"):
            note(vu)
"""
EVERY_KIND = pytest.mark.parametrize("kind", ["async", "plain"])


class Shop:
    """A project whose users note their rows."""

    def __init__(self, project: Project, notes: Path) -> None:
        self.project = project
        self.env = {"NOTES": str(notes)}
        self._notes = notes
        notes.mkdir()
        project.write("tests/notes.py", NOTES)

    def has(self, users: int, data: str) -> None:
        """Write the tests, with this number of users and these keywords about data."""
        self.project.write("tests/test_shop.py", BOTH.format(users=users, data=data))

    def table(self, rows: int, name: str = "tests/users.csv") -> None:
        """Write a table of so many users."""
        self.project.write(name, "\n".join(["name,number", *(f"user-{n},{n}" for n in range(1, rows + 1))]))

    @property
    def noted(self) -> list[tuple[str, int, int, Any]]:
        """Return node, user, iteration and row of every note."""
        found = [line for path in self._notes.iterdir() for line in path.read_text().splitlines()]
        return sorted((node, user, iteration, row) for node, user, iteration, row in map(json.loads, found))


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Shop:
    """Return an empty shop."""
    return Shop(project, tmp_path / "notes")


@EVERY_KIND
def test_row_k_belongs_to_user_k_wherever_it_lives(shop: Shop, kind: str) -> None:
    """Five users on three nodes have the first five rows, each its own one in each iteration."""
    shop.has(5, 'data="users.csv"')
    shop.table(9)

    done = shop.project.run(POOL, "-k", kind, env=shop.env)

    assert done.counts["passed"] == 1, done.text
    assert done.scenario(f"test_{kind}").warnings == []
    assert {node for node, *_ in shop.noted} == {"local-1", "local-2", "local-3"}
    assert sorted((user, iteration) for _, user, iteration, _ in shop.noted) == [
        (user, iteration) for user in range(1, 6) for iteration in (0, 1)
    ]
    for _, user, _, row in shop.noted:
        assert row == {"name": f"user-{user}", "number": str(user)}


def test_rows_go_round_by_default(shop: Shop) -> None:
    """With two rows for five users, users 1, 3 and 5 have the first; values keep the types of JSON."""
    shop.has(5, 'data="users.jsonl"')
    shop.project.write("tests/users.jsonl", '{"id": 1, "roles": ["a"]}\n{"id": 2}')

    done = shop.project.run(POOL, "-k", "async", env=shop.env)

    assert done.counts["passed"] == 1, done.text
    rows = {user: row for _, user, _, row in shop.noted}
    assert rows[1] == rows[3] == rows[5] == {"id": 1, "roles": ["a"]}
    assert rows[2] == rows[4] == {"id": 2}


def test_users_without_a_row_do_not_start(shop: Shop) -> None:
    """With data_end="stop" the plan has as many users as there are rows, and reports say who is missing."""
    shop.has(5, 'data="users.csv", data_end="stop"')
    shop.table(3)

    done = shop.project.run(POOL, "-k", "async", env=shop.env)

    result = done.scenario("test_async")
    warning = '2 of 5 users have no row and do not start: users.csv has 3 rows, and data_end is "stop"'
    assert (result.verdict, result.warnings) == ("passed", [warning])
    assert sorted({user for _, user, *_ in shop.noted}) == [1, 2, 3]
    assert sum(entry.users for entry in result.plan) == 3
    assert result.totals.users_max <= 3
    assert warning in done.line("warning: ")
    assert warning in done.summary
    assert warning in done.page.text


def test_missing_rows_can_be_an_error_before_the_load_starts(shop: Shop) -> None:
    """With data_end="fail" the test is an error with the numbers, and no user starts."""
    shop.has(5, 'data="users.csv", data_end="fail"')
    shop.table(3)

    done = shop.project.run(POOL, "-k", "async", env=shop.env)

    assert done.counts == {"error": 1, "deselected": 1}, done.text
    assert mentions(done.out, "users.csv has 3 rows, so 2 of 5 users would have none", "(--ms-users=3)")
    assert shop.noted == []


def test_options_that_change_the_users_count(shop: Shop) -> None:
    """With no more users than rows nothing is missing."""
    shop.has(5, 'data="users.csv", data_end="fail"')
    shop.table(3)

    done = shop.project.run(POOL, "--ms-users=3", "-k", "async", env=shop.env)

    assert done.counts["passed"] == 1, done.text
    assert sorted({row["name"] for *_, row in shop.noted}) == ["user-1", "user-2", "user-3"]


@pytest.mark.parametrize("end", ["stop", "fail"])
def test_a_plan_says_what_becomes_of_missing_rows(inner: Inner, end: str) -> None:
    """The table has the users that would start, and a line about the others."""
    inner.pytester.makepyfile(
        test_shop=f"""
        import pytest

        @pytest.mark.load_scenario(users=5, data="users.csv", data_end="{end}")
        def test_cart(vu): pass
        """
    )
    (inner.pytester.path / "users.csv").write_text("name\nann\nbob\n")

    result = inner.run("--ms-pool=local=9", "--ms-plan")

    assert result.ret == 0
    says = {"stop": "3 of 5 users have no row and do not start", "fail": "3 of 5 users would have none"}
    result.stdout.fnmatch_lines(["*0 s*", f"*{says[end]}*"])


@EVERY_KIND
@pytest.mark.parametrize(
    ("name", "content", "row"),
    [
        ("users.csv", 'name,note\nann,"a\n""b"""\nbob,\n', {"name": "ann", "note": 'a\n"b"'}),
        ("deep/users.jsonl", '{"n": [1]}\n{"n": 2}\n', {"n": [1]}),
    ],
)
def test_without_a_pool_the_user_has_the_first_row(
    shop: Shop, kind: str, name: str, content: str, row: object
) -> None:
    """An ordinary test, with what the first user would have under load."""
    shop.has(5, f'data="{name}", data_end="fail"')
    shop.project.write(f"tests/{name}", content)

    done = shop.project.run("-k", kind, env=shop.env)

    assert done.counts["passed"] == 1, done.text
    assert shop.noted == [("functional", 1, 0, row)]


def test_the_row_is_the_same_dict_for_scenario_and_fixtures(project: Project) -> None:
    """What a load-scoped fixture puts there, the scenario finds."""
    project.write("users.csv", "name\nann\n")
    project.write(
        "test_shop.py",
        """
        import pytest, pytest_metersphere

        @pytest_metersphere.fixture(scope="user")
        async def token(vu):
            vu.data["token"] = f"{vu.data['name']}!"
            return vu.data["token"]

        @pytest.mark.load_scenario(users=2, iterations=1, data="users.csv")
        def test_plain(vu, token):
            with vu.sample("step"):
                assert vu.data == {"name": "ann", "token": token}

        @pytest.mark.load_scenario(users=2, iterations=1, data="users.csv")
        async def test_async(vu, token):
            with vu.sample("step"):
                assert vu.data == {"name": "ann", "token": token}
        """,
    )

    assert project.run().counts == {"passed": 2}
    assert project.run("--ms-pool=local").counts == {"passed": 2}


@pytest.mark.parametrize("args", [(), ("--ms-pool=local",)], ids=["functional", "pool"])
def test_a_row_without_a_file_is_an_error_that_names_the_mark(project: Project, args: Sequence[str]) -> None:
    """In functional mode and under load alike."""
    project.write(
        "test_shop.py",
        """
        import pytest

        @pytest.mark.load_scenario(users=1, iterations=1)
        async def test_cart(vu):
            with vu.sample("step"):
                vu.data["name"]
        """,
    )

    done = project.run(*args)

    assert done.counts == {"failed": 1}
    assert (
        'vu.data: the scenario has no data file; name one in its mark, @pytest.mark.load_scenario(data="'
        in (done.out)
    )


@pytest.mark.parametrize(
    ("keywords", "content", "pieces"),
    [
        ('data="users.csv"', None, ["load_scenario(data='users.csv'): there is no file tests/users.csv"]),
        ('data="users.csv"', "", ["tests/users.csv is empty"]),
        ('data="users.csv"', "a,b\n1\n", ["tests/users.csv:2: 1 field, where the header has 2"]),
        ('data="users.csv"', "a,a\n1,2\n", ["tests/users.csv:1: two columns are named 'a'"]),
        (
            'data="users.cvs"',
            "",
            ["ends with .csv or .jsonl; did you mean '.csv'?", 'correct: data="users.csv"'],
        ),
        ("data=7", "", ["load_scenario(data=7): 7 is not the name of a file"]),
        ('data_end="stop"', "", ["there is no data that could end", 'data="users.csv"']),
        ('data="users.csv", data_end="stopp"', "a\n1\n", ["'stopp' is none of", "did you mean 'stop'?"]),
        ('dat="users.csv"', "", ["no keyword 'dat'", "did you mean 'data'?"]),
    ],
)
@pytest.mark.parametrize("args", [(), ("--ms-pool=local",)], ids=["functional", "pool"])
def test_a_mistake_in_the_data_is_a_collection_error(
    inner: Inner, keywords: str, content: str | None, pieces: list[str], args: tuple[str, ...]
) -> None:
    """Exit code 2, test file and line, file and line of the data, and what is right."""
    folder = inner.pytester.mkdir("tests")
    source = f"import pytest\n\n\n@pytest.mark.load_scenario({keywords})\ndef test_cart(vu): pass\n"
    (folder / "test_shop.py").write_text(source)
    if content is not None:
        (folder / "users.csv").write_text(content)

    text = collection_errors(inner, *args)

    assert mentions(text, "tests/test_shop.py:4: load_scenario(", *pieces)


def test_a_file_beside_the_rootdir_is_found_by_the_message(inner: Inner) -> None:
    """Names are relative to the test's file; who thought of the rootdir is told the right one."""
    folder = inner.pytester.mkdir("tests")
    (inner.pytester.path / "users.csv").write_text("a\n1\n")
    (folder / "test_shop.py").write_text(
        "import pytest\n@pytest.mark.load_scenario(data='users.csv')\ndef test_cart(vu): pass\n"
    )

    text = collection_errors(inner)

    assert "the name is relative to the test's file, correct: data='../users.csv'" in text


def test_a_large_file_is_read_to_its_end_for_load_only(inner: Inner) -> None:
    """One user needs the first row; who works on an ordinary test does not wait for a million others."""
    inner.pytester.makepyfile(
        "import pytest\n@pytest.mark.load_scenario(data='users.csv')\ndef test_cart(vu): vu.data['name']\n"
    )
    (inner.pytester.path / "users.csv").write_text("name\n" + "ann\n" * 2000 + "bob,1\n")

    assert inner.run().ret == 0
    assert "users.csv:2002: 2 fields, where the header has 1" in collection_errors(inner, "--ms-pool=local")
