"""The life of a slice, with stand-in workers in real processes."""

from __future__ import annotations

import dataclasses
import os
import signal
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.node import controller, slices
from pytest_metersphere.dist.wire import SliceInfo
from pytest_metersphere.engine.messages import Part, Second
from pytest_metersphere.errors import CapacityError, NodeError
from pytest_metersphere.metrics.frame import Tally, WorkerHealth
from tests.fakes.nodes import (
    NodeThread,
    all_frames,
    assert_gone,
    children_in,
    config,
    eventually,
    frame_of,
    is_alive,
    running,
    scenario,
    scripted,
    start_request,
    when,
)
from tests.fakes.worker import Script

FOREVER = Script(ends=False, beats=True)


def second(number: int, iterations: int, users: int = 1, **more: object) -> Second:
    """Return a complete second with health."""
    tally = Tally(users=users, iterations=iterations, exchanges=iterations)
    plain = Second(number, "measured", complete=True, tallies=[tally], health=WorkerHealth(0, 0.1, 0.001))
    return msgspec.structs.replace(plain, **more)


def test_a_slice_from_start_to_end(client: NodeClient) -> None:
    """What the workers report comes out merged, in order, and adds up to the manifest."""
    report = Script(seconds=[second(0, 2), second(1, 3), second(2, 5)])
    client.start(start_request(), scripted(report))
    ready = when(client, "ready")
    acknowledged = client.go("s1")
    frames = all_frames(client)
    info = client.state("s1")

    assert (ready.run, ready.users, len(ready.workers)) == ("r1", 4, 2)
    assert acknowledged.state == "running"
    assert [frame.sequence for frame in frames] == [1, 2, 3]
    assert [frame.second for frame in frames] == [0, 1, 2]
    assert [frame.tallies[0].iterations for frame in frames] == [4, 6, 10]
    assert [frame.tallies[0].users for frame in frames] == [2, 2, 2]
    assert [[health.worker for health in frame.health] for frame in frames] == [[0, 1]] * 3
    assert {frame.incarnation for frame in frames} == {info.incarnation}
    assert info.state == "ended"
    assert info.manifest is not None
    assert (info.manifest.last_sequence, info.manifest.totals.iterations) == (3, 20)
    assert info.manifest.totals.exchanges == 20
    assert not info.manifest.stopped
    assert info.manifest.losses == []
    assert_gone(info.workers)


def test_users_are_dealt_in_turn(client: NodeClient) -> None:
    """Worker w of W gets every W-th user; the turns go on from part to part, so that small parts spread."""
    parts = [
        Part(scenario=scenario(), users=[1, 4, 9, 10, 17]),
        Part(scenario=scenario(), users=[]),
        Part(scenario=scenario(), users=[2, 3]),
    ]
    client.start(start_request(users=7, parts=parts), scripted())
    when(client, "ready")
    lines = client.log("s1").splitlines()

    assert "worker 0 of n1: users [[1, 9, 17], [], [3]]" in lines
    assert "worker 1 of n1: users [[4, 10], [], [2]]" in lines


def test_small_scenarios_get_workers_enough(client: NodeClient) -> None:
    """Their users count together."""
    parts = [Part(scenario=scenario(), users=[1]), Part(scenario=scenario(), users=[1])]
    client.start(start_request(users=2, parts=parts), scripted())

    assert len(when(client, "ready").workers) == 2
    lines = client.log("s1").splitlines()
    assert {"worker 0 of n1: users [[1], []]", "worker 1 of n1: users [[], [1]]"} <= set(lines)


def test_each_scenario_of_a_slice_has_an_end(client: NodeClient) -> None:
    """That of its last user on any worker; the slice's is the last of them."""
    parts = [Part(scenario=scenario(), users=[1, 2]), Part(scenario=scenario(), users=[3])]
    client.start(start_request(users=3, parts=parts), scripted(Script(scenario_ends=[0.0, 1e-6])))
    when(client, "ready")
    client.go("s1")

    manifest = when(client, "ended").manifest
    assert manifest is not None
    assert (manifest.ends, manifest.ended_at) == ([0.0, 1e-6], 1e-6)


@pytest.mark.parametrize("ends", [[0.0], [0.0, 0.0, 0.0], [0.0, -1.0], [0.0, 1e9]])
def test_ends_that_make_no_sense_are_a_lost_worker(client: NodeClient, ends: list[float]) -> None:
    """One for each scenario, none before go or to come."""
    parts = [Part(scenario=scenario(), users=[1]), Part(scenario=scenario(), users=[])]
    client.start(start_request(users=1, parts=parts), scripted(Script(scenario_ends=ends)))
    when(client, "ready")
    client.go("s1")

    (loss,) = when(client, "ended").losses
    assert "it sent what is no message of a worker" in loss.reason


def test_there_are_no_more_workers_than_users(client: NodeClient) -> None:
    """A single user needs a single worker."""
    client.start(start_request(users=1), scripted())

    assert len(when(client, "ready").workers) == 1


def test_workers_do_not_see_the_token(client: NodeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of pytest or of ours reaches a worker; the others do, and output is unbuffered."""
    monkeypatch.setenv("PYTEST_MS_TOKEN", "secret")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")
    monkeypatch.setenv("SHOP_URL", "http://shop.example")
    client.start(start_request(), scripted(Script(prints_environment=True)))
    when(client, "ready")
    names = next(line for line in client.log("s1").splitlines() if line.startswith("environment")).split()

    assert [name for name in names if name.startswith("PYTEST_")] == []
    assert {"SHOP_URL", "PATH", "PYTHONUNBUFFERED"} <= set(names)


def test_waiting_for_ready_is_a_long_poll(node: NodeThread, client: NodeClient) -> None:
    """A poll for the end of a state answers once it ends, and not before."""
    marker = "go-ahead"
    client.start(start_request(), scripted(Script(waits_for=marker)))
    assert client.state("s1", wait_while="starting", wait=0.1).state == "starting"

    answers: list[SliceInfo] = []

    def poll() -> None:
        with node.client() as own:
            answers.append(own.state("s1", wait_while="starting", wait=10))

    thread = threading.Thread(target=poll)
    thread.start()
    for pid in client.state("s1").workers:
        Path(f"/proc/{pid}/cwd", marker).touch()
    thread.join()

    assert [answer.state for answer in answers] == ["ready"]


def test_a_worker_that_gives_up_fails_the_slice(client: NodeClient) -> None:
    """The reason names the worker, the detail has what it printed, and all others are killed."""
    broken = Script(broken="test_x.py could not be imported", prints="ImportError: shop", spawns=True)
    client.start(start_request(), scripted(FOREVER, worker_1=broken))
    info = when(client, "failed")

    assert info.reason == "worker 1: test_x.py could not be imported"
    assert "the text behind it" in info.detail
    assert "ImportError: shop" in info.detail
    assert info.manifest is None
    assert_gone([*info.workers, *children_in(client.log("s1"))])


def test_a_worker_that_dies_before_ready_fails_the_slice(client: NodeClient) -> None:
    """The reason says how it died, and the detail what it printed last."""
    client.start(start_request(), scripted(FOREVER, worker_0=Script(exits=3, prints="no module named x")))
    info = when(client, "failed")

    assert info.reason == "worker 0 ended before go: exit code 3"
    assert "no module named x" in info.detail
    assert_gone(info.workers)


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (struct.pack(">I", 3) + b"\xc1\xc1\xc1", "no message"),
        (struct.pack(">I", 0xFFFFFFFF), "at most"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "at most"),
        (struct.pack(">I", 6) + msgspec.msgpack.encode({"type": "x"})[:6], "no message"),
    ],
)
def test_a_worker_that_sends_garbage_is_killed(client: NodeClient, garbage: bytes, reason: str) -> None:
    """What is no message of a worker ends it, whatever it claims to be."""
    client.start(start_request(), scripted(FOREVER, worker_1=Script(sends=garbage)))
    info = when(client, "failed")

    assert info.reason.startswith("worker 1 ended before go: ")
    assert reason in info.reason
    assert_gone(info.workers)


def test_a_worker_that_hangs_up_is_killed(client: NodeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that closes its socket and lives on is not waited for."""
    monkeypatch.setattr("pytest_metersphere.dist.node.launcher._Process.patience", 0.1)
    client.start(start_request(), scripted(FOREVER, worker_0=Script(hangs_up=True)))
    info = when(client, "failed")

    assert "closed its socket" in info.reason
    assert_gone(info.workers)


def test_a_worker_that_cannot_be_started_fails_the_slice() -> None:
    """A command that is not there is a reason, not a crash."""
    with NodeThread(config(worker_command=("/nonexistent/python",))) as node, node.client() as client:
        info = client.start(start_request(), scripted())

    assert info.state == "failed"
    assert "cannot be started" in info.reason


def test_go_before_ready_is_refused(client: NodeClient) -> None:
    """A slice that is not ready does not start."""
    client.start(start_request(), scripted(Script(waits_for="never")))

    with pytest.raises(NodeError, match="slice s1 is starting, not ready") as caught:
        client.go("s1")
    assert caught.value.status == 409


def test_a_repeated_go_changes_nothing(client: NodeClient) -> None:
    """A controller that missed the acknowledgement may ask again."""
    running(client, scripted(FOREVER))

    assert client.go("s1").state == "running"


def test_the_same_id_twice_is_refused(client: NodeClient) -> None:
    """There is one slice of an id; the second start changes nothing about the first."""
    client.start(start_request(), scripted(FOREVER))

    with pytest.raises(NodeError, match="there is a slice s1 already") as caught:
        client.start(start_request(), scripted(FOREVER))
    assert caught.value.status == 409
    assert client.info().free == 96


def test_an_id_may_be_used_again_after_delete(client: NodeClient) -> None:
    """A later slice of the same id is told apart by its incarnation."""
    first = client.start(start_request(), scripted(FOREVER))
    client.delete("s1")
    again = client.start(start_request(), scripted(FOREVER))

    assert again.incarnation > first.incarnation


def test_of_two_starts_that_do_not_fit_together_one_is_refused(node: NodeThread, client: NodeClient) -> None:
    """Capacity is taken in one go: the refused one is told the numbers."""
    outcomes: dict[str, str] = {}
    together = threading.Barrier(2)

    def start(slice_id: str) -> None:
        with node.client() as own:
            together.wait()
            try:
                outcomes[slice_id] = own.start(start_request(slice_id, 60), scripted(FOREVER)).state
            except CapacityError as error:
                outcomes[slice_id] = str(error)

    threads = [threading.Thread(target=start, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes.values()) == ["node n1: 60 users asked for, 40 of 100 are free", "starting"]
    assert client.info().free == 40


def test_capacity_is_free_once_the_workers_are_gone(client: NodeClient) -> None:
    """The end of a slice gives its users back before anybody deletes it."""
    running(client, scripted())
    when(client, "ended")

    assert client.info().free == 100
    assert client.info().slices == ["s1"]


def test_too_many_slices_are_refused() -> None:
    """The number of slices is limited whatever their capacity is; ended ones do not count."""
    with NodeThread(config(max_slices=2)) as node, node.client() as client:
        running(client, scripted(), start_request("a"))
        when(client, "ended", "a")
        client.start(start_request("b"), scripted(FOREVER))
        client.start(start_request("c"), scripted(FOREVER))
        with pytest.raises(NodeError, match="all 2 slices") as caught:
            client.start(start_request("d"), scripted(FOREVER))

    assert caught.value.status == 429


def test_abandoned_slices_make_room() -> None:
    """An ended slice whose lease is over is forgotten when many are held."""
    with NodeThread(config(max_slices=1)) as node, node.client() as client:
        running(client, scripted(), start_request("a", lease=0.5))
        when(client, "ended", "a")

        def forgotten() -> bool:
            client.start(start_request("b"), scripted())
            client.delete("b")
            return client.info().slices == []

        eventually(forgotten, "the end of the abandoned slice")


def test_abandoned_slices_are_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ended slice that nobody asks about goes by itself; one that runs does not."""
    monkeypatch.setattr(controller, "KEEP", 0.2)
    monkeypatch.setattr(controller, "_SWEEP", 0.05)
    with NodeThread(config()) as node, node.client() as client:
        client.start(start_request("b"), scripted(FOREVER))
        running(client, scripted(), start_request("a", lease=0.5))
        eventually(lambda: client.info().slices == ["b"], "the end of the abandoned slice")


def test_frames_are_pulled_after_a_sequence(client: NodeClient) -> None:
    """Each pull goes on where the last one ended, and the manifest comes with the last frames."""
    running(client, scripted(Script(seconds=[second(number, 1) for number in range(4)])))
    when(client, "ended")
    everything = client.frames("s1", 0, 0)
    rest = client.frames("s1", 3, 0)
    nothing = client.frames("s1", 4, 5)

    assert (len(everything.frames), everything.last_sequence) == (4, 4)
    assert everything.manifest is not None
    assert rest.frames == everything.frames[3:]
    assert (nothing.frames, nothing.last_sequence) == ([], 4)
    assert nothing.manifest == everything.manifest


def test_the_manifest_waits_for_the_last_frame(client: NodeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as frames are left, an ended slice shows none."""
    monkeypatch.setattr(slices, "BATCH", 1)
    running(client, scripted(Script(seconds=[second(0, 1), second(1, 1)])))
    when(client, "ended")
    first, last = client.frames("s1", 0, 0), client.frames("s1", 1, 0)

    assert (len(first.frames), first.manifest) == (1, None)
    assert len(last.frames) == 1
    assert last.manifest is not None


def test_a_pull_waits_for_the_next_frame(client: NodeClient) -> None:
    """A long poll comes back with the frame as soon as there is one."""
    running(client, scripted(FOREVER))
    batch = client.frames("s1", 0, 10)

    assert (batch.last_sequence, batch.state, batch.manifest) == (1, "running", None)


def test_a_pull_comes_back_empty_when_nothing_happens(client: NodeClient) -> None:
    """The wait of a long poll is limited."""
    running(client, scripted(Script(ends=False)))
    batch = client.frames("s1", 0, 0.1)

    assert (batch.frames, batch.last_sequence, batch.state) == ([], 0, "running")


def test_every_second_has_a_frame_even_when_workers_say_nothing(client: NodeClient) -> None:
    """Seconds go out without workers that are late."""
    running(client, scripted(Script(ends=False)))
    batch = client.frames("s1", 0, 10)
    frame = frame_of(batch.frames[0])

    assert batch.last_sequence == 1
    assert frame.second == 0


def test_a_full_spool_shows_in_the_manifest() -> None:
    """Frames beyond the limit are missing, and the manifest says up to where there were some."""
    with NodeThread(config(spool_limit=250)) as node, node.client() as client:
        running(client, scripted(Script(seconds=[second(number, 1) for number in range(4)])))
        frames = all_frames(client)
        manifest = client.state("s1").manifest

    assert [frame.sequence for frame in frames] == [1]
    assert manifest is not None
    assert manifest.last_sequence == 4


def test_a_killed_worker_is_a_loss_at_once(client: NodeClient) -> None:
    """The loss names worker, process, second and signal while the others go on to their end."""
    info = running(client, scripted(FOREVER))
    client.frames("s1", 0, 10)
    os.kill(info.workers[1], signal.SIGKILL)
    while not (batch := client.frames("s1", 10_000, 10)).losses:
        assert batch.state == "running"
    client.stop("s1")
    ended = when(client, "ended")

    (loss,) = batch.losses
    assert (loss.worker, loss.pid, loss.reason) == (1, info.workers[1], "killed by SIGKILL")
    assert 0 < loss.second < 10
    assert batch.state == "running"
    assert ended.losses == [loss]
    assert ended.manifest is not None
    assert ended.manifest.losses == [loss]
    assert_gone(ended.workers)


def test_a_slice_without_workers_left_ends(client: NodeClient) -> None:
    """When all workers are lost the slice is over, and says so."""
    info = running(client, scripted(FOREVER))
    for pid in info.workers:
        os.kill(pid, signal.SIGSEGV)
    manifest = when(client, "ended").manifest

    assert manifest is not None
    assert sorted(loss.worker for loss in manifest.losses) == [0, 1]
    assert {loss.reason for loss in manifest.losses} == {"killed by SIGSEGV"}
    assert not manifest.stopped


@pytest.mark.parametrize(
    "report",
    [second(1000, 1), second(-1, 1), second(0, 1, tallies=[]), second(0, 1, tallies=[Tally(), Tally()])],
    ids=["later", "earlier", "no tally", "too many tallies"],
)
def test_a_report_that_cannot_be_is_a_loss(client: NodeClient, report: Second) -> None:
    """A worker that reports what cannot be is killed and lost; its report counts nowhere."""
    running(client, scripted(worker_0=Script(seconds=[report], ends=False)))
    info = when(client, "ended")

    assert [loss.worker for loss in info.losses] == [0]
    assert "no message of a worker" in info.losses[0].reason
    assert info.manifest is not None
    assert info.manifest.totals.iterations == 0


def test_children_of_a_worker_go_with_it(client: NodeClient) -> None:
    """What user code has started does not outlive the worker that started it."""
    info = running(client, scripted(Script(spawns=True)))
    when(client, "ended")

    assert len(children_in(client.log("s1"))) == 2
    assert_gone([*info.workers, *children_in(client.log("s1"))])


def test_a_worker_that_lingers_after_its_end_is_no_loss(
    client: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has reported everything and does not exit is killed, and nothing is lost."""
    monkeypatch.setattr("pytest_metersphere.dist.node.workers.EXIT_LIMIT", 0.1)
    running(client, scripted(Script(seconds=[second(0, 1)], lingers=True)))
    info = when(client, "ended")

    assert info.manifest is not None
    assert (info.manifest.losses, info.manifest.totals.iterations) == ([], 2)
    assert_gone(info.workers)


def test_a_stop_lets_workers_end_by_themselves(client: NodeClient) -> None:
    """A stopped slice ends with everything reported, marked as stopped."""
    info = running(client, scripted(FOREVER))
    stopping = client.stop("s1", grace=5)
    manifest = when(client, "ended").manifest

    assert stopping.state in ("stopping", "ended")
    assert manifest is not None
    assert (manifest.stopped, manifest.reason, manifest.losses) == (True, "", [])
    assert_gone(info.workers)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time that workers get beyond the grace."""
    monkeypatch.setattr(slices, "FORCE_AFTER", 0.2)
    monkeypatch.setattr(slices, "KILL_AFTER", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("grace", [0.0, None], ids=["no grace", "the scenario's own"])
def test_a_stubborn_worker_is_ended_by_force(client: NodeClient, grace: float | None) -> None:
    """A worker that ignores Stop and SIGTERM is killed with its children; that is no loss."""
    stubborn = Script(stubborn=True, ends=False, spawns=True)
    info = running(client, scripted(FOREVER, worker_1=stubborn))
    client.stop("s1", grace)
    manifest = when(client, "ended").manifest

    assert manifest is not None
    assert (manifest.stopped, manifest.losses) == (True, [])
    assert manifest.reason == "worker 1 did not stop in time and was ended by force"
    assert_gone([*info.workers, *children_in(client.log("s1"))])


def test_a_later_stop_may_shorten_the_first(client: NodeClient, impatient: None) -> None:
    """A second Ctrl-C does not wait for the first one's grace, a third cannot lengthen it again."""
    info = running(client, scripted(Script(stubborn=True, ends=False)))
    client.stop("s1", grace=600)
    assert client.state("s1").state == "stopping"
    client.stop("s1", grace=0)
    client.stop("s1", grace=600)
    when(client, "ended")

    assert_gone(info.workers)


def test_a_stop_before_go_ends_the_slice_at_once(client: NodeClient) -> None:
    """What has not begun needs no grace."""
    client.start(start_request(), scripted(Script(waits_for="never", stubborn=True)))
    client.stop("s1", grace=600)
    info = when(client, "ended")

    assert info.manifest is not None
    assert (info.manifest.stopped, info.manifest.last_sequence, info.manifest.losses) == (True, 0, [])
    assert_gone(info.workers)


@pytest.mark.parametrize("again", [NodeClient.stop, NodeClient.lease])
def test_what_comes_after_the_end_changes_nothing(
    client: NodeClient, again: Callable[[NodeClient, str], SliceInfo]
) -> None:
    """Stop and lease of an ended slice answer how it ended."""
    running(client, scripted())
    ended = when(client, "ended")

    assert again(client, "s1") == ended


def test_an_abort_in_one_worker_ends_the_others(client: NodeClient) -> None:
    """pytest.exit in a scenario ends the whole slice, with its reason."""
    running(client, scripted(FOREVER, worker_0=Script(aborted="the shop is on fire")))
    manifest = when(client, "ended").manifest

    assert manifest is not None
    assert (manifest.aborted, manifest.losses) == ("the shop is on fire", [])


@pytest.mark.parametrize("script", [FOREVER, Script(stubborn=True, ends=False), Script(waits_for="never")])
def test_a_slice_without_its_controller_is_cut_off(client: NodeClient, script: Script) -> None:
    """When the lease runs out everything is killed at once, running or not."""
    script = msgspec.structs.replace(script, spawns=True)
    client.start(start_request(lease=2.0), scripted(script))
    if not script.waits_for:
        when(client, "ready")
        client.go("s1")
    eventually(lambda: len(children_in(client.log("s1"))) == 2, "the children")
    pids = [*client.state("s1").workers, *children_in(client.log("s1"))]
    eventually(lambda: client.info().free == 100, "the end of the slice")
    info = client.state("s1")

    assert info.state == "ended"
    assert info.manifest is not None
    assert info.manifest.stopped
    assert info.manifest.reason == "its controller was silent for 2 s"
    assert_gone(pids)


def test_calls_on_the_slice_renew_its_lease(client: NodeClient) -> None:
    """A slice whose controller pulls goes on, although its lease alone would be over."""
    running(client, scripted(FOREVER), start_request(lease=1.0))
    last = 0
    while last < 3:
        last = client.frames("s1", last, 10).last_sequence

    assert client.lease("s1").state == "running"


def test_delete_stops_and_forgets(client: NodeClient) -> None:
    """A running slice is killed, its capacity is free, its files are gone, and it is unknown."""
    info = running(client, scripted(Script(stubborn=True, ends=False, spawns=True)))
    pids = [*info.workers, *children_in(client.log("s1"))]
    folder = Path(f"/proc/{info.workers[0]}/cwd").readlink()
    client.delete("s1")
    client.delete("s1")

    assert client.info().free == 100
    assert not folder.exists()
    assert_gone(pids)
    with pytest.raises(NodeError, match="no slice 's1'"):
        client.state("s1")


def test_a_pull_of_a_slice_that_is_deleted_meanwhile_is_refused(node: NodeThread, client: NodeClient) -> None:
    """A long poll does not outlive its slice."""
    running(client, scripted(Script(ends=False)))
    outcomes: list[int | None] = []

    def pull() -> None:
        with node.client() as own:
            try:
                while True:
                    own.frames("s1", 100, 10)
            except NodeError as error:
                outcomes.append(error.status)

    thread = threading.Thread(target=pull)
    thread.start()
    client.delete("s1")
    thread.join()

    assert outcomes == [404]


def test_output_without_end_stays_within_its_limit() -> None:
    """The log of a slice has a largest size, and what is kept is the last."""
    with NodeThread(config(log_limit=10_000)) as node, node.client() as client:
        client.start(start_request(users=1), scripted(Script(prints="noise\n" * 100_000 + "the last line")))
        when(client, "ready")
        eventually(lambda: "the last line" in client.log("s1"), "the last line")
        log = client.log("s1")

    assert len(log) <= 10_000
    assert "earlier output was dropped" in log


def test_the_end_of_the_node_is_the_end_of_its_workers() -> None:
    """A node that ends takes everything with it: workers, their children, files."""
    with NodeThread(config()) as node, node.client() as client:
        info = running(client, scripted(Script(stubborn=True, ends=False, spawns=True)))
        pids = [*info.workers, *children_in(client.log("s1"))]
        folder = Path(f"/proc/{info.workers[0]}/cwd").readlink()
        assert all(is_alive(pid) for pid in pids)

    assert_gone(pids)
    assert not folder.exists()


def test_configurations_can_be_replaced() -> None:
    """A configuration is a value and keeps its token to itself."""
    one = config()

    assert dataclasses.replace(one, capacity=7).capacity == 7
    assert one.token not in repr(one)
