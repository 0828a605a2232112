"""--ms-ramp: how long every selected scenario takes to its peak."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.plans import Table, tables
from tests.plugin.projects import mentions


@pytest.fixture
def scenarios(inner: Inner) -> Inner:
    """Return a project with a plain scenario and one of stages."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario(users=10, ramp="2s", hold="4s")
        def test_plain(vu): pass

        @pytest.mark.load_scenario(stages=[("10s", 100), ("5s", 50)])
        def test_stages(vu): pass
        """
    )
    return inner


def plans(scenarios: Inner, *args: str) -> tuple[Table, Table]:
    """Return the plans of the two scenarios."""
    found = tables(scenarios.run("--ms-pool=local=900", "--ms-plan", *args))
    return found["test_shop.py::test_plain"], found["test_shop.py::test_stages"]


def arrival(plan: Table) -> float:
    """Return when the peak is reached."""
    return next(seconds for seconds, users, _ in plan.rows if users == plan.peak[0])


def test_it_replaces_the_ramp_and_leaves_the_hold(scenarios: Inner) -> None:
    """Stages become a ramp to their peak and a hold of 30 seconds."""
    plain, stages = plans(scenarios, "--ms-ramp=8s")

    assert (plain.rows[0][1], arrival(plain), plain.times[-1]) == (0, 8.0, 12.0)
    assert (stages.rows[0][1], arrival(stages), stages.times[-1]) == (0, 8.0, 38.0)


def test_no_ramp_means_all_at_once(scenarios: Inner) -> None:
    """Zero needs no unit."""
    plain, _ = plans(scenarios, "--ms-ramp=0")

    assert plain.rows[0] == (0.0, 10, [10])
    assert plain.times[-1] == 4.0


def test_all_three_together_make_another_curve(scenarios: Inner) -> None:
    """Users, ramp and hold are told apart from what the mark says."""
    for plan in plans(scenarios, "--ms-users=20", "--ms-ramp=1s", "--ms-hold=2s"):
        assert plan.peak == (20, [20])
        assert (arrival(plan), plan.times[-1]) == (1.0, 3.0)


def test_the_option_beats_the_variable_beats_the_ini(
    scenarios: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every option."""
    scenarios.pytester.makeini("[pytest]\nms_ramp = 10s")

    assert arrival(plans(scenarios)[0]) == 10.0
    monkeypatch.setenv("PYTEST_MS_RAMP", "20s")
    assert arrival(plans(scenarios)[0]) == 20.0
    assert arrival(plans(scenarios, "--ms-ramp=30s")[0]) == 30.0


@pytest.mark.parametrize("text", ["10", "soon", "1d"])
def test_a_bad_duration_is_one_message(scenarios: Inner, text: str) -> None:
    """Named with the option."""
    assert mentions(
        scenarios.refuses(f"--ms-ramp={text}", "--ms-pool=local"), f"--ms-ramp: {text!r} is not a"
    )
