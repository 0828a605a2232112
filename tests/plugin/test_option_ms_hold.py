"""--ms-hold: how long every selected scenario holds its peak."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.plans import tables
from tests.plugin.projects import mentions


@pytest.fixture
def scenarios(inner: Inner) -> Inner:
    """Return a project with a plain scenario, one of stages, and one with a warm-up."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario(users=10, ramp="2s", hold="4s")
        def test_plain(vu): pass

        @pytest.mark.load_scenario(stages=[("10s", 100), ("5s", 50)])
        def test_stages(vu): pass

        @pytest.mark.load_scenario(users=10, hold="9s", warmup="3s")
        def test_warm(vu): pass
        """
    )
    return inner


def ends(scenarios: Inner, *args: str) -> list[float]:
    """Return when the load of each of the three ends."""
    found = tables(scenarios.run("--ms-pool=local=900", "--ms-plan", *args))
    return [found[f"test_shop.py::test_{name}"].times[-1] for name in ("plain", "stages", "warm")]


def test_without_it_every_scenario_has_its_own(scenarios: Inner) -> None:
    """Ramp and hold, or all stages."""
    assert ends(scenarios) == [6.0, 15.0, 9.0]


def test_it_replaces_the_hold_and_leaves_the_ramp(scenarios: Inner) -> None:
    """Stages become a plain hold at their peak, which is there at once."""
    assert ends(scenarios, "--ms-hold=1m") == [62.0, 60.0, 60.0]
    plan = tables(scenarios.run("--ms-pool=local=900", "--ms-plan", "--ms-hold=1m"))
    assert plan["test_shop.py::test_stages"].rows[0][:2] == (0.0, 100)


def test_the_option_beats_the_variable_beats_the_ini(
    scenarios: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every option."""
    scenarios.pytester.makeini("[pytest]\nms_hold = 20s")

    assert ends(scenarios) == [22.0, 20.0, 20.0]
    monkeypatch.setenv("PYTEST_MS_HOLD", "30s")
    assert ends(scenarios) == [32.0, 30.0, 30.0]
    assert ends(scenarios, "--ms-hold=40s") == [42.0, 40.0, 40.0]


@pytest.mark.parametrize(
    ("text", "piece"), [("10", 'add a unit, for example "10s"'), ("soon", "30s"), ("-1s", "30s"), ("", "30s")]
)
def test_a_bad_duration_is_one_message(scenarios: Inner, text: str, piece: str) -> None:
    """The unit is asked for, not guessed."""
    message = scenarios.refuses(f"--ms-hold={text}", "--ms-pool=local")

    assert mentions(message, f"--ms-hold: {text!r} is not a duration", piece)


@pytest.mark.parametrize("plan", [["--ms-plan"], []], ids=["plan", "run"])
def test_a_hold_within_the_warm_up_leaves_nothing_to_measure(scenarios: Inner, plan: list[str]) -> None:
    """The scenario is named, and nothing has been started."""
    message = scenarios.refuses("--ms-hold=2s", "--ms-pool=local=900", *plan)

    assert mentions(message, "test_shop.py::test_warm: ", "2 s", "warmup of 3 s", "--ms-hold")


def test_no_load_at_all_is_refused(scenarios: Inner) -> None:
    """Neither ramp nor hold is left."""
    message = scenarios.refuses("--ms-hold=0", "--ms-ramp=0", "--ms-pool=local=900", "--ms-plan")

    assert mentions(message, "test_shop.py::test_plain: ", "a load of 0 s", "--ms-hold=10s")
