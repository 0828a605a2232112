"""The whole way on three node-controllers and real Kafka: split, load, results, ledger."""

from __future__ import annotations

import pytest

from tests.machines.conftest import Pool, Shopping

pytestmark = pytest.mark.timeout(200)
THOUSAND = ("--ms-users=1000", "--ms-ramp=2s", "--ms-hold=4s")


@pytest.mark.parametrize("way", [pytest.param("kafka", marks=pytest.mark.needs_kafka), "spools"])
def test_a_thousand_users(
    way: str, shopping: Shopping, shared_pool: Pool, request: pytest.FixtureRequest
) -> None:
    """They are 400, 400 and 200 in each scenario, and every count is that of the server."""
    kafka = request.getfixturevalue("kafka") if way == "kafka" else "none"
    code = shopping.run("examples", f"--ms-pool={shared_pool.text}", f"--ms-kafka={kafka}", *THOUSAND)

    assert code == 0, shopping.output
    scenarios = shopping.document.scenarios
    assert len(scenarios) == 3
    for result in scenarios:
        assert [entry.users for entry in result.plan] == [400, 400, 200]
        assert [node.users for node in result.nodes] == [400, 400, 200]
        assert (result.ledger.lost, result.ledger.duplicates, result.ledger.rejected) == (0, 0, 0)
        assert result.ledger.repaired == 0
        assert result.ledger.sent == result.ledger.received > 0
    assert sum(result.ledger.exchanges for result in scenarios) == shopping.served
    assert shopping.document.session.kafka == (kafka if way == "kafka" else None)
    heard = f"results come over Kafka ({kafka})" if way == "kafka" else "results are pulled from"
    assert heard in shopping.output
