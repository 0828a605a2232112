"""Test plans as load on local nodes: a real JMeter on each, and the server that they ask."""

from __future__ import annotations

import pytest

from pytest_metersphere.reports.document import ScenarioResult
from tests.jmeter.conftest import JmxProject
from tests.jmeter.plans import (
    concurrency,
    csv,
    http,
    pause,
    plan,
    says,
    sleep,
    stepping,
    threads,
    transaction,
    ultimate,
)
from tests.jmeter.target import Target

pytestmark = [pytest.mark.timeout(180), pytest.mark.needs_jmeter]
TEST = """
    import pytest

    @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": {port}}}, {keywords})
    def test_shop(load_result):
        assert load_result.labels["buy"].kind == "transaction"
        assert load_result.requests == load_result.labels["GET /cart"].requests
        assert load_result.percentile(50) <= load_result.percentile(99, "GET /cart")
"""
HOSTS = """
    import pytest

    @pytest.mark.load_scenario(
        jmx="plans/shop.jmx", users=2, properties={{"port": {port}}}, hosts={{"shop.test": "127.0.0.1"}}
    )
    def test_shop(load_result):
        assert load_result.labels["GET /cart"].failures == 0
"""
SHOP = plan(threads(pause(50), transaction("buy", http("/cart"))))


def closed(result: ScenarioResult, target: Target) -> None:
    """See that the report, its ledger and the server have the same count."""
    ledger = result.ledger
    assert (ledger.lost, ledger.duplicates, ledger.rejected) == (0, 0, 0)
    assert ledger.exchanges == ledger.counted + ledger.warmup + ledger.interrupted == target.count
    assert result.totals.requests == ledger.counted
    assert sum(node.requests for node in result.nodes) == ledger.counted


def test_one_node(jmx_project: JmxProject, target: Target) -> None:
    """On one node all users run, and the report counts what the server saw and JMeter summed up."""
    jmx_project.plan(SHOP)
    jmx_project.write(
        "test_shop.py", TEST.format(port=target.port, keywords='users=3, hold="2s", warmup="1s"')
    )

    done = jmx_project.load("--ms-pool=local=10")

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert result.totals.users_max == 3
    assert {label.name: label.kind for label in result.labels} == {
        "GET /cart": "request",
        "buy": "transaction",
    }
    closed(result, target)


def test_three_nodes(jmx_project: JmxProject, target: Target) -> None:
    """On three nodes each has the users of the plan, and nothing is lost or counted twice."""
    jmx_project.plan(SHOP)
    jmx_project.write("test_shop.py", TEST.format(port=target.port, keywords='users=7, ramp="1s", hold="5s"'))

    done = jmx_project.load("--ms-pool=local=8+4+4")

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert [entry.users for entry in result.plan] == [node.users for node in result.nodes] == [4, 2, 1]
    assert result.totals.users_max == 7
    closed(result, target)


@pytest.mark.parametrize(
    ("users", "pool", "shares"),
    [(10_000, "4000+4000+2000", [4000, 4000, 2000]), (2, "9+9+9+9", [1, 1, 0, 0])],
)
def test_threads_are_those_of_the_plan(
    jmx_project: JmxProject, users: int, pool: str, shares: list[int]
) -> None:
    """JMeter has as many threads on each node as the plan says: each runs its sampler once."""
    jmx_project.plan(plan(threads(sleep(500))))
    jmx_project.write(
        "test_shop.py",
        f"""
        import pytest

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", users={users}, iterations=1)
        def test_shop(load_result):
            assert load_result.requests == {users}
        """,
    )

    done = jmx_project.load(f"--ms-pool=local={pool}")

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert [entry.users for entry in result.plan] == shares
    assert [node.requests for node in result.nodes] == [share for share in shares if share]
    assert (result.ledger.lost, result.ledger.duplicates) == (0, 0)
    assert result.ledger.exchanges == users


def test_rows_are_divided(jmx_project: JmxProject, target: Target) -> None:
    """Of a CSV file each row is used once over all nodes, with its header and quoted line breaks kept."""
    rows = ['"a\nb",0'] + [f"user,{number}" for number in range(1, 11)]
    jmx_project.folder.joinpath("plans").mkdir()
    jmx_project.folder.joinpath("plans", "users.csv").write_text("\n".join(["name,id", *rows]))
    data = csv("users.csv", recycle=False)
    request = http("/cart?id=${id}&name=${__urlencode(${name})}")
    jmx_project.plan(plan(data, threads(transaction("buy", request))))
    keywords = "users=4, iterations=1000"
    jmx_project.write("test_shop.py", TEST.format(port=target.port, keywords=keywords))

    done = jmx_project.load("--ms-pool=local=2+1+1")

    assert done.counts == {"passed": 1}, done.text
    used = [f"/cart?id={number}&name=user" for number in range(1, 11)]
    assert target.asked == dict.fromkeys(["/cart?id=0&name=a%0Ab", *used], 1)
    assert [node.requests for node in done.scenario("test_shop").nodes] == [5, 3, 3]


def test_failing_assertion(jmx_project: JmxProject, target: Target) -> None:
    """A failed assertion of the plan fails the test, whose body then does not run."""
    jmx_project.plan(plan(threads(http("/cart", says("paid")), http("/gone?status=404"))))
    jmx_project.write(
        "test_shop.py",
        f"""
        import pytest

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": "{target.port}"}})
        def test_shop():
            raise RuntimeError("the body ran")

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": "{target.port}"}})
        @pytest.mark.threshold("error_rate <= 100%")
        def test_excused(load_result):
            assert load_result.failures == load_result.requests == 2
            assert list(load_result.errors.values()) == [1, 1]
        """,
    )

    done = jmx_project.load("--ms-pool=local=10")

    assert done.counts == {"failed": 1, "passed": 1}, done.text
    assert "the body ran" not in done.text
    result = done.scenario("test_shop")
    assert result.verdict == "failed"
    assert "2 of 2 samples failed" in result.findings[0]
    kinds = {(error.label, error.kind) for error in result.errors}
    assert kinds == {("GET /cart", "assert"), ("GET /gone", "status")}


def test_body_fails(jmx_project: JmxProject, target: Target) -> None:
    """What the body of the test asserts of the result decides, in pytest and in the reports alike."""
    jmx_project.plan(plan(threads(http("/cart"))))
    jmx_project.write(
        "test_shop.py",
        f"""
        import pytest

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": "{target.port}"}})
        def test_shop(load_result):
            assert load_result.requests == 2, "one order is missing"
        """,
    )

    done = jmx_project.load("--ms-pool=local=10")

    assert done.counts == {"failed": 1}, done.text
    result = done.scenario("test_shop")
    assert result.verdict == "failed"
    assert "one order is missing" in result.findings[-1]


def test_groups_of_plugins(jmx_project: JmxProject, target: Target) -> None:
    """Concurrency, Ultimate and Stepping Thread Groups keep their curves, each node with its part."""
    jmx_project.plan(
        plan(
            concurrency(pause(50), http("/crowd"), target=4, hold=3),
            ultimate(pause(50), http("/waves"), rows=[(2, 0, 0, 3, 0), (2, 1, 0, 2, 0)]),
            stepping(pause(50), http("/steps"), count=4, step=2, flight=3),
        )
    )
    jmx_project.write(
        "test_shop.py",
        f"""
        import pytest

        @pytest.mark.load_scenario(jmx="plans/shop.jmx", properties={{"port": "{target.port}"}})
        def test_shop(load_result):
            assert set(load_result.labels) == {{"GET /crowd", "GET /waves", "GET /steps"}}
        """,
    )

    done = jmx_project.load("--ms-pool=local=20+20")

    assert done.counts == {"passed": 1}, done.text
    result = done.scenario("test_shop")
    assert [entry.users for entry in result.plan] == [node.users for node in result.nodes] == [6, 6]
    closed(result, target)


def test_hosts_and_setup(jmx_project: JmxProject, target: Target) -> None:
    """Names in `hosts` lead to their addresses, and set-up groups run on every node, as no users."""
    setup = threads(http("/setup"), tag="SetupThreadGroup", name="prepare", count=3)
    shop = threads(pause(50), http("/cart", host="shop.test"), loops=5)
    jmx_project.plan(plan(setup, shop))
    jmx_project.write(
        "test_shop.py",
        HOSTS.format(port=target.port),
    )

    done = jmx_project.load("--ms-pool=local=5+5")

    assert done.counts == {"passed": 1}, done.text
    assert target.asked == {"/setup": 6, "/cart": 10}
    result = done.scenario("test_shop")
    assert [node.users for node in result.nodes] == [1, 1]
    closed(result, target)
