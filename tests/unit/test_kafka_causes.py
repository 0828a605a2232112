"""Why Kafka cannot be used: the questions up to the cause, for what a test's machine cannot be made to be."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from pytest_metersphere.dist.kafka.dialling import Kind
from pytest_metersphere.inspection.case import Case
from pytest_metersphere.inspection.causes import steps
from pytest_metersphere.inspection.firewall import Look
from pytest_metersphere.inspection.machine import Listener, Process
from pytest_metersphere.inspection.rules import Block
from pytest_metersphere.inspection.scene import Scene
from pytest_metersphere.inspection.values import ContainerStatus, ServerStatus, Step
from tests.plugin.projects import mentions

_KAFKA = "PYTEST_MS_KAFKA_"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound to it
UP = ServerStatus(address="10.0.0.5:9092", state="up", ok=True)


def asked(
    state: str,
    scene: Scene,
    *,
    address: str = "10.0.0.5:9092",
    broker: ServerStatus = UP,
    detail: str = "",
) -> list[Step]:
    """Return the questions about a server in a state."""
    detail = detail or f"it is {state}; do something"
    server = ServerStatus(address=address, state=state, ok=state == "up", detail=detail)
    return steps(Case(server, [broker], scene))


def cause(found: list[Step]) -> Step:
    """Return the last question, the only one that is answered with no."""
    assert [step.ok for step in found].count(False) == 1
    assert found[-1].ok is False
    return found[-1]


def container(**changes: object) -> ContainerStatus:
    """Return a container named kafka."""
    plain = {"name": "kafka", "image": "kafka:3.4.0", "state": "running", "health": None, "ok": True}
    return ContainerStatus(**plain | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [*get_args(Kind), "no brokers", "up"])
@pytest.mark.parametrize("here", [True, False])
def test_every_state_leads_somewhere(state: str, here: bool) -> None:  # noqa: FBT001 - a parameter
    """To one cause, after what is well or not known; to nothing when all is well."""
    found = asked(state, Scene(address="10.0.0.5", here=here, listening=[] if here else None))

    assert (found == []) == (state == "up")
    assert [step.ok for step in found].count(False) == (state != "up")
    assert len({step.question for step in found}) == len(found)
    assert all(step.detail for step in found)


def test_nobody_can_see_who_listens_here() -> None:
    """Without /proc, as on macOS, the process and the port are not known; it is no error."""
    found = asked("refused", Scene(address="10.0.0.5", here=True))

    assert [(step.question, step.ok) for step in found] == [
        ("process", None),
        ("port", None),
        ("firewall", None),
    ]
    assert "cannot be seen" in found[0].detail


def test_containers_that_cannot_be_seen() -> None:
    """Then it is not said that no Kafka runs here, only that nothing listens on the port."""
    unseen = "this user may not ask Docker"
    found = asked("refused", Scene(address="10.0.0.5", here=True, listening=[], unseen=unseen))
    step = cause(found)

    assert (found[0].question, found[0].ok, step.question) == ("process", None, "port")
    assert found[0].detail.endswith(f"a container may, that cannot be seen: {unseen}")
    assert step.detail == "nothing on this machine listens on port 9092"
    assert step.commands[0] == "sudo docker ps --all --filter name=kafka"


def test_containers_that_can_be_seen() -> None:
    """And none of them is Kafka."""
    step = cause(asked("refused", Scene(address="10.0.0.5", here=True, listening=[])))

    assert (step.question, step.commands[0]) == ("process", "systemctl start kafka")
    assert step.detail == "nothing on this machine listens on port 9092, and no Kafka runs on it"


def test_a_container_that_publishes_another_port() -> None:
    """It runs; the ports that it has are told."""
    scene = Scene(
        address="10.0.0.5", here=True, listening=[], container=container(ports=["0.0.0.0:19092->19092/tcp"])
    )
    step = cause(asked("refused", scene))

    assert step.question == "port"
    assert mentions(step.detail, "container kafka publishes 0.0.0.0:19092->19092/tcp")
    assert step.commands[0] == "docker port kafka"


REJECT = Block("-A OUTPUT -p tcp -j REJECT", "iptables OUTPUT", certain=True, command="iptables -D OUTPUT 1")
PUBLISHED = "0.0.0.0:9092->9092/tcp"


@pytest.mark.parametrize("others", [{}, {22: "refused", 19092: "kafka"}])
def test_a_rule_of_this_machine_that_refuses_in_place_of_another(others: dict[int, str]) -> None:
    """A refusal is not taken for the broker's: the rule is the cause, whatever else answers there."""
    step = cause(asked("refused", Scene(address="10.0.0.5", others=others, filter=Look((REJECT,)))))

    assert step.question == "firewall"
    assert step.detail == f"a rule of this machine stops it: {REJECT.text}"
    assert step.commands == [REJECT.command]


@pytest.mark.parametrize("state", ["refused", "dropped"])
def test_a_rule_of_this_machine_before_a_container_of_it(state: str) -> None:
    """Without Docker's proxy nothing listens, and yet it is the rule that stops it."""
    scene = Scene(
        address="10.0.0.5",
        here=True,
        listening=[],
        container=container(ports=[PUBLISHED]),
        filter=Look((REJECT,)),
    )
    found = asked(state, scene)

    assert [(step.question, step.ok) for step in found[:2]] == [("process", True), ("port", None)]
    assert (cause(found).question, cause(found).commands) == ("firewall", [REJECT.command])


def test_another_machine_that_refuses() -> None:
    """Its broker may be down, or its firewall rejects: for both there are commands."""
    step = cause(asked("refused", Scene(address="10.0.0.5", others={22: "open"})))

    assert step.question == "process"
    assert mentions(
        step.detail, "the broker is down", "listens elsewhere", "a firewall of that machine rejects"
    )
    assert step.commands[0] == "ssh 10.0.0.5 docker start kafka"
    assert "ssh 10.0.0.5 'ufw allow 9092/tcp'" in step.commands


def test_another_machine_that_refuses_while_the_rules_here_are_not_known() -> None:
    """That one of them may do it is said."""
    rule = dataclasses.replace(REJECT, certain=False)
    step = cause(asked("refused", Scene(address="10.0.0.5", filter=Look((rule,), "try: sudo nft"))))

    assert step.detail.endswith(f"; or a rule of this machine: {rule.text} (try: sudo nft)")


@pytest.mark.parametrize("state", ["refused", "silent", "not kafka"])
@pytest.mark.parametrize("proxied", [True, False])
def test_a_container_that_runs_while_the_broker_in_it_does_not(state: str, *, proxied: bool) -> None:
    """With Docker's proxy before it or without: it starts still, or is dead; its last words are told."""
    scene = Scene(
        address="10.0.0.5",
        here=True,
        listening=[Listener(EVERYWHERE, 9092, 1)] if proxied else [],
        container=container(ports=[PUBLISHED], log=["one", "Loading logs"]),
    )
    hung_up = "something that hangs up listens there, not Kafka; name a broker's port"
    step = cause(asked(state, scene, detail=hung_up))

    assert step.question == "process"
    assert step.detail == (
        "container kafka runs, the broker in it does not answer (yet); the last that it said: Loading logs"
    )
    assert step.commands == ["docker logs --tail 50 kafka", "docker restart kafka"]


def test_a_container_before_which_a_rule_may_be() -> None:
    """That the broker in it does not answer may be the rule's doing, which is said."""
    rule = dataclasses.replace(REJECT, certain=False)
    scene = Scene(address="10.0.0.5", here=True, container=container(ports=[PUBLISHED]), filter=Look((rule,)))
    step = cause(asked("refused", scene))

    assert step.question == "process"
    assert step.detail.endswith(f"(yet); or a rule of this machine: {rule.text}")


@pytest.mark.parametrize(
    "ports", [["127.0.0.1:9092->9092/tcp"], ["0.0.0.0:9092->9092/udp"], ["nonsense:9092->9092/tcp"], ["9092"]]
)
def test_a_container_that_is_not_reached_at_this_address(ports: list[str]) -> None:
    """It is not said that its broker is down: its port is not published there."""
    scene = Scene(address="10.0.0.5", here=True, listening=[], container=container(ports=ports))
    step = cause(asked("refused", scene))

    assert step.question == "port"
    assert mentions(step.detail, f"container kafka publishes {ports[0]}")


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        ("restarting", ["docker logs --tail 50 kafka"]),
        ("paused", ["docker unpause kafka", "docker logs --tail 50 kafka"]),
        ("exited", ["docker start kafka", "docker logs --tail 50 kafka"]),
    ],
)
def test_a_container_that_does_not_run(state: str, commands: list[str]) -> None:
    """One that is started again and again need not be started: its words are what helps."""
    scene = Scene(address="10.0.0.5", here=True, listening=[], container=container(state=state))
    step = cause(asked("refused", scene))

    assert (step.question, step.detail) == ("process", f"container kafka is {state}")
    assert step.commands == commands


def test_a_container_whose_name_is_taken_for_its_address() -> None:
    """`kafka:9092` is known to other containers only; from here it is its published port."""
    scene = Scene(container=container(ports=["0.0.0.0:19092->9092/tcp", "[::]:19092->9092/tcp"]))
    step = cause(asked("unknown host", scene, address="kafka:9092"))

    assert step.question == "name"
    assert step.commands[0] == "pytest --ms-kafka=127.0.0.1:19092"


def test_a_container_that_takes_connections_for_a_dead_broker() -> None:
    """Docker's own proxy listens for it: restart it."""
    step = cause(asked("silent", Scene(address="10.0.0.5", here=True, container=container())))

    assert (step.question, step.commands) == (
        "process",
        ["docker logs --tail 50 kafka", "docker restart kafka"],
    )


def test_a_process_that_listens_elsewhere_only() -> None:
    """And answers to nobody there, so it is told to listen on that port."""
    scene = Scene(address="10.0.0.5", here=True, listening=[], brokers={77: [Listener("127.0.0.1", 9094, 1)]})
    found = asked("refused", scene)

    assert "Kafka runs on this machine (process 77)" in found[0].detail
    assert cause(found).question == "port"
    assert "Kafka listens on 127.0.0.1:9094" in cause(found).detail


def test_rules_that_may_not_be_read() -> None:
    """What is bound rightly and does not answer is stopped by a rule; who may read them is said."""
    trouble = "this user may not read the rules, try: sudo nft -a list ruleset"
    scene = Scene(
        address="10.0.0.5",
        here=True,
        listening=[Listener("::", 9092, 1)],
        owner=Process(7, "java"),
        filter=Look(trouble=trouble),
    )
    found = asked("dropped", scene)

    assert [(step.question, step.ok) for step in found] == [
        ("process", True),
        ("port", True),
        ("firewall", None),
    ]
    assert mentions(found[-1].detail, trouble)


def test_a_rule_of_this_machine_comes_before_those_of_others() -> None:
    """At most three commands, each once."""
    rules = tuple(
        Block(f"rule {n}", "inet filter out", certain=not n, command=f"nft delete {n // 2}") for n in range(9)
    )
    step = cause(asked("dropped", Scene(address="10.0.0.5", others={22: "open"}, filter=Look(rules))))

    assert step.detail == "a rule of this machine stops it: rule 0"
    assert step.commands == ["nft delete 0", "nft delete 1"]


def test_a_rule_of_this_machine_that_only_may_stop_it() -> None:
    """The other machine's firewall is named first, and another port of Kafka's that is open."""
    rule = Block("a rule", "inet filter out", certain=False, command="nft delete")
    scene = Scene(address="10.0.0.5", others={22: "refused", 19092: "kafka"}, filter=Look((rule,)))
    step = cause(asked("dropped", scene))

    assert step.question == "firewall"
    assert mentions(step.detail, "10.0.0.5 answers on other ports (22: refused, 19092: kafka)")
    assert step.detail.endswith("; or a rule of this machine: a rule")
    assert step.commands[0] == "pytest --ms-kafka=10.0.0.5:19092"


def test_a_broker_that_sends_its_clients_on_to_nowhere() -> None:
    """Each address that does not work is named."""
    lost = ServerStatus(
        address="kafka-1:9092", state="unknown host", ok=False, detail="cannot be resolved; why"
    )
    step = cause(asked("up", Scene(address="10.0.0.5"), broker=lost))

    assert step.question == "listener"
    assert mentions(step.detail, "kafka-1:9092", "cannot be resolved", "this machine and all nodes reach")
    assert "why" not in step.detail


@pytest.mark.parametrize(
    ("address", "is_at"), [("127.0.0.1:9092", "127.0.0.1"), ("[::1]:9092", "::1"), ("localhost:9092", "::1")]
)
def test_no_client_is_to_be_sent_on_to_itself(address: str, is_at: str) -> None:
    """What is a loopback address here is no advice for the nodes: a placeholder stands for the right one."""
    lost = ServerStatus(address="kafka-1:9092", state="refused", ok=False, detail="refused")
    step = cause(asked("up", Scene(address=is_at, here=True), address=address, broker=lost))

    assert step.commands[0].startswith("advertised.listeners=PLAINTEXT://ADDRESS:9092 ")
    assert "MS_KAFKA_HOST=ADDRESS/" in step.commands[1]
    assert step.detail.endswith("this machine and all nodes reach; ADDRESS below is to be that one")


def test_clients_may_be_sent_on_to_the_address_that_works() -> None:
    """One that other machines know, too."""
    lost = ServerStatus(address="kafka-1:9092", state="refused", ok=False, detail="refused")
    step = cause(asked("up", Scene(address="10.0.0.5"), broker=lost))

    assert step.commands[0].startswith("advertised.listeners=PLAINTEXT://10.0.0.5:9092 ")
    assert "MS_KAFKA_HOST=10.0.0.5/" in step.commands[1]


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        (
            "login refused",
            ["export PYTEST_MS_KAFKA_USERNAME=USER PYTEST_MS_KAFKA_PASSWORD=PASSWORD"],
        ),
        ("certificate", ["export PYTEST_MS_KAFKA_CAFILE=/path/to/ca.pem"]),
        (
            "client certificate",
            [f"export {_KAFKA}CERTFILE=/path/to/client.pem {_KAFKA}KEYFILE=/path/to/client.key"],
        ),
        (
            "no brokers",
            ["ssh 10.0.0.5 docker logs --tail 50 kafka", "ssh 10.0.0.5 journalctl -u kafka -n 50"],
        ),
    ],
)
def test_what_is_to_be_typed_for_the_listener(state: str, commands: list[str]) -> None:
    """The variables that pytest reads, with a place for what only the user knows."""
    assert cause(asked(state, Scene(address="10.0.0.5"))).commands == commands


@pytest.mark.parametrize(
    ("taken", "command"),
    [
        ("PLAIN", "export PYTEST_MS_KAFKA_SASL_MECHANISM=PLAIN"),
        ("GSSAPI, PLAIN, SCRAM-SHA-256", "export PYTEST_MS_KAFKA_SASL_MECHANISM=SCRAM-SHA-256"),
        ("GSSAPI", "sasl.enabled.mechanisms=SCRAM-SHA-512 # in the broker's server.properties"),
        ("no mechanism at all", "sasl.enabled.mechanisms=SCRAM-SHA-512 # in the broker's server.properties"),
    ],
)
def test_a_mechanism_that_the_broker_takes(taken: str, command: str) -> None:
    """The strongest that it takes; where it takes none that we know, it is told to."""
    detail = f"the broker does not take X; it takes {taken}; set PYTEST_MS_KAFKA_SASL_MECHANISM"
    (told,) = cause(asked("mechanism", Scene(address="10.0.0.5"), detail=detail)).commands

    assert told.startswith(command)


@pytest.mark.parametrize(
    ("bound", "address", "serves"),
    [
        (EVERYWHERE, "10.0.0.5", True),
        ("::", "10.0.0.5", True),
        ("::", "::1", True),
        (EVERYWHERE, "::1", False),
        ("127.0.0.1", "10.0.0.5", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("10.0.0.5", "10.0.0.5", True),
    ],
)
def test_what_a_socket_is_bound_to(bound: str, address: str, serves: bool) -> None:  # noqa: FBT001 - a parameter
    """Whether connections to an address come to it."""
    assert Listener(bound, 9092, 1).serves(address) is serves
