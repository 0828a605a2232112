"""`python -m benchmarks.compare`: install, measure in turns, print the table and write it beside its JSON."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.compare import machine, parts, table
from benchmarks.compare.clock import Clock
from benchmarks.compare.line_up import LineUp
from benchmarks.compare.process import RunFailed
from benchmarks.compare.results import Results
from benchmarks.compare.rivals.base import MissingPart
from benchmarks.compare.sections import cost, fixed_rate, memory
from benchmarks.compare.sections.base import Cores, Task
from benchmarks.compare.server import BODY, Server
from tests.kafka.broker import HINT, Broker, Recipe, jars

_ROOT = Path(__file__).resolve().parents[2]
_CACHE, _REPORT = _ROOT / ".cache" / "bench", _ROOT / "bench-report"
_METHOD = """\
Server: nginx, one worker on one core, a fixed answer of {body} bytes, keep-alive. Load generator:
all of its processes on another core. CPU: user and system time of its whole tree of processes, as
the kernel charged it; a request costs the slope between a run of {short} s and one of {long} s, by
the server's own count (JMeter: both 4 s longer, until its compiler has settled; with 1,000 users 2
s). `x Locust Fast`, `x k6`, `x wrk`: how many times less CPU a request takes than there. All took
turns in each of at most {repetitions} repetitions; medians. Fixed rate: a server that takes 5 ms,
each fiftieth time 25 ms, by its own clock from the kernel's receipt of the request on; the truth is
that plus the median way there and back of a bare socket."""


def main() -> None:
    """Run the comparison."""
    arguments = _arguments()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("this takes two cores: one for the server, one for the load")
    where = Cores(cores[0], cores[-1], frozenset(cores))
    line_up = LineUp(arguments.only)
    print("installing what is missing", flush=True)
    line_up.install(arguments.cache)
    for name, reason in line_up.missing.items():
        print(f"  not there: {name}: {reason}", flush=True)
    if arguments.install_only:
        return
    try:
        nginx = parts.debian("nginx", "nginx-light")
    except MissingPart as missing:
        sys.exit(f"there is no server to measure with: {missing}")
    begin = time.monotonic()
    os.nice(arguments.nice)
    results = Results(machine=machine.description(), method=_method(arguments.repetitions))
    os.sched_setaffinity(0, {where.server})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nginx-")))
        target = stack.enter_context(Server(nginx, folder, {where.server}))
        clock = stack.enter_context(Clock(where.server))
        kafka = stack.enter_context(_broker(where.server, line_up))
        tasks = line_up.tasks(target, clock, nginx, kafka, where, arguments.repetitions)
        # Ctrl-C ends the measuring; what has been measured is shown
        with contextlib.suppress(KeyboardInterrupt):
            take_turns(tasks, arguments.repetitions, begin + arguments.minutes * 60)
        line_up.collect(results)
    results.seconds = time.monotonic() - begin
    results.derive()
    page = table.render(results)
    _write(arguments.output, page, results)
    print(f"\n{page}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--repetitions", type=int, default=5, help="at most (default 5)")
    parser.add_argument("--minutes", type=float, default=17.0, help="measure no longer (default 17)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="load generators by parts of names"
    )
    parser.add_argument(
        "--nice", type=int, default=0, metavar="N", help="of all processes; root may go below 0"
    )
    parser.add_argument("--install-only", action="store_true", help="fetch the parts, measure nothing")
    parser.add_argument("--cache", type=Path, default=_CACHE, help="folder of the parts")
    parser.add_argument("--output", type=Path, default=_REPORT, help="folder of the tables")
    return parser.parse_args()


def _method(repetitions: int) -> dict[str, str | int | float]:
    text = _METHOD.format(body=len(BODY), short=cost.SHORT, long=cost.LONG, repetitions=repetitions)
    return {
        "text": " ".join(text.split()),
        "repetitions at most": repetitions,
        "nice": os.nice(0),
        "seconds, short": cost.SHORT,
        "seconds, long": cost.LONG,
        "fixed rate": fixed_rate.RATE,
        "fixed rate, users": fixed_rate.USERS,
        "fixed rate, seconds": fixed_rate.SECONDS,
        "memory, users": " and ".join(str(users) for users in memory.USERS),
    }


@contextlib.contextmanager
def _broker(core: int, line_up: LineUp) -> Iterator[str]:
    """Return the address of a broker on the server's core; nothing when there can be none."""
    java, maven, taskset = (shutil.which(program) for program in ("java", "mvn", "taskset"))
    if java is None or maven is None or taskset is None:
        line_up.missing["Kafka"] = f"no Java or no Maven: {HINT}"
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="bench-kafka-", ignore_cleanup_errors=True) as folder:
        try:
            recipe = Recipe(prefix=(taskset, "-c", str(core)))
            broker = Broker(java, jars(maven), Path(folder), recipe)
            broker.start()
        except (RuntimeError, OSError) as trouble:
            line_up.missing["Kafka"] = str(trouble)
            yield ""
            return
        try:
            yield broker.address
        finally:
            broker.stop()


def take_turns(tasks: Sequence[Task], repetitions: int, deadline: float) -> None:
    """Do all tasks in turns, repetition by repetition, as far as there is time.

    A task that took longer, the last time, than what is left is not begun. What failed twice is left out.
    """
    lasted: dict[str, float] = {}
    failed: dict[str, int] = {}
    for repetition in range(repetitions):
        for task in tasks:
            due = task.repetitions > repetition and failed.get(task.name, 0) < 2
            begin = time.monotonic()
            if not due or begin + lasted.get(task.name, 0.0) > deadline:
                continue
            try:
                said = task.measure()
            except RunFailed as failure:
                failed[task.name] = failed.get(task.name, 0) + 1
                said = f"FAILED: {failure}"
            lasted[task.name] = time.monotonic() - begin
            print(
                f"{repetition + 1}/{repetitions} {task.name}: {said} ({lasted[task.name]:.0f} s)", flush=True
            )


def _write(folder: Path, page: str, results: Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.md").write_text(page)
    (folder / "bench.json").write_text(json.dumps(dataclasses.asdict(results), indent=1) + "\n")
    print(f"\nwritten: {folder / 'bench.md'}, {folder / 'bench.json'}")


if __name__ == "__main__":
    main()
