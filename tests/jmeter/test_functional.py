"""Without a pool a test plan is an ordinary test: JMeter runs once, then the body."""

from __future__ import annotations

import pytest

from tests.jmeter.conftest import JmxProject
from tests.jmeter.plans import concurrency, csv, element, http, plan, says, text, threads, transaction
from tests.jmeter.target import Target

pytestmark = [pytest.mark.timeout(180), pytest.mark.needs_jmeter]


def test_runs_once(jmx_project: JmxProject, target: Target) -> None:
    """Each thread group runs with one thread and one iteration, and the body sees what it came to."""
    jmx_project.write("plans/data/users.csv", "id\n41\n42")
    jmx_project.plan(
        plan(
            threads(
                csv("data/users.csv"),
                transaction("buy", http("/cart?id=${id}"), http("/pay"), parent=True),
                count=50,
                loops=9,
            ),
            concurrency(http("/crowd"), target=30, hold=3600),
            threads(http("/off"), enabled=False),
        )
    )
    jmx_project.write(
        "test_shop.py",
        f"""
        import pytest

        @pytest.fixture
        def port():
            return {target.port}

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", users=90, properties={{"port": {target.port}}})
        async def test_shop(load_result, port):
            assert port == {target.port}
            assert load_result.requests == 3
            assert load_result.labels["buy"].kind == "transaction"
            assert load_result.labels["GET /cart"].response.max < 60
            assert load_result.verdict == "passed" and not load_result.errors
            with pytest.raises(KeyError):
                load_result.percentile(95, "GET /crat")
            with pytest.raises(ValueError):
                load_result.percentile(42)
        """,
    )

    done = jmx_project.load()

    assert done.counts == {"passed": 1}, done.text
    assert target.asked == {"/cart?id=41": 1, "/pay": 1, "/crowd": 1}
    left = {path.name for path in jmx_project.folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert left == {"pytest.ini", "test_shop.py", "shop.jmx", "users.csv"}


def test_comes_to_an_end(jmx_project: JmxProject, target: Target) -> None:
    """What waits for other threads, or loops without an end, comes to its end when it runs once."""
    meet = element(
        "SyncTimer",
        "meet",
        '<intProp name="groupSize">10</intProp>',
        '<longProp name="timeoutInMs">0</longProp>',
    )
    endless = element("LoopController", "endless", text("LoopController.loops", -1), below=http("/cart"))
    jmx_project.plan(plan(meet, threads(endless, count=10, loops=-1, duration=60)))
    jmx_project.write(
        "test_shop.py",
        f"""
        import pytest

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": {target.port}}})
        def test_shop(load_result):
            assert load_result.requests == 1
        """,
    )

    done = jmx_project.load()

    assert done.counts == {"passed": 1}, done.text


def test_failed_samples(jmx_project: JmxProject, target: Target) -> None:
    """Failed samples and assertions fail the test with their labels and messages, before its body."""
    jmx_project.plan(plan(threads(http("/cart", says("paid")), http("/gone?status=404"), http("/fine"))))
    jmx_project.write(
        "test_shop.py",
        f"""
        import pytest

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": {target.port}}})
        def test_shop():
            raise RuntimeError("the body ran")
        """,
    )

    done = jmx_project.load()

    assert done.counts == {"failed": 1}, done.text
    assert "2 of 3 samples of plans/shop.jmx failed:" in done.text
    assert "GET /cart: Test failed: text expected to contain /paid/" in done.text
    assert "GET /gone: 404 Not Found" in done.text
    assert "the body ran" not in done.text
    assert "Traceback" not in done.text
