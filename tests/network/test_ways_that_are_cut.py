"""What the preflight says when packets do not get through between machines of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_metersphere.dist.kafka.preflight import check_kafka
from pytest_metersphere.dist.wire import KafkaAccess
from tests.network.namespaces import Machine, Network
from tests.plugin.remote import remote_node
from tests.preflight.messages import assert_told, failure
from tests.preflight.trial import Trial, assert_found_in_time


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Return a project that has not been run."""
    return Trial(tmp_path)


@pytest.fixture(scope="module")
def machine(net: Network) -> Machine:
    """Return the machine of the node."""
    return net.machine("node")


@pytest.fixture(scope="module")
def node(machine: Machine) -> Iterator[str]:
    """Run a node-controller there and return its address."""
    with remote_node(host=machine.address, prefix=machine.prefix) as address:
        yield address


def test_without_a_cut_the_session_runs(trial: Trial, node: str) -> None:
    """What the others must not leave behind is left behind then."""
    done = trial.run(f"--ms-pool=n1@{node}=9")

    assert done.code == 0, done.text
    assert trial.has_run


def test_a_node_whose_answers_vanish(trial: Trial, net: Network, machine: Machine, node: str) -> None:
    """It is told from one that refuses."""
    with machine.dropping(net.here):
        assert_found_in_time(node)
        message = trial.refuses(f"--ms-pool=n1@{node}=9")

    assert_told("Nodes", "a firewall drops the packets", message)


def test_a_node_to_which_no_way_leads(trial: Trial, machine: Machine) -> None:
    """A machine without a route knows at once."""
    message = trial.refuses("--ms-pool=n1@198.19.0.1:8082=9", prefix=machine.prefix)

    assert_told("Nodes", "no route leads to the node", message)


@pytest.mark.needs_kafka
def test_a_broker_whose_answers_vanish(
    trial: Trial, net: Network, node: str, kafka_machine: Machine, far_kafka: str
) -> None:
    """Kafka is checked before the nodes, and the message is that of a port that drops."""
    with kafka_machine.dropping(net.here):
        check = failure(check_kafka(KafkaAccess(servers=(far_kafka,))))
        message = trial.refuses(f"--ms-pool=n1@{node}=9", f"--ms-kafka={far_kafka}")

    assert message == check.text
    assert_told("Kafka", "a firewall drops the packets", message)


@pytest.mark.needs_kafka
def test_a_node_that_does_not_reach_the_broker(
    trial: Trial, machine: Machine, node: str, kafka_machine: Machine, far_kafka: str
) -> None:
    """The controller does; the node says that it does not, and why."""
    with kafka_machine.dropping(machine.address):
        assert_found_in_time(node, kafka=KafkaAccess(servers=(far_kafka,)))
        message = trial.refuses(f"--ms-pool=n1@{node}=9", f"--ms-kafka={far_kafka}")

    message = message.replace(far_kafka, "kafka:9092")
    assert_told("Nodes", "a firewall drops the packets between the node and Kafka", message)
