"""A stock node whose slices run in the stock JMeter image, as a run sees it.

Its container asks this machine for what it is to run, and for go; what it does comes as rows and log lines
over Kafka, and becomes frames here. It cannot be told to end, only be killed.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Self
from urllib.parse import urlsplit

from pytest_metersphere.dist.client import DELETE_WAIT, READ_LIMIT, EncodedBundle
from pytest_metersphere.dist.metersphere.hub import JMeterHub
from pytest_metersphere.dist.metersphere.jmeter import INCARNATION, Identity, JMeterSlice, new_identity
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.node import READY_LIMIT, StockNode, node_info
from pytest_metersphere.dist.metersphere.package import Reporting, package_for
from pytest_metersphere.dist.metersphere.rest import kafka_lists
from pytest_metersphere.dist.wire import (
    FrameBatch,
    KafkaAccess,
    Manifest,
    NodeInfo,
    SliceInfo,
    SliceState,
    StartRequest,
)
from pytest_metersphere.errors import BrokerError, ConfigError, NodeError, PreflightError

GO_LIMIT = 10.0
"""Seconds for go to be on its way to a JMeter that waits for it."""
QUIET = 20.0
"""Seconds without a row or a line after which a JMeter that said that it has ended is at its end."""
LAST_WORDS = 0.5
"""Seconds from the end of a container until all that it sent is on Kafka."""
CATCHING_UP = 30.0
"""Seconds for all that is on Kafka to be read."""
TAIL = 60.0
"""Seconds beyond its load that a slice may take to be told of."""

_LOOK_EVERY = 2.0
_LOOK_AGAIN = 0.5
_PAUSE = 0.1
_SILENCE = 10.0
_GONE = 410


@dataclasses.dataclass(frozen=True, slots=True)
class JMeterNode:
    """A stock node, for test plans."""

    stock: StockNode
    slices: dict[str, _Held] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return its name in the pool."""
        return self.stock.name

    @property
    def capacity(self) -> int | None:
        """Return what the pool says of it."""
        return self.stock.capacity

    @property
    def loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        return self.stock.loopback

    @property
    def ready_limit(self) -> float | None:
        """Return the seconds that a slice may take to be ready."""
        return READY_LIMIT

    @property
    def tail(self) -> float:
        """Return the seconds beyond its load that a slice may take to be told of."""
        return TAIL

    @property
    def pulled(self) -> bool:
        """Return that its frames are asked for here: none of them goes over Kafka."""
        return True

    def rejected(self, run: str) -> int:
        """Return how many rows could not be, on all stock nodes."""
        return self.stock.terms.hub.rejected(run)

    def connect(self) -> JMeterClient:
        """Return a new client of the node, for use in one thread (NodeError when something is missing)."""
        lack = self.stock.lack_for(plans=True, functions=False)
        if lack:
            raise NodeError(self.stock.name, lack, kind="stock")
        return JMeterClient(self.stock, self.slices)


@dataclasses.dataclass(slots=True)
class _Held:
    """A slice and its container.

    Attributes:
        jmeter: what came from it.
        users: of the slice.
        looking: held by who looks after it.
        looked_at: when its container was looked for last, on the monotonic clock.
        gone_at: when it was found to be gone; None while it is there.
        marks: set when all that the container sent is on Kafka.
        stopped: it was killed from here, before its end.
        manifest: how it ended.
        failure: why it is lost.
    """

    jmeter: JMeterSlice
    users: int
    looking: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    looked_at: float = 0.0
    gone_at: float | None = None
    marks: tuple[int, ...] | None = None
    stopped: bool = False
    manifest: Manifest | None = None
    failure: str = ""


class JMeterClient:
    """One stock node with JMeter, as its controller sees it; offers what NodeClient does of slices.

    Attributes:
        name: the node's name in the pool, used in messages.
    """

    def __init__(self, node: StockNode, slices: dict[str, _Held]) -> None:
        """Prepare; nothing is sent yet."""
        self.name = node.name
        self._node = node
        self._api = node.api
        self._hub = node.terms.hub
        self._slices = slices

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close it; it keeps no connection."""

    def info(self) -> NodeInfo:
        """Return what the node is and holds."""
        return node_info(self._node)

    def start(self, request: StartRequest, bundle: bytes | EncodedBundle) -> SliceInfo:
        """Start a container with a JMeter; its package is made here, and the bundle stays here.

        Raises:
            NodeError: it could not be started, or its package could not be made.
        """
        del bundle
        (part,) = request.parts
        assert part.share is not None, "a test plan's part has a share"
        assert request.kafka is not None, "a stock node without Kafka has a lack"
        identity = new_identity(request.slice, self.name, container_name(request.slice, request.users))
        jmeter = JMeterSlice(identity, self._hub, request.key, part.scenario.profile.warmup)
        # from here on `delete` finds it
        self._slices[request.slice] = held = _Held(jmeter, request.users)
        terms = self._hub.terms
        try:
            self._hub.open(request.kafka)
            url = admitted(self._node, jmeter)
            reporting = reporting_of(identity, url, request.kafka, self._hub)
            jmeter.offer(package_for(part.scenario, part.share, terms.root, reporting, terms.attached))
            lists = kafka_lists(request.kafka.servers, needed=True)
            self._api.start_with(lists, terms.image, environment(identity, url, self._hub))
        except BrokerError as error:
            raise NodeError(self.name, f"Kafka: {error}") from None
        except (ConfigError, PreflightError) as error:
            raise NodeError(self.name, str(error)) from None
        return self._info(request.slice, held)

    def state(
        self, slice_id: str, wait_while: str = "", wait: float = 0.0, limit: float = READ_LIMIT
    ) -> SliceInfo:
        """Return how a slice stands; see NodeClient."""
        del limit
        held = self._held(slice_id)
        deadline = time.monotonic() + wait
        while True:
            self._look_after(held)
            info = self._info(slice_id, held)
            if info.state != wait_while or time.monotonic() >= deadline:
                return info
            _wait_for_news(held.jmeter, deadline)

    def go(self, slice_id: str) -> SliceInfo:
        """Open the gate of a slice that is ready."""
        held = self._held(slice_id)
        if not held.jmeter.open_gate(GO_LIMIT):
            raise NodeError(self.name, "its JMeter did not take go", kind="no answer")
        return self._info(slice_id, held)

    def stop(self, slice_id: str, grace: float | None = None) -> SliceInfo:
        """Kill the container of a slice: there is no other way to end it."""
        del grace
        held = self._held(slice_id)
        held.stopped = held.stopped or held.manifest is None
        self._api.stop(held.jmeter.identity.container)
        return self._info(slice_id, held)

    def lease(self, slice_id: str) -> None:
        """Do nothing: JMeter in a container asks for no lease."""

    def frames(self, slice_id: str, after: int, wait: float) -> FrameBatch:
        """Return the frames behind a sequence; wait for one, or for the end, if there is none.

        Raises:
            NodeError: it is lost, and this is all that came of it.
        """
        held = self._held(slice_id)
        deadline = time.monotonic() + wait
        while True:
            self._look_after(held)
            batch = held.jmeter.frames(after, held.manifest)
            if batch.frames or batch.manifest is not None:
                return batch
            if held.failure:
                raise NodeError(self.name, held.failure, _GONE)
            if time.monotonic() >= deadline:
                return batch
            _wait_for_news(held.jmeter, deadline)

    def log(self, slice_id: str) -> str:
        """Return the last lines of JMeter's log."""
        return self._held(slice_id).jmeter.last_lines

    def delete(self, slice_id: str, patience: float = DELETE_WAIT) -> None:
        """Kill the container if it is still there; one that is not is no error."""
        del patience
        held = self._slices.pop(slice_id, None)
        if held is None:
            return
        self._hub.dismiss(held.jmeter.report_id)
        self._api.stop(held.jmeter.identity.container)

    def _held(self, slice_id: str) -> _Held:
        held = self._slices.get(slice_id)
        if held is None:
            raise NodeError(self.name, f"there is no slice {slice_id[:80]!r} here", 404)
        return held

    def _info(self, slice_id: str, held: _Held) -> SliceInfo:
        return SliceInfo(
            slice=slice_id,
            run=held.jmeter.run,
            incarnation=INCARNATION,
            state=_state(held),
            users=held.users,
            workers=[],
            reason=held.failure,
            detail=held.jmeter.last_lines if held.failure else "",
            manifest=held.manifest,
        )

    def _look_after(self, held: _Held) -> None:
        """See whether the container is there, cut seconds that are over, and find the end."""
        with held.looking:
            if held.manifest is not None or held.failure:
                return
            held.jmeter.cut()
            if held.gone_at is None:
                self._look_for(held)
            elif self._has_all(held, held.gone_at):
                self._conclude(held)

    def _look_for(self, held: _Held) -> None:
        jmeter, now = held.jmeter, time.monotonic()
        every = _LOOK_AGAIN if jmeter.says_ended or held.stopped else _LOOK_EVERY
        if now - held.looked_at < every:
            return
        held.looked_at = now
        quiet = now - jmeter.heard_at
        try:
            if not self._api.is_running(jmeter.identity.container):
                held.gone_at = now
            elif jmeter.says_ended and quiet > QUIET:
                # it does not come to its end by itself
                self._api.stop(jmeter.identity.container)
        except NodeError:
            # as long as rows or log come, the node-controller is not missed
            if jmeter.says_ended and quiet > QUIET:
                held.gone_at = now
            elif quiet > _SILENCE and not jmeter.is_at_gate:
                # at the gate it is silent by nature
                raise

    def _has_all(self, held: _Held, gone_at: float) -> bool:
        """Return whether all that a container sent has been taken, or cannot be waited for any longer."""
        now = time.monotonic()
        if held.marks is None and now - gone_at > LAST_WORDS:
            held.marks = self._hub.mark()
        passed = held.marks is not None and self._hub.has_passed(held.marks)
        return passed or now - gone_at > CATCHING_UP

    def _conclude(self, held: _Held) -> None:
        jmeter = held.jmeter
        trouble = f": {jmeter.trouble}" if jmeter.trouble else ""
        if jmeter.went_at is None:
            held.failure = f"its JMeter container ended before go{trouble or self._why_not_begun(jmeter)}"
        elif held.stopped or jmeter.ended_soundly:
            held.manifest = jmeter.finish(stopped=held.stopped)
        else:
            jmeter.finish(stopped=True)
            killed = "; it was killed by hand, or for want of memory (dmesg there tells)"
            held.failure = f"its JMeter container is gone before its test had ended{trouble or killed}"

    def _why_not_begun(self, jmeter: JMeterSlice) -> str:
        if jmeter.downloaded:
            return "; see what JMeter's log says"
        return (
            f", without having called this machine: {self._hub.terms.image} must be a JMeter image of"
            " MeterSphere's, and the node must reach the address of --ms-callback"
        )


def admitted(node: StockNode, jmeter: JMeterSlice) -> str:
    """Serve a slice, and return the URL that its calls begin with (PreflightError without an address)."""
    parts = urlsplit(node.url)
    return node.terms.hub.admit(jmeter, node.host, parts.port or 80)


def reporting_of(identity: Identity, url: str, access: KafkaAccess, hub: JMeterHub) -> Reporting:
    """Return how a JMeter is to report."""
    return Reporting(
        test_id=identity.container,
        report_id=identity.report_id,
        servers=access.servers,
        topic=hub.terms.metrics_topic,
        gate_url=f"{url}/jmeter/gate?reportId={identity.report_id}",
        gate_label=identity.gate_label,
    )


def environment(identity: Identity, url: str, hub: JMeterHub) -> dict[str, str]:
    """Return the environment of a container, by the names that MeterSphere's server uses.

    The brokers are added by whoever starts it; by them its log comes.
    """
    found = {
        "TEST_ID": identity.container,
        "REPORT_ID": identity.report_id,
        "RESOURCE_ID": identity.slice,
        "RESOURCE_INDEX": str(identity.index),
        "RATIO": "1.00",
        "METERSPHERE_URL": url,
        "START_TIME": str(round(time.time() * 1000)),
        "LOG_TOPIC": hub.terms.log_topic,
        "JMETER_REPORTS_TOPIC": "JMETER_REPORTS",
        "THREAD_NUM": "0",
        "GRANULARITY": "1000",
        "BACKEND_LISTENER": "true",
    }
    return found | ({"HEAP": hub.terms.heap} if hub.terms.heap else {})


def _state(held: _Held) -> SliceState:
    if held.failure:
        return "failed"
    if held.manifest is not None:
        return "ended"
    if held.stopped:
        return "stopping"
    if held.jmeter.went_at is not None:
        return "running"
    return "ready" if held.jmeter.is_at_gate else "starting"


def _wait_for_news(jmeter: JMeterSlice, deadline: float) -> None:
    with jmeter.changed:
        jmeter.changed.wait(max(0.0, min(_PAUSE, deadline - time.monotonic())))
