"""What a reader of the numbers must know of the machine, and how much of it others used meanwhile."""

from __future__ import annotations

import datetime
import os
import platform
import resource
from pathlib import Path


def description() -> dict[str, str | int]:
    """Return processor, cores, memory, kernel, Python and the load at the beginning."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "system": _first("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
        "kernel": platform.release(),
        "governor": _governor(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load average": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _first(path: str, name: str, sign: str = ":") -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return "?"
    return next((line.partition(sign)[2].strip() for line in lines if line.startswith(name)), "?")


def _governor() -> str:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return "not told"


def busy_seconds() -> float:
    """Return the CPU seconds that this machine has spent so far, those stolen by its host included."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _wait, hard, soft, steal = (int(field) for field in fields)
    return (user + nice + system + hard + soft + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def seconds_of(pid: int) -> float:
    """Return the CPU seconds of a process so far, with those of the children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
