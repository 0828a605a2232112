"""Why Kafka cannot be used: the questions of MeterSphere's FAQ, asked in its order and answered.

Is the name known? Does the process run? Is the port open? Does a firewall stop it? Does the listener serve
us? The first that is answered with no is the cause, and has the commands that set it right. All of it is
pure; `scene` has looked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from pytest_metersphere.dist.kafka.brokers import join_address
from pytest_metersphere.inspection.case import IN_PROPERTIES, METERSPHERE, Answer, Case
from pytest_metersphere.inspection.firewall import opening
from pytest_metersphere.inspection.listener import listener
from pytest_metersphere.inspection.scene import STRANGERS
from pytest_metersphere.inspection.values import ContainerStatus, Question, Step

_START = ("systemctl start kafka", f"msctl start kafka {METERSPHERE}")


def steps(case: Case) -> list[Step]:
    """Return the questions up to the first that is answered with no; none when all is well."""
    asked = list(_asked(case))
    return asked if any(step.ok is False for step in asked) or case.no_way else []


def _asked(case: Case) -> Iterator[Step]:
    questions: list[tuple[Question, Callable[[Case], Answer | None]]] = [
        ("name", _name),
        ("process", _process),
        ("port", _port),
        ("firewall", _firewall),
        ("listener", listener),
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


def _name(case: Case) -> Answer | None:
    """Is the name known?"""
    try:
        ipaddress.ip_address(case.host)
    except ValueError:
        if case.server.state != "unknown host":
            return Answer(True, f"{case.host} is {case.scene.address}")
        commands = [f"getent hosts {case.host}", f"echo 'ADDRESS {case.host}' >> /etc/hosts"]
        commands = [*_published(case), *commands]
        return Answer(False, f"nobody knows the address of {case.host}", commands)
    return None


def _published(case: Case) -> list[str]:
    """Return where Kafka is when it is a container of this machine, whose name others do not know."""
    container = case.scene.container
    ports = [place.partition("->")[0].rpartition(":")[2] for place in container.ports] if container else []
    return [f"pytest --ms-kafka=127.0.0.1:{port}" for port in dict.fromkeys(ports)]


def _process(case: Case) -> Answer:
    """Does the process run?"""
    if case.publisher and case.takes_nothing and not case.stopped_here:
        return _of_container(case.publisher, _perhaps_here(case))
    if case.server.state in STRANGERS:
        return Answer(False, case.found, [*case.instead(), *_of_stranger(case)])
    if not case.no_way:
        return Answer(True, "Kafka answers")
    return _process_here(case) if case.scene.here else _process_there(case)


def _process_here(case: Case) -> Answer:
    scene, container = case.scene, case.scene.container
    if scene.listening:
        return Answer(True, f"{_who(case)} listens on {_places(case)}")
    if container is not None and container.state != "running":
        return _of_container(container)
    if scene.brokers:
        numbers = ", ".join(map(str, scene.brokers))
        return Answer(True, f"Kafka runs on this machine (process {numbers})")
    if container is not None:
        return Answer(True, f"container {container.name} runs")
    if scene.listening is None:
        return Answer(None, "who listens on this machine cannot be seen")
    if scene.unseen:
        detail = (
            f"no process of Kafka runs on this machine; a container may, that cannot be seen: {scene.unseen}"
        )
        return Answer(None, detail)
    return Answer(
        False,
        f"nothing on this machine listens on port {case.port}, and no Kafka runs on it",
        list(_START),
    )


def _of_container(container: ContainerStatus, note: str = "") -> Answer:
    """Say of this machine's container how it is, with a note, and what is to be done with it."""
    name, state = container.name, container.state
    logs = f"docker logs --tail 50 {name}"
    commands = {
        "running": [logs, f"docker restart {name}"],
        # the engine starts it by itself, again and again: only its words help
        "restarting": [logs],
        "paused": [f"docker unpause {name}", logs],
    }
    how = "runs, the broker in it does not answer (yet)" if state == "running" else f"is {state}"
    last = f"; the last that it said: {container.log[-1]}" if container.log else ""
    detail = f"container {name} {how}{last}{note}"
    return Answer(False, detail, commands.get(state, [f"docker start {name}", logs]))


def _process_there(case: Case) -> Answer:
    if other := case.elsewhere():
        return Answer(True, f"Kafka answers on port {other[0]} of {case.host}")
    if case.server.state != "refused" or case.stopped_here:
        return Answer(None, f"cannot be seen from here; on {case.host}: docker ps, or systemctl status kafka")
    return Answer(
        False,
        f"{case.host} answers, and its port {case.port} refuses: the broker is down, listens elsewhere, or a"
        f" firewall of that machine rejects{_perhaps_here(case)}",
        [
            f"ssh {case.host} docker start kafka",
            f"ssh {case.host} systemctl start kafka",
            f"ssh {case.host} ss -ltn",
            *_opening_there(case),
        ],
    )


def _perhaps_here(case: Case) -> str:
    """Return what of this machine's rules may be in the way, too, or could not be read."""
    look = case.scene.filter
    note = f" ({look.trouble})" if look.trouble else ""
    return f"; or a rule of this machine: {look.blocks[0].text}{note}" if look.blocks else note


def _opening_there(case: Case) -> list[str]:
    return [f"ssh {case.host} '{command}'" for command in opening(case.port)]


def _of_stranger(case: Case) -> list[str]:
    """Return what tells more about what listens there instead of Kafka."""
    container = case.scene.container
    if case.server.state == "silent" and container is not None:
        return [f"docker logs --tail 50 {container.name}", f"docker restart {container.name}"]
    command = f"ss -ltnp 'sport = :{case.port}'"
    return [command if case.scene.here else f'ssh {case.host} "{command}"']


def _port(case: Case) -> Answer:
    """Is the port open?"""
    if not case.no_way:
        return Answer(True, f"{case.server.address} takes connections")
    if case.scene.listening:
        return _bound(case)
    if case.stopped_here and (not case.scene.here or case.publisher):
        return Answer(None, "cannot be known: a rule of this machine answers in its place")
    if case.elsewhere() and case.server.state == "refused":
        ports = ", ".join(map(str, case.elsewhere()))
        detail = f"nothing listens on port {case.port}; Kafka answers on {ports}"
        another = _START if case.scene.here else ()
        return Answer(False, detail, [*case.instead(), *another])
    container = case.scene.container
    if container is not None and case.server.state == "refused":
        published = ", ".join(container.ports) or "no port"
        detail = f"nothing listens on port {case.port}; container {container.name} publishes {published}"
        return Answer(False, detail, [f"docker port {container.name}", f"msctl reload {METERSPHERE}"])
    if case.server.state == "refused" and case.scene.brokers:
        places = ", ".join(
            dict.fromkeys(
                join_address(each.address, each.port) for mine in case.scene.brokers.values() for each in mine
            )
        )
        detail = f"nothing listens on port {case.port}; Kafka listens on {places or 'other ports'}"
        return Answer(False, detail, [f"listeners={case.protocol}://:{case.port} {IN_PROPERTIES}"])
    if case.server.state == "refused" and case.scene.unseen and case.scene.listening is not None:
        detail = f"nothing on this machine listens on port {case.port}"
        return Answer(False, detail, ["sudo docker ps --all --filter name=kafka", *_START])
    return Answer(None, case.found)


def _bound(case: Case) -> Answer:
    """Is it open on this address, too?"""
    serving = [each for each in case.scene.listening or () if each.serves(case.scene.address)]
    if serving:
        return Answer(True, f"it is bound to {_places(case)}, and so serves {case.scene.address}")
    detail = f"{_who(case)} listens on {_places(case)} only, not on {case.scene.address}"
    return Answer(False, detail, [f"listeners={case.protocol}://:{case.port} {IN_PROPERTIES}"])


def _firewall(case: Case) -> Answer:
    """Does no firewall stop it?"""
    if not case.no_way:
        return Answer(True, "none stops the connection")
    look = case.scene.filter
    if look.blocks and (case.scene.here or look.blocks[0].certain):
        first = look.blocks[0]
        stops = "stops it" if first.certain else "may stop it"
        commands = list(dict.fromkeys(each.command for each in look.blocks[:3]))
        return Answer(False, f"a rule of this machine {stops}: {first.text}", commands)
    note = _perhaps_here(case)
    if case.scene.here:
        return Answer(None, f"no rule of this machine is known to stop it{note}", ["nft list ruleset"])
    return _firewall_there(case, note)


def _firewall_there(case: Case, note: str) -> Answer:
    alive = {
        port: answer for port, answer in case.scene.others.items() if answer not in ("dropped", "unreachable")
    }
    if alive:
        how = "rejected" if case.server.state == "unreachable" else "dropped"
        told = ", ".join(f"{port}: {answer}" for port, answer in alive.items())
        return Answer(
            False,
            f"{case.host} answers on other ports ({told}), and packets to {case.port} are {how}: a firewall"
            f" of {case.host}, or a security group in between, stops them{note}",
            [*case.instead(), *_opening_there(case)],
        )
    tried = ", ".join(map(str, case.scene.others))
    return Answer(
        False,
        f"no port of {case.host} answers ({tried}): the machine is off, the address is wrong, or a firewall"
        f" stops everything{note}",
        [f"ping -c 3 {case.host}", f"ip route get {case.scene.address}"],
    )


def _who(case: Case) -> str:
    owner = case.scene.owner
    return f"{owner.name} (process {owner.pid})" if owner else "a process of this machine"


def _places(case: Case) -> str:
    listening = case.scene.listening or ()
    return ", ".join(dict.fromkeys(join_address(each.address, each.port) for each in listening))
