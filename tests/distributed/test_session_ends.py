"""However a session under load ends, nothing runs on, and what was measured is reported honestly."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.sessions import LoadedSession, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds the session's processes through /proc"),
    pytest.mark.timeout(120),
]
Start = Callable[..., LoadedSession]
HANGING = """
import os, pathlib, sys, time, pytest

if any("engine.worker" in part for part in sys.orig_argv):
    pathlib.Path(os.environ["MS_TEST_BEAT"]).touch()
    time.sleep(3600)

@pytest.mark.load_scenario(users=8, hold="60s")
async def test_long(vu):
    await vu.sleep(0.01)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a session under load; what is left of it is killed at the end."""
    sessions: list[LoadedSession] = []

    def begin(*options: str) -> LoadedSession:
        sessions.append(LoadedSession(tmp_path, *options))
        sessions[-1].wait_for_load()
        return sessions[-1]

    yield begin
    for session in sessions:
        session.end()


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[LoadedSession]:
    """Return a session, just started, whose workers will hang; what is left of it is killed at the end."""
    session = LoadedSession(tmp_path, "--ms-pool=local=4+4", scenario=HANGING)
    yield session
    session.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_leaves_partial_reports_and_no_process(start: Start, number: signal.Signals) -> None:
    """Ctrl-C, and a CI's SIGTERM, end pytest with 2; reports say aborted; no process of a slice lives on."""
    session = start("--ms-pool=local=4+4")
    assert len(session.nodes) == 2

    os.kill(session.process.pid, number)

    assert session.wait() == 2, session.output
    session.wait_until_nothing_is_left(10)
    assert session.result["verdict"] == "aborted"
    assert session.result["totals"]["requests"] > 0
    assert session.result["ledger"]["lost"] == 0
    for name in ("report.html", "junit.xml", "summary.md"):
        assert "interrupted by the user" in (session.folder / "ms-report" / name).read_text()
    assert "Traceback" not in session.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["the first worker starts", "a worker hangs in an import"])
def test_an_interrupt_before_the_load_frees_the_nodes_at_once(
    hanging: LoadedSession, moment: str, number: signal.Signals
) -> None:
    """Nobody waits for workers that are not ready, or for the nodes' answers about them."""
    hangs = moment == "a worker hangs in an import"
    wait_until(lambda: hanging.beats if hangs else bool(hanging.workers), moment)

    os.kill(hanging.process.pid, number)

    wait_until(lambda: not hanging.workers, "the end of the workers", 5.0)
    assert hanging.wait() == 2, hanging.output
    hanging.wait_until_nothing_is_left(10)
    assert hanging.result["verdict"] == "aborted"
    assert "Traceback" not in hanging.output


def test_a_second_interrupt_does_not_leave_processes_either(start: Start) -> None:
    """An impatient user is obeyed, and still nothing runs on."""
    session = start("--ms-pool=local=4+4")

    os.kill(session.process.pid, signal.SIGINT)
    os.kill(session.process.pid, signal.SIGINT)

    assert session.wait() != 0
    session.wait_until_nothing_is_left(20)


def test_a_killed_controller_takes_its_load_with_it(start: Start) -> None:
    """When pytest is killed without a chance to clean up, node-controllers and workers end by themselves."""
    session = start("--ms-pool=local=4+4")

    os.kill(session.process.pid, signal.SIGKILL)

    assert session.wait() == -signal.SIGKILL
    session.wait_until_nothing_is_left(20)


def test_a_killed_worker_makes_the_run_invalid(start: Start) -> None:
    """The run ends at once, is never green, and the reason names node, worker and second."""
    session = start("--ms-pool=local=4+4")

    os.kill(session.workers[0], signal.SIGKILL)

    assert session.wait() == 1, session.output
    session.wait_until_nothing_is_left(10)
    assert session.result["verdict"] == "invalid"
    (reason,) = session.result["validity"]["reasons"]
    assert reason.startswith("node local-")
    assert "lost worker 0" in reason
    assert "in second" in reason
    assert "SIGKILL" in reason
    assert "INVALID" in session.output


def test_a_killed_node_makes_the_run_invalid(start: Start) -> None:
    """The workers of a killed node-controller go with it, the others end, and the reason names the node."""
    session = start("--ms-pool=local=4+4")

    os.kill(session.nodes[0], signal.SIGKILL)
    wait_until(lambda: len(session.workers) <= 1, "the end of the orphaned worker", 10)

    assert session.wait() == 1, session.output
    session.wait_until_nothing_is_left(10)
    assert session.result["verdict"] == "invalid"
    assert any("local-" in reason and "second" in reason for reason in session.result["validity"]["reasons"])
