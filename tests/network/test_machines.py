"""The whole way over a network: nodes, Kafka, shop and pytest, each on a machine of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.network.conftest import Shop
from tests.network.namespaces import Machine, Network
from tests.plugin.projects import Project
from tests.plugin.remote import TOKEN, remote_node

CAPACITIES = (400, 400, 200)
SCENARIO = """
    import os

    import pytest

    @pytest.fixture(scope="session")
    def shop():
        return os.environ["SHOP_URL"]

    @pytest.mark.load_scenario(users=1000, ramp="2s", hold="4s", think="2s")
    async def test_look(vu, shop):
        number = vu.id % 12 + 1
        reply = await vu.http.get(f"{shop}/products/{number}")
        assert reply.json()["id"] == number
"""


@pytest.fixture(scope="module")
def pool(net: Network) -> Iterator[str]:
    """Run node-controllers for 400, 400 and 200 users on three machines; return the pool."""
    with ExitStack() as stack:
        addresses = []
        for number, capacity in enumerate(CAPACITIES, start=1):
            machine = net.machine(f"node{number}")
            options = (f"--capacity={capacity}", f"--name=node{number}")
            node = remote_node(*options, host=machine.address, prefix=machine.prefix)
            addresses.append(f"node{number}@{stack.enter_context(node)}")
        yield ",".join(addresses)


@pytest.fixture(scope="module")
def controller(net: Network) -> Machine:
    """Return the machine for pytest."""
    return net.machine("controller")


@pytest.mark.parametrize("way", [pytest.param("kafka", marks=pytest.mark.needs_kafka), "spools"])
def test_a_thousand_users_on_three_machines(
    way: str, pool: str, controller: Machine, shop: Shop, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """They are 400, 400 and 200, nothing is lost, and every exchange is one that the shop has counted."""
    kafka = request.getfixturevalue("far_kafka") if way == "kafka" else "none"
    project = Project(tmp_path / "project")
    project.write("test_shop.py", SCENARIO)
    env = {"PYTEST_MS_TOKEN": TOKEN, "SHOP_URL": shop.url}
    done = project.run(f"--ms-pool={pool}", f"--ms-kafka={kafka}", env=env, prefix=controller.prefix)

    assert done.code == 0, done.text
    result = done.scenario("test_look")
    assert [(node.name, node.users) for node in result.nodes] == [
        ("node1", 400),
        ("node2", 400),
        ("node3", 200),
    ]
    ledger = result.ledger
    assert (ledger.lost, ledger.duplicates, ledger.rejected) == (0, 0, 0)
    assert ledger.sent == ledger.received > 0
    assert ledger.exchanges == shop.served > 1000
    assert done.document.session.kafka == (kafka if way == "kafka" else None)
