"""Threads for what strangers ask for: however much that is, the threads that slices need stay free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_THREADS = 8
T = TypeVar("T")


class Threads:
    """A few threads, for calls that block."""

    def __init__(self) -> None:
        """Prepare; none is started yet."""
        self._pool = ThreadPoolExecutor(_THREADS, "metersphere-api")

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call something in a thread and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        """Start nothing more; what is under way comes to its end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)
