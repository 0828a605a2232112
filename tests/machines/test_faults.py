"""What breaks on the way is told, with the node and the second, and never ends green by luck."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.fakes.nodes import eventually
from tests.kafka.broker import Broker, broker
from tests.machines.conftest import LIMIT, Pool, Shopping

pytestmark = [pytest.mark.timeout(200), pytest.mark.needs_kafka]
BROWSE = "examples/test_shop.py::test_browse"
LEASE = 15.0
MARGIN = 5.0


@pytest.fixture(scope="module")
def fragile(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return a broker that may be stopped; the next test finds it running again."""
    with broker(pytestconfig, tmp_path_factory.mktemp("broker")) as running:
        yield running


def options(pool: Pool, kafka: str, hold: int, users: int = 50) -> list[str]:
    """Return the options of a session that holds its users for so many seconds."""
    way = [BROWSE, f"--ms-pool={pool.text}", f"--ms-kafka={kafka}"]
    return [*way, f"--ms-users={users}", "--ms-ramp=0s", f"--ms-hold={hold}s"]


def pause(seconds: float) -> None:
    """Let an outage last."""
    threading.Event().wait(seconds)


def test_a_broker_that_restarts_costs_nothing(shopping: Shopping, shared_pool: Pool, fragile: Broker) -> None:
    """Five seconds without it in the hold: the spools give what is late, and the report says how much."""
    session = shopping.begin(*options(shared_pool, fragile.address, hold=20))
    shopping.under_load()
    fragile.stop()
    pause(5.0)
    fragile.start()

    assert session.wait(LIMIT) == 0, shopping.output
    result = shopping.result
    assert result.verdict == "passed"
    assert result.validity.valid
    assert (result.ledger.lost, result.ledger.duplicates, result.ledger.rejected) == (0, 0, 0)
    assert result.ledger.sent == result.ledger.received > 0
    assert result.ledger.repaired > 0
    assert result.ledger.exchanges == shopping.served
    assert f"{result.ledger.repaired} frames did not come over Kafka in time" in shopping.output


def test_a_broker_that_stays_away_costs_no_frame(
    shopping: Shopping, shared_pool: Pool, fragile: Broker
) -> None:
    """Without a broker to the end everything comes from the spools, and the report says why."""
    session = shopping.begin(*options(shared_pool, fragile.address, hold=8))
    shopping.under_load()
    fragile.stop()
    code = session.wait(LIMIT)
    fragile.start()

    assert code == 0, shopping.output
    result = shopping.result
    assert result.validity.valid
    assert result.ledger.lost == 0
    assert result.ledger.repaired >= 3 * 4
    assert result.ledger.exchanges == shopping.served
    assert "did not come over Kafka in time" in result.warnings[0]


@pytest.mark.parametrize("policy", ["fail", "continue"])
def test_a_killed_node_is_told(policy: str, shopping: Shopping, own_pool: Pool, kafka: str) -> None:
    """The run is invalid, names the node and its last second; the load of the others ends, or goes on."""
    hold = 60 if policy == "fail" else 16
    session = shopping.begin(*options(own_pool, kafka, hold), f"--ms-on-node-loss={policy}")
    shopping.under_load()
    victim = own_pool.clients[1]
    os.kill(victim.info().pid, signal.SIGKILL)

    if policy == "fail":
        eventually(lambda: own_pool.live == 0, "the end of the others' load", 15.0)
    assert session.wait(LIMIT) == 1, shopping.output
    result = shopping.result
    (reason,) = result.validity.reasons
    assert result.verdict == "invalid"
    assert victim.name in reason
    assert "lost after second" in reason
    statuses = [node.status for node in result.nodes]
    assert statuses == (["stopped", "lost", "stopped"] if policy == "fail" else ["ended", "lost", "ended"])
    assert reason in shopping.output


def test_a_killed_worker_is_told(shopping: Shopping, own_pool: Pool, kafka: str) -> None:
    """The state of a slice tells of its worker, while its frames come over Kafka."""
    session = shopping.begin(*options(own_pool, kafka, 60))
    shopping.under_load()
    client = own_pool.clients[2]
    (slice_id,) = client.info().slices
    (worker,) = client.state(slice_id).workers
    os.kill(worker, signal.SIGKILL)

    assert session.wait(LIMIT) == 1, shopping.output
    (reason,) = shopping.result.validity.reasons
    assert reason.startswith(f"node {client.name} lost worker 0 (process {worker}) in second ")
    assert reason.endswith("killed by SIGKILL")


def test_a_killed_controller_takes_its_load_with_it(
    shopping: Shopping, shared_pool: Pool, kafka: str
) -> None:
    """The lease of every slice runs out, and its capacity is free again."""
    session = shopping.begin(*options(shared_pool, kafka, 120))
    shopping.under_load()
    assert shared_pool.live == 50
    session.kill()
    session.wait()

    eventually(lambda: shared_pool.live == 0, "the end of all load", LEASE + MARGIN)
