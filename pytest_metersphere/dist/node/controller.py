"""What a node-controller can do, without HTTP: its capacity, and the slices that it holds."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Protocol, TypeVar

import pytest_metersphere
from pytest_metersphere.dist.kafka.preflight import check_reach
from pytest_metersphere.dist.node.config import NodeConfig
from pytest_metersphere.dist.node.launcher import Launcher, ProcessLauncher
from pytest_metersphere.dist.node.refusal import Refused
from pytest_metersphere.dist.node.slices import Slice
from pytest_metersphere.dist.signing import KEY_SIZE
from pytest_metersphere.dist.wire import (
    MAX_INTERVAL,
    PROTOCOL,
    Check,
    CheckRequest,
    NodeInfo,
    SliceInfo,
    Spoken,
    StartRequest,
    version_skew,
)

KEEP = 600.0
"""Seconds for which an ended slice whose controller is silent keeps its frames and its log."""
MAX_LEASE = 3600.0

_SWEEP = 1.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
T = TypeVar("T")


class Guests(Protocol):
    """Load of others on the machine, started by this node, and what it takes of it."""

    @property
    def names(self) -> list[str]:
        """Return how its parts are called."""

    @property
    def users(self) -> int | None:
        """Return how many users they have together; None when nobody knows: then the whole node is theirs."""


class _Nobody:
    names: list[str] = []  # noqa: RUF012 - nobody adds to it
    users = 0


class NodeController:
    """One load machine.

    Capacity belongs to a slice from its start request until none of its processes is left.

    Attributes:
        guests: load of others here; nobody's unless it is set.
    """

    def __init__(self, config: NodeConfig) -> None:
        """Make the folder for the slices; needs a running event loop."""
        self.config = config
        self.version = pytest_metersphere.__version__
        self.guests: Guests = _Nobody()
        self._launcher = _launcher(config)
        self._folder = Path(tempfile.mkdtemp(prefix="pytest-metersphere-"))
        self._slices: dict[str, Slice] = {}
        self._incarnation = 0
        self._closing = False
        self._sweeper = asyncio.create_task(self._sweep())

    @property
    def free(self) -> int:
        """Return how many users it could take now."""
        guests = self.guests.users
        return 0 if guests is None else max(0, self.config.capacity - self.taken - guests)

    @property
    def taken(self) -> int:
        """Return how many users its slices have."""
        return sum(each.request.users for each in self._slices.values() if not each.over)

    @property
    def live(self) -> int:
        """Return how many slices have processes."""
        return sum(not each.over for each in self._slices.values())

    async def open(self) -> None:
        """Remove what an earlier controller of this node has left on the machine."""
        await self._launcher.open()

    @property
    def patience(self) -> float:
        """Return the seconds that `close` may take."""
        return self._launcher.patience

    async def info(self) -> NodeInfo:
        """Return what it is and what it holds."""
        return NodeInfo(
            protocol=PROTOCOL,
            version=self.version,
            name=self.config.name,
            python=platform.python_version(),
            capacity=self.config.capacity,
            free=self.free,
            workers=self.config.workers,
            clock=time.time(),
            pid=os.getpid(),
            slices=list(self._slices),
            launcher=self._launcher.name,
            image=self._launcher.image,
            trouble=await self._launcher.trouble(),
            guests=self.guests.names,
        )

    async def check(self, request: CheckRequest) -> list[Check]:
        """Return whether it could take such a slice now."""
        findings = [
            self._check_language("protocol", request.protocol, PROTOCOL),
            self._check_language("version", request.version, self.version),
            self._check_capacity(request.users),
            self._check_slices(),
            self._check_folder(),
        ]
        if not request.looks_only:
            findings += await self._launcher.check(request)
        if request.kafka is not None:
            findings.append(await asyncio.to_thread(check_reach, request.kafka))
        return findings

    def _check_language(self, name: str, asked: T, spoken: T) -> Check:
        detail = f"the node has {name} {spoken}, the controller has {asked}"
        hint = "install the same version of pytest-metersphere on both"
        return Check(name=name, ok=asked == spoken, detail=detail, hint="" if asked == spoken else hint)

    def _check_capacity(self, users: int) -> Check:
        free = self.free
        detail = f"{users} users asked for, {free} of {self.config.capacity} are free{self._beside}"
        hint = "" if users <= free else "use fewer users or more nodes, or wait for the other runs"
        return Check(name="capacity", ok=users <= free, detail=detail, hint=hint)

    def _check_slices(self) -> Check:
        live = self._places
        limit = self.config.max_slices
        hint = "" if live < limit else "wait for the other runs, or start the node with a larger --max-slices"
        return Check(name="slices", ok=live < limit, detail=f"{live} of {limit} slices are taken", hint=hint)

    def _check_folder(self) -> Check:
        begin = time.perf_counter()
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                file.write(bytes(1 << 16))
        except OSError as error:
            hint = "free some space there, or set TMPDIR for the node to a folder that can be written"
            return Check(name="folder", ok=False, detail=f"{self._folder}: {error.strerror}", hint=hint)
        seconds = time.perf_counter() - begin
        return Check(name="folder", ok=True, detail=f"{self._folder} can be written", seconds=seconds)

    def require_version(self, spoken: Spoken) -> None:
        """Check that the other side speaks the same language.

        Raises:
            Refused: another protocol, or another version of pytest-metersphere.
        """
        if (spoken.protocol, spoken.version) != (PROTOCOL, self.version):
            own = Spoken(protocol=PROTOCOL, version=self.version)
            raise Refused(409, "version", version_skew(node=own, controller=spoken))

    async def start(self, request: StartRequest, bundle: bytes) -> SliceInfo:
        """Reserve capacity and start a slice.

        Raises:
            Refused: no capacity, too many slices, the id is taken, the request or the bundle is unsound.
        """
        _require_sound(request)
        new = await self._reserve(request)
        try:
            await new.open(bundle)
        except BaseException:
            await self.delete(request.slice)
            raise
        return new.info()

    async def _reserve(self, request: StartRequest) -> Slice:
        """Check and take capacity in one go: between the last check and the entry nothing is awaited."""
        await self._make_room()
        if self._closing:
            raise Refused(503, "state", "the node is ending")
        if request.slice in self._slices:
            raise Refused(409, "state", f"there is a slice {request.slice} already")
        if self._places >= self.config.max_slices:
            raise Refused(429, "slices", f"all {self.config.max_slices} slices of the node are taken")
        capacity, free = self.config.capacity, self.free
        if request.users > free:
            raise Refused(
                409,
                "capacity",
                f"{request.users} users asked for, {free} of {capacity} are free{self._beside}",
                capacity=capacity,
                free=free,
            )
        self._incarnation = max(self._incarnation + 1, time.time_ns() // 1_000_000)
        folder = Path(tempfile.mkdtemp(prefix="slice-", dir=self._folder))
        new = self._slices[request.slice] = Slice(
            request, self.config, self._launcher, folder, self._incarnation
        )
        return new

    @property
    def _places(self) -> int:
        return self.live + len(self.guests.names)

    @property
    def _beside(self) -> str:
        """Return who else is here, as the end of a sentence."""
        names = self.guests.names
        if not names:
            return ""
        listed = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        whole = ", and nobody knows how many users that has" if self.guests.users is None else ""
        return f", as load of a MeterSphere server runs here ({listed}){whole}"

    def find(self, slice_id: str) -> Slice:
        """Return a slice and renew its lease.

        Raises:
            Refused: there is none.
        """
        found = self._slices.get(slice_id)
        if found is None or found.closed:
            raise Refused(404, "unknown", f"there is no slice {slice_id[:80]!r} here")
        found.renew()
        return found

    async def delete(self, slice_id: str) -> None:
        """Stop a slice if needed and forget it; one that is not there is no error."""
        found = self._slices.get(slice_id)
        if found is not None:
            await found.close()
            if self._slices.get(slice_id) is found:
                del self._slices[slice_id]

    async def close(self) -> None:
        """Kill all slices and remove everything."""
        self._closing = True
        self._sweeper.cancel()
        for each in self._slices.values():
            each.cut_off("the node-controller ended")
        await asyncio.gather(*(self.delete(slice_id) for slice_id in list(self._slices)))
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            await self._forget(time.monotonic() - KEEP)

    async def _make_room(self) -> None:
        """Forget abandoned slices early when there are many."""
        if len(self._slices) >= self.config.max_slices:
            await self._forget(time.monotonic())

    async def _forget(self, before: float) -> None:
        """Delete the slices that are over and whose lease ended before then."""
        for slice_id, each in list(self._slices.items()):
            if each.over and each.lease_end < before:
                await self.delete(slice_id)


def _launcher(config: NodeConfig) -> Launcher:
    if config.docker is None:
        return ProcessLauncher(config.worker_command)
    # the Docker SDK is imported only where slices get containers
    from pytest_metersphere.dist.node.containers import DockerLauncher

    return DockerLauncher(config.docker, guests=config.metersphere is not None)


def _require_sound(request: StartRequest) -> None:
    """Check what the types cannot say."""
    most = max((len(part.users) for part in request.parts), default=0)
    root = request.collection.root
    faults = {
        "slice must be 1 to 64 letters, digits, dots, dashes or underscores": not _NAME.fullmatch(
            request.slice
        ),
        "run must be 1 to 200 characters": not 0 < len(request.run) <= 200,
        "parts must not be empty": not request.parts,
        "users must be 1 or more": request.users < 1,
        f"users is {request.users}, but a part has {most}": most > request.users,
        f"lease must be above 0 and up to {MAX_LEASE:g} s": not 0 < request.lease <= MAX_LEASE,
        f"interval must be 1 to {MAX_INTERVAL} seconds": not 1 <= request.interval <= MAX_INTERVAL,
        f"key must be {KEY_SIZE} bytes": len(request.key) != KEY_SIZE,
        "collection.root must be the plain name of a folder": root in ("", ".", "..")
        or any(letter in root for letter in "/\\\0")
        or len(root.encode()) > 200,
    }
    for message, wrong in faults.items():
        if wrong:
            raise Refused(400, "request", f"{message}")
