"""Where the stand-in's containers run: in a real Docker Engine, or as plain processes where there is none."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from docker.api import APIClient
from docker.errors import DockerException

Summary = dict[str, Any]
_NAME = re.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class EngineError(Exception):
    """What Docker says when it refuses, as its client library words it."""


class Engine(Protocol):
    """As much of Docker as a stock node-controller uses."""

    def images(self) -> list[str]:
        """Return the names and tags of all local images."""

    def containers(self, pattern: str, states: Sequence[str]) -> list[Summary]:
        """Return those in one of these states whose name the pattern is found in, newest first."""

    def create(self, name: str, image: str, env: Mapping[str, str]) -> str:
        """Make a container on the host's network and return its id."""

    def start(self, identity: str) -> None:
        """Start it."""

    def remove(self, identity: str) -> None:
        """Kill it if it runs, and remove it."""

    def kill(self, identity: str) -> None:
        """Kill it."""

    def wait(self, identity: str) -> None:
        """Return when it has ended."""

    def printed(self, identity: str) -> str:
        """Return what it printed."""


class DockerEngine:
    """The real one."""

    def __init__(self, api: APIClient) -> None:
        self._api = api

    def images(self) -> list[str]:
        return [tag for image in self._api.images() for tag in image["RepoTags"] or ()]

    def containers(self, pattern: str, states: Sequence[str]) -> list[Summary]:
        found: list[Summary] = self._api.containers(
            all=True, filters={"name": pattern, "status": list(states)}
        )
        return found

    def create(self, name: str, image: str, env: Mapping[str, str]) -> str:
        with _told():
            config = self._api.create_host_config(network_mode="host")
            made = self._api.create_container(image, name=name, environment=dict(env), host_config=config)
        return str(made["Id"])

    def start(self, identity: str) -> None:
        with _told():
            self._api.start(identity)

    def remove(self, identity: str) -> None:
        with _told():
            self._api.remove_container(identity, v=True, force=True)

    def kill(self, identity: str) -> None:
        with _told():
            self._api.kill(identity)

    def wait(self, identity: str) -> None:
        with _told():
            self._api.wait(identity, timeout=300)

    def printed(self, identity: str) -> str:
        with _told():
            return bytes(self._api.logs(identity)).decode(errors="replace")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except DockerException as error:
        raise EngineError(f"Status 409: {error}") from None


@dataclasses.dataclass
class _Process:
    name: str
    image: str
    env: Mapping[str, str]
    output: Path
    process: subprocess.Popen[bytes] | None = None
    number: int = 0

    @property
    def state(self) -> str:
        if self.process is None:
            return "created"
        return "running" if self.process.poll() is None else "exited"


class ProcessEngine:
    """Containers are processes, images commands: for where Docker is not what a test is about.

    Attributes:
        known: commands by image.
    """

    def __init__(self, known: Mapping[str, Sequence[str]]) -> None:
        self.known = dict(known)
        self._all: dict[str, _Process] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="stand-in-")

    def close(self) -> None:
        """Kill all of them."""
        for identity in list(self._all):
            self.remove(identity)
        self._folder.cleanup()

    def images(self) -> list[str]:
        return list(self.known)

    def containers(self, pattern: str, states: Sequence[str]) -> list[Summary]:
        with self._lock:
            found = [(key, one) for key, one in self._all.items() if re.search(pattern, one.name)]
        return [
            {"Id": key, "Names": [f"/{one.name}"], "Image": one.image, "State": one.state, "Status": "?"}
            for key, one in sorted(found, key=lambda pair: -pair[1].number)
            if one.state in states
        ]

    def create(self, name: str, image: str, env: Mapping[str, str]) -> str:
        # without a name Docker finds one
        if name and not _NAME.fullmatch(name):
            allowed = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            raise EngineError(f"Status 400: Invalid container name ({name}), {allowed}")
        with self._lock:
            if any(one.name == name for one in self._all.values()):
                raise EngineError(f"Status 409: the container name {name} is already in use")
            self._count += 1
            number = self._count
            identity = f"{number:064x}"
            output = Path(self._folder.name, str(number))
            self._all[identity] = _Process(name, image, dict(env), output, number=number)
        return identity

    def start(self, identity: str) -> None:
        one = self._all[identity]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        with one.output.open("wb") as output:
            one.process = subprocess.Popen(
                self.known[one.image],
                env=kept | dict(one.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def remove(self, identity: str) -> None:
        self.kill(identity)
        with self._lock:
            self._all.pop(identity, None)

    def kill(self, identity: str) -> None:
        one = self._all.get(identity)
        if one is None:
            raise EngineError(f"Status 404: No such container: {identity}")
        if one.process is not None and one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()

    def wait(self, identity: str) -> None:
        process = self._all[identity].process
        if process is not None:
            process.wait()

    def printed(self, identity: str) -> str:
        return self._all[identity].output.read_text(errors="replace")
