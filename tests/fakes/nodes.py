"""A real node-controller in a thread, with stand-in workers, and what tests send to it."""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import io
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

import pytest_metersphere
from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.node.config import NodeConfig
from pytest_metersphere.dist.node.main import listen
from pytest_metersphere.dist.node.service import serving
from pytest_metersphere.dist.nodes import Node
from pytest_metersphere.dist.signing import KEY_SIZE, verified
from pytest_metersphere.dist.wire import PROTOCOL, SliceInfo, StartRequest
from pytest_metersphere.engine.messages import Collection, Part
from pytest_metersphere.metrics.frame import Frame
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.scenario.profile import Profile, Stage
from tests.fakes.worker import COMMAND, Script

TOKEN = "a-token-for-tests"
KEY = bytes(range(KEY_SIZE))
PATIENCE = 15.0


class NodeThread:
    """A node-controller that serves in a thread of this process.

    Attributes:
        cafile: file of the certificates that vouch for it, when it speaks TLS.
    """

    def __init__(self, config: NodeConfig, cafile: str | None = None) -> None:
        self.config = config
        self.cafile = cafile
        self._sock = listen(config)
        self.port: int = self._sock.getsockname()[1]
        host = f"[{config.host}]" if ":" in config.host else config.host
        self.address = f"{host}:{self.port}"
        self.url = f"{config.scheme}://{self.address}"
        self._up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with serving(self.config, self._sock):
            self._up.set()
            await self._end.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(PATIENCE), "the node-controller did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def client(self) -> NodeClient:
        """Return a client with the right token."""
        return NodeClient(self.config.name, self.url, TOKEN, self.cafile)

    def node(self, **changes: Any) -> Node:
        """Return it as a member of a pool."""
        plain = Node(
            name=self.config.name,
            host=self.config.host,
            url=self.url,
            token=TOKEN,
            capacity=None,
            loopback=True,
            cafile=self.cafile,
        )
        return dataclasses.replace(plain, **changes)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request with exactly these headers besides Host and Content-Length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def config(**changes: Any) -> NodeConfig:
    """Return the configuration of a node with stand-in workers on a free port."""
    plain = NodeConfig(name="n1", token=TOKEN, port=0, capacity=100, workers=2, worker_command=COMMAND)
    return dataclasses.replace(plain, **changes)


def scenario(*, warmup: float = 0.0, graceful_stop: float = 0.5, users: int = 10) -> Scenario:
    """Return a scenario of some users."""
    profile = Profile(stages=(Stage(30.0, users),), warmup=warmup, graceful_stop=graceful_stop)
    return Scenario(nodeid="test_x.py::test_x", name="test_x", path="test_x.py", line=1, profile=profile)


def start_request(
    slice_id: str = "s1", users: int = 4, *, lease: float = 60.0, parts: list[Part] | None = None
) -> StartRequest:
    """Return a start request for users 1 to `users`."""
    return StartRequest(
        protocol=PROTOCOL,
        version=pytest_metersphere.__version__,
        run="r1",
        slice=slice_id,
        node="n1",
        users=users,
        lease=lease,
        key=KEY,
        collection=Collection(root="project", sys_path=["."]),
        parts=parts or [Part(scenario=scenario(), users=list(range(1, users + 1)))],
    )


def bundle_of(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return data.getvalue()


def scripted(script: Script | None = None, **by_worker: Script) -> bytes:
    """Return a bundle with a script for all workers, and others for `worker_0` and so on."""
    files = {"script": msgspec.msgpack.encode(script or Script())}
    for name, own in by_worker.items():
        files[name.replace("worker_", "script-")] = msgspec.msgpack.encode(own)
    return bundle_of(files)


def eventually(met: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until something holds; fail when it does not within `patience` seconds."""
    deadline = time.monotonic() + patience
    pause = threading.Event()
    while not met():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        pause.wait(0.02)


def is_alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    if Path("/proc/self/stat").exists():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
    else:
        ps = ["ps", "-o", "stat=", "-p", str(pid)]
        state = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip()[:1]
    return state not in ("", "Z", "X")


def assert_gone(pids: list[int]) -> None:
    """Check that there were processes, and that soon none of them runs."""
    assert pids
    eventually(lambda: not any(is_alive(pid) for pid in pids), f"the end of the processes {pids}")


def children_in(log: str) -> list[int]:
    """Return the process ids of the children that stand-in workers say they started."""
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith("child ")]


def when(client: NodeClient, state: str, slice_id: str = "s1") -> SliceInfo:
    """Wait until a slice is in a state, and return how it stands then."""
    deadline = time.monotonic() + PATIENCE
    info = client.state(slice_id)
    while info.state != state:
        assert time.monotonic() < deadline, f"{info.state} ({info.reason}: {info.detail}), not {state}"
        info = client.state(slice_id, wait_while=info.state, wait=1.0)
    return info


def running(client: NodeClient, bundle: bytes, request: StartRequest | None = None) -> SliceInfo:
    """Start a slice, let it go, and return how it stands."""
    wanted = request or start_request()
    client.start(wanted, bundle)
    when(client, "ready", wanted.slice)
    return client.go(wanted.slice)


def all_frames(client: NodeClient, slice_id: str = "s1") -> list[Frame]:
    """Pull until the manifest comes; check the signatures, and return the frames in order."""
    frames: list[Frame] = []
    after = 0
    while True:
        batch = client.frames(slice_id, after, 1.0)
        frames += [frame_of(signed) for signed in batch.frames]
        after = batch.last_sequence
        if batch.manifest is not None:
            return frames


def frame_of(signed: bytes) -> Frame:
    """Return a frame that a slice of `start_request` has signed."""
    return msgspec.msgpack.decode(verified(KEY, signed)[1], type=Frame)


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port
