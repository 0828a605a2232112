"""Containers that nobody needs: those of an earlier controller, and those that would not go at once."""

from __future__ import annotations

import asyncio
import logging
import time

from pytest_metersphere.dist.node.docker import Engine
from pytest_metersphere.dist.node.docker_client import DockerTrouble

KEPT = 600.0
"""Seconds for which a container that would not go is looked for: Docker may be making it still."""

_logger = logging.getLogger(__name__)


class Leftovers:
    """What is still to be removed; tried again until Docker does it."""

    def __init__(self, engine: Engine, *, guests: bool) -> None:
        """Begin; `guests` says whether what MeterSphere servers had started is to be removed as well."""
        self._engine = engine
        self._guests = guests
        self._swept = False
        self._names: dict[str, float] = {}
        self._clearing = asyncio.Lock()

    async def clear(self) -> None:
        """Remove what is left; before this has gone well once, no container may be made here.

        Raises:
            DockerTrouble: Docker does not do it now.
        """
        async with self._clearing:
            if not self._swept:
                for name in await asyncio.to_thread(self._engine.sweep, guests=self._guests):
                    _logger.warning("container %s of an earlier start of this node was removed", name)
                self._swept = True
            for name, until in list(self._names.items()):
                gone = await asyncio.to_thread(self._engine.remove_slice, name)
                if gone or time.monotonic() > until:
                    self._names.pop(name, None)

    async def remove(self, name: str, *, made: bool) -> None:
        """Remove a slice's container by its name, later if Docker does not do it now.

        One that was not surely `made` may still come.
        """
        self._names[name] = time.monotonic() + KEPT
        try:
            if await asyncio.to_thread(self._engine.remove_slice, name) or made:
                self._names.pop(name, None)
        except DockerTrouble as error:
            _logger.warning("container %s is removed later: %s", name, error)
