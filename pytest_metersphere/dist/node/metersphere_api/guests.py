"""The containers that MeterSphere servers have started on this node: its guests, beside the slices of ours.

Each is known from before it is made until nothing of it is left, and however it ends (by itself, stopped,
replaced, killed from outside, with the node) that is told once. All methods belong to the event loop's
thread; what blocks is done in threads.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pytest_metersphere.dist.node.controller import NodeController
from pytest_metersphere.dist.node.docker import GUEST_LABEL, End, Engine
from pytest_metersphere.dist.node.docker_client import DockerTrouble
from pytest_metersphere.dist.node.metersphere_api.declined import Declined
from pytest_metersphere.dist.node.metersphere_api.lines import END, NO_MEMORY, Lines
from pytest_metersphere.dist.node.metersphere_api.order import Order, order_from
from pytest_metersphere.dist.node.metersphere_api.threads import Threads

GRACE = 2
"""Seconds from SIGTERM to SIGKILL when a container is to end."""
LOG_TAIL = 256 << 10
"""Bytes of a container's output that are kept after its end, and told of at once."""
KEPT = 16
"""Ended containers whose output is kept."""
LOOK = 1.0
"""Seconds between two looks at which containers have ended."""
STRAYS = 600.0
"""Seconds for which containers are looked for whose start has failed."""
LISTEN = 5.0
"""Seconds between two looks at what a container has printed."""

_LINES = 5000
_FAREWELL = 3.0
_ALIVE = ("created", "running", "paused", "restarting")
_logger = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False, slots=True)
class _Guest:
    """One container.

    Attributes:
        order: what was asked for.
        lines: tells MeterSphere of its end.
        id: what Docker calls it, empty before it is made.
        made: set once it is, or will not be.
        unwanted: it was told to end.
        ending: the task that ends it.
        no_memory: its JVM was found to have no memory, and that is told.
        listened_at: moment of the wall clock up to which its output was looked at.
    """

    order: Order
    lines: Lines
    id: str = ""
    made: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    unwanted: bool = False
    ending: asyncio.Task[None] | None = None
    no_memory: bool = False
    listened_at: float = dataclasses.field(default_factory=time.time)


class Guests:
    """All of them, and what they take of the node.

    How many users a container has, only the names of our own runners say. Any other takes the whole node as
    far as slices are concerned: it starts only where no slice is, and keeps them out.
    """

    def __init__(self, engine: Engine, node: NodeController, threads: Threads) -> None:
        """Begin to look after them; needs a running event loop."""
        self._engine = engine
        self._node = node
        self._do = threads.do
        self._threads = threads
        self._guests: dict[str, _Guest] = {}
        self._ended: collections.OrderedDict[str, str] = collections.OrderedDict()
        self._starting = asyncio.Lock()
        self._farewells: dict[asyncio.Task[None], Lines] = {}
        self._swept = self._closing = False
        self._strays_until = 0.0
        self._trouble = ""
        self._watching = asyncio.create_task(self._watch())

    @property
    def names(self) -> list[str]:
        """Return the names of those that are there."""
        return list(self._guests)

    @property
    def users(self) -> int | None:
        """Return how many users they have together, None when nobody knows."""
        return _sum(guest.order.users for guest in self._guests.values())

    async def open(self) -> None:
        """Remove what an earlier controller of this node has left, and tell of the ends."""
        await self._try(self._sweep())

    async def start(self, order: Order) -> None:
        """Start a container; one of this name that an earlier request started is ended first, and no other.

        Raises:
            Declined: there is no room.
            DockerTrouble: the image is not there, the name is taken, or Docker cannot start it.
        """
        await self._do(self._engine.require_tag, order.image)
        async with self._starting:
            earlier = self._guests.get(order.name)
            self._require_room(order, earlier)
            if earlier is not None:
                await self._end(earlier, asked=True)
                # while that one ended, slices may have come
                self._require_room(order, None)
            guest = self._guests[order.name] = _Guest(order, Lines(order, self._threads))
            try:
                guest.id = await self._do(self._engine.start_guest, order.name, order.image, order.env)
            except BaseException:
                del self._guests[order.name]
                # it may come all the same, when Docker was only slow
                self._strays_until = time.monotonic() + STRAYS
                raise
            finally:
                guest.made.set()
            self._ended.pop(order.name, None)

    def _require_room(self, order: Order, earlier: _Guest | None) -> None:
        if self._closing:
            raise Declined("the node is ending")
        node, config = self._node, self._node.config
        others = [guest for guest in self._guests.values() if guest is not earlier]
        if node.live + len(others) >= config.max_slices:
            raise Declined(f"all {config.max_slices} places of the node are taken, by containers and slices")
        held, wanted = _sum(guest.order.users for guest in others), order.users
        if wanted is None and (node.taken or held):
            raise Declined(
                f"{node.taken + (held or 0)} users of pytest-metersphere are on this node, and nobody says"
                " how many a JMeter container has: wait for the end of their runs"
            )
        free = 0 if held is None else config.capacity - node.taken - held
        if wanted is not None and wanted > free:
            taken = ", as a JMeter container has the whole node" if held is None else ""
            raise Declined(f"{wanted} users asked for, {free} of {config.capacity} are free{taken}")

    async def stop(self, name: str) -> None:
        """End a container by its whole name: SIGTERM, then SIGKILL; none of that name is no error.

        Raises:
            DockerTrouble: Docker does not do it.
        """
        guest = self._guests.get(name)
        if guest is None:
            # where Docker does not answer, what may be there is swept once it does
            with contextlib.suppress(DockerTrouble):
                guest = await self._adopted(name)
        if guest is None:
            return
        await guest.made.wait()
        if guest.id:
            await self._end(guest, asked=True)

    async def log(self, name: str) -> str:
        """Return the last of what a container printed, also after its end; empty for an unknown one."""
        guest = self._guests.get(name)
        if guest is None or not guest.id:
            return self._ended.get(name, "")
        return _tail(await self._do(self._engine.printed, guest.id, _LINES))

    async def summaries(self, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
        """Return Docker's own summaries of those with such a name, newest first."""
        found = await self._do(self._engine.guests)
        chosen = [one for one in found if wanted(one["Labels"][GUEST_LABEL])]
        return [{"SizeRw": None, "SizeRootFs": None} | one for one in chosen]

    async def close(self) -> None:
        """End all of them."""
        self._closing = True
        self._watching.cancel()
        async with self._starting:
            ends = [self._end(guest, asked=True, grace=0) for guest in self._guests.values() if guest.id]
            for trouble in await asyncio.gather(*ends, return_exceptions=True):
                if isinstance(trouble, BaseException):
                    _logger.warning("%s", trouble)
        for lines in self._farewells.values():
            lines.hurry(_FAREWELL)
        await asyncio.gather(*self._farewells)

    async def _watch(self) -> None:
        """See which have ended by themselves, or were ended by others, and what they print."""
        while True:
            await asyncio.sleep(LOOK)
            if not self._swept or time.monotonic() < self._strays_until:
                await self._try(self._sweep())
            if self._guests:
                await self._try(self._look())

    async def _try(self, work: Awaitable[None]) -> None:
        """Let something go wrong that will be tried again, and say so once."""
        try:
            await work
        except DockerTrouble as error:
            if str(error) != self._trouble:
                _logger.warning("%s", error)
            self._trouble = str(error)
        except Exception:
            _logger.exception("looking after the containers of MeterSphere's servers")

    async def _look(self) -> None:
        made = [guest for guest in self._guests.values() if guest.id]
        living = {one["Id"] for one in await self._do(self._engine.guests) if one["State"] in _ALIVE}
        for guest in made:
            if guest.id not in living:
                await self._try(self._end(guest, asked=False))
            elif time.time() - guest.listened_at > LISTEN:
                await self._try(self._listen(guest))

    async def _listen(self, guest: _Guest) -> None:
        since, guest.listened_at = guest.listened_at, time.time()
        await self._heed(guest, await self._do(self._engine.printed, guest.id, _LINES, since))

    async def _heed(self, guest: _Guest, printed: bytes) -> None:
        if not guest.no_memory and NO_MEMORY.encode() in printed:
            guest.no_memory = True
            await guest.lines.say(NO_MEMORY)

    async def _sweep(self) -> None:
        for name in await self._strays():
            guest = await self._adopted(name)
            if guest is not None:
                how = "whose start failed" if self._swept else "of an earlier start of this node"
                _logger.warning("container %s %s is removed", name, how)
                await self._end(guest, asked=True, grace=0)
        self._swept = True

    async def _strays(self) -> list[str]:
        """Return the names of those that are there without being known."""
        known = set(self._guests)
        names = [one["Labels"][GUEST_LABEL] for one in await self._do(self._engine.guests)]
        return [name for name in names if name not in known]

    async def _adopted(self, name: str) -> _Guest | None:
        """Take one that is there without being known for a guest, None when there is none of that name."""
        async with self._starting:
            found = await self._do(self._engine.guests)
            for one in found:
                if one["Labels"][GUEST_LABEL] == name and name not in self._guests:
                    env = await self._do(self._engine.variables, one["Id"])
                    order = order_from(name, one["Image"], env)
                    guest = self._guests[name] = _Guest(order, Lines(order, self._threads), id=one["Id"])
                    guest.made.set()
                    return guest
        return None

    async def _end(self, guest: _Guest, *, asked: bool, grace: int = GRACE) -> None:
        """Let nothing be left of a container; whoever comes second waits for the first."""
        guest.unwanted = guest.unwanted or asked
        if guest.ending is None or guest.ending.done():
            guest.ending = asyncio.create_task(self._part_with(guest, grace))
        await asyncio.shield(guest.ending)

    async def _part_with(self, guest: _Guest, grace: int) -> None:
        name = guest.order.name
        if self._guests.get(name) is not guest:
            return
        if guest.unwanted:
            await self._do(self._engine.stop, guest.id, grace)
        printed = await self._do(self._engine.printed, guest.id, _LINES)
        how = await self._do(self._how, guest.id)
        await self._do(self._engine.remove, guest.id)
        if self._guests.get(name) is not guest:
            return
        del self._guests[name]
        if not guest.unwanted:
            _logger.warning("container %s of image %s %s", name, guest.order.image, how)
        self._keep(name, f"{_tail(printed)}\n[pytest-metersphere: container {name} {how}]\n")
        await self._heed(guest, printed)
        await guest.lines.say(END)
        farewell = asyncio.create_task(_farewell(guest))
        self._farewells[farewell] = guest.lines
        farewell.add_done_callback(self._farewells.pop)

    def _how(self, container: str) -> str:
        try:
            return _told(self._engine.end_of(container))
        except DockerTrouble as error:
            return f"left no word of its end: {error}"

    def _keep(self, name: str, output: str) -> None:
        self._ended[name] = output
        self._ended.move_to_end(name)
        while len(self._ended) > KEPT:
            self._ended.popitem(last=False)


async def _farewell(guest: _Guest) -> None:
    if trouble := await guest.lines.arrive():
        _logger.warning("container %s: %s", guest.order.name, trouble)


def _told(end: End) -> str:
    if end.out_of_memory:
        return "was killed by the kernel for want of memory"
    if end.code == 128 + signal.SIGKILL:
        return "was killed (SIGKILL)"
    return f"ended with exit code {end.code}"


def _sum(counts: Iterable[int | None]) -> int | None:
    total = 0
    for users in counts:
        if users is None:
            return None
        total += users
    return total


def _tail(output: bytes) -> str:
    return output[-LOG_TAIL:].decode(errors="replace")
