"""Why Kafka cannot be used: the questions of MeterSphere's FAQ, asked in its order and answered.

Is the name known? Does the process run? Is the port open? Does a firewall stop it? Does the listener serve
us? The first that is answered with no is the cause, and has the commands that set it right. All of it is
pure; `scene` has looked.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable, Iterator, Sequence

from pytest_metersphere.dist.kafka.brokers import join_address, split_address
from pytest_metersphere.inspection.firewall import opening
from pytest_metersphere.inspection.scene import NO_WAY, STRANGERS, Scene
from pytest_metersphere.inspection.values import Question, ServerStatus, Step

_PROPERTIES = "# in the broker's server.properties; then restart it"
_METERSPHERE = "# when it is MeterSphere's own"
_START = ("systemctl start kafka", f"msctl start kafka {_METERSPHERE}")
_VARIABLE = "export PYTEST_MS_KAFKA_SECURITY_PROTOCOL"


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A bootstrap server, and what there is to say about it.

    Attributes:
        server: how it is.
        brokers: where it sends its clients, and how it is there.
        scene: what surrounds it.
        protocol: the security protocol that is spoken with it.
    """

    server: ServerStatus
    brokers: Sequence[ServerStatus]
    scene: Scene
    protocol: str = "PLAINTEXT"

    @property
    def host(self) -> str:
        """Return its host as it was written."""
        return split_address(self.server.address)[0]

    @property
    def port(self) -> int:
        """Return its port."""
        return split_address(self.server.address)[1]

    @property
    def no_way(self) -> bool:
        """Return whether no connection to it was made."""
        return self.server.state in NO_WAY

    @property
    def found(self) -> str:
        """Return what was found there, without advice."""
        return self.server.detail.partition("; ")[0]

    def elsewhere(self) -> list[int]:
        """Return the other ports of its machine on which Kafka answers."""
        return [port for port, answer in self.scene.others.items() if answer == "kafka"]


def steps(case: Case) -> list[Step]:
    """Return the questions up to the first that is answered with no; none when all is well."""
    asked = list(_asked(case))
    return asked if any(step.ok is False for step in asked) or case.no_way else []


def _asked(case: Case) -> Iterator[Step]:
    questions: list[tuple[Question, Callable[[Case], _Answer | None]]] = [
        ("name", _name),
        ("process", _process),
        ("port", _port),
        ("firewall", _firewall),
        ("listener", _listener),
    ]
    for question, ask in questions:
        answer = ask(case)
        if answer is not None:
            yield Step(
                server=case.server.address,
                question=question,
                ok=answer.ok,
                detail=answer.detail,
                commands=answer.commands,
            )
            if answer.ok is False:
                return


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    ok: bool | None
    detail: str
    commands: list[str] = dataclasses.field(default_factory=list)


def _name(case: Case) -> _Answer | None:
    """Is the name known?"""
    try:
        ipaddress.ip_address(case.host)
    except ValueError:
        if case.server.state != "unknown host":
            return _Answer(True, f"{case.host} is {case.scene.address}")
        commands = [f"getent hosts {case.host}", f"echo 'ADDRESS {case.host}' >> /etc/hosts"]
        commands = [*_published(case), *commands]
        return _Answer(False, f"nobody knows the address of {case.host}", commands)
    return None


def _published(case: Case) -> list[str]:
    """Return where Kafka is when it is a container of this machine, whose name others do not know."""
    container = case.scene.container
    ports = [place.partition("->")[0].rpartition(":")[2] for place in container.ports] if container else []
    return [f"pytest --ms-kafka=127.0.0.1:{port}" for port in dict.fromkeys(ports)]


def _process(case: Case) -> _Answer:
    """Does the process run?"""
    if case.server.state in STRANGERS:
        return _Answer(False, case.found, [*_instead(case), *_of_stranger(case)])
    if not case.no_way:
        return _Answer(True, "Kafka answers")
    return _process_here(case) if case.scene.here else _process_there(case)


def _process_here(case: Case) -> _Answer:
    scene, container = case.scene, case.scene.container
    if scene.listening:
        return _Answer(True, f"{_who(case)} listens on {_places(case)}")
    if container is not None and container.state != "running":
        commands = [f"docker start {container.name}", f"docker logs --tail 50 {container.name}"]
        last = f"; the last that it said: {container.log[-1]}" if container.log else ""
        return _Answer(False, f"container {container.name} is {container.state}{last}", commands)
    if scene.brokers:
        numbers = ", ".join(map(str, scene.brokers))
        return _Answer(True, f"Kafka runs on this machine (process {numbers})")
    if container is not None:
        return _Answer(True, f"container {container.name} runs")
    if scene.listening is None:
        return _Answer(None, "who listens on this machine cannot be seen")
    return _Answer(
        False,
        f"nothing on this machine listens on port {case.port}, and no Kafka runs on it",
        list(_START),
    )


def _process_there(case: Case) -> _Answer:
    if other := case.elsewhere():
        return _Answer(True, f"Kafka answers on port {other[0]} of {case.host}")
    if case.server.state != "refused":
        return _Answer(
            None, f"cannot be seen from here; on {case.host}: docker ps, or systemctl status kafka"
        )
    return _Answer(
        False,
        f"{case.host} answers, and nothing listens on its port {case.port}: the broker is down, or listens"
        " elsewhere",
        [
            f"ssh {case.host} docker start kafka",
            f"ssh {case.host} systemctl start kafka",
            f"ssh {case.host} ss -ltn",
        ],
    )


def _of_stranger(case: Case) -> list[str]:
    """Return what tells more about what listens there instead of Kafka."""
    container = case.scene.container
    if case.server.state == "silent" and container is not None:
        return [f"docker logs --tail 50 {container.name}", f"docker restart {container.name}"]
    command = f"ss -ltnp 'sport = :{case.port}'"
    return [command if case.scene.here else f'ssh {case.host} "{command}"']


def _port(case: Case) -> _Answer:
    """Is the port open?"""
    if not case.no_way:
        return _Answer(True, f"{case.server.address} takes connections")
    if case.scene.listening:
        return _bound(case)
    if case.elsewhere() and case.server.state == "refused":
        ports = ", ".join(map(str, case.elsewhere()))
        detail = f"nothing listens on port {case.port}; Kafka answers on {ports}"
        another = _START if case.scene.here else ()
        return _Answer(False, detail, [*_instead(case), *another])
    container = case.scene.container
    if container is not None and case.server.state == "refused":
        published = ", ".join(container.ports) or "no port"
        detail = f"nothing listens on port {case.port}; container {container.name} publishes {published}"
        return _Answer(False, detail, [f"docker port {container.name}", f"msctl reload {_METERSPHERE}"])
    if case.server.state == "refused" and case.scene.brokers:
        places = ", ".join(
            dict.fromkeys(
                join_address(each.address, each.port) for mine in case.scene.brokers.values() for each in mine
            )
        )
        detail = f"nothing listens on port {case.port}; Kafka listens on {places or 'other ports'}"
        return _Answer(False, detail, [f"listeners={case.protocol}://:{case.port} {_PROPERTIES}"])
    return _Answer(None, case.found)


def _bound(case: Case) -> _Answer:
    """Is it open on this address, too?"""
    serving = [each for each in case.scene.listening or () if each.serves(case.scene.address)]
    if serving:
        return _Answer(True, f"it is bound to {_places(case)}, and so serves {case.scene.address}")
    detail = f"{_who(case)} listens on {_places(case)} only, not on {case.scene.address}"
    return _Answer(False, detail, [f"listeners={case.protocol}://:{case.port} {_PROPERTIES}"])


def _firewall(case: Case) -> _Answer:
    """Does no firewall stop it?"""
    if not case.no_way:
        return _Answer(True, "none stops the connection")
    look = case.scene.filter
    if look.blocks and (case.scene.here or look.blocks[0].certain):
        first = look.blocks[0]
        stops = "stops it" if first.certain else "may stop it"
        commands = list(dict.fromkeys(each.command for each in look.blocks[:3]))
        return _Answer(False, f"a rule of this machine {stops}: {first.text}", commands)
    note = f" ({look.trouble})" if look.trouble else ""
    if look.blocks:
        note = f"; or a rule of this machine: {look.blocks[0].text}{note}"
    if case.scene.here:
        return _Answer(None, f"no rule of this machine is known to stop it{note}", ["nft list ruleset"])
    return _firewall_there(case, note)


def _firewall_there(case: Case, note: str) -> _Answer:
    alive = {
        port: answer for port, answer in case.scene.others.items() if answer not in ("dropped", "unreachable")
    }
    if alive:
        how = "rejected" if case.server.state == "unreachable" else "dropped"
        told = ", ".join(f"{port}: {answer}" for port, answer in alive.items())
        return _Answer(
            False,
            f"{case.host} answers on other ports ({told}), and packets to {case.port} are {how}: a firewall"
            f" of {case.host}, or a security group in between, stops them{note}",
            [*_instead(case), *(f"ssh {case.host} '{command}'" for command in opening(case.port))],
        )
    tried = ", ".join(map(str, case.scene.others))
    return _Answer(
        False,
        f"no port of {case.host} answers ({tried}): the machine is off, the address is wrong, or a firewall"
        f" stops everything{note}",
        [f"ping -c 3 {case.host}", f"ip route get {case.scene.address}"],
    )


def _listener(case: Case) -> _Answer | None:
    """Does the listener serve us, and send us on to where we can follow?"""
    if case.no_way:
        return None
    if case.server.state != "up":
        return _Answer(False, case.server.detail, _of_listener(case))
    unfit = [broker for broker in case.brokers if not broker.ok]
    if not unfit:
        places = ", ".join(broker.address for broker in case.brokers[:5])
        return _Answer(True, f"clients are sent on to {places}")
    names = ", ".join(broker.address for broker in unfit[:5])
    why = unfit[0].detail.partition("; ")[0]
    installed = f"sed -i 's/^MS_KAFKA_HOST=.*/MS_KAFKA_HOST={case.host}/' /opt/metersphere/.env"
    return _Answer(
        False,
        f"clients are sent on to {names}, which does not work from here: {why}; they must be sent to an"
        " address that this machine and all nodes reach",
        [
            f"advertised.listeners={case.protocol}://{case.server.address} {_PROPERTIES}",
            f"{installed} && msctl reload {_METERSPHERE}",
        ],
    )


def _of_listener(case: Case) -> list[str]:
    login = "SASL_SSL" if case.protocol.endswith("SSL") else "SASL_PLAINTEXT"
    commands = {
        "tls expected": [f"{_VARIABLE}={'SASL_SSL' if case.protocol.startswith('SASL') else 'SSL'}"],
        "tls not expected": [
            f"{_VARIABLE}={'SASL_PLAINTEXT' if case.protocol.startswith('SASL') else 'PLAINTEXT'}"
        ],
        "login expected": [f"{_VARIABLE}={login}"],
        "login not expected": [f"{_VARIABLE}={'SSL' if case.protocol.endswith('SSL') else 'PLAINTEXT'}"],
        "controller": _instead(case),
    }
    return commands.get(case.server.state, [])


def _instead(case: Case) -> list[str]:
    return [f"pytest --ms-kafka={join_address(case.host, port)}" for port in case.elsewhere()]


def _who(case: Case) -> str:
    owner = case.scene.owner
    return f"{owner.name} (process {owner.pid})" if owner else "a process of this machine"


def _places(case: Case) -> str:
    listening = case.scene.listening or ()
    return ", ".join(dict.fromkeys(join_address(each.address, each.port) for each in listening))
