"""A run on several nodes, with stand-in workers: all of it begins, or nothing does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pytest_metersphere
from pytest_metersphere.dist import client as client_module
from pytest_metersphere.dist import feed as feed_module
from pytest_metersphere.dist import run as run_module
from pytest_metersphere.dist.nodes import Node
from pytest_metersphere.dist.plan import make_plan
from pytest_metersphere.dist.run import LONG_INTERVAL, Run
from pytest_metersphere.dist.signing import sign, verified
from pytest_metersphere.engine.messages import Collection, Part
from pytest_metersphere.errors import CapacityError, NodeError, PreflightError
from pytest_metersphere.execution import Execution
from pytest_metersphere.metrics.frame import Frame
from pytest_metersphere.planning import Planned
from pytest_metersphere.reports.document import ScenarioResult
from pytest_metersphere.settings import OnNodeLoss
from pytest_metersphere.terminal import Progress
from tests.fakes.nodes import (
    PATIENCE,
    TOKEN,
    NodeThread,
    config,
    eventually,
    scenario,
    scripted,
    start_request,
)
from tests.fakes.worker import Script

VERSION = pytest_metersphere.__version__
FOREVER = Script(ends=False, beats=True)


@pytest.fixture
def pair() -> Iterator[list[NodeThread]]:
    """Return two nodes of ten users each."""
    with NodeThread(config(name="a", capacity=10)) as a, NodeThread(config(name="b", capacity=10)) as b:
        yield [a, b]


def run_on(nodes: list[Node], script: Script = FOREVER, version: str = VERSION, users: int = 4) -> Run:
    """Return a run with so many users on each node."""
    run = Run(version, Collection(root="project", sys_path=["."]), scripted(script))
    for number, node in enumerate(nodes):
        mine = list(range(number * users + 1, (number + 1) * users + 1))
        run.add(node, users, [Part(scenario=scenario(), users=mine)])
    return run


@contextlib.contextmanager
def ended(run: Run) -> Iterator[Run]:
    """Let go of all slices of a run afterwards."""
    try:
        yield run
    finally:
        run.delete()


def slices_of(node: NodeThread) -> list[str]:
    """Return the slices that a node holds."""
    with node.client() as client:
        return client.info().slices


def test_a_capacity_that_was_taken_meanwhile_undoes_the_rest(pair: list[NodeThread]) -> None:
    """Planned on free capacity, refused with the numbers: no node keeps a slice of the run."""
    with pair[1].client() as other:
        other.start(start_request("of-another-run", users=7), scripted())
        run = run_on([node.node() for node in pair])

        with pytest.raises(CapacityError, match="node b: 4 users asked for, 3 of 10 are free"):
            run.start()
        assert slices_of(pair[0]) == []
        assert slices_of(pair[1]) == ["of-another-run"]


def test_of_two_runs_at_once_one_gets_the_capacity(pair: list[NodeThread]) -> None:
    """Both ask for more than half of both nodes at the same moment: nobody gets half a run."""
    runs = [run_on([node.node() for node in pair], users=6) for _ in range(2)]
    together = threading.Barrier(2)
    outcomes: list[Exception | None] = [None, None]

    def begin(number: int) -> None:
        together.wait(PATIENCE)
        try:
            runs[number].start()
        except CapacityError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    winners = [run for run, outcome in zip(runs, outcomes, strict=True) if outcome is None]

    assert len(winners) <= 1
    for node in pair:
        assert [name.partition("-")[0] for name in slices_of(node)] == [run.id for run in winners]
    for run in runs:
        run.delete()
    assert [slices_of(node) for node in pair] == [[], []]


def test_another_version_is_refused_with_both_and_undone(pair: list[NodeThread]) -> None:
    """The nodes' version and the controller's stand in the message."""
    run = run_on([node.node() for node in pair], version="9.9")

    with pytest.raises(
        NodeError, match=rf"the node has version {VERSION} \(protocol \d+\), the controller 9.9"
    ):
        run.start()
    assert [slices_of(node) for node in pair] == [[], []]


@pytest.mark.parametrize("refusing", [0, 1])
def test_a_wrong_token_on_one_node_undoes_the_other(pair: list[NodeThread], refusing: int) -> None:
    """Whichever of them refuses."""
    nodes = [
        node.node(token="wrong-token" if number == refusing else TOKEN) for number, node in enumerate(pair)
    ]

    with pytest.raises(NodeError, match="does not accept the token"):
        run_on(nodes).start()
    assert [slices_of(node) for node in pair] == [[], []]


def test_a_slice_that_starts_after_all_were_let_go_of_is_ended(pair: list[NodeThread]) -> None:
    """An interrupt does not wait for starts that are under way, and their slices do not stay for that."""
    run = run_on([node.node() for node in pair])
    run.delete()
    run.start()

    assert [slices_of(node) for node in pair] == [[], []]


def test_a_slice_that_gets_not_ready_is_named(pair: list[NodeThread]) -> None:
    """The reason and the text behind it come from the node."""
    with ended(run_on([node.node() for node in pair], Script(broken="no such module"))) as run:
        run.start()
        with pytest.raises(PreflightError, match=r"node a: worker \d: no such module"):
            run.wait_until_ready()


def test_nodes_begin_within_the_allowed_spread(pair: list[NodeThread]) -> None:
    """Go reaches both over connections that are open already."""
    with ended(run_on([node.node() for node in pair])) as run:
        run.start()
        run.wait_until_ready()
        run.go()

        assert 0 <= run.go_spread <= run_module.GO_SPREAD_LIMIT
        assert all(state(node, run) == "running" for node in pair)


def state(node: NodeThread, run: Run) -> str:
    """Return how the run's slice on a node stands."""
    (item,) = (item for item in run.slices if item.node.name == node.config.name)
    with node.client() as client:
        return client.state(item.id).state


@pytest.mark.parametrize(
    ("nodes", "interval"), [(1, 1), (200, 1), (201, LONG_INTERVAL), (1000, LONG_INTERVAL)]
)
def test_frames_of_large_pools_sum_up_several_seconds(nodes: int, interval: int) -> None:
    """Up to 200 nodes a frame is a second."""
    run = run_on(
        [Node(f"n{n}", "127.0.0.1", "http://127.0.0.1:1", "", None, loopback=True) for n in range(nodes)]
    )

    assert run.interval == interval


@pytest.fixture
def process() -> Iterator[Callable[[], tuple[subprocess.Popen[str], Node]]]:
    """Return a function that starts a node in a process of its own, which is gone afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], Node]:
        root = Path(__file__).resolve().parents[2]
        found = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.node_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            start_new_session=True,
        )
        started.append(found)
        assert found.stdout is not None
        url = f"http://127.0.0.1:{int(found.stdout.readline())}"
        return found, Node("lost", "127.0.0.1", url, TOKEN, None, loopback=True)

    yield start
    for each in started:
        each.send_signal(signal.SIGCONT)
        each.kill()
        each.communicate()


def test_a_node_that_hangs_does_not_cost_the_others_their_lease(
    pair: list[NodeThread],
    process: Callable[[], tuple[subprocess.Popen[str], Node]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Leases are renewed on time while one node takes connections and never answers."""
    monkeypatch.setattr(run_module, "LEASE", 2.0)
    monkeypatch.setattr(run_module, "RENEWED_EVERY", 0.2)
    monkeypatch.setattr(client_module, "LIVELY_LIMIT", 0.3)
    hanging, node = process()
    with ended(run_on([node, pair[0].node()])) as run:
        run.start()
        run.wait_until_ready()
        run.go()
        hanging.send_signal(signal.SIGSTOP)
        item = run.slices[1]
        begin = time.monotonic()
        lease = 2.0

        def outlived() -> bool:
            return time.monotonic() > begin + 2 * lease or not slices_of(pair[0])

        eventually(outlived, "the end of two leases")
        hanging.send_signal(signal.SIGCONT)
        with pair[0].client() as client:
            assert client.state(item.id).state == "running"


class Story:
    """A run that is executed while something happens to it.

    Attributes:
        seconds: the settled seconds of which the execution told.
        news: what it told once.
    """

    def __init__(self, run: Run, on_node_loss: OnNodeLoss = "fail") -> None:
        self.seconds: list[int] = []
        self.news: list[str] = []
        self._happenings: list[tuple[int, Callable[[], object]]] = []
        users = sum(item.users for item in run.slices)
        names = [item.node.name for item in run.slices]
        planned = Planned(
            scenario(users=users), names, [10] * len(names), make_plan([10] * len(names), users)
        )
        self._execution = Execution(run, [planned], self._watch, [], on_node_loss)

    def at(self, second: int, what: Callable[[], object]) -> None:
        """Let something happen once a second is settled."""
        self._happenings.append((second, what))

    def _watch(self, moment: Progress) -> None:
        self.seconds.append(moment.second)
        self.news += [moment.news] if moment.news else []
        due = [what for second, what in self._happenings if second <= moment.second]
        self._happenings = [each for each in self._happenings if each[0] > moment.second]
        for what in due:
            what()

    def result(self) -> ScenarioResult:
        """Run to the end and return the result."""
        self._execution.execute()
        (result,) = self._execution.results()
        return result


def status_of(result: ScenarioResult) -> dict[str, str]:
    """Return how each node ended."""
    return {node.name: node.status for node in result.nodes}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_the_others_end_with_a_lost_node(
    pair: list[NodeThread],
    process: Callable[[], tuple[subprocess.Popen[str], Node]],
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    """By default the load of the others ends, and the run is invalid with node and second."""
    monkeypatch.setattr(feed_module, "SILENCE", 1.0)
    monkeypatch.setattr(feed_module, "LONG_POLL", 0.5)
    monkeypatch.setattr(client_module, "LIVELY_LIMIT", 0.5)
    lost, node = process()
    with ended(run_on([node, pair[0].node()])) as run:
        story = Story(run)
        story.at(1, lambda: os.kill(lost.pid, how))
        result = story.result()

    assert result.verdict == "invalid"
    assert status_of(result) == {"lost": "lost", "a": "stopped"}
    (reason,) = result.validity.reasons
    assert reason.startswith("node lost: ")
    assert "(lost after second " in reason
    assert story.news == [f"{reason}; the load is stopped"]


def test_the_others_go_on_when_told_so_and_the_run_is_invalid_all_the_same(
    pair: list[NodeThread],
    process: Callable[[], tuple[subprocess.Popen[str], Node]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With `continue` the load of the others goes on to its own end."""
    monkeypatch.setattr(feed_module, "SILENCE", 0.5)
    lost, node = process()
    end = tmp_path / "end"
    with ended(run_on([node, pair[0].node()], msgspec.structs.replace(FOREVER, until=str(end)))) as run:
        story = Story(run, "continue")
        story.at(1, lost.kill)
        story.at(4, end.touch)
        result = story.result()

    assert story.seconds[-1] >= 4
    assert result.verdict == "invalid"
    assert status_of(result) == {"lost": "lost", "a": "ended"}
    assert [reason.partition(":")[0] for reason in result.validity.reasons] == ["node lost"]
    assert story.news == [f"{result.validity.reasons[0]}; the load goes on"]


def test_a_lost_worker_is_a_loss_with_which_the_others_go_on_too(
    pair: list[NodeThread], tmp_path: Path
) -> None:
    """The node that lost it is named, and the verdict is invalid."""
    end = tmp_path / "end"
    with ended(
        run_on([node.node() for node in pair], msgspec.structs.replace(FOREVER, until=str(end)))
    ) as run:
        story = Story(run, "continue")
        story.at(1, lambda: os.kill(_workers(pair[0], run)[0], signal.SIGKILL))
        story.at(4, end.touch)
        result = story.result()

    assert story.seconds[-1] >= 4
    assert result.verdict == "invalid"
    assert status_of(result) == {"a": "lost a worker", "b": "ended"}
    assert result.validity.reasons[0].startswith("node a lost worker 0")
    assert story.news == [f"{result.validity.reasons[0]}; the load goes on"]


def _workers(node: NodeThread, run: Run) -> list[int]:
    with node.client() as client:
        return client.state(run.slices[0].id).workers


def test_a_late_begin_of_one_node_makes_the_run_invalid(
    pair: list[NodeThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds that began apart cannot be added; the load ends at once and the reason has the numbers."""
    monkeypatch.setattr(run_module, "GO_SPREAD_LIMIT", 0.0)
    with ended(run_on([node.node() for node in pair])) as run:
        result = Story(run).result()

    assert result.verdict == "invalid"
    assert set(status_of(result).values()) == {"stopped"}
    (reason,) = result.validity.reasons
    assert reason.startswith("the nodes began ")
    assert "apart, at most 0 s is allowed" in reason


def test_contradicting_frames_end_the_run(pair: list[NodeThread], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two contents for one sequence, both signed: invalid, with the node and the frame."""
    plain = feed_module.SpoolFeed.receive

    def twice(self: Any, timeout: float) -> Any:
        arrivals = plain(self, timeout)
        for arrival in arrivals:
            arrival.frames.extend([_changed(frame, run.key) for frame in arrival.frames[:1]])
        return arrivals

    with ended(run_on([pair[0].node()])) as run:
        monkeypatch.setattr(feed_module.SpoolFeed, "receive", twice)
        result = Story(run, "continue").result()

    assert result.verdict == "invalid"
    assert result.validity.reasons[0].startswith("node a: frame 1")
    assert "came with several contents" in result.validity.reasons[0]
    assert result.ledger.rejected >= 1
    assert result.ledger.lost == 0


def _changed(signed: bytes, key: bytes) -> bytes:
    frame = msgspec.msgpack.decode(verified(key, signed)[1], type=Frame)
    frame.tallies[0].iterations += 1
    return sign(key, msgspec.msgpack.encode(frame))


def test_seconds_that_are_summed_up_are_told_and_drawn_together(
    pair: list[NodeThread], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A large pool's run advances by the width of its frames, and nothing is missing in the end."""
    monkeypatch.setattr(run_module, "EVERY_SECOND_UP_TO", 1)
    monkeypatch.setattr(run_module, "LONG_INTERVAL", 2)
    end = tmp_path / "end"
    with ended(
        run_on([node.node() for node in pair], msgspec.structs.replace(FOREVER, until=str(end)))
    ) as run:
        story = Story(run)
        story.at(2, end.touch)
        result = story.result()

    assert story.seconds[0] == 2
    assert {second % 2 for second in story.seconds} == {0}
    assert {point.t % 2 for point in result.series} == {0}
    assert result.totals.users_max == 8
    assert result.ledger.sent == result.ledger.received < 2 * result.totals.duration_s
    assert result.validity.valid
