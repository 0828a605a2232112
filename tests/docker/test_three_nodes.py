"""The whole way on three node-controllers whose slices run in containers of a real Docker Engine."""

from __future__ import annotations

import pytest

from tests.docker.conftest import Start
from tests.docker.engine import Engine
from tests.docker.slices import names
from tests.machines.conftest import Shopping

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(300)]
LOAD = ("--ms-kafka=none", "--ms-users=50", "--ms-ramp=1s", "--ms-hold=4s")


@pytest.mark.parametrize("kind", ["browse", "search"])
def test_a_run_in_containers(kind: str, start: Start, shopping: Shopping, docker_engine: Engine) -> None:
    """Users are split exactly, for async def and def alike, the server's count is ours, and nothing stays."""
    pool = start()
    code = shopping.run(f"examples/test_shop.py::test_{kind}", f"--ms-pool={pool.text}", *LOAD)

    assert code == 0, shopping.output
    result = shopping.result
    assert [node.users for node in result.nodes] == [20, 20, 10]
    assert (result.ledger.lost, result.ledger.duplicates, result.ledger.rejected) == (0, 0, 0)
    assert result.ledger.sent == result.ledger.received > 0
    assert result.ledger.exchanges == shopping.served > 0
    assert names(docker_engine) == []
