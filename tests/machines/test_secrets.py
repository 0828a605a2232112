"""Logging in at Kafka over TLS: the way works, and the password shows nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import Broker, Recipe, broker
from tests.machines.conftest import LIMIT, Shopping

pytestmark = [pytest.mark.timeout(200), pytest.mark.needs_kafka]
PASSWORD = "a-password-that-shows-nowhere"


@pytest.fixture(scope="module")
def locked(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return a broker where clients log in, over TLS."""
    recipe = Recipe(security="SASL_SSL", users={"alice": PASSWORD})
    with broker(pytestconfig, tmp_path_factory.mktemp("broker"), recipe) as running:
        yield running


def commands_and_environments() -> Iterator[str]:
    """Yield what the process list shows of every process, and the environments of those that we start."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text(errors="replace")
            yield command
            if "pytest_metersphere" in command:
                yield (folder / "environ").read_text(errors="replace")
        except OSError:
            continue


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_session_that_logs_in(mechanism: str, shopping: Shopping, locked: Broker, tmp_path: Path) -> None:
    """Frames come over SASL and TLS; reports, output, process list and environments hold no password."""
    (tmp_path / "ca.pem").write_text(locked.ca_pem)
    env = {
        "PYTEST_MS_KAFKA": locked.address,
        "PYTEST_MS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "PYTEST_MS_KAFKA_SASL_MECHANISM": mechanism,
        "PYTEST_MS_KAFKA_USERNAME": "alice",
        "PYTEST_MS_KAFKA_PASSWORD": PASSWORD,
        "PYTEST_MS_KAFKA_CAFILE": str(tmp_path / "ca.pem"),
    }
    way = ["examples/test_shop.py::test_browse", "--ms-pool=local=10+10", "--ms-users=5", "--ms-ramp=0s"]
    session = shopping.begin(*way, "--ms-hold=4s", "-vv", "--showlocals", env=env)
    shopping.under_load()
    shown = list(commands_and_environments())

    assert session.wait(LIMIT) == 0, shopping.output
    assert any("pytest_metersphere.engine.worker" in each for each in shown)
    assert not [each for each in shown if PASSWORD in each]
    for written in (shopping.output, *(file.read_text() for file in shopping.reports.glob("*.*"))):
        assert PASSWORD not in written
    ledger = shopping.result.ledger
    assert (ledger.lost, ledger.duplicates, ledger.rejected, ledger.repaired) == (0, 0, 0, 0)
    assert ledger.received > 0
