"""One run on the fleet: slices started on all nodes, a barrier, go, and an orderly end."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
import time
from collections.abc import Callable, Iterator

from pytest_metersphere.dist.client import DELETE_WAIT, encode_bundle
from pytest_metersphere.dist.nodes import AnyNode, SliceClient, in_parallel
from pytest_metersphere.dist.signing import new_key
from pytest_metersphere.dist.wire import PROTOCOL, KafkaAccess, SliceInfo, StartRequest
from pytest_metersphere.engine.messages import Collection, Part
from pytest_metersphere.errors import CapacityError, NodeError, PreflightError

READY_DEADLINE = 30.0
JMETER_READY_DEADLINE = 120.0
"""Seconds that a slice may take until its JMeter is ready: Java starts slowly on a busy machine."""
LEASE = 15.0
RENEWED_EVERY = 3.0
GO_SPREAD_LIMIT = 1.0
"""Seconds between the first and the last acknowledgement of go above which a run is invalid."""
EVERY_SECOND_UP_TO = 200
"""Nodes above which a frame sums up LONG_INTERVAL seconds: what the controller reads stays bounded."""
LONG_INTERVAL = 5
_WAIT = 10.0


@dataclasses.dataclass(slots=True)
class Slice:
    """A node's share of a run, on its node.

    Attributes:
        lost: its node does not answer any more, so nothing waits for it.
    """

    id: str
    node: AnyNode
    users: int
    parts: list[Part]
    incarnation: int = 0
    lost: bool = False


class Run:
    """The slices of one run.

    Attributes:
        id: id of the run.
        key: signs its frames; it travels in the start requests only.
        kafka: where its frames are sent, None when they are pulled.
        slices: one for each node that has users, in the order of the pool.
        go_spread: seconds between the first and the last acknowledgement of go.
    """

    def __init__(
        self, version: str, collection: Collection, bundle: bytes, kafka: KafkaAccess | None = None
    ) -> None:
        """Make a run with an id of its own and no slices yet.

        Args:
            version: version of pytest-metersphere.
            collection: how the workers are to collect.
            bundle: zip of what the scenarios need.
            kafka: where the slices send their frames, None when these are pulled.
        """
        self.kafka = kafka
        self.id = secrets.token_hex(8)
        self.key = new_key()
        self.slices: list[Slice] = []
        self.go_spread = 0.0
        self._version = version
        self._collection = collection
        self._bundle = encode_bundle(bundle)
        self._closing = threading.Event()
        self._lease: threading.Thread | None = None

    def add(self, node: AnyNode, users: int, parts: list[Part]) -> None:
        """Add a node's share; its slice's id holds no other run's id."""
        self.slices.append(Slice(f"{self.id}-{len(self.slices)}", node, users, parts))

    @property
    def scenarios(self) -> int:
        """Return the number of scenarios; every slice has a part for each."""
        return max((len(item.parts) for item in self.slices), default=1)

    @property
    def interval(self) -> int:
        """Return the seconds that a frame of each slice sums up."""
        return 1 if len(self.slices) <= EVERY_SECOND_UP_TO else LONG_INTERVAL

    def start(self) -> None:
        """Start all slices at once; when one node refuses, the others are undone.

        Raises:
            CapacityError: a node has no longer the capacity that was free when the run was planned.
            NodeError: a node refused or did not answer.
        """
        # from the first slice on: the last may be long in coming
        self._lease = threading.Thread(target=self._renew, name=f"lease-{self.id}", daemon=True)
        self._lease.start()
        errors = self._try_all(self._start_one)
        if errors:
            self.delete()
            raise next((error for error in errors if isinstance(error, CapacityError)), errors[0])

    def _start_one(self, client: SliceClient, item: Slice) -> None:
        request = StartRequest(
            protocol=PROTOCOL,
            version=self._version,
            run=self.id,
            slice=item.id,
            node=item.node.name,
            users=item.users,
            lease=LEASE,
            key=self.key,
            collection=self._collection,
            parts=item.parts,
            interval=self.interval,
            kafka=self.kafka,
        )
        try:
            item.incarnation = client.start(request, self._bundle).incarnation
        finally:
            if self._closing.is_set():
                # who let go of all slices meanwhile did not find this one yet
                _let_go(client, item)

    def wait_until_ready(self) -> None:
        """Wait until all slices are ready.

        Raises:
            PreflightError: a slice failed, or is not ready in time; says which and why.
        """
        begin = time.monotonic()
        for item, info in zip(
            self.slices,
            in_parallel(lambda item: self._ready(item, begin + _ready_limit(item)), self.slices),
            strict=True,
        ):
            if info.state != "ready":
                why = info.reason or f"not ready after {_ready_limit(item):g} s (it is {info.state})"
                detail = f"\n{info.detail}" if info.detail else ""
                raise PreflightError(f"node {item.node.name}: {why}{detail}")

    def _ready(self, item: Slice, deadline: float) -> SliceInfo:
        with item.node.connect() as client:
            info = client.state(item.id)
            while info.state == "starting" and time.monotonic() < deadline and not self._closing.is_set():
                wait = min(_WAIT, max(0.1, deadline - time.monotonic()))
                info = client.state(item.id, wait_while="starting", wait=wait)
            return info

    def go(self) -> None:
        """Let all slices begin (NodeError when one does not acknowledge)."""
        with self._clients() as clients:
            # connections are opened first, so that go itself is one short message to each node
            in_parallel(_renewed, clients)
            acknowledged = in_parallel(_begun, clients)
        self.go_spread = max(acknowledged) - min(acknowledged)

    @contextlib.contextmanager
    def _clients(self) -> Iterator[list[tuple[Slice, SliceClient]]]:
        """Yield a client for each slice."""
        with contextlib.ExitStack() as stack:
            yield [(item, stack.enter_context(item.node.connect())) for item in self.slices]

    def stop(self, grace: float | None = None) -> None:
        """Tell all slices to end; those that do not answer end by their lease."""
        self._try_all(lambda client, item: None if item.lost else client.stop(item.id, grace))

    def rejected(self) -> int:
        """Return how many records of others claimed to be messages to or from its slices, so far."""
        # stock nodes share what they are spoken to by
        return max((item.node.rejected(self.id) for item in self.slices), default=0)

    def logs(self) -> dict[str, str]:
        """Return the last lines that the workers wrote, by node."""
        texts: dict[str, str] = {}

        def fetch(client: SliceClient, item: Slice) -> None:
            texts[item.node.name] = client.log(item.id)

        self._try_all(fetch)
        return texts

    def delete(self) -> None:
        """Let go of all slices: whatever still runs there ends."""
        self._closing.set()
        self._try_all(_let_go)
        if self._lease is not None:
            self._lease.join()

    def _try_all(self, work: Callable[[SliceClient, Slice], object]) -> list[NodeError | CapacityError]:
        """Do something with all slices at once and return the errors."""
        outcomes = in_parallel(lambda item: _attempt(work, item), self.slices)
        return [error for error in outcomes if error is not None]

    def _renew(self) -> None:
        with self._clients() as clients:
            while not self._closing.wait(RENEWED_EVERY):
                in_parallel(_renewed, clients)


def _let_go(client: SliceClient, item: Slice) -> None:
    # should a lost node come back, its lease is over, and so is its slice
    client.delete(item.id, patience=0.0 if item.lost else DELETE_WAIT)


def _renewed(pair: tuple[Slice, SliceClient]) -> None:
    item, client = pair
    with contextlib.suppress(NodeError):
        if not item.lost:
            client.lease(item.id)


def _begun(pair: tuple[Slice, SliceClient]) -> float:
    item, client = pair
    client.go(item.id)
    return time.monotonic()


def _ready_limit(item: Slice) -> float:
    usual = JMETER_READY_DEADLINE if any(part.scenario.jmx for part in item.parts) else READY_DEADLINE
    return max(item.node.ready_limit or 0.0, usual)


def _attempt(work: Callable[[SliceClient, Slice], object], item: Slice) -> NodeError | CapacityError | None:
    try:
        with item.node.connect() as client:
            work(client, item)
    except (NodeError, CapacityError) as error:
        return error
    return None
