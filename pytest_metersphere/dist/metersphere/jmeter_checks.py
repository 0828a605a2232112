"""The preflight of one stock node for test plans in the JMeter image.

Whether the image is there and is MeterSphere's, whether its container reaches this machine and Kafka, and
whether its rows and its log come, only a container can say: so one runs a test plan that has nothing but
the gate in it.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator

from pytest_metersphere.dist.checks import clock_check, clock_offset
from pytest_metersphere.dist.metersphere.jmeter import JMeterSlice, new_identity
from pytest_metersphere.dist.metersphere.jmeter_node import admitted, environment, reporting_of
from pytest_metersphere.dist.metersphere.names import container_name
from pytest_metersphere.dist.metersphere.node import StockNode
from pytest_metersphere.dist.metersphere.package import trial_package
from pytest_metersphere.dist.metersphere.rest import StockApi, kafka_lists
from pytest_metersphere.dist.signing import new_key
from pytest_metersphere.dist.wire import Check, KafkaAccess
from pytest_metersphere.errors import NodeError
from pytest_metersphere.units import format_duration

CALL_LIMIT = 20.0
"""Seconds for a container to call this machine."""
JAVA_LIMIT = 120.0
"""Seconds for its JMeter to start."""
KAFKA_LIMIT = 20.0
"""Seconds for a row and the log to come over Kafka."""

_LOOK_EVERY = 2.0
_PAUSE = 0.25


def jmeter_findings(node: StockNode, api: StockApi, kafka: KafkaAccess) -> Iterator[Check]:
    """Yield what a container with JMeter comes to.

    Raises:
        NodeError: it does not come so far; says what to do.
        BrokerError: Kafka cannot be reached from here.
        PreflightError: there is no address by which the node can call this machine.
    """
    slice_id = f"{secrets.token_hex(8)}-0"
    hub = node.terms.hub
    hub.open(kafka)
    jmeter = JMeterSlice(new_identity(slice_id, node.name, container_name(slice_id, 0)), hub, new_key(), 0.0)
    url = admitted(node, jmeter)
    try:
        jmeter.offer(trial_package(reporting_of(jmeter.identity, url, kafka, hub)))
        lists = kafka_lists(kafka.servers, needed=True)
        api.start_with(lists, hub.terms.image, environment(jmeter.identity, url, hub))
        yield Check(name="jmeter image", ok=True, detail=f"Docker there started {hub.terms.image}")
        yield from _course(node, _Trial(node, api, jmeter), jmeter, url)
    finally:
        hub.dismiss(jmeter.report_id)
        with contextlib.suppress(NodeError):
            api.stop(jmeter.identity.container)


def _course(node: StockNode, trial: _Trial, jmeter: JMeterSlice, url: str) -> Iterator[Check]:
    terms = node.terms.hub.terms
    here = url.rpartition("/")[0]
    trial.wait(
        lambda: jmeter.downloaded,
        CALL_LIMIT,
        f"did not call this machine at {here}: open that port of this machine for the node, or name an"
        " address and port that lead here with --ms-callback=HOST:PORT",
    )
    yield Check(name="callback", ok=True, detail=f"its container reaches this machine at {here}")
    trial.wait(lambda: jmeter.is_at_gate, JAVA_LIMIT, "called this machine, but its JMeter did not start")
    asked = time.time()
    jmeter.open_gate(CALL_LIMIT)
    answered = time.time()
    trial.wait(
        lambda: jmeter.begun is not None,
        KAFKA_LIMIT,
        f"runs JMeter, but no row of it came over {terms.metrics_topic}: see that the brokers' advertised"
        " listeners can be reached from that machine, and that the image has MeterSphere's Kafka listener",
    )
    yield Check(name="rows", ok=True, detail=f"its rows come over {terms.metrics_topic}")
    assert jmeter.begun is not None, "that was waited for"
    yield clock_check(node.name, clock_offset(jmeter.begun / 1000, asked, answered))
    trial.wait(
        lambda: jmeter.summary is not None,
        KAFKA_LIMIT,
        lambda: _without_summary(*jmeter.summary_lack),
    )
    yield Check(name="log", ok=True, detail=f"its log comes over {terms.log_topic}")


def _without_summary(what: str, advice: str) -> str:
    return (
        f"runs JMeter, but its summary {what}, and without it rows cannot be proven to be complete: {advice}"
    )


class _Trial:
    """A container that is waited for."""

    def __init__(self, node: StockNode, api: StockApi, jmeter: JMeterSlice) -> None:
        self._node = node
        self._api = api
        self._jmeter = jmeter
        self._looked_at = time.monotonic()
        self._printed = ""

    def wait(self, met: Callable[[], bool], limit: float, otherwise: str | Callable[[], str]) -> None:
        """Wait until something is met.

        Raises:
            NodeError: it is not within so many seconds, or the container has ended before.
        """
        deadline = time.monotonic() + limit
        ended = False
        while not met():
            late = time.monotonic() > deadline
            if ended or late:
                why = otherwise if isinstance(otherwise, str) else otherwise()
                waited = f" (waited {format_duration(limit)})"
                raise self._error(f"ended before its time; it {why}" if ended else f"{why}{waited}")
            ended = self._look()
            with self._jmeter.changed:
                self._jmeter.changed.wait(_PAUSE)

    def _look(self) -> bool:
        """Return whether the container has ended, and what it sent last has come."""
        if time.monotonic() - self._looked_at < _LOOK_EVERY:
            return False
        self._looked_at = time.monotonic()
        name = self._jmeter.identity.container
        if self._api.is_running(name):
            self._printed = self._api.log(name) or self._printed
            return False
        hub, deadline = self._node.terms.hub, time.monotonic() + _LOOK_EVERY
        marks = hub.mark()
        while not hub.has_passed(marks) and time.monotonic() < deadline:
            with self._jmeter.changed:
                self._jmeter.changed.wait(_PAUSE)
        return True

    def _error(self, what: str) -> NodeError:
        said = self._jmeter.trouble or " ".join((self._jmeter.last_lines or self._printed).split())[-400:]
        told = f"; it said: {said}" if said else ""
        image = self._node.terms.hub.terms.image
        return NodeError(self._node.name, f"a container of {image} {what}{told}", kind="unwell")
