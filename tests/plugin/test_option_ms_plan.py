"""--ms-plan: who gets how many users over time, without a word to any node."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Inner, Listener
from tests.plugin.plans import Table, table, tables
from tests.plugin.projects import Project, mentions


def test_ten_thousand_users_are_divided_in_proportion(scenario: Inner) -> None:
    """Exactly 4000, 4000 and 2000, the capacities above them."""
    plan = table(scenario.run("--ms-pool=local=4000+4000+2000", "--ms-users=10000", "--ms-plan"))

    assert plan.nodes == ["local-1", "local-2", "local-3"]
    assert plan.capacities == [4000, 4000, 2000]
    assert plan.peak == (10000, [4000, 4000, 2000])


def test_every_row_adds_up_and_keeps_to_the_capacities(inner: Inner) -> None:
    """While users come and go, too."""
    inner.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.load_scenario(stages=[("10s", 97), ("5s", 97), ("5s", 0)])
        def test_waves(vu): pass
        """
    )

    plan = table(inner.run("--ms-pool=local=50+30+20", "--ms-plan"))

    assert len(plan.rows) > 6
    assert [plan.rows[0][:2], plan.rows[-1][:2]] == [(0.0, 0), (20.0, 0)]
    for _, users, shares in plan.rows:
        assert sum(shares) == users
        assert all(share <= capacity for share, capacity in zip(shares, plan.capacities, strict=True))


def test_every_selected_scenario_gets_a_table(scenario: Inner) -> None:
    """Those that are deselected, and ordinary tests, get none; no test runs."""
    scenario.pytester.makepyfile(
        test_more="""
        import pytest

        @pytest.mark.load_scenario(users=2)
        @pytest.mark.parametrize("kind", ["a", "b"])
        def test_kinds(vu, kind): open("ran", "w")

        def test_ordinary(): open("ran", "w")
        """
    )

    assert set(tables(scenario.run("--ms-pool=local=9", "--ms-plan"))) == {
        "test_shop.py::test_cart",
        "test_more.py::test_kinds[a]",
        "test_more.py::test_kinds[b]",
    }
    assert set(tables(scenario.run("--ms-pool=local=9", "--ms-plan", "-k", "b"))) == {
        "test_more.py::test_kinds[b]"
    }
    assert not (scenario.pytester.path / "ran").exists()


def test_no_node_is_asked(scenario: Inner, listener: Listener) -> None:
    """Not even one that listens; no report folder is made, and pytest says that it ran nothing."""
    result = scenario.run(f"--ms-pool=a@{listener.address}=3,b@10.255.255.1=3", "--ms-plan")

    assert table(result).peak == (5, [3, 2])
    assert not listener.called
    assert not (scenario.pytester.path / "ms-report").exists()
    result.stdout.fnmatch_lines(["*no tests ran in*"])


def test_always_checking_is_not_stronger_than_a_plan(scenario: Inner, listener: Listener) -> None:
    """--ms-preflight=always checks when something could run."""
    result = scenario.run(f"--ms-pool=a@{listener.address}=9", "--ms-plan", "--ms-preflight=always")

    assert table(result).peak == (5, [5])
    assert not listener.called


def test_without_a_selected_scenario_it_says_so(scenario: Inner) -> None:
    """Silence would look like a plan that got lost."""
    scenario.pytester.makepyfile(test_ordinary="def test_ordinary(): pass")

    result = scenario.run("--ms-pool=local=9", "--ms-plan", "-k", "ordinary")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["*no load scenario is selected*"])


def test_a_local_node_has_a_capacity_of_its_own(scenario: Inner) -> None:
    """Nothing need be declared for a plan on this machine."""
    plan: Table = table(scenario.run("--ms-pool=local", "--ms-plan"))

    assert plan.capacities[0] >= 1000
    assert plan.peak == (5, [5])


def test_local_nodes_share_the_cores_among_themselves(scenario: Inner) -> None:
    """A node elsewhere does not lower what a local one would carry."""
    alone: Table = table(scenario.run("--ms-pool=local", "--ms-plan"))
    beside: Table = table(scenario.run("--ms-pool=far@10.0.0.11=1,local", "--ms-plan"))

    assert beside.capacities == [1, *alone.capacities]


def test_a_remote_node_needs_a_declared_capacity(scenario: Inner) -> None:
    """It is not asked, so the pool's text must say it."""
    message = scenario.refuses("--ms-pool=10.0.0.11=9,far@10.0.0.12:9000", "--ms-plan")

    assert mentions(message, "--ms-plan contacts no node", "the capacity of far must be given", "=1000")


def test_the_advice_for_a_node_without_capacity_can_be_followed(scenario: Inner) -> None:
    """The example in the message is a text that the option takes."""
    message = scenario.refuses("--ms-pool=big@10.0.0.12:9000", "--ms-plan")

    advice = message.strip().rpartition(": ")[2]

    assert table(scenario.run(f"--ms-pool={advice}", "--ms-plan")).capacities == [1000]


def test_more_users_than_capacity_have_no_plan(scenario: Inner) -> None:
    """The numbers are in the one message, and what to do."""
    message = scenario.refuses("--ms-pool=local=3+1", "--ms-plan")

    assert mentions(message, "test_shop.py::test_cart: ", "5 users", "room for 4", "--ms-users=4")


def test_a_plan_needs_a_pool(scenario: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, or with the pool switched off, there is nobody to plan for."""
    assert mentions(scenario.refuses("--ms-plan"), "--ms-plan needs a pool", "--ms-pool=local")
    monkeypatch.setenv("PYTEST_MS_POOL", "local")
    assert "--ms-plan needs a pool" in scenario.refuses("--ms-plan", "--ms-pool=none")


def test_a_plan_is_printed_without_a_terminal_reporter_too(scenario: Inner) -> None:
    """`-p no:terminal` takes away pytest's output, not what was asked for."""
    plan = table(scenario.run("--ms-pool=local=9", "--ms-plan", "-p", "no:terminal"))

    assert plan.peak == (5, [5])


def test_a_plan_is_printed_once_under_xdist(project: Project) -> None:
    """`-n 2` is switched off, as it is for load."""
    project.write(
        "test_shop.py",
        """
        import pytest

        @pytest.mark.load_scenario(users=5)
        def test_cart(vu): pass
        """,
    )

    done = project.run("--ms-pool=local=9", "--ms-plan", "-n", "2", plugins=["xdist"])

    assert done.code == 0, done.text
    assert done.out.count("test_shop.py::test_cart") == 1
