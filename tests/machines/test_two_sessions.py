"""Several controllers on the same nodes and the same topic never mix."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.machines.conftest import LIMIT, Pool, Shopping

pytestmark = [pytest.mark.timeout(200), pytest.mark.needs_kafka]
BROWSE = "examples/test_shop.py::test_browse"


def test_two_at_once_are_both_exact_and_a_third_is_refused(
    go_shopping: Callable[[], Shopping], shared_pool: Pool, kafka: str
) -> None:
    """Each counts what its own shop has seen; a third finds too little capacity and says how much."""
    first, second, third = (go_shopping() for _ in range(3))
    pool = (f"--ms-pool={shared_pool.text}", f"--ms-kafka={kafka}")
    sessions = [
        each.begin(BROWSE, *pool, f"--ms-users={users}", "--ms-ramp=1s", f"--ms-hold={hold}s")
        for each, users, hold in ((first, 500, 14), (second, 300, 14))
    ]
    first.under_load()
    second.under_load()

    refused = third.run(BROWSE, *pool, "--ms-users=300", "--ms-hold=1s")

    assert refused == 4, third.output
    assert "300 users are asked for, but the pool has room for 200 (80 + 80 + 40)" in third.output, (
        third.output
    )
    assert not (third.reports / "results.json").exists()
    assert [session.wait(LIMIT) for session in sessions] == [0, 0], first.output + second.output
    for each, users in ((first, [200, 200, 100]), (second, [120, 120, 60])):
        ledger = each.result.ledger
        assert [node.users for node in each.result.nodes] == users
        assert (ledger.lost, ledger.duplicates, ledger.rejected) == (0, 0, 0)
        assert ledger.sent == ledger.received > 0
        assert ledger.exchanges == each.served
