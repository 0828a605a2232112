"""The preflight of one stock node: its node-controller, Docker, the image, and what runs in it.

What is in the image, and whether Kafka can be reached from it, only a container can say: so one is started,
asked, and ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from pytest_metersphere import __version__
from pytest_metersphere.dist.checks import Wanted, clock_check, clock_offset, gathered
from pytest_metersphere.dist.control import CheckCommand, ChecksReport, Commission, EndCommand, Report
from pytest_metersphere.dist.metersphere.client import environment
from pytest_metersphere.dist.metersphere.jmeter_checks import jmeter_findings
from pytest_metersphere.dist.metersphere.link import Link
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.node import StockNode
from pytest_metersphere.dist.metersphere.rest import StockApi, kafka_lists
from pytest_metersphere.dist.resolve import addresses_of, is_address
from pytest_metersphere.dist.wire import PROTOCOL, Check, CheckRequest, KafkaAccess
from pytest_metersphere.errors import NodeError
from pytest_metersphere.units import format_duration

ANSWER_LIMIT = 120.0
"""Seconds for the container to answer."""
NO_KAFKA_LIMIT = 20.0
"""Seconds after which a container that says that it does not reach Kafka is believed."""

_LOOK_EVERY = 2.0
_OF_NO_USE = ("capacity", "slices")
"""Checks that say nothing in a container of one slice."""


def check_stock(node: StockNode, wanted: Wanted) -> list[Check]:
    """Return the findings about one node, in the order of asking; what cannot be asked then is left out."""
    return gathered(node.name, _findings(node, wanted))


def _findings(node: StockNode, wanted: Wanted) -> Iterator[Check]:
    if not is_address(node.host):
        yield Check(name="name", ok=True, detail=f"is {', '.join(addresses_of(node.host))}")
    api = node.api
    api.status()
    yield Check(
        name="reachable", ok=True, detail=f"a stock MeterSphere node-controller answers on {node.url}"
    )
    lack = node.lack_for(plans=wanted.jmeter, functions=wanted.functions)
    if lack:
        raise NodeError(node.name, lack, kind="stock")
    held = api.containers()
    yield Check(name="docker", ok=True, detail=f"answers; containers of ours that run there: {len(held)}")
    assert node.terms.kafka is not None
    stock_jmeter = wanted.jmeter and bool(node.terms.hub.terms.image)
    if wanted.functions or not stock_jmeter:
        yield from _tried_out(node, api, node.terms.kafka, wanted, jmeter=wanted.jmeter and not stock_jmeter)
    if stock_jmeter:
        yield from jmeter_findings(node, api, node.terms.kafka)


def _tried_out(
    node: StockNode, api: StockApi, kafka: KafkaAccess, wanted: Wanted, *, jmeter: bool
) -> Iterator[Check]:
    """Start a container, ask it, and end it."""
    exchange = node.terms.exchange
    link, slice_id, key = exchange.trial(kafka)
    name = container_name(slice_id, 0)
    try:
        request = CheckRequest(
            protocol=PROTOCOL,
            version=wanted.version,
            users=0,
            python=wanted.python,
            packages=dict(wanted.packages),
            jmeter=jmeter,
        )
        number = link.command(slice_id, CheckCommand(request=request))
        commission = Commission(
            protocol=PROTOCOL,
            version=__version__,
            run=link.run,
            slice=slice_id,
            node=node.name,
            key=key,
            kafka=kafka,
            partition=link.partition,
            offset=link.offset,
        )
        asked = time.time()
        lists = kafka_lists(kafka.servers, needed=False)
        api.start_with(lists, node.terms.image, environment(name, commission))
        yield Check(name="image", ok=True, detail=f"Docker there started {node.terms.image}")
        answer = _Trial(node, api, link, slice_id, name).answer(number)
        yield Check(name="kafka", ok=True, detail="its container reaches Kafka")
        yield from _told(node, answer, asked)
    finally:
        link.command(slice_id, EndCommand())
        with contextlib.suppress(NodeError):
            api.stop(name)
        exchange.leave(slice_id)


class _Trial:
    """A container that is waited for."""

    def __init__(self, node: StockNode, api: StockApi, link: Link, slice_id: str, name: str) -> None:
        self._node = node
        self._api = api
        self._link = link
        self._slice = slice_id
        self._name = name
        self._printed = ""

    def answer(self, number: int) -> Report:
        """Return what it answers to a command (NodeError when it ends, or does not answer in time)."""
        begin = time.monotonic()
        while (waited := time.monotonic() - begin) < ANSWER_LIMIT:
            if (answer := self._link.answer(self._slice, number, _LOOK_EVERY)) is not None:
                return answer
            runs = self._api.is_running(self._name)
            self._printed = self._api.log(self._name) or self._printed
            if not runs and (answer := self._link.answer(self._slice, number, _LOOK_EVERY)) is not None:
                return answer
            if not runs:
                raise self._error("ended before it answered; try `docker run --rm` with that image there")
            if "Kafka cannot be reached" in self._printed and waited > NO_KAFKA_LIMIT:
                break
        limit = format_duration(round(time.monotonic() - begin))
        raise self._error(
            f"said nothing over Kafka within {limit}: see that the brokers' advertised listeners can be"
            " reached from that machine"
        )

    def _error(self, what: str) -> NodeError:
        printed = " ".join(self._printed.split())[-400:]
        said = f" (it printed: {printed})" if printed else ""
        return NodeError(
            self._node.name, f"a container of {self._node.terms.image} {what}{said}", kind="unwell"
        )


def _told(node: StockNode, answer: Report, asked: float) -> Iterator[Check]:
    """Yield what the container said of itself."""
    if not isinstance(answer.content, ChecksReport):
        raise NodeError(node.name, "its container answered something else than it was asked")
    yield clock_check(node.name, clock_offset(answer.clock, asked, time.time()))
    for check in answer.content.checks:
        if check.name not in _OF_NO_USE:
            hint = f"build {node.terms.image} anew: {check.hint}" if check.hint else ""
            yield Check(name=check.name, ok=check.ok, detail=f"node {node.name}: {check.detail}", hint=hint)
