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
        errno: number of the system's error, None when it was another.
    """

    def __init__(self, host: str, reason: str, number: int | None = None) -> None:
        super().__init__(
            f"Docker does not answer on {host}: {reason}; start it (systemctl start docker),"
            " and let the user of this node speak to it (usermod -aG docker), or set DOCKER_HOST"
        )
        self.reason = reason
        self.errno = number


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
        _knock(host, limit)
        with contextlib.closing(docker.DockerClient(base_url=host, timeout=int(limit))) as client:
            yield client
    except APIError as error:
        raise DockerTrouble(f"Docker refuses: {error.explanation or error}") from error
    except DockerTrouble:
        raise
    except (DockerException, OSError) as error:
        innermost = _innermost(error)
        number = innermost.errno if isinstance(innermost, OSError) else None
        raise NoDocker(host, _reason(innermost), number) from error


def _knock(host: str, limit: float) -> None:
    """Connect once (OSError when nobody is there): the SDK wraps the reason, and leaves its socket open."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(limit)
        sock.connect(host.removeprefix("http+").removeprefix("unix://"))


def _innermost(error: BaseException) -> BaseException:
    """Return what an error of the SDK comes from."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _reason(error: BaseException) -> str:
    """Return an error in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
