"""A program that runs a command and says what it and everything below it cost.

    python account.py REPORT CORES COMMAND…

All that the command leaves behind becomes a child of this program (a subreaper, Linux), so that the kernel
adds its CPU time to that of the children, which is exact and needs no sampling. REPORT is written when the
last of them has ended: begin and end of the command itself (CLOCK_MONOTONIC), CPU seconds of the tree and
the exit code, as JSON. SIGTERM kills whatever is left of the tree.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def descendants(pid: int) -> list[int]:
    """Return the processes below one, as far as they can be seen."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = [int(child) for child in children.read_text().split()]
        except OSError:
            continue
        for child in below:
            found += [child, *descendants(child)]
    return found


def _kill_tree(_number: int, _frame: object) -> None:
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Run the command."""
    report, cores, *command = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("this kernel has no subreapers")
    signal.signal(signal.SIGTERM, _kill_tree)
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    begin = end = time.monotonic()
    code = 0
    first = os.posix_spawnp(command[0], command, os.environ)
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        if pid == first:
            end, code = time.monotonic(), os.waitstatus_to_exitcode(status)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {"begin": begin, "end": end, "cpu": used.ru_utime + used.ru_stime, "code": code}
    Path(report).write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
