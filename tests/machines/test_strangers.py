"""Whatever strangers put on the topic: it is counted, and the verdict stays what it was."""

from __future__ import annotations

import secrets

import pytest

from pytest_metersphere.dist.signing import new_key, sign
from pytest_metersphere.dist.wire import KafkaAccess
from tests.fakes.nodes import eventually
from tests.kafka.records import read_all, write
from tests.machines.conftest import LIMIT, Pool, Shopping

pytestmark = [pytest.mark.timeout(200), pytest.mark.needs_kafka]
BROWSE = "examples/test_shop.py::test_browse"
Record = tuple[bytes | None, bytes | None]


def test_strangers_and_replays_change_nothing(shopping: Shopping, shared_pool: Pool, kafka: str) -> None:
    """Unsigned, foreign, old, garbled and oversized frames are rejected, a repeated one is a duplicate."""
    access = KafkaAccess(servers=(kafka,), prefix=f"test-{secrets.token_hex(6)}")
    env = {"PYTEST_MS_KAFKA_PREFIX": access.prefix}
    way = [BROWSE, f"--ms-pool={shared_pool.text}", f"--ms-kafka={kafka}", "--ms-users=20", "--ms-ramp=0s"]
    assert shopping.run(*way, "--ms-hold=2s", env=env) == 0, shopping.output
    over = shopping.result.run_id.encode()
    yesterday = [record for record in read_all(access) if record[0].startswith(over)]
    assert yesterday

    session = shopping.begin(*way, "--ms-hold=10s", env=env)
    seen = len(read_all(access)) + 1
    eventually(lambda: len(read_all(access)) > seen + 2, "frames of this run", 30.0)
    # partitions come one after the other: the last record may be of the earlier run
    fresh = [record for record in read_all(access) if not record[0].startswith(over)]
    key, frame = next(record for record in reversed(fresh) if record[0].endswith(b"-0"))
    strangers: list[Record] = [
        (key, frame[17:]),
        (key, sign(new_key(), frame[17:])),
        (key, frame[:-1]),
        (key, b"\xc1garbage"),
        (key, bytes(900_000)),
        (key, None),
        (None, b"without a key"),
        (b"ffffffffffffffff-0", b"of a run that nobody knows"),
        (key, yesterday[0][1]),
        *yesterday,
    ]
    write(kafka, access.results_topic, [*strangers, (key, frame)])

    assert session.wait(LIMIT) == 0, shopping.output
    result = shopping.result
    assert result.verdict == "passed"
    assert result.validity.valid
    assert (result.ledger.rejected, result.ledger.duplicates) == (len(strangers), 1)
    assert (result.ledger.lost, result.ledger.repaired) == (0, 0)
    assert result.ledger.exchanges == shopping.served
