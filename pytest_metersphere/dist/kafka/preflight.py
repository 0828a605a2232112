"""Is Kafka fit for a run? The checks in the order in which one depends on the other.

Resolve, connect, greet and log in are made by sockets of our own, because a Kafka client can only say that
it got no answer in time; then the brokers that the cluster names, the topic, and a record there and back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from pytest_metersphere.dist.kafka.brokers import join_address, read_access, split_address, tls_context
from pytest_metersphere.dist.kafka.dialling import UnfitError, resolve
from pytest_metersphere.dist.kafka.handshake import broker
from pytest_metersphere.dist.wire import Check, KafkaAccess
from pytest_metersphere.errors import BrokerError, ConfigError
from pytest_metersphere.units import format_duration

if TYPE_CHECKING:
    # a node-controller reads no settings, and needs no pytest for it
    from pytest_metersphere.settings import KafkaSettings

SENTENCE = "Kafka 不可用，请检查配置"  # noqa: RUF001 - it is Chinese
"""What MeterSphere says when Kafka fails its check, and what its users search for."""

ROUND_TRIP_LIMIT = 6.0
_CLIENT_LIMIT = 5.0
_MAX_THREADS = 16
S = TypeVar("S")
T = TypeVar("T")


@dataclasses.dataclass(slots=True)
class _Visit:
    """What was found at one address.

    Attributes:
        place: `host:port`.
        checks: up to the first that does not hold.
        advertised: the brokers of the cluster, as they say where they are.
    """

    place: str
    checks: list[Check]
    advertised: list[tuple[str, int]]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def check_text(settings: KafkaSettings) -> tuple[Check, KafkaAccess | None]:
    """Check that what was written can be understood; return what it says, None when it cannot."""
    try:
        access = read_access(settings)
    except ConfigError as error:
        return _failed("kafka settings", 0.0, str(error), ""), None
    return Check(name="kafka settings", ok=True, detail=", ".join(access.servers)), access


def check_reach(access: KafkaAccess) -> Check:
    """Check that frames can get from here to Kafka: name, port, login, and where the brokers are."""
    begin = time.monotonic()
    checks = _reach(access)[0]
    wrong = next((check for check in checks if not check.ok), None)
    seconds = time.monotonic() - begin
    if wrong is None:
        return Check(name="kafka", ok=True, detail=f"reaches Kafka ({checks[-1].detail})", seconds=seconds)
    return Check(name="kafka", ok=False, detail=wrong.detail, hint=wrong.hint, seconds=seconds)


def check_kafka(access: KafkaAccess, longest_run: float = 0.0) -> list[Check]:
    """Check everything, up to the first thing that does not hold; each way to fail is told within 10 s.

    Of several bootstrap servers one that is well is enough. The topic is made if it is not there.

    Args:
        access: how to reach Kafka.
        longest_run: seconds of the longest run whose frames it is to keep.
    """
    checks, fit = _reach(access)
    if fit:
        checks += _topics(access, longest_run)
    if checks[-1].ok:
        checks.append(_round_trip(access))
    return checks


def _reach(access: KafkaAccess) -> tuple[list[Check], bool]:
    """Return what was found on the way to the brokers, and whether they can be reached."""
    visits = _all_at_once(lambda server: _visit(access, *split_address(server)), access.servers)
    well = next((visit for visit in visits if visit.ok), None)
    if well is None:
        return [check for visit in visits for check in visit.checks], False
    checks = well.checks + [_excused(visit) for visit in visits if not visit.ok]
    checks.append(_advertised(access, well))
    return checks, checks[-1].ok


class _Steps:
    """Collects checks about one address; the first UnfitError is the last of them."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._begin = time.monotonic()
        self.checks: list[Check] = []

    def passed(self, what: str, detail: str) -> None:
        name = f"kafka {self._place} {what}"
        self.checks.append(Check(name=name, ok=True, detail=detail, seconds=self._lap()))

    def failed(self, what: str, error: UnfitError) -> None:
        self.checks.append(_failed(f"kafka {self._place} {what}", self._lap(), error.detail, error.hint))

    def _lap(self) -> float:
        begin, self._begin = self._begin, time.monotonic()
        return self._begin - begin


def _visit(access: KafkaAccess, host: str, port: int) -> _Visit:
    place = join_address(host, port)
    steps = _Steps(place)
    advertised: list[tuple[str, int]] = []
    what = "is resolved"
    try:
        addresses = resolve(place, host, port)
        steps.passed(what, ", ".join(dict.fromkeys(address[0] for address in addresses)))
        what = "answers as Kafka"
        with broker(host, port, addresses, tls_context(access) if access.tls else None) as found:
            steps.passed(what, "with TLS" if access.tls else "without TLS")
            what = "takes the login"
            found.login(access)
            advertised = found.brokers()
            who = f"{access.username} by {access.sasl_mechanism}" if access.sasl else "none is asked for"
            steps.passed(what, who)
    except UnfitError as error:
        steps.failed(what, error)
    return _Visit(place, steps.checks, advertised)


def _excused(visit: _Visit) -> Check:
    """Return a failure that does not matter, as another server of the cluster is well."""
    last = visit.checks[-1]
    detail = f"not well, but others are: {last.detail}"
    return Check(name=last.name, ok=True, detail=detail, seconds=last.seconds)


def _advertised(access: KafkaAccess, visit: _Visit) -> Check:
    """Check that the brokers are where they say: a client talks to no other address."""
    begin = time.monotonic()
    name = "kafka advertised listeners"
    if not visit.advertised:
        hint = "start the brokers, and look into their logs"
        return _failed(name, 0.0, f"{visit.place}: the cluster names no broker that is alive", hint)
    others = [each for each in visit.advertised if join_address(*each) not in access.servers]
    unfit = [error for error in _all_at_once(lambda each: _unfit(access, *each), others) if error]
    seconds = time.monotonic() - begin
    if unfit:
        return _failed(
            name,
            seconds,
            f"the broker at {visit.place} sends its clients on to an address that does not work from here: "
            f"{unfit[0].detail}",
            "set advertised.listeners of the broker to an address that this machine and the nodes can reach",
        )
    places = ", ".join(join_address(*each) for each in visit.advertised[:5])
    return Check(name=name, ok=True, detail=places, seconds=seconds)


def _unfit(access: KafkaAccess, host: str, port: int) -> UnfitError | None:
    place = join_address(host, port)
    try:
        context = tls_context(access) if access.tls else None
        with broker(host, port, resolve(place, host, port), context):
            return None
    except UnfitError as error:
        return error


def _topics(access: KafkaAccess, longest_run: float) -> list[Check]:
    # kafka-python is imported only where Kafka is used
    from pytest_metersphere.dist.kafka.topics import ensure_topics

    checks = ensure_topics(access, longest_run, _CLIENT_LIMIT)
    return [
        check if check.ok else _failed(check.name, check.seconds, check.detail, check.hint)
        for check in checks
    ]


def _round_trip(access: KafkaAccess) -> Check:
    """Send a record through the topic and read it back."""
    begin = time.monotonic()
    name = "kafka round trip"
    try:
        _send_and_read(access, begin + ROUND_TRIP_LIMIT)
    except BrokerError as error:
        user = f"the user {access.username}" if access.sasl else "anybody"
        hint = f"see that {user} may write and read {access.results_topic}, and look into the broker's log"
        return _failed(name, time.monotonic() - begin, f"a record did not come back: {error}", hint)
    seconds = time.monotonic() - begin
    return Check(name=name, ok=True, detail=f"in {format_duration(seconds)}", seconds=seconds)


def _send_and_read(access: KafkaAccess, deadline: float) -> None:
    from pytest_metersphere.dist.kafka.client.consumer import Consumer
    from pytest_metersphere.dist.kafka.client.producer import Producer
    from pytest_metersphere.dist.kafka.delivery import CHECK_KEY

    topic, nonce = access.results_topic, secrets.token_bytes(16)
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    with (
        contextlib.closing(Consumer(access, topic, _CLIENT_LIMIT)) as consumer,
        contextlib.closing(Producer(access, _CLIENT_LIMIT)) as producer,
    ):
        consumer.start_at(consumer.end_offsets())
        producer.send(topic, CHECK_KEY, nonce, outcome.put)
        _wait_for(outcome, deadline)
        while (CHECK_KEY, nonce) not in consumer.poll(0.1):
            if time.monotonic() > deadline:
                raise BrokerError(f"it was sent, but not read within {format_duration(ROUND_TRIP_LIMIT)}")


def _wait_for(outcome: queue.SimpleQueue[Exception | None], deadline: float) -> None:
    try:
        error = outcome.get(timeout=max(0.1, deadline - time.monotonic()))
    except queue.Empty:
        raise BrokerError(f"no broker took it within {format_duration(ROUND_TRIP_LIMIT)}") from None
    if error is not None:
        raise BrokerError(str(error) or type(error).__name__)


def _failed(name: str, seconds: float, detail: str, advice: str) -> Check:
    detail = f"Kafka: {detail}"
    if advice:
        return Check(name=name, ok=False, detail=detail, hint=f"{advice} ({SENTENCE})", seconds=seconds)
    return Check(name=name, ok=False, detail=f"{detail} ({SENTENCE})", seconds=seconds)


def _all_at_once(work: Callable[[S], T], subjects: Sequence[S]) -> list[T]:
    if not subjects:
        return []
    with ThreadPoolExecutor(min(_MAX_THREADS, len(subjects))) as pool:
        return list(pool.map(work, subjects))
