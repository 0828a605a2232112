"""--ms-rate: another arrival rate for every selected scenario that has one."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.plans import tables
from tests.plugin.projects import mentions


@pytest.fixture
def scenarios(inner: Inner) -> Inner:
    """Return a project with an open scenario, one of stages of rates, and a closed one."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario(rate="100/s", hold="4s", max_users=30)
        def test_plain(vu): pass

        @pytest.mark.load_scenario(stages=[("10s", "40/s"), ("5s", "20/s")])
        def test_stages(vu): pass

        @pytest.mark.load_scenario(users=7)
        def test_closed(vu): pass
        """
    )
    return inner


def peaks(scenarios: Inner, *args: str) -> list[tuple[float, int]]:
    """Return the largest rate and the most users of the three scenarios, a rate of 0 for none."""
    found = tables(scenarios.run("--ms-pool=local=600+300", "--ms-plan", *args))
    plans = [found[f"test_shop.py::{name}"] for name in ("test_plain", "test_stages", "test_closed")]
    return [(max((rate for _, rate, _ in plan.rates), default=0.0), plan.peak[0]) for plan in plans]


def test_without_it_every_scenario_has_its_own(scenarios: Inner) -> None:
    """Of how many users may run at once nobody spoke in the second: a second of arrivals."""
    assert peaks(scenarios) == [(100, 30), (40, 40), (0, 7)]


def test_a_rate_replaces_the_peak_of_open_scenarios(scenarios: Inner) -> None:
    """The closed one is left alone, and so are users that were spoken of."""
    assert peaks(scenarios, "--ms-rate=80/s") == [(80, 30), (80, 80), (0, 7)]


def test_a_percentage_scales(scenarios: Inner) -> None:
    """Down for smoke runs, and up."""
    assert peaks(scenarios, "--ms-rate=10%") == [(10, 30), (4, 10), (0, 7)]
    assert peaks(scenarios, "--ms-rate=250%") == [(250, 30), (100, 100), (0, 7)]


def test_users_are_how_many_may_run_at_once(scenarios: Inner) -> None:
    """The rate stays."""
    assert peaks(scenarios, "--ms-users=90") == [(100, 90), (40, 90), (0, 90)]


def test_hold_and_ramp_replace_the_curve_at_its_peak(scenarios: Inner) -> None:
    """In the open model as in the closed one."""
    found = tables(scenarios.run("--ms-pool=local=900", "--ms-plan", "--ms-hold=6s", "--ms-ramp=2s"))

    rates = {second: rate for second, rate, _ in found["test_shop.py::test_stages"].rates}
    assert (rates[0.0], rates[1.0], rates[2.0], rates[8.0]) == (0, 20, 40, 40)
    assert max(rates) == 8.0


def test_the_rate_is_divided_as_the_users_are(scenarios: Inner) -> None:
    """Every row adds up, in proportion to the capacities."""
    found = tables(scenarios.run("--ms-pool=local=600+300", "--ms-plan"))["test_shop.py::test_plain"]

    assert found.peak == (30, [20, 10])
    for _, rate, shares in found.rates:
        assert sum(shares) == pytest.approx(rate, rel=1e-3)
        assert shares[0] == pytest.approx(2 * shares[1], rel=1e-3)


def test_the_option_beats_the_variable_beats_the_ini(
    scenarios: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every option."""
    scenarios.pytester.makeini("[pytest]\nms_rate = 3/s")

    assert peaks(scenarios)[0] == (3, 30)
    monkeypatch.setenv("PYTEST_MS_RATE", "200%")
    assert peaks(scenarios)[0] == (200, 30)
    assert peaks(scenarios, "--ms-rate=7/s")[0] == (7, 30)


@pytest.mark.parametrize("text", ["0/s", "-3/s", "fast", "50", "0%", "5/day", ""])
@pytest.mark.parametrize("pool", [["--ms-pool=local"], []], ids=["pool", "functional"])
def test_a_bad_rate_is_one_message(scenarios: Inner, text: str, pool: list[str]) -> None:
    """With and without a pool, so that a typing error does not wait for the nightly run."""
    message = scenarios.refuses(f"--ms-rate={text}", *pool)

    assert mentions(message, f"--ms-rate: {text!r}", "50/s", "50%")


def test_a_bad_rate_in_the_environment_names_the_variable(
    scenarios: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user reads where the text comes from."""
    monkeypatch.setenv("PYTEST_MS_RATE", "fast")

    assert scenarios.refuses("--ms-pool=local").startswith("PYTEST_MS_RATE: 'fast'")


def test_functional_mode_runs_once_whatever_it_says(scenarios: Inner) -> None:
    """Without a pool there is no load."""
    scenarios.run("--ms-rate=40/s").assert_outcomes(passed=3)


def test_more_users_than_the_pool_carries_have_no_plan(scenarios: Inner) -> None:
    """How many may run at once needs room, derived or said."""
    message = scenarios.refuses("--ms-pool=local=25", "--ms-plan", "--ms-rate=1000/s", "-k", "stages")

    assert mentions(message, "1000 users are asked for", "room for 25", "--ms-users=25")
