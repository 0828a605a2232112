"""MeterSphere's containers on this machine, as `msctl status` and `docker logs` show them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pytest_metersphere.inspection.gathering import gathered
from pytest_metersphere.inspection.redaction import without_secrets
from pytest_metersphere.inspection.values import ContainerStatus, HostStatus
from pytest_metersphere.reports.text import clipped, one_line
from pytest_metersphere.units import format_duration

if TYPE_CHECKING:
    from pytest_metersphere.dist.node.docker_look import Glance, Seen

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

LOOK_LIMIT = 10.0
"""Seconds for all of it."""

_CALL_LIMIT = 5.0
_LONGEST_LINE = 300
_LONGEST_READ = 2_000
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED)


def host_status() -> HostStatus:
    """Look at the containers with these names; nothing is changed."""
    if os.name != "posix":
        detail = "containers are looked at on Linux and macOS only"
        return HostStatus(docker=None, detail=detail, unseen=True)
    # the SDK is imported only where it is used
    from pytest_metersphere.dist.node.docker_client import engine_host
    from pytest_metersphere.dist.node.docker_look import Glance

    host = engine_host()
    if "unix://" not in host:
        detail = f"DOCKER_HOST={host} is no Docker Engine of this machine"
        return HostStatus(docker=None, detail=detail, unseen=True)
    glance = Glance()
    detail, unseen = _looked(host, glance)
    found = [_described(each) for each in sorted(glance.found, key=lambda each: each.name)]
    return HostStatus(docker=glance.version or None, detail=detail, unseen=unseen, containers=found)


def _looked(host: str, glance: Glance) -> tuple[str, bool]:
    """Return why not all could be looked at, empty when it could; and whether there may be more."""
    from pytest_metersphere.dist.node.docker_client import DockerTrouble, NoDocker
    from pytest_metersphere.dist.node.docker_look import look

    def visit(into: Glance) -> bool:
        look(PARTS, LINES, _CALL_LIMIT, into)
        return True

    try:
        if gathered(visit, [glance], LOOK_LIMIT) == [True]:
            return "", False
    except NoDocker as error:
        return _no_docker(host, error.reason, error.errno), error.errno not in _ABSENT
    except DockerTrouble as error:
        return str(error), True
    limit = format_duration(LOOK_LIMIT)
    return f"the Docker Engine on {host} did not come to the end of its answers within {limit}", True


def _no_docker(host: str, reason: str, number: int | None) -> str:
    """Return why nobody answers, and what to do."""
    if number in (errno.EACCES, errno.EPERM):
        return f"this user may not ask Docker on {host}: use sudo, or: sudo usermod -aG docker $USER"
    start = "; if it is installed: systemctl start docker" if number in _ABSENT else ""
    return f"no Docker Engine answers on {host} ({reason}){start}"


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
        log=[_line(line) for line in seen.output.splitlines()[-LINES:]],
    )


def _line(line: str) -> str:
    """Return a line of a log as it may be shown; what is beyond that is not even looked through."""
    read = one_line(clipped(line, _LONGEST_READ))
    return clipped(without_secrets(clipped(read, _LONGEST_READ)), _LONGEST_LINE)


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
