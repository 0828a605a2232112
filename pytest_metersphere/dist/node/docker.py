"""The Docker Engine of this machine, by the Docker SDK: images, and the containers of slices.

Every call blocks. What fails is a DockerTrouble, whose text says what to do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount

from pytest_metersphere.dist.node.config import DockerConfig
from pytest_metersphere.dist.node.docker_client import CALL_LIMIT, DockerTrouble, connected, engine_host

END_LIMIT = 5.0
"""Seconds within which a container whose process 1 is gone must be known to have ended."""
LAST_LINES = 20
"""Lines of a container's own output that are kept."""
USER = "10082:10082"
"""Whom slices run as, whatever user the image names."""
NODE_LABEL = "io.pytest-metersphere.node"
SLICE_LABEL = "io.pytest-metersphere.slice"
GUEST_LABEL = "io.pytest-metersphere.guest"
"""Marks, by its name, a container that a MeterSphere server had started."""

_PULL_LIMIT = 600.0
_POLL = 0.05
_ALIVE = ("created", "running", "paused")
_LEAVING = (404, 409)
"""What the engine answers when a container is gone, and while it removes it."""
_UNTAGGED = "<none>:<none>"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a container is to be, beside what all of ours have in common.

    Attributes:
        name: its name.
        labels: its labels.
        command: what it runs.
        mounts: folders of this machine that it may read, by where they are in there.
        pids: processes and threads that it may have.
        network: the network that it is on.
    """

    name: str
    labels: Mapping[str, str]
    command: tuple[str, ...]
    mounts: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    pids: int
    network: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a container ended.

    Attributes:
        code: exit code of its process 1, 137 after SIGKILL.
        out_of_memory: the kernel killed a process of it for want of memory.
        output: the last lines that its process 1 printed.
    """

    code: int
    out_of_memory: bool
    output: str


class Engine:
    """The Docker Engine that DOCKER_HOST names, the one of this machine without it."""

    def __init__(self, config: DockerConfig) -> None:
        """Prepare; nothing is asked yet."""
        self._config = config
        self.host = engine_host()

    def _client(self, limit: float = CALL_LIMIT) -> contextlib.AbstractContextManager[docker.DockerClient]:
        """Return a client of its own for each thread and time: it is not made to be shared."""
        return connected(self.host, limit)

    def version(self) -> str:
        """Return the engine's version."""
        with self._client() as client:
            return str(client.version().get("Version", "unknown"))

    def find_image(self) -> str:
        """Return the id of the image that slices run in.

        Raises:
            DockerTrouble: it is not there, under exactly that name and tag; one that may be pulled is no
                trouble, its id is empty.
        """
        image = self._config.image
        with self._client() as client, contextlib.suppress(ImageNotFound):
            return str(client.images.get(image).id)
        if self._config.pull:
            return ""
        raise DockerTrouble(
            f"image {image} is not on this machine; build it (deploy/runner.Dockerfile), or bring it: docker"
            f" save {image} | ssh NODE docker load; --pull=missing lets the node pull it"
        )

    def image_id(self) -> str:
        """Return the id of the image that slices run in; it is pulled when it is not there and may be.

        Raises:
            DockerTrouble: it is not there, or cannot be pulled.
        """
        found = self.find_image()
        if found:
            return found
        repository, tag = split_tag(self._config.image)
        with self._client(_PULL_LIMIT) as client:
            return str(client.images.pull(repository, tag=tag).id)

    def start(self, recipe: Recipe) -> str:
        """Make and start a container of the image; return its id.

        Raises:
            DockerTrouble: a container of that name is there, or the engine cannot start it.
        """
        image = self.image_id()
        with self._client() as client:
            return _started(self._create(client, image, recipe))

    def _create(self, client: docker.DockerClient, image: str, recipe: Recipe) -> Container:
        config = self._config
        return client.containers.create(
            image,
            list(recipe.command),
            entrypoint=["python3", "-P", "-m"],
            name=recipe.name,
            labels=dict(recipe.labels),
            environment={"PYTHONUNBUFFERED": "1", **config.env},
            user=USER,
            network_mode=recipe.network,
            read_only=True,
            tmpfs={"/tmp": "rw,exec,nosuid,nodev,mode=1777"},  # noqa: S108 - inside the container
            mounts=[
                Mount(target, str(source), type="bind", read_only=True)
                for target, source in recipe.mounts.items()
            ],
            working_dir="/tmp",  # noqa: S108 - inside the container
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            pids_limit=recipe.pids,
            log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m"}),
            **self._limits(),
        )

    def _limits(self) -> dict[str, Any]:
        config = self._config
        return {
            "mem_limit": config.memory,
            # with swap as large again, what has no memory left would crawl instead of ending
            "memswap_limit": config.memory,
            "nano_cpus": None if config.cpus is None else round(config.cpus * 1e9),
            "cpuset_cpus": _affinity() or None,
        }

    def has_ended(self, container: str) -> bool:
        """Return whether a container has ended, or is not there."""
        with self._client() as client:
            try:
                return client.containers.get(container).status not in _ALIVE
            except NotFound:
                return True

    def end_of(self, container: str) -> End:
        """Return how a container ended, within END_LIMIT; its output that far, whatever is asked for.

        Raises:
            DockerTrouble: it is not there any more, or runs on.
        """
        deadline = time.monotonic() + END_LIMIT
        with self._client() as client:
            try:
                found = client.containers.get(container)
                while found.status in _ALIVE:
                    if time.monotonic() > deadline:
                        raise DockerTrouble("it runs on, but its first process does not answer")
                    time.sleep(_POLL)
                    found.reload()
                output = found.logs(tail=LAST_LINES).decode(errors="replace").strip()
            except APIError as error:
                if error.status_code in _LEAVING:
                    raise DockerTrouble("it was removed") from None
                raise
        state = found.attrs["State"]
        return End(code=state["ExitCode"], out_of_memory=state["OOMKilled"], output=output)

    def kill(self, container: str) -> None:
        """Send SIGKILL to everything in a container; one that has ended is no error."""
        with self._client() as client, contextlib.suppress(NotFound, APIError):
            client.containers.get(container).kill()

    def remove(self, container: str) -> None:
        """Kill a container if needed and remove it; one that is not there is no error."""
        with self._client() as client:
            try:
                client.containers.get(container).remove(force=True, v=True)
            except NotFound:
                pass
            except APIError as error:
                # somebody else removes it at this moment
                if error.status_code != 409:
                    raise

    def remove_slice(self, name: str) -> bool:
        """Remove the container of a slice of this node by its name; return whether there was one."""
        with self._client() as client, contextlib.suppress(NotFound):
            found = client.containers.get(name)
            if found.labels.get(NODE_LABEL) == self._config.node and SLICE_LABEL in found.labels:
                self.remove(str(found.id))
                return True
        return False

    def sweep(self, *, guests: bool = True) -> list[str]:
        """Remove the containers that bear this node's label, word for word; return their names.

        Those that MeterSphere servers had started stay without `guests`.
        """
        removed = []
        wanted = self._config.node
        with self._client() as client:
            marked = client.containers.list(
                all=True, filters={"label": f"{NODE_LABEL}={wanted}"}, ignore_removed=True
            )
            for found in marked:
                if found.labels.get(NODE_LABEL) == wanted and (guests or GUEST_LABEL not in found.labels):
                    removed.append(str(found.name))
                    with contextlib.suppress(NotFound):
                        found.remove(force=True, v=True)
        return removed

    def require_tag(self, image: str) -> None:
        """See that an image is there under exactly this name and tag, as MeterSphere's servers expect it.

        Raises:
            DockerTrouble: it is not; the text begins as that of a stock node-controller does.
        """
        with self._client() as client:
            tags = [tag for one in client.api.images() for tag in one["RepoTags"] or () if tag != _UNTAGGED]
        if not tags:
            raise DockerTrouble(
                "Image List is empty: this machine has no image at all; docker load brings one"
            )
        if image not in tags:
            raise DockerTrouble(
                f"Image Not Found: {image}: bring it to this machine under exactly this name and tag"
                " (docker save IMAGE | ssh MACHINE docker load); none is fetched"
            )

    def start_guest(self, name: str, image: str, env: Sequence[str]) -> str:
        """Start a container as a MeterSphere server wants it, image and variables as given; return its id.

        One of that name which such a server had started on this node earlier is replaced.

        Raises:
            DockerTrouble: the name is taken by another container, or the engine cannot start it.
        """
        config = self._config
        with self._client() as client:
            self._clear_name(client, name)
            made = client.containers.create(
                image,
                name=name,
                labels={NODE_LABEL: config.node, GUEST_LABEL: name},
                environment=list(env),
                network_mode=config.network,
                pids_limit=config.pids,
                log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": "8m", "max-file": "2"}),
                **self._limits(),
            )
            return _started(made)

    def _clear_name(self, client: docker.DockerClient, name: str) -> None:
        for one in client.containers.list(all=True, filters={"name": f"^/{name}$"}, ignore_removed=True):
            if one.name != name:
                continue
            if (one.labels.get(NODE_LABEL), one.labels.get(GUEST_LABEL)) != (self._config.node, name):
                raise DockerTrouble(
                    f"there is a container {name} on this machine that was not started here: it is left"
                    " alone; remove it (docker rm), or take another TEST_ID"
                )
            one.remove(force=True, v=True)

    def guests(self) -> list[dict[str, Any]]:
        """Return Docker's own summaries of the containers that MeterSphere servers had started here."""
        wanted = self._config.node
        with self._client() as client:
            found: list[dict[str, Any]] = client.api.containers(
                all=True, filters={"label": [f"{NODE_LABEL}={wanted}", GUEST_LABEL]}
            )
        return [one for one in found if _is_guest(one, wanted)]

    def variables(self, container: str) -> list[str]:
        """Return a container's environment as `NAME=value`; nothing when it is not there."""
        with self._client() as client, contextlib.suppress(NotFound):
            return list(client.containers.get(container).attrs["Config"]["Env"] or ())
        return []

    def printed(self, container: str, lines: int, since: float = 0.0) -> bytes:
        """Return the last lines of a container's output, since a moment of the wall clock if one is given."""
        with self._client() as client:
            try:
                return bytes(client.containers.get(container).logs(tail=lines, since=since or None))
            except APIError as error:
                if error.status_code in _LEAVING:
                    return b""
                raise

    def stop(self, container: str, grace: int) -> None:
        """Ask a container's first process to end (SIGTERM), and kill it after `grace` seconds."""
        with self._client(CALL_LIMIT + grace) as client, contextlib.suppress(APIError):
            client.containers.get(container).stop(timeout=grace)

    def output_of(self, recipe: Recipe, limit: float) -> str:
        """Run a container to its end and return what it printed on standard output.

        Raises:
            DockerTrouble: it did not end well, or not within `limit` seconds.
        """
        container = self.start(recipe)
        try:
            with self._client(limit) as client:
                found = client.containers.get(container)
                code = found.wait(timeout=limit)["StatusCode"]
                if code != 0:
                    lines = found.logs(tail=LAST_LINES).decode(errors="replace").strip().splitlines()
                    last = lines[-1] if lines else f"exit code {code}"
                    raise DockerTrouble(f"image {self._config.image} cannot run slices: {last}")
                return found.logs(stdout=True, stderr=False).decode(errors="replace")
        finally:
            self.remove(container)


def _is_guest(summary: dict[str, Any], node: str) -> bool:
    labels = summary["Labels"]
    return labels.get(NODE_LABEL) == node and f"/{labels.get(GUEST_LABEL)}" in summary["Names"]


def split_tag(image: str) -> tuple[str, str | None]:
    """Return an image's name in two, `host:5000/runner:1.0` as `host:5000/runner` and `1.0`."""
    if "@" in image:
        return image, None
    head, colon, tag = image.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (image, "latest")


def _affinity() -> str:
    """Return the cores of this process as a cpuset, empty when it has all of them."""
    if not hasattr(os, "sched_getaffinity"):
        return ""
    cores = sorted(os.sched_getaffinity(0))
    return "" if len(cores) == os.cpu_count() else ",".join(map(str, cores))


def _started(made: Container) -> str:
    """Start a container and return its id; one that can't be started is removed."""
    try:
        made.start()
    except BaseException:
        made.remove(force=True, v=True)
        raise
    return str(made.id)
