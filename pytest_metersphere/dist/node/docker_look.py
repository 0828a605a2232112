"""What a Docker Engine says of containers, whoever made them; nothing is changed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import docker
from docker.errors import APIError, NotFound

from pytest_metersphere.dist.node.docker_client import connected, engine_host


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A container, whoever made it.

    Attributes:
        name: its name.
        image: image that it was made from.
        state: Docker's word: created, running, paused, restarting, removing, exited or dead.
        health: what its own check says: healthy, unhealthy or starting; empty without a check.
        code: exit code of its process 1 at the last end, 0 when it has not ended.
        out_of_memory: the kernel ended it for want of memory.
        restarts: how often the engine has started it again.
        ports: where it is reached from outside, as `0.0.0.0:9092->9092/tcp`.
        output: the last lines that it printed; empty when they cannot be read.
    """

    name: str
    image: str
    state: str
    health: str
    code: int
    out_of_memory: bool
    restarts: int
    ports: tuple[str, ...]
    output: str


@dataclasses.dataclass(slots=True)
class Glance:
    """What was found up to now; it grows while `look` is under way.

    Attributes:
        version: the engine's version; empty before it has said so.
        found: the containers, in the engine's order.
    """

    version: str = ""
    found: list[Seen] = dataclasses.field(default_factory=list)


def look(names: Collection[str], lines: int, limit: float, into: Glance) -> None:
    """Find the engine's version, and of these names the containers that there are; nothing is changed.

    Args:
        names: their names, to the letter.
        lines: last lines of their output to return.
        limit: seconds that a call to the engine may take; one that answers byte by byte takes longer.
        into: takes what is found, at once.

    Raises:
        NoDocker: there is no engine.
        DockerTrouble: it refuses.
    """
    with connected(engine_host(), limit) as client:
        into.version = str(client.version().get("Version", "unknown"))
        for summary in client.api.containers(all=True):
            # a linked container has more names, each with its owner's before it
            given = summary.get("Names") or ()
            own = next((name[1:] for name in given if name.count("/") == 1), "")
            if own in names:
                with contextlib.suppress(NotFound):
                    into.found.append(_seen(client, summary["Id"], own, lines))


def _seen(client: docker.DockerClient, identity: str, name: str, lines: int) -> Seen:
    about = client.api.inspect_container(identity)
    state = about["State"]
    try:
        output = client.api.logs(identity, tail=lines).decode(errors="replace").strip()
    except APIError:
        # not every way of keeping logs can be read
        output = ""
    return Seen(
        name=name,
        image=about["Config"].get("Image", ""),
        state=state["Status"],
        health=str((state.get("Health") or {}).get("Status", "")).replace("none", ""),
        # what engines other than Docker's own may leave out
        code=state.get("ExitCode", 0),
        out_of_memory=state.get("OOMKilled", False),
        restarts=about.get("RestartCount", 0),
        ports=tuple(_ports((about.get("NetworkSettings") or {}).get("Ports") or {})),
        output=output,
    )


def _ports(published: Mapping[str, Any]) -> Iterator[str]:
    for inside, places in published.items():
        for place in places or ():
            host = place["HostIp"]
            yield f"{f'[{host}]' if ':' in host else host}:{place['HostPort']}->{inside}"
