"""The way to the Docker Engine, by the Docker SDK, and what may be wrong with it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import docker
from docker.errors import APIError, DockerException

CALL_LIMIT = 20.0
"""Seconds that a call to the engine may take; a pull may take longer."""
_DEFAULT_HOST = "unix:///var/run/docker.sock"


class DockerTrouble(OSError):
    """Docker, an image or a container is not as it must be; the text says what, and what to do."""


class NoDocker(DockerTrouble):
    """No engine answers.

    Attributes:
        reason: why, in a few words.
    """

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"Docker does not answer on {host}: {reason}; start it (systemctl start docker),"
            " and let the user of this node speak to it (usermod -aG docker), or set DOCKER_HOST"
        )
        self.reason = reason


def engine_host() -> str:
    """Return the address of the engine that DOCKER_HOST names, of this machine's without it."""
    return os.environ.get("DOCKER_HOST") or _DEFAULT_HOST


@contextlib.contextmanager
def connected(host: str, limit: float) -> Iterator[docker.DockerClient]:
    """Return a client; what goes wrong with it is a DockerTrouble."""
    if not host.startswith(("unix://", "http+unix://")):
        raise DockerTrouble(
            f"DOCKER_HOST={host} is no engine of this machine, and slices share folders with it;"
            " run the node-controller there, or name a socket: unix:///var/run/docker.sock"
        )
    try:
        _knock(host)
        with contextlib.closing(docker.DockerClient(base_url=host, timeout=int(limit))) as client:
            yield client
    except APIError as error:
        raise DockerTrouble(f"Docker refuses: {error.explanation or error}") from error
    except DockerTrouble:
        raise
    except (DockerException, OSError) as error:
        raise NoDocker(host, _reason(error)) from error


def _knock(host: str) -> None:
    """Connect once (OSError when nobody is there): the SDK wraps the reason, and leaves its socket open."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(CALL_LIMIT)
        sock.connect(host.removeprefix("http+").removeprefix("unix://"))


def _reason(error: BaseException) -> str:
    """Return the innermost reason of an error of the SDK, in one line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
