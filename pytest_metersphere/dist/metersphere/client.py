"""A stock node as a run sees it: its container is started over HTTP, and spoken to over Kafka.

It offers what `dist.client.NodeClient` offers of slices, so that a run has one way for both kinds of node.
"""

from __future__ import annotations

import contextlib
import time
from typing import Self

import msgspec

import pytest_metersphere
from pytest_metersphere.dist.client import DELETE_WAIT, READ_LIMIT, EncodedBundle
from pytest_metersphere.dist.control import (
    COMMISSION_VARIABLE,
    Commission,
    EndCommand,
    FramesCommand,
    FramesReport,
    GoCommand,
    LogCommand,
    LogReport,
    Order,
    RefusedReport,
    Report,
    StartCommand,
    StateReport,
    StopCommand,
    written,
)
from pytest_metersphere.dist.metersphere.link import Line, Link
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.node import StockNode, node_info
from pytest_metersphere.dist.metersphere.rest import kafka_lists
from pytest_metersphere.dist.wire import (
    PROTOCOL,
    FrameBatch,
    NodeInfo,
    SliceInfo,
    StartRequest,
)
from pytest_metersphere.errors import BrokerError, CapacityError, NodeError
from pytest_metersphere.units import format_duration

FIRST_WORD = 120.0
"""Seconds from the start of a container to the first word of it: that image may start slowly."""
QUIET = 3.0
"""Seconds without a heartbeat after which the node-controller is asked whether the container still runs."""
LAST_WORDS = 3.0
"""Seconds that the last words of a container may be under way after its end."""
ANSWER = 10.0
"""Seconds for the answer to a wish for frames or the log."""

_LOOK_EVERY = 2.0
_LOOK_AGAIN = 0.5
_PAUSE = 0.2
_GONE = 410
_REFUSED = 409


class StockClient:
    """One stock node, as its controller sees it.

    Not safe to be used by several threads at once, as it is with NodeClient.

    Attributes:
        name: the node's name in the pool, used in messages.
    """

    def __init__(self, node: StockNode) -> None:
        """Prepare; nothing is sent yet."""
        self.name = node.name
        self._node = node
        self._api = node.api
        self._image = node.terms.image
        self._exchange = node.terms.exchange

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close it; it keeps no connection."""

    def info(self) -> NodeInfo:
        """Return what the node is and holds: what the pool declares, less what our containers there have."""
        return node_info(self._node)

    def start(self, request: StartRequest, bundle: bytes | EncodedBundle) -> SliceInfo:
        """Start a container with a slice; returns when that has said that it is starting.

        Raises:
            CapacityError: the container refused for want of capacity.
            NodeError: the container could not be started, refused, or said nothing.
        """
        if request.kafka is None:
            raise NodeError(self.name, "a stock MeterSphere node needs Kafka: set --ms-kafka")
        if not self._image:
            raise NodeError(self.name, self._node.lack_for(plans=False, functions=True), kind="stock")
        content = bundle.bundle if isinstance(bundle, EncodedBundle) else bundle
        try:
            link = self._exchange.open(request.run, request.key, request.kafka, content)
            link.join(request.slice)
            plain = msgspec.structs.replace(request, key=b"", kafka=None)
            link.send(request.slice, msgspec.msgpack.encode(plain))
            number = link.command(request.slice, StartCommand())
            link.require_sent(READ_LIMIT)
        except BrokerError as error:
            raise NodeError(self.name, f"Kafka: {error}") from None
        name = container_name(request.slice, request.users)
        self._exchange.note(request.slice, name)
        commission = Commission(
            protocol=PROTOCOL,
            version=pytest_metersphere.__version__,
            run=request.run,
            slice=request.slice,
            node=request.node,
            key=request.key,
            kafka=request.kafka,
            partition=link.partition,
            offset=link.offset,
        )
        lists = kafka_lists(request.kafka.servers, needed=False)
        self._api.start_with(lists, self._image, environment(name, commission))
        return self._info_of(self._first_word(link, request.slice, number))

    def _first_word(self, link: Link, slice_id: str, number: int) -> Report:
        """Wait for the answer to a start, as long as the container runs."""
        line = self._line(slice_id)[1]
        deadline = time.monotonic() + FIRST_WORD
        while time.monotonic() < deadline:
            link.renew()
            if (answer := link.answer(slice_id, number, 1.0)) is not None:
                return answer
            self._see_container(slice_id, line)
        raise NodeError(self.name, self._why_silent(slice_id), kind="no answer")

    def _why_silent(self, slice_id: str) -> str:
        said = self._said(slice_id)
        printed = f"; it printed: {said[-400:]}" if said else ""
        limit = format_duration(FIRST_WORD)
        return (
            f"its container runs, but nothing came from it over Kafka within {limit}: see that the brokers'"
            f" advertised listeners can be reached from that machine{printed}"
        )

    def _said(self, slice_id: str) -> str:
        name = self._exchange.name(slice_id)
        with contextlib.suppress(NodeError):
            return " ".join(self._api.log(name).split()) if name else ""
        return ""

    def state(
        self, slice_id: str, wait_while: str = "", wait: float = 0.0, limit: float = READ_LIMIT
    ) -> SliceInfo:
        """Return how a slice stands.

        Args:
            slice_id: the slice.
            wait_while: state to wait in for another.
            wait: seconds to wait then.
            limit: takes what NodeClient takes; what is known is known here.
        """
        del limit
        link, line = self._line(slice_id)
        link.wait_for(
            lambda: line.info is not None and line.info.state != wait_while, min(wait, _until_look(line))
        )
        if line.info is None or _is_quiet(line):
            self._see_container(slice_id, line)
        if line.info is None:
            raise NodeError(self.name, f"nothing has come from slice {slice_id} yet", kind="no answer")
        return line.info

    def _see_container(self, slice_id: str, line: Line) -> None:
        """Look for the container of a slice that is silent.

        Raises:
            NodeError: it is gone, and whatever it said last has come.
        """
        now = time.monotonic()
        name = self._exchange.name(slice_id)
        if name is None or (line.gone_at is None and now - line.looked_at < _LOOK_EVERY):
            return
        line.looked_at = now
        if self._api.is_running(name):
            line.gone_at = None
            return
        line.gone_at = now if line.gone_at is None else line.gone_at
        if now - line.gone_at > LAST_WORDS and not (line.info and _over(line.info)):
            raise NodeError(self.name, _gone(name, self._image, line), _GONE)

    def go(self, slice_id: str) -> SliceInfo:
        """Start the load of a slice that is ready."""
        return self._told(slice_id, GoCommand())

    def stop(self, slice_id: str, grace: float | None = None) -> SliceInfo:
        """End the load; None leaves running iterations each scenario's graceful_stop."""
        return self._told(slice_id, StopCommand(grace=grace))

    def _told(self, slice_id: str, order: Order) -> SliceInfo:
        answer = self._ask(slice_id, order, READ_LIMIT)
        if answer is None:
            what = f"slice {slice_id} gave no answer over Kafka within {format_duration(READ_LIMIT)}"
            raise NodeError(self.name, what, kind="no answer")
        return self._info_of(answer)

    def _ask(self, slice_id: str, order: Order, limit: float) -> Report | None:
        """Send a command and return its answer, None when none comes in time.

        Raises:
            NodeError: its container is gone, so none will come.
        """
        link, line = self._line(slice_id)
        number = link.command(slice_id, order)
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            if (answer := link.answer(slice_id, number, min(left, _LOOK_AGAIN))) is not None:
                return answer
            if _is_quiet(line):
                self._see_container(slice_id, line)
        return None

    def _info_of(self, answer: Report) -> SliceInfo:
        match answer.content:
            case StateReport(info=info):
                return info
            case RefusedReport(refusal=refusal) if refusal.error == "capacity":
                raise CapacityError(f"node {self.name}: {refusal.message}")
            case RefusedReport(refusal=refusal):
                raise NodeError(self.name, f"{refusal.message} (image {self._image})", _REFUSED)
            case _:
                raise NodeError(self.name, "it answered something else than it was asked", _REFUSED)

    def lease(self, slice_id: str) -> None:
        """Tell a slice, and all others of its run, that their controller is there."""
        self._line(slice_id)[0].renew()

    def frames(self, slice_id: str, after: int, wait: float) -> FrameBatch:
        """Return the frames with sequences above `after` that the slice keeps, as far as they fit."""
        answer = self._ask(slice_id, FramesCommand(after=after), ANSWER + wait)
        if answer is None or not isinstance(answer.content, FramesReport):
            raise NodeError(self.name, "it did not send its frames once more", kind="no answer")
        return answer.content.batch

    def log(self, slice_id: str) -> str:
        """Return the last of what the workers of a slice printed."""
        with contextlib.suppress(NodeError):
            answer = self._ask(slice_id, LogCommand(), ANSWER)
            if answer is not None and isinstance(answer.content, LogReport):
                return answer.content.text
        return self._said(slice_id)

    def delete(self, slice_id: str, patience: float = DELETE_WAIT) -> None:
        """End a container, asked first and then killed; one that is not there is no error."""
        link, name = self._exchange.of(slice_id), self._exchange.name(slice_id)
        if link is not None and name is not None:
            link.command(slice_id, EndCommand())
        try:
            if name is not None:
                self._await_end(name, patience)
        finally:
            self._exchange.leave(slice_id)

    def _await_end(self, name: str, patience: float) -> None:
        deadline = time.monotonic() + patience
        while patience > 0 and self._api.is_running(name) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        self._api.stop(name)

    def _line(self, slice_id: str) -> tuple[Link, Line]:
        link = self._exchange.of(slice_id)
        line = link.line(slice_id) if link else None
        if link is None or line is None:
            raise NodeError(self.name, f"there is no slice {slice_id[:80]!r} here", 404)
        return link, line


def environment(name: str, commission: Commission) -> dict[str, str]:
    """Return the environment of a container.

    MeterSphere's own names are those that a node-controller wants to see; the brokers are added by whoever
    starts it.
    """
    return {
        "TEST_ID": name,
        "REPORT_ID": name,
        "RESOURCE_INDEX": "0",
        "LOG_TOPIC": f"{commission.kafka.prefix}.log",
        "PYTHONUNBUFFERED": "1",
        COMMISSION_VARIABLE: written(commission),
    }


def _is_quiet(line: Line) -> bool:
    """Return whether a slice that has not ended is silent."""
    over = line.info is not None and _over(line.info)
    return not over and time.monotonic() - line.heard_at > QUIET


def _until_look(line: Line) -> float:
    """Return the seconds until a slice, should nothing come from it, is to be looked after."""
    return max(_LOOK_AGAIN, line.heard_at + QUIET - time.monotonic())


def _over(info: SliceInfo) -> bool:
    return info.state in ("ended", "failed")


def _gone(name: str, image: str, line: Line) -> str:
    """Return what is to be said of a container that is gone."""
    if line.info is None:
        return (
            f"its container {name} ended before it said anything: see what `docker run --rm {image}` prints"
            " there, and that the image is our runner's"
        )
    return (
        f"its container {name} is gone, and did not say why: killed by hand, or for want of memory (dmesg"
        " there tells)"
    )
