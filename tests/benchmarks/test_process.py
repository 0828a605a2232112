"""A load generator's whole tree of processes is accounted for, and ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.compare.process import RunFailed, Running
from benchmarks.compare.rivals.base import Command
from tests.benchmarks.programs import BURN, Fake, python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the accounting needs Linux")
_CORES = {0} if sys.platform != "linux" else os.sched_getaffinity(0)


def test_processes_that_outlive_their_parents_are_counted(tmp_path: Path) -> None:
    """CPU time of a grandchild that left its session and lost its parent is in the sum."""
    with Running(python(BURN), tmp_path, _CORES) as running:
        usage = running.wait(30.0)

    assert usage.code == 0
    assert usage.cpu >= 0.3
    assert usage.begin <= usage.end


def test_it_reads_what_was_printed(tmp_path: Path) -> None:
    """Standard output is the answer when no file is."""
    with Running(python("print(3)"), tmp_path, _CORES) as running:
        running.wait(30.0)

        assert running.report(Fake("fake")).requests == 3


def test_it_reads_the_file_that_was_named(tmp_path: Path) -> None:
    """An answer in a file is read from there."""
    command = python("open('answer', 'w').write('5')")
    there = Command(argv=command.argv, answer=tmp_path / "answer")
    with Running(there, tmp_path, _CORES) as running:
        running.wait(30.0)

        assert running.report(Fake("fake")).requests == 5


def test_what_it_said_last_is_in_the_failure(tmp_path: Path) -> None:
    """A load generator that came to no result is quoted."""
    with Running(python("import sys; sys.exit('no route to anywhere')"), tmp_path, _CORES) as running:
        usage = running.wait(30.0)

        assert usage.code == 1
        with pytest.raises(RunFailed, match="no route to anywhere"):
            running.report(Fake("fake"))


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    """A command that cannot be started is reported as such, by name."""
    with (
        Running(Command(argv=("no-such-load-generator",)), tmp_path, _CORES) as running,
        pytest.raises(RunFailed, match="no-such-load-generator"),
    ):
        running.wait(30.0)


def test_patience_ends(tmp_path: Path) -> None:
    """A load generator that does not end is ended, with everything below it."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with Running(python(code), tmp_path, _CORES) as running:
        with pytest.raises(RunFailed, match="not done after 0 s"):
            running.wait(0.0)

        assert not running.alive


def test_memory_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    """A child's memory is in the sum, and nothing is held when all is over."""
    hold = "x = bytearray(b'x' * 30_000_000); print(1, flush=True); import time; time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with Running(python(code), tmp_path, _CORES) as running:
        deadline = time.monotonic() + 30.0
        while running.memory() < 30_000_000:
            assert running.alive
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.stop()

        assert running.memory() == 0


def test_variables_that_speak_to_pytest_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measured pytest sees nothing of what was set for another."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--ms-pool=elsewhere")
    code = "import os; print(sum(name.startswith('PYTEST_') for name in os.environ))"
    with Running(python(code), tmp_path, _CORES) as running:
        running.wait(30.0)

        assert running.report(Fake("fake")).requests == 0
