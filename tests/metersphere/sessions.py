"""What sessions on stock nodes share: the image, the settings, the scenario, and what a result must add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tests.metersphere.stand_in import StandIn
from tests.plugin.projects import Done

IMAGE = "pytest-metersphere-runner:test"
SCENARIO = """
import pytest

@pytest.mark.load_scenario(users=10, hold="4s", think="100ms")
@pytest.mark.threshold("p95 < 5s")
async def test_cart(vu, base_url):
    reply = await vu.http.get(f"{base_url}/cart", label="cart")
    assert reply.json()["status"] == "queued"
"""


@dataclasses.dataclass(frozen=True)
class Machines:
    """Stock nodes, and the Kafka over which their containers are spoken to.

    Attributes:
        stand_ins: their node-controllers.
        kafka: bootstrap server.
        prefix: of the topics.
    """

    stand_ins: Sequence[StandIn]
    kafka: str
    prefix: str

    @property
    def env(self) -> dict[str, str]:
        """Return the variables by which a session can use them."""
        return {
            "PYTEST_MS_KAFKA": self.kafka,
            "PYTEST_MS_KAFKA_PREFIX": self.prefix,
            "PYTEST_MS_RUNNER_IMAGE": IMAGE,
        }

    def pool(self, *capacities: int) -> str:
        """Return the nodes s1, s2 and so on as a pool's text."""
        pairs = enumerate(zip(self.stand_ins, capacities, strict=False), 1)
        return ",".join(f"s{number}@{one.address}={capacity}" for number, (one, capacity) in pairs)


def assert_whole(done: Done) -> None:
    """Assert that a session passed, and that what it counted is what its server has served."""
    assert done.code == 0, done.text
    result = done.scenario("test_cart")
    assert result.verdict == "passed", done.text
    assert result.validity.valid
    ledger = result.ledger
    assert ledger.sent == ledger.received > 0
    assert (ledger.lost, ledger.duplicates, ledger.rejected) == (0, 0, 0)
    assert ledger.exchanges == int((done.folder / "served").read_text())
