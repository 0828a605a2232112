"""--ms-users: another number of users for every selected scenario."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.plans import tables
from tests.plugin.projects import mentions


@pytest.fixture
def scenarios(inner: Inner) -> Inner:
    """Return a project with a plain scenario and one of stages."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario(users=10, hold="4s")
        def test_plain(vu): pass

        @pytest.mark.load_scenario(stages=[("10s", 100), ("5s", 50), ("5s", 0)])
        def test_stages(vu): pass
        """
    )
    return inner


def peaks(scenarios: Inner, *args: str) -> list[int]:
    """Return the most users of the two scenarios."""
    found = tables(scenarios.run("--ms-pool=local=900", "--ms-plan", *args))
    return [found[f"test_shop.py::{name}"].peak[0] for name in ("test_plain", "test_stages")]


def test_without_it_every_scenario_has_its_own(scenarios: Inner) -> None:
    """The marks say 10 and 100."""
    assert peaks(scenarios) == [10, 100]


def test_a_number_replaces_the_peak_of_every_scenario(scenarios: Inner) -> None:
    """Of stages, the highest."""
    assert peaks(scenarios, "--ms-users=40") == [40, 40]


def test_a_percentage_scales(scenarios: Inner) -> None:
    """Down for smoke runs, and up."""
    assert peaks(scenarios, "--ms-users=10%") == [1, 10]
    assert peaks(scenarios, "--ms-users=250%") == [25, 250]


def test_stages_keep_their_shape(scenarios: Inner) -> None:
    """Every level is scaled with the peak, and the times stay."""
    found = tables(scenarios.run("--ms-pool=local=900", "--ms-plan", "--ms-users=40"))

    at = {seconds: users for seconds, users, _ in found["test_shop.py::test_stages"].rows}
    assert (at[10.0], at[15.0], at[20.0]) == (40, 20, 0)


def test_the_option_beats_the_variable_beats_the_ini(
    scenarios: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every option."""
    scenarios.pytester.makeini("[pytest]\nms_users = 3")

    assert peaks(scenarios) == [3, 3]
    monkeypatch.setenv("PYTEST_MS_USERS", "200%")
    assert peaks(scenarios) == [20, 200]
    assert peaks(scenarios, "--ms-users=7") == [7, 7]


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5", "0%", "5 %%", "1e3", ""])
@pytest.mark.parametrize("pool", [["--ms-pool=local"], []], ids=["pool", "functional"])
def test_a_bad_number_is_one_message(scenarios: Inner, text: str, pool: list[str]) -> None:
    """With and without a pool, so that a typing error does not wait for the nightly run."""
    message = scenarios.refuses(f"--ms-users={text}", *pool)

    assert mentions(message, f"--ms-users: {text!r}", "50")


def test_a_bad_number_in_the_environment_names_the_variable(
    scenarios: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user reads where the text comes from."""
    monkeypatch.setenv("PYTEST_MS_USERS", "many")

    assert scenarios.refuses("--ms-pool=local").startswith("PYTEST_MS_USERS: 'many'")


def test_functional_mode_has_one_user_whatever_it_says(scenarios: Inner) -> None:
    """Without a pool there is no load to scale."""
    scenarios.run("--ms-users=40").assert_outcomes(passed=2)
