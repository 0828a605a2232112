"""--ms-on-node-loss: what becomes of the others' load when a node is lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.sessions import SCENARIO, LoadedSession
from tests.plugin.conftest import Inner

linux = pytest.mark.skipif(sys.platform != "linux", reason="finds the session's processes through /proc")
HOLD = 10
Start = Callable[..., LoadedSession]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts ten seconds of load on two local nodes and waits until it runs."""
    sessions: list[LoadedSession] = []

    def begin(*options: str) -> LoadedSession:
        scenario = SCENARIO.replace('hold="60s"', f'hold="{HOLD}s"')
        sessions.append(LoadedSession(tmp_path, "--ms-pool=local=4+4", *options, scenario=scenario))
        sessions[-1].wait_for_load()
        return sessions[-1]

    yield begin
    for session in sessions:
        session.end()


def lose_a_node(session: LoadedSession) -> None:
    """Kill one of the node-controllers and wait for the end of pytest."""
    os.kill(session.nodes[0], signal.SIGKILL)
    assert session.wait() == 1, session.output


@linux
def test_continue_lets_the_others_go_on_and_stays_invalid(start: Start) -> None:
    """The other node does all of its load; the lost one stands in the reports, and nothing is green."""
    session = start("--ms-on-node-loss=continue")
    lose_a_node(session)
    result = session.result
    statuses = sorted(node["status"] for node in result["nodes"])

    assert result["verdict"] == "invalid"
    assert statuses == ["ended", "lost"]
    assert result["totals"]["duration_s"] >= HOLD - 1
    (lost,) = (node["name"] for node in result["nodes"] if node["status"] == "lost")
    assert any(reason.startswith(f"node {lost}: ") for reason in result["validity"]["reasons"])
    for name in ("report.html", "junit.xml", "summary.md"):
        text = (session.folder / "ms-report" / name).read_text()
        assert "lost after second" in text
        assert lost in text


def test_rebalance_is_unknown_yet(scenario: Inner) -> None:
    """What a later version may bring is refused, with what there is."""
    message = scenario.refuses("--ms-pool=local", "--ms-on-node-loss=rebalance")

    assert message == "--ms-on-node-loss: 'rebalance' is not one of fail, continue; write for example fail"


def test_variable_and_ini_are_heard(scenario: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable wins over the ini value, the option over both."""
    scenario.pytester.makeini("[pytest]\nms_on_node_loss = ini")
    assert scenario.refuses("--ms-pool=local").startswith("ini ms_on_node_loss: 'ini'")
    monkeypatch.setenv("PYTEST_MS_ON_NODE_LOSS", "variable")
    assert scenario.refuses("--ms-pool=local").startswith("PYTEST_MS_ON_NODE_LOSS: 'variable'")
    assert scenario.refuses("--ms-pool=local", "--ms-on-node-loss=option").startswith(
        "--ms-on-node-loss: 'option'"
    )
