"""What the controller asks of nodes beside Kafka: how slices stand, frames that are late, neighbours."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.feed import JoinedFeed, SpoolFeed, StateFeed
from pytest_metersphere.dist.neighbours import MOST_QUESTIONS, Neighbours
from pytest_metersphere.dist.nodes import Node
from pytest_metersphere.dist.repair import Repairs
from pytest_metersphere.dist.run import Slice
from pytest_metersphere.engine.messages import Second
from pytest_metersphere.metrics.frame import Tally
from tests.fakes import listeners
from tests.fakes.feeds import Taken
from tests.fakes.nodes import (
    NodeThread,
    bundle_of,
    config,
    eventually,
    free_port,
    running,
    scripted,
    start_request,
    when,
)
from tests.fakes.worker import Script

THREE = [
    Second(second=number, phase="measured", complete=True, tallies=[Tally(users=1, iterations=1)])
    for number in range(3)
]


@pytest.fixture
def node() -> Iterator[NodeThread]:
    """Return a node-controller with one stand-in worker a slice."""
    with NodeThread(config(workers=1)) as serving:
        yield serving


@contextlib.contextmanager
def load(node: NodeThread, bundle: bytes) -> Iterator[NodeClient]:
    """Run the slice s1, and give a client of its node."""
    with node.client() as client:
        running(client, bundle, start_request())
        yield client
        client.delete("s1")


def test_a_state_feed_tells_the_end_and_no_frames(node: NodeThread) -> None:
    """The manifest comes by itself; frames are left to Kafka."""
    with load(node, scripted(Script(seconds=THREE))), Taken(StateFeed({"s1": node.client})) as taken:
        last = taken.first(lambda each: each.manifest, "the manifest")

    assert last.slice == "s1"
    assert last.manifest is not None
    assert last.manifest.totals.iterations == 3
    assert taken.all == []


def test_a_state_feed_tells_of_a_lost_worker(node: NodeThread) -> None:
    """A worker that hangs up on a running slice is told, though the slice goes on to its end."""
    bundle = scripted(Script(beats=True, ends=False))
    with load(node, bundle) as client, Taken(StateFeed({"s1": node.client})) as taken:
        (worker,) = client.state("s1").workers
        os.kill(worker, signal.SIGKILL)
        told = taken.first(lambda each: each.losses, "the loss")

    assert told.losses[0].pid == worker


def test_a_state_feed_tells_of_a_slice_that_is_not_there(node: NodeThread) -> None:
    """A node that does not know the slice any more has lost it."""
    with Taken(StateFeed({"s9": node.client})) as taken:
        told = taken.first(lambda each: each.silence, "the answer")

    assert "there is no slice 's9' here" in told.silence


def test_joined_feeds_deliver_what_each_has(node: NodeThread) -> None:
    """Frames of one and the end from the other come through the same door."""
    with load(node, scripted(Script(seconds=THREE))):
        joined = JoinedFeed(SpoolFeed({"s1": node.client}), StateFeed({"s1": node.client}))
        with Taken(joined) as taken:
            taken.frames(3)
            taken.first(lambda each: each.manifest and not each.frames, "the end without frames")


def test_repairs_fetch_what_is_behind_a_sequence(node: NodeThread) -> None:
    """One round brings the frames behind the last that came without a gap; a dead node brings nothing."""
    dead = node.node(url=f"http://127.0.0.1:{free_port()}")
    repairs = Repairs()
    with load(node, scripted(Script(seconds=THREE))) as client:
        when(client, "ended")
        repairs.finish([(Slice("s1", node.node(), 4, []), 1), (Slice("s1", dead, 4, []), 0)])
        later = repairs.take()
        repairs.begin([(Slice("s1", node.node(), 4, []), 0)])
        eventually(lambda: not repairs.busy, "the end of the round")

        assert len(later) == 2
        assert repairs.take()[1:] == later
        assert repairs.take() == []


def test_neighbours_are_what_the_nodes_hold(node: NodeThread) -> None:
    """A slice of another run on a node is a neighbour; one's own and unknown ones are not."""
    with node.client() as client:
        client.start(start_request("theirs"), bundle_of({"script": b""}))
        is_neighbour = Neighbours(["ours"], [node.node()])

        assert is_neighbour("theirs")
        assert not is_neighbour("ours")
        assert not is_neighbour("unknown")
        client.delete("theirs")
        assert is_neighbour("theirs")


def test_neighbours_ask_only_so_often() -> None:
    """Whoever floods the topic with new names keeps no node busy."""
    calls: list[object] = []
    with listeners.listener(calls.append) as port:
        pool = [Node("n1", "127.0.0.1", f"http://127.0.0.1:{port}", "token", None, loopback=True)]
        is_neighbour = Neighbours([], pool)

        assert not any(is_neighbour(f"stranger-{number}") for number in range(MOST_QUESTIONS))
        asked = len(calls)
        assert not is_neighbour("one stranger more")

    assert len(calls) == asked >= MOST_QUESTIONS


def test_neighbours_of_a_dead_node_are_strangers() -> None:
    """A node that does not answer holds nothing."""
    with NodeThread(config()) as gone:
        place = gone.node()

    assert not Neighbours([], [place])("theirs")
