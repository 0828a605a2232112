"""`doctor` where the broker is down, or a firewall is in the way: there, here, or before a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.dist.kafka.preflight import SENTENCE
from pytest_metersphere.inspection.values import DoctorReport, StatusReport, Step
from tests.kafka.broker import Recipe, broker
from tests.network.namespaces import Machine, Network
from tests.parts import require
from tests.plugin.commands import run_command
from tests.plugin.projects import Done, mentions
from tests.plugin.remote import TOKEN, remote_node

pytestmark = pytest.mark.needs_kafka
CHAIN = "nft add chain inet firewall in '{ type filter hook input priority 0; policy accept; }'"
WITH_TOKEN = {"PYTEST_MS_TOKEN": TOKEN}


@pytest.fixture(scope="module", autouse=True)
def _tools(pytestconfig: pytest.Config) -> None:
    """Require the packet filters' own tools."""
    require(pytestconfig, "nft", "/usr/sbin/nft", hint="apt-get install nftables")
    require(pytestconfig, "iptables", "/usr/sbin/iptables", hint="apt-get install iptables")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty pytest.ini."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


@pytest.fixture(scope="module")
def machine(net: Network) -> Machine:
    """Return a machine that is neither the broker's nor this one."""
    return net.machine("node")


@pytest.fixture(scope="module")
def node(machine: Machine) -> Iterator[str]:
    """Run a node-controller there and return its address."""
    with remote_node(host=machine.address, prefix=machine.prefix) as address:
        yield address


def report_of(done: Done) -> DoctorReport:
    """Return what --json printed."""
    return msgspec.json.decode(done.out, type=DoctorReport)


def cause(report: DoctorReport) -> Step:
    """Return the last step, which is the cause; all before it are well, or cannot be known."""
    *before, last = report.steps
    assert [step.question for step in before if step.ok is False] == []
    assert last.ok is False
    return last


@pytest.mark.parametrize("how", ["drop", "reject with icmp admin-prohibited"])
def test_the_port_is_closed_on_the_brokers_machine(
    how: str, folder: Path, kafka_machine: Machine, far_kafka: str
) -> None:
    """Seen from elsewhere: other ports of that machine answer, so it is a firewall; three ways to open it."""
    port = far_kafka.rpartition(":")[2]
    with kafka_machine.filtering(
        "nft add table inet firewall", CHAIN, f"nft add rule inet firewall in tcp dport {port} {how}"
    ):
        done = run_command("doctor", f"--kafka={far_kafka}", "--json", folder=folder)
        shown = run_command("doctor", f"--kafka={far_kafka}", folder=folder)
    step = cause(report_of(done))

    assert (done.code, shown.code) == (1, 1), done.text
    assert step.question == "firewall"
    assert mentions(step.detail, kafka_machine.address, "22: refused", "a firewall of", "security group")
    assert f"--add-port={port}/tcp" in step.commands[0]
    assert any("ufw allow" in command for command in step.commands)
    assert f"{SENTENCE}: {far_kafka}, step by step" in shown.out
    assert "$ ssh" in shown.out


@pytest.mark.parametrize(
    "rule",
    [
        "nft add rule inet firewall in tcp dport {port} counter drop",
        "nft add rule inet firewall in ct state new tcp dport '{{ 1, {port} }}' reject with tcp reset",
        "iptables -A INPUT -p tcp --dport {port} -j DROP",
        "iptables -N SHUT && iptables -A SHUT -j REJECT && iptables -A INPUT -p tcp --dport {port} -g SHUT",
    ],
)
def test_the_rule_is_on_the_machine_where_doctor_runs(
    rule: str, folder: Path, kafka_machine: Machine, far_kafka: str
) -> None:
    """The rule is named, and the command that is told takes it away: then all is well."""
    port = far_kafka.rpartition(":")[2]
    options = ["doctor", f"--kafka={far_kafka}", "--json"]
    with kafka_machine.filtering("nft add table inet firewall", CHAIN, rule.format(port=port)):
        closed = run_command(*options, folder=folder, prefix=kafka_machine.prefix)
        step = cause(report_of(closed))
        kafka_machine.type(step.commands[0])
        opened = run_command(*options, folder=folder, prefix=kafka_machine.prefix)

    assert closed.code == 1, closed.text
    assert step.question == "firewall"
    assert step.detail.startswith("a rule of this machine stops it: ")
    assert [asked.question for asked in report_of(closed).steps] == ["process", "port", "firewall"]
    assert "java" in report_of(closed).steps[0].detail
    assert opened.code == 0, opened.text
    assert report_of(opened).steps == []


def test_a_name_with_two_addresses(folder: Path, machine: Machine, tmp_path: Path) -> None:
    """Nothing listens on the first, and a rule stops the second: that rule is named."""
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 twofold\n127.0.0.1 twofold\n")
    # `ip netns exec` gives what it runs its own mounts
    prefix = (*machine.prefix, "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")
    drop = "iptables -A INPUT -p tcp --dport 9092 -j DROP"
    with machine.listening("127.0.0.1", 9092), machine.filtering(drop):
        done = run_command("doctor", "--kafka=twofold:9092", "--json", folder=folder, prefix=prefix)
    report = report_of(done)
    step = cause(report)

    assert report.steps[0].detail == "twofold is 127.0.0.1", done.text
    assert step.question == "firewall"
    assert "-A INPUT -p tcp -m tcp --dport 9092 -j DROP" in step.detail


def test_a_rule_that_stops_it_behind_one_that_may(folder: Path, machine: Machine, far_kafka: str) -> None:
    """What iptables may do does not hide what nftables does: that command comes first, and helps."""
    port = far_kafka.rpartition(":")[2]
    chain = "nft add chain inet firewall out '{ type filter hook output priority 0; policy accept; }'"
    options = ["doctor", f"--kafka={far_kafka}", "--json"]
    with machine.filtering(
        f"iptables -A OUTPUT -p tcp --dport {port} -m mark --mark 7 -j DROP",
        "nft add table inet firewall",
        chain,
        f"nft add rule inet firewall out tcp dport {port} drop",
    ):
        closed = run_command(*options, folder=folder, prefix=machine.prefix)
        step = cause(report_of(closed))
        machine.type(step.commands[0])
        opened = run_command(*options, folder=folder, prefix=machine.prefix)

    assert step.detail == f"a rule of this machine stops it: inet firewall out: tcp dport {port} drop"
    assert opened.code == 0, opened.text


def test_packets_may_not_leave(folder: Path, machine: Machine, far_kafka: str) -> None:
    """A policy stops what no rule accepts; the command lets this port through, and no other."""
    chain = "nft add chain inet firewall out '{ type filter hook output priority 0; policy drop; }'"
    options = ["doctor", f"--kafka={far_kafka}", "--json"]
    with machine.filtering("nft add table inet firewall", chain):
        closed = run_command(*options, folder=folder, prefix=machine.prefix)
        step = cause(report_of(closed))
        machine.type(step.commands[0])
        opened = run_command(*options, folder=folder, prefix=machine.prefix)

    assert (step.question, closed.code) == ("firewall", 1)
    assert "the policy of inet firewall out" in step.detail
    assert opened.code == 0, opened.text


@pytest.mark.parametrize("how", ["REJECT", "REJECT --reject-with tcp-reset"])
def test_a_rule_refuses_in_place_of_the_broker(
    how: str, folder: Path, machine: Machine, far_kafka: str
) -> None:
    """It looks as if nothing listened there; the rule of this machine is named all the same."""
    port = far_kafka.rpartition(":")[2]
    options = ["doctor", f"--kafka={far_kafka}", "--json"]
    with machine.filtering(f"iptables -A OUTPUT -p tcp --dport {port} -j {how}"):
        closed = run_command(*options, folder=folder, prefix=machine.prefix)
        step = cause(report_of(closed))
        machine.type(step.commands[0])
        opened = run_command(*options, folder=folder, prefix=machine.prefix)

    assert (step.question, closed.code) == ("firewall", 1)
    assert mentions(step.detail, "a rule of this machine stops it", "REJECT")
    assert opened.code == 0, opened.text


def test_a_firewall_there_refuses_in_place_of_the_broker(
    folder: Path, kafka_machine: Machine, far_kafka: str
) -> None:
    """From elsewhere that cannot be told from a broker that is down: both are named, with what helps."""
    port = far_kafka.rpartition(":")[2]
    with kafka_machine.filtering(f"iptables -A INPUT -p tcp --dport {port} -j REJECT"):
        done = run_command("doctor", f"--kafka={far_kafka}", "--json", folder=folder)
    step = cause(report_of(done))

    assert (step.question, done.code) == ("process", 1)
    assert mentions(step.detail, "the broker is down", "a firewall of that machine rejects")
    assert f"ssh {kafka_machine.address} 'ufw allow {port}/tcp'" in step.commands


def test_the_broker_is_down(
    folder: Path, net: Network, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On its machine no Kafka runs; seen from elsewhere, the machine answers and its port does not."""
    machine = net.machine("down")
    recipe = Recipe(host=machine.address, prefix=machine.prefix)
    with broker(pytestconfig, tmp_path_factory.mktemp("broker"), recipe) as own:
        own.stop()
        options = ["doctor", f"--kafka={own.address}", "--json"]
        there = run_command(*options, folder=folder, prefix=machine.prefix)
        here = run_command(*options, folder=folder)
        own.start()
        up = run_command(*options, folder=folder)

    step = cause(report_of(there))
    assert (there.code, step.question) == (1, "process")
    assert step.detail == f"nothing on this machine listens on port {own.port}, and no Kafka runs on it"
    assert step.commands[0] == "systemctl start kafka"
    step = cause(report_of(here))
    assert (here.code, step.question) == (1, "process")
    assert mentions(
        step.detail, f"its port {own.port} refuses", "the broker is down", "a firewall of that machine"
    )
    assert step.commands[0] == f"ssh {machine.address} docker start kafka"
    assert up.code == 0, up.text


def test_the_broker_has_another_port(
    folder: Path, net: Network, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On its machine that is known of any port; from elsewhere the two that MeterSphere uses are tried."""
    machine = net.machine("other")
    recipe = Recipe(host=machine.address, prefix=machine.prefix, port=19092)
    with broker(pytestconfig, tmp_path_factory.mktemp("broker"), recipe):
        options = ["doctor", f"--kafka={machine.address}:9092", "--json"]
        there = run_command(*options, folder=folder, prefix=machine.prefix)
        here = run_command(*options, folder=folder)

    for done in (there, here):
        step = cause(report_of(done))
        assert (done.code, step.question) == (1, "port"), done.text
        assert "nothing listens on port 9092; Kafka answers on" in step.detail
        assert f"pytest --ms-kafka={machine.address}:19092" in step.commands


def test_a_machine_that_is_off(folder: Path, machine: Machine) -> None:
    """No port of it answers: that is not blamed on a firewall alone."""
    done = run_command(
        "doctor", "--kafka=198.18.255.254:9092", "--json", folder=folder, prefix=machine.prefix
    )
    step = cause(report_of(done))

    assert done.code == 1
    assert mentions(
        step.detail, "no port of 198.18.255.254 answers", "the machine is off", "the address is wrong"
    )
    assert any(command.startswith("ping ") for command in step.commands)


def test_only_the_node_is_kept_from_kafka(
    folder: Path, machine: Machine, node: str, kafka_machine: Machine, far_kafka: str
) -> None:
    """Kafka is well from here, so there are no steps; the node says what it sees, in status, too."""
    options = [f"--pool=n1@{node}", f"--kafka={far_kafka}", "--json"]
    with kafka_machine.dropping(machine.address):
        done = run_command("doctor", *options, folder=folder, env=WITH_TOKEN)
        seen = run_command("status", *options, folder=folder, env=WITH_TOKEN)
    report = report_of(done)
    (wrong,) = [finding for finding in report.checks if not finding.ok]
    (row,) = msgspec.json.decode(seen.out, type=StatusReport).nodes

    assert (done.code, seen.code) == (1, 1)
    assert (wrong.subject, wrong.name, report.steps) == ("node n1", "kafka", [])
    assert "as if a firewall dropped it" in wrong.detail
    assert wrong.hint.startswith("on the node, ")
    assert (row.state, row.ok, row.kafka) == ("no kafka", False, "not reached")
    assert "as if a firewall dropped it" in row.detail
