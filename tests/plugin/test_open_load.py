"""Real loads of the open model, and load generators that are not up to theirs."""

from __future__ import annotations

import pytest

from tests.plugin.projects import Project

pytestmark = pytest.mark.timeout(120)

OPEN = """
    import asyncio
    import pytest

    @pytest.mark.load_scenario(rate="100/s", hold="3s", warmup="1s", max_users=300)
    @pytest.mark.threshold("dropped_iterations == 0")
    @pytest.mark.threshold("dropped_rate < 1%")
    async def test_enough(vu):
        with vu.sample("step"):
            await vu.sleep(0.001)

    @pytest.mark.load_scenario(rate="50/s", hold="2s", max_users=6, arrivals="poisson", graceful_stop="20s")
    @pytest.mark.threshold("dropped_rate < 1%")
    def test_too_few(vu):
        with vu.sample("step"):
            vu.sleep(3)
"""


def test_iterations_start_at_a_rate_over_several_nodes(project: Project) -> None:
    """Exactly as many as the curve is good for are scheduled; each was started, or dropped and judged."""
    project.write("test_open.py", OPEN)

    done = project.run("--ms-pool=local=150+100+50")

    assert done.counts == {"passed": 1, "failed": 1}, done.text
    enough, few = done.scenario("test_enough"), done.scenario("test_too_few")
    ledger = enough.ledger
    assert (ledger.scheduled, ledger.started, ledger.dropped) == (300, 300, 0)
    assert (enough.totals.iterations, enough.totals.requests) == (200, 200)
    assert sum(node.requests for node in enough.nodes) == 200
    assert [entry.users for entry in enough.plan] == [150, 100, 50]
    assert enough.profile.arrivals is not None
    assert (enough.profile.users, enough.profile.arrivals.scheduled) == (300, 300)
    done.line("300 iterations scheduled = 300 started + 0 dropped")
    for node in enough.nodes:
        assert node.start_lag_p99 is not None
        assert node.start_lag_p99_overall is not None
        # the worst second was the worst, but for what a histogram rounds
        assert 0 < node.start_lag_p99_overall <= node.start_lag_p99 * 1.01
    assert few.profile.arrivals is not None
    assert few.ledger.scheduled == few.profile.arrivals.scheduled == few.ledger.started + few.ledger.dropped
    assert (few.ledger.started, few.totals.users_max, few.verdict) == (6, 6, "failed")
    assert few.validity.valid, few.validity.reasons
    assert any("all 6 users were busy: give more (max_users=)" in warning for warning in few.warnings)
    assert few.totals.dropped_iterations == few.ledger.dropped > 60


def test_iterations_are_shared_over_several_nodes(project: Project) -> None:
    """Together the users do exactly as many as were asked for."""
    project.write(
        "test_shared.py",
        """
        import pytest

        @pytest.mark.load_scenario(users=7, shared_iterations=100)
        @pytest.mark.threshold("iterations == 100")
        async def test_shared(vu):
            with vu.sample("step"):
                await vu.sleep(0)
        """,
    )

    done = project.run("--ms-pool=local=4+3")

    assert done.counts == {"passed": 1}, done.text


def test_who_has_no_row_leaves_nothing_undone(project: Project) -> None:
    """Shared iterations and arrivals are those of the users that start, and as many as were asked for."""
    project.write("users.csv", "name\nann\nbob\ncat")
    project.write(
        "test_rows.py",
        """
        import pytest

        @pytest.mark.load_scenario(users=10, shared_iterations=20, data="users.csv", data_end="stop")
        async def test_shared(vu):
            with vu.sample(vu.data["name"]):
                await vu.sleep(0)

        @pytest.mark.load_scenario(
            rate="50/s", hold="1s", max_users=10, data="users.csv", data_end="stop"
        )
        async def test_open(vu):
            with vu.sample(vu.data["name"]):
                await vu.sleep(0)
        """,
    )

    done = project.run("--ms-pool=local=6+4")

    shared, arriving = done.scenario("test_shared"), done.scenario("test_open")
    assert shared.totals.iterations == 20, done.text
    assert (arriving.ledger.scheduled, arriving.validity.reasons) == (50, []), done.text
    assert {label.name for label in shared.labels + arriving.labels} <= {"ann", "bob", "cat"}


def test_a_pace_spreads_iterations_over_the_load(project: Project) -> None:
    """Three iterations, a fifth of a second from start to start, last until the third begins at least."""
    project.write(
        "test_paced.py",
        """
        import pytest

        @pytest.mark.load_scenario(users=1, iterations=3, pacing="200ms")
        async def test_paced(vu):
            with vu.sample("step"):
                await vu.sleep(0.001)
        """,
    )

    done = project.run("--ms-pool=local")

    paced = done.scenario("test_paced")
    assert (paced.totals.iterations, paced.profile.pacing_s, done.code) == (3, 0.2, 0), done.text
    assert paced.totals.duration_s >= 0.4
    assert "an iteration of each user every 200 ms" in done.summary


def test_an_overloaded_generator_makes_the_run_invalid(project: Project) -> None:
    """The reason names node, worker, seconds, value and limit, and what to do; the thresholds hide it not."""
    project.write(
        "test_computes.py",
        """
        import time
        import pytest

        @pytest.mark.load_scenario(users=4, hold="4500ms")
        @pytest.mark.threshold("p95 < 1h")
        async def test_computes(vu):
            with vu.sample("step"):
                await vu.sleep(0.001)
                end = time.monotonic() + 0.2
                while time.monotonic() < end:
                    pass
        """,
    )

    done = project.run("--ms-pool=local=9")

    scenario = done.scenario("test_computes")
    assert (scenario.verdict, scenario.validity.valid) == ("invalid", False), done.text
    reason = next(reason for reason in scenario.validity.reasons if "event loop ran late" in reason)
    for piece in ("node local-1, worker ", "3 seconds running", "at most 50 ms", "fewer users"):
        assert piece in reason
    assert reason in done.out
    (node,) = scenario.nodes
    assert node.loop_lag_p99 is not None
    assert node.loop_lag_p99 > 0.05


def test_a_generator_that_is_busy_within_its_limit_stays_valid(project: Project) -> None:
    """Users that compute for some milliseconds each make the loop late by as many, and that is shown."""
    project.write(
        "test_computes.py",
        """
        import time
        import pytest

        @pytest.mark.load_scenario(users=1, hold="4500ms")
        async def test_computes(vu):
            with vu.sample("step"):
                await vu.sleep(0.05)
                end = time.monotonic() + 0.008
                while time.monotonic() < end:
                    pass
        """,
    )

    done = project.run("--ms-pool=local=9")

    scenario = done.scenario("test_computes")
    assert scenario.verdict == "passed", done.text
    (node,) = scenario.nodes
    assert node.loop_lag_p99 is not None
    assert node.loop_lag_p99 > 0
    assert node.start_lag_p99 is not None
    assert node.descriptors is not None
    assert node.descriptor_limit is not None
    assert node.descriptors < node.descriptor_limit


def test_want_of_descriptors_makes_the_run_invalid(project: Project) -> None:
    """A worker that can open no file any more measures itself, not the server."""
    project.write(
        "test_files.py",
        """
        import os
        import resource
        import pytest

        @pytest.mark.load_scenario(users=1, iterations=200)
        @pytest.mark.threshold("failed_iterations < 1000")
        async def test_opens(vu):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            if soft > 100:
                resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
            with vu.sample("open"):
                os.open(os.devnull, os.O_RDONLY)
        """,
    )

    done = project.run("--ms-pool=local=9")

    scenario = done.scenario("test_opens")
    assert scenario.verdict == "invalid", done.text
    assert any("no file descriptor of 100 was left" in reason for reason in scenario.validity.reasons)
    assert any("ulimit -n" in reason for reason in scenario.validity.reasons)
    assert {error.kind for error in scenario.errors} == {"descriptors"}
