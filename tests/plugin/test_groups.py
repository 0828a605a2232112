"""`group`: scenarios that run at the same time, as one run, each with a verdict of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.fakes.sessions import LoadedSession
from tests.plugin.conftest import Inner
from tests.plugin.plans import tables
from tests.plugin.projects import Done, Project, mentions
from tests.plugin.test_marks import collection_errors

pytestmark = pytest.mark.timeout(120)
POOL = "--ms-pool=local=4+3+2"
PEAK = """
    import pathlib
    import pytest

    def note(word):
        with open("fixtures", "a") as file:
            file.write(word + " ")

    @pytest.fixture(scope="module", autouse=True)
    def shop():
        note("open")
        yield
        note("close")

    @pytest.fixture(scope="module")
    def account():
        note("account")
        return {"name": "ann"}

    @pytest.mark.load_scenario(users=3, hold="3s", think="50ms", group="peak", graceful_stop="2s")
    @pytest.mark.threshold("browse: p95 < 30s")
    async def test_browse(vu):
        with vu.sample("browse"):
            await vu.sleep(0.01)

    def test_ordinary():
        note("ordinary")

    @pytest.mark.load_scenario(users=4, hold="1s", think="50ms", group="peak", graceful_stop="2s")
    @pytest.mark.threshold("pay: requests > 100000")
    def test_pay(vu, account):
        with vu.sample("pay"):
            assert account == {"name": "ann"}

    @pytest.mark.load_scenario(users=1, iterations=2, group="peak")
    @pytest.mark.parametrize("kind", ["new", "old"])
    async def test_visit(vu, kind):
        with vu.sample(kind):
            assert kind == "new"
"""
NAMES = ["test_browse", "test_pay", "test_visit[new]", "test_visit[old]"]


@pytest.fixture(scope="module")
def peak(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session with a group of four, on nodes that it fills, and an ordinary test between them."""
    project = Project(tmp_path_factory.mktemp("peak"))
    project.write("test_shop.py", PEAK)
    return project.run(POOL, "-v")


def test_the_members_are_one_run(peak: Done) -> None:
    """With one id, and each says which group it ran with."""
    assert [scenario.name for scenario in peak.document.scenarios] == NAMES
    assert len({scenario.run_id for scenario in peak.document.scenarios}) == 1
    assert {scenario.group for scenario in peak.document.scenarios} == {"peak"}


def test_each_member_has_a_verdict_of_its_own(peak: Done) -> None:
    """A broken threshold or a failed assertion of one does not touch the others."""
    verdicts = {scenario.name: scenario.verdict for scenario in peak.document.scenarios}

    assert verdicts == dict(zip(NAMES, ["passed", "failed", "passed", "failed"], strict=True))
    assert peak.counts == {"passed": 3, "failed": 2}
    assert mentions(peak.scenario("test_pay").findings[0], "pay: requests > 100000")
    assert "iterations failed" in peak.scenario("test_visit[old]").findings[0]


def test_members_stand_together_in_the_order_of_the_source(peak: Done) -> None:
    """What stood between them comes after them."""
    lines = [line for line in peak.out.splitlines() if line.startswith("test_shop.py::")]

    assert [line.split()[0].partition("::")[2] for line in lines] == [*NAMES, "test_ordinary"]


def test_fixtures_are_set_up_once_and_before_the_load(peak: Done) -> None:
    """Also those of members to which pytest comes later."""
    assert (peak.folder / "fixtures").read_text().split() == ["open", "account", "ordinary", "close"]


def test_each_member_has_labels_times_and_an_end_of_its_own(peak: Done) -> None:
    """The rate of the one that is over first is that of its own second, not of the group's three."""
    browse, pay = peak.scenario("test_browse"), peak.scenario("test_pay")

    assert [label.name for label in browse.labels] == ["browse"]
    assert [label.name for label in pay.labels] == ["pay"]
    assert 3 <= browse.totals.duration_s < 5
    assert 1 <= pay.totals.duration_s < 3
    assert pay.totals.rps == pytest.approx(pay.totals.requests / pay.totals.duration_s)
    assert pay.series[-1].t < browse.series[-1].t
    assert max(point.users for point in browse.series) == 3


def test_members_share_the_capacity_of_the_nodes(peak: Done) -> None:
    """Nine users fill nine places: on no node are more planned, or seen, than it carries."""
    scenarios = peak.document.scenarios
    planned = [
        sum(entry.users for entry in found) for found in zip(*(s.plan for s in scenarios), strict=True)
    ]

    assert planned == [4, 3, 2]
    for name, capacity in zip(("local-1", "local-2", "local-3"), planned, strict=True):
        assert sum(node.users for s in scenarios for node in s.nodes if node.name == name) <= capacity


def test_the_requests_of_a_node_are_those_of_the_member(peak: Done) -> None:
    """They add up to the member's, and nodes without a user of it are not among them."""
    for scenario in peak.document.scenarios:
        assert sum(node.requests for node in scenario.nodes) == scenario.totals.requests
        assert {node.name for node in scenario.nodes} == {e.node for e in scenario.plan if e.users}


def test_reports_say_with_what_it_ran(peak: Done) -> None:
    """JUnit as a property, page and summary in a sentence."""
    sentence = "at the same time as the others of group peak, on the same nodes"
    properties = {each.get("name"): each.get("value") for each in peak.suite("test_pay").iter("property")}

    assert properties["group"] == "peak"
    assert sentence in peak.article("test_pay").text
    assert peak.summary.count(sentence) == 4
    assert "peak (4 scenarios)" in peak.out


def test_ids_and_rows_are_unique_over_the_group(project: Project) -> None:
    """Members that name the same file have different rows of it, and no id is given twice."""
    project.write("users.csv", "n\n" + "".join(f"{n}\n" for n in range(1, 10)))
    project.write(
        "test_shop.py",
        f"""
        import pathlib
        import pytest

        MARK = dict(users=4, iterations=1, group="peak", data="users.csv", data_end="fail")

        def note(vu):
            pathlib.Path({str(project.folder)!r}, f"user-{{vu.id}}-row-{{vu.data['n']}}").touch()

        @pytest.mark.load_scenario(**MARK)
        async def test_one(vu):
            with vu.sample("step"):
                note(vu)

        @pytest.mark.load_scenario(**MARK)
        def test_other(vu):
            with vu.sample("step"):
                note(vu)
        """,
    )

    done = project.run(POOL)

    assert done.counts == {"passed": 2}, done.text
    assert sorted(path.name for path in project.folder.glob("user-*")) == [
        f"user-{k}-row-{k}" for k in range(1, 9)
    ]


def test_members_of_several_modules_have_fixtures_of_the_session(project: Project) -> None:
    """They are set up once, before the load of the first; the module's own fixtures come with its tests."""
    project.write(
        "conftest.py",
        """
        import pytest, pytest_metersphere

        def note(word):
            with open("fixtures", "a") as file:
                file.write(word + " ")

        @pytest.fixture(scope="session")
        def shop():
            note("shop")
            yield 7
            note("closed")

        @pytest.fixture(scope="session", params=["a"])
        def kind(request, shop):
            note("kind")
            return request.param

        @pytest_metersphere.fixture(scope="user")
        def cart(vu, kind):
            return f"{kind}-{vu.id}"
        """,
    )
    for name, more in (("a", ""), ("b", "")):
        project.write(
            f"test_{name}.py",
            f"""
            import pytest
            from conftest import note

            @pytest.mark.load_scenario(users=1, iterations=1, group="peak")
            @pytest.mark.usefixtures("cart")
            async def test_{name}(vu, {"shop, cart" if name == "b" else "cart"}):
                with vu.sample("step"):
                    assert cart == f"a-{{vu.id}}"

            def test_last():
                note("last")
            {more}
            """,
        )

    done = project.run(POOL)

    assert done.counts == {"passed": 4}, done.text
    assert len({scenario.run_id for scenario in done.document.scenarios}) == 1
    assert (project.folder / "fixtures").read_text().split() == ["shop", "kind", "last", "last", "closed"]


def test_what_is_deselected_is_no_member(project: Project) -> None:
    """The others run together; the last one left is an ordinary run."""
    project.write("test_shop.py", PEAK)

    two = project.run(POOL, "-k", "visit", "--ms-report-dir=two")
    alone = project.run("--ms-pool=local=3", "-k", "browse", "--ms-hold=1s")

    assert two.counts == {"passed": 1, "failed": 1, "deselected": 3}
    assert {
        s["group"] for s in json.loads((project.folder / "two/results.json").read_text())["scenarios"]
    } == {"peak"}
    assert alone.counts == {"passed": 1, "deselected": 4}
    assert alone.scenario("test_browse").group == ""


def test_a_member_that_pytest_skips_is_left_out(project: Project) -> None:
    """By its mark or by its fixture, wherever it stands."""
    project.write(
        "test_shop.py",
        """
        import pytest

        MARK = pytest.mark.load_scenario(users=1, iterations=1, group="peak")

        @pytest.fixture(scope="module")
        def closed():
            pytest.skip("the shop is closed")

        @MARK
        @pytest.mark.skip
        async def test_first(vu): pass

        @MARK
        async def test_second(vu):
            with vu.sample("step"): pass

        @MARK
        async def test_third(vu, closed): pass

        @MARK
        @pytest.mark.xfail(run=False)
        async def test_fourth(vu): pass

        @MARK
        def test_fifth(vu):
            with vu.sample("step"): pass
        """,
    )

    done = project.run(POOL)

    assert done.counts == {"passed": 2, "skipped": 2, "xfailed": 1}, done.text
    assert [scenario.name for scenario in done.document.scenarios] == ["test_second", "test_fifth"]


TROUBLE = """
    import pytest

    MARK = pytest.mark.load_scenario(users=1, iterations=1, group="peak")

    @pytest.fixture(scope="module")
    def broken():
        raise OSError("no shop here")

    @pytest.fixture(scope="module")
    def connection():
        return object()

    @MARK
    async def test_one(vu{one}):
        with vu.sample("step"): pass

    @MARK
    async def test_other(vu{other}):
        with vu.sample("step"): pass
"""


@pytest.mark.parametrize(
    ("one", "other", "failing", "said"),
    [
        (", broken", "", "test_one", "OSError: no shop here"),
        ("", ", broken", "test_other", "OSError: no shop here"),
        (", connection", "", "test_one", "fixture 'connection': "),
        ("", ", connection", "test_other", "fixture 'connection': "),
    ],
)
def test_a_group_does_not_start_without_one_of_its_members(
    project: Project, one: str, other: str, failing: str, said: str
) -> None:
    """Each of the others is an error that says who is missing and why; nothing was sent."""
    project.write("test_shop.py", TROUBLE.format(one=one, other=other))

    done = project.run(POOL)

    assert done.counts == {"error": 2}, done.text
    assert f"the group 'peak' did not start: {failing} could not be set up: {said}" in done.out
    assert not (done.reports / "results.json").exists()


def test_rows_that_are_missing_keep_a_group_from_starting(project: Project) -> None:
    """When members share a file, each would have had enough alone."""
    project.write("users.csv", "n\n1\n2\n3\n")
    project.write(
        "test_shop.py",
        """
        import pytest

        MARK = pytest.mark.load_scenario(
            users=2, iterations=1, group="peak", data="users.csv", data_end="fail"
        )

        @MARK
        async def test_one(vu): pass

        @MARK
        async def test_other(vu): pass
        """,
    )

    done = project.run(POOL)

    assert done.counts == {"error": 2}, done.text
    assert "2 of them for other scenarios of the group, so 1 of 2 users would have none" in done.out


def test_the_session_may_stop_at_the_first_failure(project: Project) -> None:
    """-x ends pytest behind the first member; the reports have what all of them did."""
    project.write("test_shop.py", PEAK)

    done = project.run(POOL, "-x", "-k", "pay or visit")

    assert done.counts == {"failed": 1, "deselected": 2}, done.text
    assert [scenario.name for scenario in done.document.scenarios] == NAMES[1:]


def test_a_member_that_calls_exit_ends_all(project: Project) -> None:
    """The run is one: nothing of it goes on, and all verdicts say so."""
    project.write(
        "test_shop.py",
        """
        import pytest

        @pytest.mark.load_scenario(users=1, hold="60s", think="100ms", group="peak")
        async def test_long(vu):
            with vu.sample("step"): pass

        @pytest.mark.load_scenario(users=1, iterations=1, group="peak")
        async def test_exit(vu):
            pytest.exit("the shop burns")
        """,
    )

    done = project.run(POOL)

    assert done.code == 2, done.text
    assert {s.name: s.verdict for s in done.document.scenarios} == {
        "test_long": "aborted",
        "test_exit": "aborted",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="finds the session's processes through /proc")
def test_an_interrupt_aborts_all_members(tmp_path: Path) -> None:
    """Partial reports have each of them, and no process lives on."""
    scenario = """
import os, pathlib, pytest

@pytest.mark.load_scenario(users=3, hold="60s", think="0.05s", group="peak")
async def test_long(vu):
    with vu.sample("step"):
        await vu.sleep(0.01)
    pathlib.Path(os.environ["MS_TEST_BEAT"]).touch()

@pytest.mark.load_scenario(users=3, hold="60s", think="0.05s", group="peak")
async def test_longer(vu):
    with vu.sample("step"):
        await vu.sleep(0.01)
"""
    session = LoadedSession(tmp_path, "--ms-pool=local=4+4", scenario=scenario)
    try:
        session.wait_for_load()
        os.kill(session.process.pid, signal.SIGINT)

        assert session.wait() == 2, session.output
        session.wait_until_nothing_is_left(10)
    finally:
        session.end()
    results = json.loads((tmp_path / "ms-report" / "results.json").read_text())["scenarios"]
    assert [(each["name"], each["verdict"]) for each in results] == [
        ("test_long", "aborted"),
        ("test_longer", "aborted"),
    ]
    assert all(each["totals"]["requests"] > 0 for each in results)


@pytest.fixture
def two(inner: Inner) -> Inner:
    """Return a project with a group of two scenarios, of 6 and of 3 users."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario(users=6, hold="4s", group="peak")
        def test_one(vu): pass

        @pytest.mark.load_scenario(users=3, ramp="2s", hold="4s", group="peak")
        def test_other(vu): pass
        """
    )
    return inner


def test_the_plan_shows_the_sum_and_each_member(two: Inner) -> None:
    """The members' tables add up to the group's, and none breaks a capacity."""
    result = two.run("--ms-pool=local=6+3", "--ms-plan")

    members = tables(result)
    lines = [line.split() for line in result.outlines]
    begin = lines.index(["group", "peak"])
    assert lines[begin + 1] == ["time", "users", "local-1", "local-2"]
    assert ["2", "s", "9", "6", "3"] in lines[begin : lines.index(["test_shop.py::test_one"])]
    assert members["test_shop.py::test_one"].peak == (6, [4, 2])
    assert members["test_shop.py::test_other"].peak == (3, [2, 1])


def test_a_group_that_does_not_fit_is_refused_before_anything_runs(two: Inner) -> None:
    """Each member alone would have fitted."""
    for args in (["--ms-plan"], []):
        message = two.refuses("--ms-pool=local=5+3", *args)

        assert mentions(message, "group peak (test_one 6, test_other 3)", "9 users", "room for 8 (5 + 3)")


HEAD = """
    import pytest, pytest_metersphere

    MARK = pytest.mark.load_scenario(users=1, iterations=1, group="peak")
    ONE = pytest.mark.load_scenario(users=1, iterations=1)
"""


@pytest.mark.parametrize(
    ("source", "pieces"),
    [
        (
            """
    @MARK
    def test_one(vu, tmp_path): pass

    @MARK
    def test_other(vu): pass
            """,
            ["group 'peak': test_one asks for the fixture 'tmp_path' of function scope", 'scope="module"'],
        ),
        (
            """
    @pytest.fixture
    def name(): return "ann"

    @pytest_metersphere.fixture(scope="user")
    def cart(vu, name): return name

    @MARK
    def test_one(vu): pass

    @MARK
    @pytest.mark.usefixtures("cart")
    def test_other(vu): pass
            """,
            ["group 'peak': test_other asks for the fixture 'name' of function scope"],
        ),
        (
            """
    @pytest.fixture(scope="module", params=[1, 2])
    def number(request): return request.param

    @MARK
    def test_one(vu, number): pass
            """,
            ["test_one[2] wants the fixture 'number' with another parameter than test_one[1]"],
        ),
        (
            """
    @pytest.fixture(scope="class")
    def name(): return "ann"

    class TestShop:
        @MARK
        def test_one(self, vu, name): pass

        @MARK
        def test_other(self, vu): pass
            """,
            ["asks for the fixture 'name' of class scope"],
        ),
    ],
)
def test_fixtures_that_members_cannot_have_together_are_a_collection_error(
    inner: Inner, source: str, pieces: list[str]
) -> None:
    """With file and line of the test; without a pool, and for a member alone, they are fine."""
    inner.pytester.makepyfile(test_shop=HEAD + source)

    text = collection_errors(inner, "--ms-pool=local=9")

    assert "ERROR collecting test_shop.py" in text
    assert mentions(text, "test_shop.py:", *pieces)
    assert inner.run().ret == 0
    assert inner.run("--ms-pool=local=9", "--ms-plan", "-k", "test_shop and not other and not 2").ret == 0


def test_fixtures_of_a_module_do_not_reach_members_in_another(inner: Inner) -> None:
    """What members in several modules ask for is of session scope."""
    source = f"""{HEAD}
    @pytest.fixture(scope="module")
    def name(): return "ann"

    @MARK
    def test_it(vu, name): pass
    """
    inner.pytester.makepyfile(test_a=source, test_b=source)

    text = collection_errors(inner, "--ms-pool=local=9")

    assert mentions(text, "test_a.py:", "test_b.py:", "of module scope", "several modules", 'scope="session"')


@pytest.mark.parametrize(
    ("value", "piece"), [("''", "is not the name of a group"), ("7", "7 is not"), ("'a\\nb'", "one line")]
)
def test_a_group_has_a_name(inner: Inner, value: str, piece: str) -> None:
    """A text of one line."""
    inner.pytester.makepyfile(
        f"import pytest\n@pytest.mark.load_scenario(group={value})\ndef test_it(vu): pass\n"
    )

    assert mentions(collection_errors(inner), "load_scenario(group=", piece, 'correct: group="peak"')


def test_without_a_pool_a_group_changes_nothing(inner: Inner) -> None:
    """The tests stay where they are, with fixtures of any scope."""
    inner.pytester.makepyfile(
        test_shop=f"""{HEAD}
    @MARK
    def test_one(vu, tmp_path): assert vu.id == 1

    def test_between(): pass

    @MARK
    async def test_other(vu, tmp_path): assert vu.id == 1
    """
    )

    result = inner.run("-v")

    assert result.ret == 0
    names = [line.split()[0].partition("::")[2] for line in result.outlines if "PASSED" in line]
    assert names == ["test_one", "test_between", "test_other"]


def test_async_plugins_set_up_the_fixtures_of_all_members(tmp_path: Path) -> None:
    """Fixtures that are coroutines, and a time limit for tests that is shorter than the longest member."""
    project = Project(
        tmp_path / "project",
        "asyncio_mode = auto",
        "asyncio_default_fixture_loop_scope = session",
        "timeout = 1",
    )
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        async def token():
            return "abc"

        @pytest.fixture(scope="session")
        def anyio_backend():
            return "asyncio"
        """,
    )
    for name, hold in (("a", "0.2s"), ("b", "2s")):
        project.write(
            f"test_{name}.py",
            f"""
            import pytest

            @pytest.fixture(scope="session")
            async def own_{name}(token):
                return token + "{name}"

            @pytest.mark.anyio
            @pytest.mark.load_scenario(users=1, hold="{hold}", think="50ms", group="peak")
            async def test_{name}(vu, own_{name}):
                with vu.sample("step"):
                    assert own_{name} == "abc{name}"

            class TestShop:
                @pytest.mark.load_scenario(users=1, iterations=1, group="peak")
                def test_plain(self, vu, own_{name}):
                    with vu.sample("step"):
                        assert own_{name} == "abc{name}"
            """,
        )

    done = project.run(POOL, plugins=["pytest_asyncio.plugin", "anyio.pytest_plugin", "pytest_timeout"])

    assert done.counts == {"passed": 4}, done.text
    assert len({scenario.run_id for scenario in done.document.scenarios}) == 1
