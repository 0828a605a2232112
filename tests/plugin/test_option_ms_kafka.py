"""--ms-kafka: results come over Kafka instead of being pulled from the nodes."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from pytest_metersphere.dist.kafka.preflight import SENTENCE
from tests.fakes.certificates import Authority
from tests.plugin.conftest import Inner, Listener
from tests.plugin.projects import Project, mentions

SHOP = """
    import pytest

    @pytest.mark.load_scenario(users=2, iterations=3)
    async def test_cart(vu):
        with vu.sample("step"):
            await vu.sleep(0.001)
"""


@pytest.mark.needs_kafka
def test_results_come_over_kafka(project: Project, kafka: str) -> None:
    """The header, the document and the ledger say so; the topic's name begins as ini says."""
    project.write("pytest.ini", f"[pytest]\nms_kafka_prefix = test-{secrets.token_hex(6)}")
    project.write("test_shop.py", SHOP)
    done = project.run("--ms-pool=local", f"--ms-kafka={kafka}")

    assert done.code == 0, done.text
    assert f"results come over Kafka ({kafka})" in done.out
    assert done.document.session.kafka == kafka
    ledger = done.scenario("test_cart").ledger
    assert ledger.received == ledger.sent > 0
    assert (ledger.lost, ledger.repaired) == (0, 0)


def test_without_it_they_are_pulled(project: Project) -> None:
    """And with none, which switches off what a variable or an ini file says."""
    project.write("pytest.ini", "[pytest]\nms_kafka = kafka.invalid:9092")
    project.write("test_shop.py", SHOP)
    done = project.run("--ms-pool=local", "--ms-kafka=none", env={"PYTEST_MS_KAFKA": "kafka.invalid:9093"})

    assert done.code == 0, done.text
    assert "results are pulled from the node-controllers over HTTP" in done.out
    assert done.document.session.kafka is None


def test_the_option_beats_the_variable_beats_the_ini(
    scenario: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every option; the message says which of them is wrong."""
    scenario.pytester.makeini("[pytest]\nms_kafka = of-ini")

    assert scenario.refuses("--ms-pool=local").startswith("Kafka: ini ms_kafka: 'of-ini' has no port")
    monkeypatch.setenv("PYTEST_MS_KAFKA", "of-variable")
    message = scenario.refuses("--ms-pool=local")
    assert message.startswith("Kafka: PYTEST_MS_KAFKA: 'of-variable' has no port")
    message = scenario.refuses("--ms-pool=local", "--ms-kafka=of-option")
    assert message.startswith("Kafka: --ms-kafka: 'of-option' has no port")


def test_a_broker_that_is_not_there_ends_the_session(scenario: Inner, nobody: str) -> None:
    """Before anything runs, with the sentence that MeterSphere's users know."""
    message = scenario.refuses("--ms-pool=local", f"--ms-kafka={nobody}")

    assert mentions(message, f"Kafka: {nobody}: the connection was refused", SENTENCE)


def test_functional_mode_asks_no_broker(scenario: Inner, listener: Listener) -> None:
    """Without a pool there is nothing to be sent."""
    scenario.run(f"--ms-kafka={listener.address}").assert_outcomes(passed=1)

    assert not listener.called


def test_a_certificate_and_another_key(
    scenario: Inner, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pair that belongs together is taken, one that does not is told before anything is connected."""
    authority = Authority(tmp_path)
    certificate, key = authority.certificate("mine")
    _, other = authority.certificate("other")
    monkeypatch.setenv("PYTEST_MS_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("PYTEST_MS_KAFKA_CERTFILE", str(certificate))
    monkeypatch.setenv("PYTEST_MS_KAFKA_KEYFILE", str(key))

    assert "the connection was refused" in scenario.refuses("--ms-pool=local", f"--ms-kafka={nobody}")
    monkeypatch.setenv("PYTEST_MS_KAFKA_KEYFILE", str(other))
    message = scenario.refuses("--ms-pool=local", f"--ms-kafka={nobody}")
    assert mentions(message, "PYTEST_MS_KAFKA_CERTFILE and PYTEST_MS_KAFKA_KEYFILE", "no PEM certificate")
