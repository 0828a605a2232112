"""MeterSphere's containers on this machine, as `msctl status` and `docker logs` show them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_metersphere.inspection.redaction import without_secrets
from pytest_metersphere.inspection.values import ContainerStatus, HostStatus
from pytest_metersphere.reports.text import clipped, one_line

if TYPE_CHECKING:
    from pytest_metersphere.dist.node.docker_look import Seen

PARTS = (
    "kafka",
    "zookeeper",
    "ms-node-controller",
    "nodeexporter",
    "ms-server",
    "performance-test",
    "ms-data-streaming",
    "ms-prometheus",
    "mysql",
    "redis",
)
"""What MeterSphere's installer calls the containers that a load test needs (v1.0 to v2.10)."""
LINES = 10
"""Last lines of each that are kept."""

_LIMIT = 5.0
_LONGEST_LINE = 300


def host_status() -> HostStatus:
    """Look at the containers with these names; nothing is changed."""
    if os.name != "posix":
        return HostStatus(docker=None, detail="containers are looked at on Linux and macOS only")
    # the SDK is imported only where it is used
    from pytest_metersphere.dist.node.docker_client import DockerTrouble, NoDocker, engine_host
    from pytest_metersphere.dist.node.docker_look import look

    host = engine_host()
    if "unix://" not in host:
        return HostStatus(docker=None, detail=f"DOCKER_HOST={host} is no Docker Engine of this machine")
    try:
        version, found = look(PARTS, LINES, _LIMIT)
    except NoDocker as error:
        return HostStatus(docker=None, detail=f"no Docker Engine answers on {host} ({error.reason})")
    except DockerTrouble as error:
        return HostStatus(docker=None, detail=str(error))
    return HostStatus(docker=version, containers=[_described(each) for each in found])


def _described(seen: Seen) -> ContainerStatus:
    detail = _trouble(seen)
    return ContainerStatus(
        name=seen.name,
        image=seen.image,
        state=seen.state,
        health=seen.health or None,
        ok=not detail,
        detail=detail,
        ports=list(seen.ports),
        log=[clipped(without_secrets(one_line(line)), _LONGEST_LINE) for line in seen.output.splitlines()],
    )


def _trouble(seen: Seen) -> str:
    """Return what is wrong with it and what to do, empty when nothing is."""
    logs = f"docker logs --tail 50 {seen.name}"
    if seen.state == "restarting":
        return (
            f"it ends, and is started again and again (exit code {seen.code}, {seen.restarts} times): {logs}"
        )
    if seen.state == "paused":
        return f"it is paused: docker unpause {seen.name}"
    if seen.state == "created":
        return f"it was never started: docker start {seen.name}"
    if seen.state != "running" and seen.out_of_memory:
        return f"the kernel ended it for want of memory; give it more, then: docker start {seen.name}"
    if seen.state != "running":
        return f"it ended with exit code {seen.code}: docker start {seen.name}, and see {logs}"
    if seen.health == "unhealthy":
        return f"it runs, but its own check fails: see {logs}, then docker restart {seen.name}"
    return ""
