"""One JMeter container on a stock node, as a run sees it: what its calls, rows and log lines come to."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_metersphere.dist.collect import Collector, SliceData
from pytest_metersphere.dist.feed import Arrival, SpoolFeed
from pytest_metersphere.dist.metersphere.jmeter_node import JMeterClient
from pytest_metersphere.dist.wire import Manifest
from pytest_metersphere.errors import NodeError
from tests.fakes.nodes import KEY, eventually
from tests.metersphere.actor import ENDED, Script, command
from tests.metersphere.engines import ProcessEngine
from tests.metersphere.jmx import IMAGE, SHOP
from tests.metersphere.stage import RUN, SLICE, Stage, when
from tests.metersphere.stage import stage as staged

pytestmark = pytest.mark.needs_kafka


class Played(Stage):
    """One whose containers are played."""

    def play(self, script: Script) -> JMeterClient:
        """Start a slice."""
        assert isinstance(self.engine, ProcessEngine)
        self.engine.known[IMAGE] = command(script)
        return self.begin()

    def go(self, script: Script) -> JMeterClient:
        """Start a slice, wait until it is ready, and let it go."""
        client = self.play(script)
        assert when(client, "starting").state == "ready"
        client.go(SLICE)
        return client


@dataclasses.dataclass
class Whole:
    """What came of a slice: frames added up, and how it ended."""

    collector: Collector
    manifest: Manifest | None
    failure: str = ""

    @property
    def data(self) -> SliceData:
        return self.collector.slices[SLICE]


@pytest.fixture
def stage(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """Return a stock node for a plan; rows are read as without the extra package, which sessions have."""
    monkeypatch.setattr("pytest_metersphere.dist.kafka.follower.find_spec", lambda _name: None)
    with (
        contextlib.closing(ProcessEngine({IMAGE: command(Script())})) as engine,
        staged(tmp_path, SHOP, kafka, engine, IMAGE) as found,
    ):
        yield Played(**vars(found))


def whole(client: JMeterClient) -> Whole:
    """Take all frames of a slice until its end."""
    data = {SLICE: SliceData("n1", 1)}
    found = Whole(Collector(RUN, KEY, data, 1), None)
    after, deadline = 0, time.monotonic() + 50
    while found.manifest is None:
        assert time.monotonic() < deadline
        try:
            batch = client.frames(SLICE, after, 1.0)
        except NodeError as error:
            found.failure = str(error)
            return found
        after, found.manifest = batch.last_sequence, batch.manifest
        for frame in batch.frames:
            found.collector.add(frame)
    found.collector.end(found.manifest)
    return found


def status_of(url: str) -> int:
    """Return with which status a URL is answered."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code if error.read() == b"" else -1


def assert_sound(found: Whole, samples: int = 50) -> None:
    """Assert that all samples were counted, and that nothing speaks against that."""
    assert found.failure == ""
    assert found.manifest is not None
    assert found.manifest.doubts == []
    assert found.collector.lost_reasons() == []
    assert found.collector.rejected == 0
    assert found.data.totals.requests == found.collector.scenarios[0].measured.requests == samples
    assert found.data.share(0).users == 3


def test_a_life(stage: Played) -> None:
    """Started, ready at the gate, let go: all rows are counted, and equal JMeter's own summary."""
    client = stage.play(Script(failing=10))
    assert client.info().free == 7
    ready = when(client, "starting")
    assert (ready.state, ready.users, ready.run) == ("ready", 3, RUN)
    client.go(SLICE)
    found = whole(client)
    assert client.state(SLICE).state == "ended"
    client.delete(SLICE)

    assert_sound(found)
    measured = found.collector.scenarios[0].measured
    assert measured.failures == 5
    assert measured.labels["GET /cart"].response.max == 0.01
    (error,) = measured.errors
    assert (error.label, error.kind, error.message, error.count) == (
        "GET /cart",
        "status",
        "500 Server Error",
        5,
    )
    assert "thread Buyers 1-1" in error.exemplars[0]
    assert stage.stand_in.names() == []
    with pytest.raises(NodeError, match="there is no slice"):
        client.state(SLICE)


@pytest.mark.parametrize(
    ("script", "repeats"),
    [
        pytest.param(Script(sentence=ENDED[:-9]), 1, id="the sentence is cut"),
        pytest.param(Script(sentence="", completed=True), 1, id="only a row says so"),
        pytest.param(Script(sentence=ENDED, completed=True), 2, id="everybody says so, and twice"),
        pytest.param(Script(), 0, id="the node-controller says nothing"),
        pytest.param(Script(shuffled=True), 1, id="the gate's row comes last"),
        pytest.param(Script(late=4.0), 1, id="rows come after the end"),
        pytest.param(Script(ahead=7200.0), 1, id="the node's clock is two hours ahead"),
        pytest.param(Script(ahead=-86400.0), 1, id="the node's clock is a day behind"),
    ],
)
def test_ends_of_every_version(stage: Played, script: Script, repeats: int) -> None:
    """However the end is told, in whatever order rows come, all of them are counted in their seconds."""
    stage.stand_in.repeats = repeats
    found = whole(stage.go(script))

    assert_sound(found)
    assert found.manifest is not None
    assert 0.9 < found.manifest.ended_at < 20


def test_rows_that_are_no_rows(stage: Played) -> None:
    """Garbage, and rows that cannot be of this load, are rejected; those of other tests are none of ours."""
    found = whole(stage.go(Script(garbage=8, strange=5, forged=3)))

    assert_sound(found)
    assert stage.node.rejected(RUN) == 11


@pytest.mark.parametrize(
    ("script", "doubt"),
    [
        (Script(beyond=7), "JMeter's own summary says 58 samples, 0 of them failed; its rows on METRICS-"),
        (Script(summary=False), "JMeter's own summary did not come over LOGS-"),
        (Script(logs=False), "JMeter's own summary did not come over LOGS-"),
        (Script(samples=0), "JMeter ran to its end without a single sample"),
    ],
)
def test_counts_that_cannot_be_believed(stage: Played, script: Script, doubt: str) -> None:
    """Rows that do not add up to JMeter's own summary are counted as they are, and said to be doubtful."""
    found = whole(stage.go(script))

    assert found.manifest is not None
    (only,) = found.manifest.doubts
    assert only.startswith(doubt)
    assert found.data.totals.requests == script.samples


def test_a_container_that_dies(stage: Played) -> None:
    """What came of a container that ended before its test is kept, and the slice is lost."""
    found = whole(stage.go(Script(ends="load")))

    assert "its JMeter container is gone before its test had ended" in found.failure
    assert "for want of memory" in found.failure
    assert found.data.totals.requests == 25


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(ends="start"), ("ended before go, without having called this machine", "--ms-callback")),
        (Script(ends="download"), ("ended before go; see what JMeter's log says",)),
        (
            Script(ends="gate", says="ERROR Problem loading XML from:'/test/x.jmx'"),
            ("ended before go: JMeter could not load the test plan", "Problem loading XML"),
        ),
    ],
)
def test_a_container_that_never_begins(stage: Played, script: Script, words: tuple[str, ...]) -> None:
    """A slice whose JMeter does not come to its gate has failed, with what is known of why."""
    info = when(stage.play(script), "starting")

    assert info.state == "failed"
    assert all(word in info.reason for word in words), info.reason


def test_a_stop(stage: Played) -> None:
    """A stop kills; what was counted by then is there, and nobody compares it with anything."""
    client = stage.go(Script(samples=2000))
    eventually(lambda: stage.node.slices[SLICE].jmeter.counted.samples > 10, "some rows")
    client.stop(SLICE, 5.0)
    found = whole(client)

    assert found.manifest is not None
    assert found.manifest.stopped
    assert found.manifest.doubts == []
    assert stage.stand_in.names() == []


def test_a_container_that_does_not_end(stage: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JMeter that has said that it is at its end and stays is ended, and what it did counts."""
    monkeypatch.setattr("pytest_metersphere.dist.metersphere.jmeter_node.QUIET", 2.0)
    found = whole(stage.go(Script(hangs=60.0)))

    assert_sound(found)
    assert stage.stand_in.names() == []


def test_a_node_controller_that_goes_away(stage: Played) -> None:
    """While rows come it is not missed; of one that was restarted the container is found all the same."""
    client = stage.go(Script(samples=200))
    stage.stand_in.refuse_all = "java.net.SocketException: No such file or directory"
    stage.stand_in.restart()
    stage.stand_in.refuse_all = ""
    found = whole(client)

    assert_sound(found, 200)
    assert len(stage.stand_in.names("exited")) == 1


def test_a_hiccup_of_docker(stage: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that a node-controller tells of for a moment does not lose the slice."""
    monkeypatch.setattr("pytest_metersphere.dist.metersphere.jmeter_node._SILENCE", 0.0)
    monkeypatch.setattr("pytest_metersphere.dist.metersphere.jmeter_node._LOOK_EVERY", 0.1)
    stage.go(Script(samples=100))
    stage.stand_in.refuse_all = "java.net.SocketException: No such file or directory"
    asked = len(stage.stand_in.asked)
    arrivals: list[Arrival] = []
    with contextlib.closing(SpoolFeed({SLICE: stage.node.connect})) as feed:
        eventually(lambda: len(stage.stand_in.asked) > asked + 1, "it is refused")
        stage.stand_in.refuse_all = ""
        deadline = time.monotonic() + 50
        while not any(one.manifest or one.silence for one in arrivals):
            assert time.monotonic() < deadline
            arrivals += feed.receive(1.0)

    assert [one.silence for one in arrivals if one.silence] == []
    assert arrivals[-1].manifest is not None
    assert arrivals[-1].manifest.totals.requests == 100


def test_a_node_controller_that_goes_away_before_go(stage: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JMeter at the gate says nothing, so that nobody is asked does not mean that it is lost."""
    monkeypatch.setattr("pytest_metersphere.dist.metersphere.jmeter_node._SILENCE", 0.1)
    monkeypatch.setattr("pytest_metersphere.dist.metersphere.jmeter_node._LOOK_EVERY", 0.1)
    client = stage.play(Script())
    assert when(client, "starting").state == "ready"
    stage.stand_in.refuse_all = "java.net.SocketException: No such file or directory"
    assert client.state(SLICE, wait_while="ready", wait=1.5).state == "ready"
    stage.stand_in.refuse_all = ""
    client.go(SLICE)

    assert_sound(whole(client))


def test_test_data_is_for_one_container(stage: Played) -> None:
    """Who does not know a container's secret gets nothing, and nobody any more once it is ready."""
    client = stage.play(Script())
    when(client, "starting")
    env = stage.stand_in.started[-1]
    url, _, secret = env["METERSPHERE_URL"].rpartition("/")
    query = f"reportId={env['REPORT_ID']}&resourceIndex=0"

    assert len(secret) >= 32
    assert env["REPORT_ID"] not in url
    assert status_of(f"{url}/{secret}/jmeter/ping") == 200
    assert status_of(f"{url}/jmeter/ping") == 404
    assert status_of(f"{url}/jmeter/download?{query}") == 404
    assert status_of(f"{url}/{'x' * len(secret)}/jmeter/download?{query}") == 404
    assert status_of(f"{url}/{secret}/jmeter/download?{query}") == 404
    client.delete(SLICE)
    assert status_of(f"{url}/{secret}/jmeter/ping") == 404
