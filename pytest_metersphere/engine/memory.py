"""Whether the kernel killed for want of memory, as far as the control group of this process tells."""

from __future__ import annotations

import contextlib
from pathlib import Path

_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Where cgroups of version 2 and 1 count the processes killed for want of memory, as `oom_kill N`."""


def oom_kills() -> int:
    """Return how many processes of this container the kernel has killed for want of memory."""
    for file in _COUNTERS:
        with contextlib.suppress(OSError, ValueError):
            counters = dict(line.split(maxsplit=1) for line in file.read_text().splitlines())
            return int(counters.get("oom_kill", 0))
    return 0
