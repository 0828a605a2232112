"""Every metric of a threshold, kept and broken, in a session that runs."""

from __future__ import annotations

import pytest

from tests.plugin.projects import Done, Project

TESTS = """
    import pytest

    async def order(vu):
        with vu.transaction("order"):
            with vu.sample("pick"):
                await vu.sleep(0.005)
            if vu.iteration % 2:
                with vu.sample("pay"):
                    raise RuntimeError("no money")

    @pytest.mark.load_scenario(users=2, iterations=4)
    @pytest.mark.threshold("pick: avg >= 4ms")
    @pytest.mark.threshold("pick: min >= 4ms")
    @pytest.mark.threshold("pick: max < 10s")
    @pytest.mark.threshold("pick: p50 < 10s")
    @pytest.mark.threshold("pick: p99.9(service) < 10s")
    @pytest.mark.threshold("order: max < 10s")
    @pytest.mark.threshold("error_rate < 34%")
    @pytest.mark.threshold("pay: error_rate <= 100%")
    @pytest.mark.threshold("iteration_error_rate <= 50%")
    @pytest.mark.threshold("rps > 0.1/s")
    @pytest.mark.threshold("requests == 12")
    @pytest.mark.threshold("iterations == 8")
    @pytest.mark.threshold("failed_iterations == 4")
    async def test_kept(vu):
        await order(vu)

    @pytest.mark.load_scenario(users=2, iterations=4)
    @pytest.mark.threshold("pick: avg < 1ms")
    @pytest.mark.threshold("pick: min < 1ms")
    @pytest.mark.threshold("pick: max < 1ms")
    @pytest.mark.threshold("pick: p50 < 1ms")
    @pytest.mark.threshold("order: min < 1ms")
    @pytest.mark.threshold("error_rate < 33%")
    @pytest.mark.threshold("iteration_error_rate < 50%")
    @pytest.mark.threshold("rps > 1000000/s")
    @pytest.mark.threshold("requests > 12")
    @pytest.mark.threshold("iterations != 8")
    @pytest.mark.threshold("failed_iterations < 4")
    async def test_broken(vu):
        await order(vu)
"""
COUNTS = {
    "error_rate": 4 / 12,
    "iteration_error_rate": 0.5,
    "requests": 12,
    "iterations": 8,
    "failed_iterations": 4,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session with the same load twice: two users, four iterations each, every other one fails."""
    project = Project(tmp_path_factory.mktemp("metrics"))
    project.write("test_shop.py", TESTS)
    return project.run("--ms-pool=local")


@pytest.mark.parametrize(("name", "state"), [("test_kept", "passed"), ("test_broken", "failed")])
def test_every_metric_is_judged(done: Done, name: str, state: str) -> None:
    """By what the load was, over all requests and samples or over a label, a transaction's included."""
    thresholds = done.scenario(name).thresholds

    assert {each.expr: each.state for each in thresholds} == {each.expr: state for each in thresholds}
    assert done.scenario(name).verdict == state


@pytest.mark.parametrize("name", ["test_kept", "test_broken"])
def test_what_can_be_counted_is_exact(done: Done, name: str) -> None:
    """Eight iterations, of which four fail by one of twelve samples; a transaction is no sample."""
    found = {each.expr.split()[0]: each.observed for each in done.scenario(name).thresholds if not each.label}
    observed = {metric: found[metric] for metric in COUNTS}

    assert observed == pytest.approx(COUNTS)


def test_times_are_seconds(done: Done) -> None:
    """A pause of 5 ms took about that long or longer, in samples as in the transaction around them."""
    observed = {each.expr: each.observed for each in done.scenario("test_broken").thresholds}

    assert all(0.004 <= (observed[f"pick: {metric} < 1ms"] or 0) < 10 for metric in ("avg", "min", "max"))
    assert (observed["order: min < 1ms"] or 0) >= 0.004
