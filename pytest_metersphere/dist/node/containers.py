"""The launcher that gives each slice a container of its own.

The supervisor stays outside, with the run's key, Kafka's password and the frames. In the container are
only the workers and the process that starts them (engine.container), which is handed the workers' ends
of their socket pairs over a socket in a private folder. So nothing secret stands in the container's
environment, command line or labels, the workers talk as they do without Docker, and when the
supervisor goes, however it goes, its sockets close and the container ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pytest_metersphere import __version__
from pytest_metersphere.dist.node.config import DockerConfig
from pytest_metersphere.dist.node.docker import (
    NODE_LABEL,
    SLICE_LABEL,
    End,
    Engine,
    Recipe,
)
from pytest_metersphere.dist.node.docker_client import DockerTrouble
from pytest_metersphere.dist.node.launcher import Child, Sandbox, ending
from pytest_metersphere.dist.node.leftovers import Leftovers
from pytest_metersphere.dist.node.packages import check_packages, check_python, jmeter_check
from pytest_metersphere.dist.wire import Check, CheckRequest, StartRequest
from pytest_metersphere.engine.container import (
    MAX_PACKET,
    MODULE,
    Facts,
    FromContainer,
    Gone,
    NotStarted,
    Signal,
    Spawn,
    Started,
    ToContainer,
    canonical_name,
)
from pytest_metersphere.units import format_size

START_LIMIT = 20.0
"""Seconds within which a container's first process must have called, and a worker must have started."""
TREE = "/bundle"
"""Where the unpacked bundle is in a container."""
DOOR = "/run/pytest-metersphere"
"""Where the socket of the supervisor is in a container."""

_SOCKET = "control"
_FACTS_LIMIT = 30.0
_FACTS_PIDS = 64
_PIDS = 4096
_OBEY_LIMIT = 3.0
_FRESH = 3.0
_ANSWER_LIMIT = 2.0
_CALL_POLL = 0.5
_logger = logging.getLogger(__name__)


class DockerLauncher:
    """Each slice runs in a container of its own."""

    name = "docker"
    patience = 8.0

    def __init__(self, config: DockerConfig, *, guests: bool = False) -> None:
        """Prepare; Docker is not asked yet.

        With `guests`, somebody else looks after the containers that MeterSphere servers have started.
        """
        self.image = config.image
        self._config = config
        self._engine = Engine(config)
        self._leftovers = Leftovers(self._engine, guests=not guests)
        self._facts: tuple[str, Facts] | None = None
        self._learning = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[str] | None = None
        self._asked = 0.0

    def sandbox(self, request: StartRequest, folder: Path, note: Callable[[str], None]) -> Sandbox:
        """Return a container for a slice, not yet made."""
        return _Container(self._config, self._engine, self._leftovers, request, folder, note)

    async def open(self) -> None:
        """Remove the containers that an earlier controller of this node has left; look into the image."""
        try:
            await self._leftovers.clear()
        except DockerTrouble as error:
            _logger.warning("%s", error)
            return
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Learn what is in the image before anybody asks."""
        with contextlib.suppress(DockerTrouble):
            await self._facts_of_image()

    async def trouble(self) -> str:
        """Return why no container can be started now; asked again after 3 s at the earliest."""
        if self._asking is None or (self._asking.done() and time.monotonic() - self._asked >= _FRESH):
            self._asked = time.monotonic()
            self._asking = asyncio.create_task(self._trouble())
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), _ANSWER_LIMIT)
        except TimeoutError:
            return f"Docker took more than {_ANSWER_LIMIT:g} s and has not answered on {self._engine.host}"

    async def _trouble(self) -> str:
        try:
            await self._leftovers.clear()
            await asyncio.to_thread(self._engine.find_image)
        except DockerTrouble as error:
            return str(error)
        return ""

    async def check(self, request: CheckRequest) -> list[Check]:
        """Return whether Docker and the image are there, and what is in the image is what is asked for."""
        try:
            version = await asyncio.to_thread(self._engine.version)
        except DockerTrouble as error:
            return [Check(name="docker", ok=False, detail=str(error))]
        found = [Check(name="docker", ok=True, detail=f"Docker {version} answers")]
        begin = time.monotonic()
        try:
            facts = await self._facts_of_image()
        except DockerTrouble as error:
            return [*found, Check(name="image", ok=False, detail=str(error))]
        image = self._check_image(facts)
        image.seconds = time.monotonic() - begin
        found.append(image)
        again = f"build image {self.image} again, beside the wheels that are missing"
        if request.python:
            found.append(check_python(request.python, facts.python))
        if request.packages:
            found.append(
                check_packages(
                    request.packages,
                    lambda name: facts.packages.get(canonical_name(name)),
                    f"{again} (deploy/runner.Dockerfile)",
                )
            )
        if request.jmeter:
            lack = facts.no_jmeter and f"in image {self.image} {facts.no_jmeter}"
            found.append(jmeter_check(facts.jmeter, lack, "put both into it (deploy/jmeter.Dockerfile)"))
        return found

    def _check_image(self, facts: Facts) -> Check:
        same = facts.version == __version__
        return Check(
            name="image",
            ok=same,
            detail=f"image {self.image} holds pytest-metersphere {facts.version}"
            + ("" if same else f", the node is {__version__}"),
            hint="" if same else "build it again from the node's wheel (deploy/runner.Dockerfile)",
        )

    async def _facts_of_image(self) -> Facts:
        """Return what is installed in the image; a container tells, once for each image."""
        image = await asyncio.to_thread(self._engine.image_id)
        async with self._learning:
            if self._facts is None or self._facts[0] != image:
                self._facts = image, await self._learn()
        return self._facts[1]

    async def _learn(self) -> Facts:
        recipe = Recipe(
            name=f"pytest-metersphere-facts-{os.urandom(6).hex()}",
            labels={NODE_LABEL: self._config.node},
            command=(MODULE, "--facts"),
            pids=_FACTS_PIDS,
            network="none",
        )
        text = await asyncio.to_thread(self._engine.output_of, recipe, _FACTS_LIMIT)
        try:
            return msgspec.json.decode(text, type=Facts)
        except msgspec.MsgspecError as error:
            raise DockerTrouble(f"image {self.image} cannot run slices: it says {text[:200]!r}") from error


class _Container:
    """The container of one slice, from before it is made until nothing of it is left."""

    def __init__(
        self,
        config: DockerConfig,
        engine: Engine,
        leftovers: Leftovers,
        request: StartRequest,
        folder: Path,
        note: Callable[[str], None],
    ) -> None:
        self.name = f"pytest-metersphere-{request.slice}"
        self._config = config
        self._engine = engine
        self._leftovers = leftovers
        self._request = request
        self._tree = folder / "tree"
        self._door = folder / "door"
        self._note = note
        self._id = ""
        self._opened = False
        self._control: socket.socket | None = None
        self._decoder = msgspec.msgpack.Decoder(FromContainer)
        self._children: dict[int, _Contained] = {}
        self._starts: dict[int, asyncio.Future[None]] = {}
        self._wanted_end = False
        self._ending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    def path(self, folder: Path) -> str:
        return str(Path(TREE) / folder.relative_to(self._tree))

    async def open(self) -> None:
        await self._leftovers.clear()
        with await asyncio.to_thread(self._prepare) as listener:
            self._opened = True
            self._id = await asyncio.to_thread(self._engine.start, self._recipe())
            self._control = await self._call(listener)
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._hear)
        await asyncio.to_thread((self._door / _SOCKET).unlink)

    def _prepare(self) -> socket.socket:
        """Let the container's user read the tree, whose folder stays private; listen for the container."""
        for path in (self._tree, *self._tree.rglob("*")):
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
        self._door.mkdir(mode=0o755)
        self._door.chmod(0o755)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            _bind(listener, self._door)
            (self._door / _SOCKET).chmod(0o666)
            listener.listen(1)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener

    def _recipe(self) -> Recipe:
        return Recipe(
            name=self.name,
            labels={NODE_LABEL: self._config.node, SLICE_LABEL: self._request.slice},
            command=(MODULE, "--control", f"{DOOR}/{_SOCKET}"),
            mounts={TREE: self._tree, DOOR: self._door},
            pids=self._config.pids or _PIDS + 2 * self._request.users,
            network=self._config.network,
        )

    async def _call(self, listener: socket.socket) -> socket.socket:
        """Wait for the container's first process to call."""
        calling = asyncio.ensure_future(asyncio.get_running_loop().sock_accept(listener))
        deadline = time.monotonic() + START_LIMIT
        try:
            while not (await asyncio.wait([calling], timeout=_CALL_POLL))[0]:
                await self._expect_call(deadline)
        finally:
            calling.cancel()
        control, _ = calling.result()
        control.setblocking(False)
        return control

    async def _expect_call(self, deadline: float) -> None:
        if self._wanted_end:
            raise DockerTrouble("the slice was ended")
        if await asyncio.to_thread(self._engine.has_ended, self._id):
            raise DockerTrouble(self._told(await asyncio.to_thread(self._engine.end_of, self._id)))
        if time.monotonic() > deadline:
            raise DockerTrouble(f"container {self.name} did not call within {START_LIMIT:g} s")

    async def start(self, number: int, _folder: Path, channel: socket.socket, output: int) -> Child:
        if self._control is None:
            raise DockerTrouble(f"container {self.name} has ended")
        started = self._starts[number] = asyncio.get_running_loop().create_future()
        socket.send_fds(self._control, [msgspec.msgpack.encode(Spawn(number))], [channel.fileno(), output])
        try:
            async with asyncio.timeout(START_LIMIT):
                await started
        except TimeoutError:
            raise DockerTrouble(f"container {self.name} did not start worker {number} in time") from None
        finally:
            del self._starts[number]
        return self._children[number]

    def _hear(self) -> None:
        """Take what the container's first process says; when it hangs up, or babbles, the container ends."""
        try:
            data = self._control.recv(MAX_PACKET) if self._control else b""
            if data:
                self._take(self._decoder.decode(data))
                return
        except BlockingIOError:
            return
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            pass
        self._hang_up()

    def _take(self, message: FromContainer) -> None:
        match message:
            case Started(worker, pid) if worker in self._starts and not self._starts[worker].done():
                self._children[worker] = _Contained(pid, worker, self._tell, self.kill)
                self._starts[worker].set_result(None)
            case NotStarted(worker, reason) if worker in self._starts and not self._starts[worker].done():
                self._starts[worker].set_exception(DockerTrouble(reason))
            case Gone(worker, code, out_of_memory) if worker in self._children:
                self._children[worker].ended(self._cause(code, out_of_memory=out_of_memory))
            case _:
                raise ValueError("it said what makes no sense here")

    def _cause(self, code: int, *, out_of_memory: bool) -> str:
        if code == -signal.SIGKILL and out_of_memory:
            return f"killed by the kernel: {self._want_of_memory()}"
        return ending(code)

    def _want_of_memory(self) -> str:
        limit = self._config.memory
        if limit is None:
            return "the machine ran out of memory; use fewer users on this node"
        return (
            f"its container ran out of memory, at its limit of {format_size(limit)}; raise --memory of the"
            " node, or use fewer users on it"
        )

    def _tell(self, message: ToContainer) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(msgspec.msgpack.encode(message))

    def kill(self) -> None:
        self._wanted_end = True
        self._hang_up()

    def _hang_up(self) -> None:
        """Close the socket, upon which the container ends, and learn how it did."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
            self._ending = asyncio.create_task(self._see_end())

    async def _see_end(self) -> None:
        why = await asyncio.to_thread(self._learn_end)
        if not self._wanted_end:
            self._note(why)
        for future in self._starts.values():
            if not future.done():
                future.set_exception(DockerTrouble(why))
        for child in self._children.values():
            child.ended(why)

    def _learn_end(self) -> str:
        try:
            if self._wanted_end:
                self._engine.kill(self._id)
            end = self._engine.end_of(self._id)
        except DockerTrouble as error:
            with contextlib.suppress(DockerTrouble):
                self._engine.kill(self._id)
            return f"container {self.name} is lost: {error}"
        return f"container {self.name} was killed by its node" if self._wanted_end else self._told(end)

    def _told(self, end: End) -> str:
        if end.out_of_memory:
            return f"container {self.name} was killed: {self._want_of_memory()}"
        if end.code == 128 + signal.SIGKILL:
            return f"container {self.name} was killed from outside (SIGKILL)"
        said = re.sub(r"\s*\n\s*", " | ", end.output)[-500:]
        return f"container {self.name} ended with exit code {end.code}" + (f": {said}" if said else "")

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._clear())
        await asyncio.shield(self._closing)

    async def _clear(self) -> None:
        self._wanted_end = True
        self._hang_up()
        if self._ending is not None:
            await self._ending
        if self._opened:
            await self._leftovers.remove(self.name, made=bool(self._id))


class _Contained:
    """A worker's process in a container; its id there is that of its process group too."""

    patience = 10.0

    def __init__(
        self, pid: int, number: int, tell: Callable[[ToContainer], None], kill: Callable[[], None]
    ) -> None:
        self.pid = pid
        self._number = number
        self._tell = tell
        self._kill = kill
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def ended(self, how: str) -> None:
        if not self._end.done():
            self._end.set_result(how)

    async def wait(self) -> str:
        return await asyncio.shield(self._end)

    def signal(self, number: signal.Signals) -> None:
        self._tell(Signal(self._number, number))
        if number == signal.SIGKILL and not self._end.done():
            asyncio.get_running_loop().call_later(_OBEY_LIMIT, self._insist)

    def _insist(self) -> None:
        """Kill the container when its first process did not do as it was told."""
        if not self._end.done():
            self._kill()


def _bind(listener: socket.socket, folder: Path) -> None:
    """Bind a socket in a folder, whose path may be longer than the name of a socket."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{handle}/{_SOCKET}")
    finally:
        os.close(handle)
