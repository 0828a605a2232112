"""What is seen while a load runs: on a terminal, in a log, quietly, and without pytest's own reporter."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.plugin.projects import LIMIT, REPORTS, Done, Project, environment

pytestmark = pytest.mark.timeout(120)
SHOP = """
    import pytest

    @pytest.mark.load_scenario(users=3, hold="3s", think="20ms", graceful_stop="1s")
    async def test_cart(vu):
        print("said on a node")
        with vu.sample("step"):
            await vu.sleep(0.001)

    def test_ordinary():
        print("said here")
"""
COLUMNS = 90
PROGRESS = re.compile(
    r"test_cart  [0-9.]+ m?s/[0-9.]+ s  3 users  [0-9]+/s  p95 [0-9.]+ [mu]?s  [0-9]+ requests"
)


def on_a_terminal(project: Project, *args: str, term: str = "xterm") -> Done:
    """Run pytest with its output on a terminal of 90 columns; return everything written there."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    env = environment() | {"TERM": term}
    del env["COLUMNS"]
    with subprocess.Popen(
        project.command(*args), cwd=project.folder, env=env, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        text = _read_all(controller)
        code = process.wait(LIMIT)
    return Done(project.folder, code, text.replace("\r\n", "\n"), "")


def _read_all(descriptor: int) -> str:
    deadline = time.monotonic() + LIMIT
    chunks = []
    try:
        while time.monotonic() < deadline and (chunk := os.read(descriptor, 1 << 16)):
            chunks.append(chunk)
    except OSError:  # Linux tells the end of a terminal so
        pass
    os.close(descriptor)
    return b"".join(chunks).decode()


def _project(folder: Path) -> Project:
    project = Project(folder)
    project.write("test_shop.py", SHOP)
    return project


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session on a terminal."""
    return on_a_terminal(_project(tmp_path_factory.mktemp("terminal")), "--ms-pool=local=9")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session whose output goes to a pipe."""
    return _project(tmp_path_factory.mktemp("log")).run("--ms-pool=local=9")


def test_on_a_terminal_one_line_is_rewritten(terminal: Done) -> None:
    """Every second anew, never wider than the terminal, and gone at the end."""
    assert terminal.code == 0, terminal.out
    states = [part for part in terminal.out.split("\r") if part.startswith("test_cart  ")]
    assert len([state for state in states if PROGRESS.match(state)]) >= 2
    assert all(len(state) < COLUMNS and "\n" not in state for state in states)
    assert re.match(r"\r +\r", terminal.out.rpartition(states[-1])[2])


def test_on_a_terminal_the_dots_stay_where_they_are(terminal: Done) -> None:
    """What is left on the screen is what pytest would have written."""
    screen = [_shown(line) for line in terminal.out.split("\n")]

    (line,) = (line for line in screen if "[100%]" in line)
    assert ".." in line
    assert not any(PROGRESS.search(line) for line in screen)


def test_a_terminal_that_knows_no_rewriting_gets_plain_lines(project: Project) -> None:
    """TERM=dumb, as editors say it."""
    project.write("test_shop.py", SHOP)

    done = on_a_terminal(project, "--ms-pool=local=9", "--ms-hold=1200ms", term="dumb")

    assert done.code == 0, done.out
    assert PROGRESS.fullmatch(done.line("test_cart  ", "3 users", "requests"))


def test_in_a_log_there_are_plain_lines(log: Done) -> None:
    """The first after a second, further ones every ten; each on a line of its own."""
    assert log.code == 0, log.text
    assert "\r" not in log.out
    (line,) = (line for line in log.out.splitlines() if " users  " in line)
    assert PROGRESS.fullmatch(line)


def test_the_summary_stands_behind_the_results(log: Done, terminal: Done) -> None:
    """A section of its own, with the verdict and the paths of the reports."""
    for done in (log, terminal):
        section = done.out.partition(" metersphere =")[2]
        assert "\nPASSED  test_shop.py::test_cart: users 3, requests " in section
        assert all(f"\n  {done.reports / name}\n" in section for name in REPORTS)


def test_what_nodes_print_stays_there(log: Done) -> None:
    """Thousands of users would drown everything else."""
    assert "said on a node" not in log.text


def test_quiet_means_no_progress(project: Project) -> None:
    """`-q` leaves the dots, the verdict and the paths."""
    project.write("test_shop.py", SHOP)

    done = project.run("--ms-pool=local=9", "--ms-hold=1200ms", "-q")

    assert done.code == 0, done.text
    assert not re.search(r"3 users  ", done.out)
    assert done.out.startswith("..")
    assert done.line("PASSED  test_shop.py::test_cart: ")


def test_without_capture_it_works_too(project: Project) -> None:
    """`-s`: progress, and what ordinary tests print."""
    project.write("test_shop.py", SHOP)

    done = project.run("--ms-pool=local=9", "--ms-hold=1200ms", "-s")

    assert done.counts == {"passed": 2}, done.text
    assert "said here" in done.out
    assert done.line("test_cart  ", "3 users", "requests")


def test_without_a_reporter_nothing_is_printed(project: Project) -> None:
    """`-p no:terminal`: the exit code and the reports say it all, and are not green where nobody looks."""
    project.write("test_shop.py", SHOP)

    done = project.run("--ms-pool=local=9", "--ms-hold=1s", "-p", "no:terminal", "--ms-threshold=rps > 99999")

    assert (done.code, done.text) == (1, "")
    assert done.scenario("test_cart").verdict == "failed"


def _shown(line: str) -> str:
    """Return what a terminal shows of a line in which the cursor went back to its begin."""
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()
