"""The only place that knows kafka-python: its three clients, as far as they are needed.

What goes wrong there comes out as BrokerError. While one of the clients is open, kafka-python's loggers
are quiet, unless somebody has set their level: it logs every attempt to connect as an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from pytest_metersphere.dist.kafka.batches import BatchError, plain_values
from pytest_metersphere.dist.kafka.brokers import tls_context
from pytest_metersphere.dist.kafka.survey import (
    Backlog,
    Copies,
    Member,
    backlogs,
    default_retention,
    holdings,
)
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

with warnings.catch_warnings():
    # what it deprecates and what Python deprecates of it must not end a user's tests
    warnings.simplefilter("ignore")
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
    from kafka.consumer.fetcher import Fetcher
    from kafka.errors import CorruptRecordError, KafkaError, RetriableError, for_code
    from kafka.net.compat import KafkaNetClient
    from kafka.net.inet import KafkaNetSocket

Offsets = Mapping[int, int]
"""Positions in a topic: offset by partition."""

REQUEST_LIMIT = 10.0
"""Seconds that a broker may take for one request."""
DELIVERY_LIMIT = 60.0
"""Seconds after which a record that no broker takes is given up."""
MAX_RECORDS = 1000
"""Records that one poll returns at most."""

MOST_GROUPS = 100
"""Groups of consumers that are asked how far they have read."""

_UNKNOWN_TOPIC = 3
_TOPIC_EXISTS = 36
_BATCH = 256 << 10
_FETCH = 4 << 20
_PAUSE = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Topic:
    """A topic that exists.

    Attributes:
        partitions: how many it has.
        in_sync: brokers that have all of a partition, for the partition with the fewest.
        settings: the values in force, by name; None when this client may not read them.
    """

    partitions: int
    in_sync: int
    settings: Mapping[str, str] | None


class _TidySocket(KafkaNetSocket):
    """How its clients connect: as ever, but a socket that does not get through is closed.

    Left to itself it would be closed when it is collected, with a ResourceWarning that pytest turns into
    a warning, or an error, of whatever test runs then.
    """

    SCHEMES = ("tidy",)

    async def sock_connect(self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: Any = None) -> Any:
        try:
            return await super().sock_connect(  # type: ignore[no-untyped-call]
                net, sock, sockaddr, timeout_at=timeout_at
            )
        except BaseException:
            sock.close()
            raise


class _Quiet:
    """Keeps kafka-python's loggers quiet while a client is open."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("kafka")
        self._lock = threading.Lock()
        self._clients = 0
        self._ours = False

    def begin(self) -> None:
        with self._lock:
            self._clients += 1
            if self._clients == 1 and self._logger.level == logging.NOTSET:
                self._logger.setLevel(logging.CRITICAL + 1)
                self._ours = True

    def end(self) -> None:
        with self._lock:
            self._clients -= 1
            if self._clients == 0 and self._ours:
                self._logger.setLevel(logging.NOTSET)
                self._ours = False


_quiet = _Quiet()


class _Opening:
    """Makes a client; one that fails to be made leaves no socket and no thread."""

    def __init__(self, access: KafkaAccess, limit: float) -> None:
        self._net: KafkaNetClient | None = None
        self.options: dict[str, Any] = {
            "bootstrap_servers": list(access.servers),
            "client_id": "pytest-metersphere",
            "security_protocol": access.security_protocol,
            "ssl_context": tls_context(access) if access.tls else None,
            "sasl_mechanism": access.sasl_mechanism or None,
            "sasl_plain_username": access.username or None,
            "sasl_plain_password": access.password or None,
            "bootstrap_timeout_ms": int(limit * 1000),
            "request_timeout_ms": int(REQUEST_LIMIT * 1000),
            "reconnect_backoff_max_ms": 1000,
            "kafka_client": self._connecting,
            # by a scheme of this name it finds the class above
            "proxy_url": "tidy://",
        }

    def _connecting(self, **options: Any) -> KafkaNetClient:
        self._net = KafkaNetClient(**options)
        return self._net

    def __enter__(self) -> dict[str, Any]:
        _quiet.begin()
        return self.options

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if error is None:
            return
        if self._net is not None:
            self._net.close()
        _quiet.end()
        if isinstance(error, Exception) and not isinstance(error, BrokerError):
            raise BrokerError(_words(error)) from error


class Admin:
    """Looks at topics and makes them."""

    def __init__(self, access: KafkaAccess, limit: float) -> None:
        """Connect (BrokerError after `limit` seconds)."""
        with _Opening(access, limit) as options:
            self._admin = KafkaAdminClient(**options)

    def close(self) -> None:
        """End its thread and connections."""
        self._admin.close()
        _quiet.end()

    def brokers(self) -> int:
        """Return the number of brokers."""
        with _told():
            return len(self._admin.describe_cluster()["brokers"])

    def topic(self, name: str) -> Topic | None:
        """Return a topic, None if there is none of this name."""
        with _told():
            (found,) = self._admin.describe_topics([name])
            if found["error_code"] == _UNKNOWN_TOPIC:
                return None
            _raise_for(found["error_code"], "")
            in_sync = [len(partition["isr_nodes"]) for partition in found["partitions"]]
            return Topic(len(in_sync), min(in_sync, default=0), self._settings(name))

    def topics(self) -> frozenset[str]:
        """Return the names of all topics."""
        with _told():
            return frozenset(self._admin.list_topics())

    def members(self, known: Collection[tuple[str, int]]) -> list[Member]:
        """Return the brokers of the cluster in the order of their ids.

        Those whose host and port are not `known` to answer are not asked what they are.
        """
        with _told():
            copies = [
                Copies(topic["name"], frozenset(part["replica_nodes"]), frozenset(part["isr_nodes"]))
                for topic in self._admin.describe_topics()
                for part in topic["partitions"]
            ]
            found = self._admin.describe_cluster()["brokers"]
        members = []
        for each in sorted(found, key=lambda one: int(one["broker_id"])):
            number, place = each["broker_id"], (each["host"], each["port"])
            version, retention = self._about(number) if place in known else ("", None)
            members.append(Member(*place, version, *holdings(number, copies), retention))
        return members

    def _about(self, broker: int) -> tuple[str, int | None]:
        """Return a broker's version, and for how long it keeps what has no retention of its own."""
        version = ""
        with contextlib.suppress(KafkaError):
            version = self._admin.get_broker_version_data(broker).broker_version_str
        return version, default_retention(self._settings(str(broker), ConfigResourceType.BROKER) or {})

    def backlogs(self, names: Collection[str]) -> dict[str, Backlog]:
        """Return for each of these topics the group of consumers that has most of it to read still.

        Topics that no group reads are left out; of more than MOST_GROUPS groups some are not asked.
        """
        with _told():
            listed = self._admin.list_groups()
            groups = sorted({str(each["group_id"]) for each in listed})[:MOST_GROUPS]
            offsets = self._admin.list_group_offsets(groups) if groups else {}
            read = {
                group: {(at.topic, at.partition): done.offset for at, done in places.items()}
                for group, places in offsets.items()
            }
            wanted = {at for places in offsets.values() for at in places if at.topic in names}
            if not wanted:
                return {}
            ends = self._admin.list_partition_offsets(dict.fromkeys(wanted, OffsetSpec.LATEST))
        return backlogs(read, {(at.topic, at.partition): end.offset for at, end in ends.items()})

    def create(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Make a topic, and return when it can be used; one that came into being meanwhile is no error."""
        wanted = {"num_partitions": partitions, "replication_factor": replicas, "configs": dict(settings)}
        with _told():
            (answer,) = self._admin.create_topics({name: wanted}, raise_errors=False)["topics"]
            if answer["error_code"] != _TOPIC_EXISTS:
                _raise_for(answer["error_code"], answer.get("error_message") or "")
            self._admin.wait_for_topics([name], timeout_ms=int(REQUEST_LIMIT * 1000))

    def _settings(
        self, name: str, kind: ConfigResourceType = ConfigResourceType.TOPIC
    ) -> Mapping[str, str] | None:
        try:
            answer = self._admin.describe_configs([ConfigResource(kind, name)], config_filter="all")
            found = answer[kind.name.lower()][name]
        except (KafkaError, KeyError):
            return None
        # who may not read them is told of none
        return {key: str(entry["value"]) for key, entry in found.items()} or None


class Producer:
    """Sends records, each of them once and in order (an idempotent producer).

    Attributes:
        broken: a broker refused a record; kafka-python then gives up all that follow, so make another.
    """

    def __init__(self, access: KafkaAccess, limit: float) -> None:
        """Connect (BrokerError after `limit` seconds)."""
        self.broken = False
        with _Opening(access, limit) as options:
            self._producer = KafkaProducer(
                **options,
                allow_auto_create_topics=False,
                delivery_timeout_ms=DELIVERY_LIMIT * 1000,
                max_block_ms=int(limit * 1000),
                batch_size=_BATCH,
                metrics_enabled=False,
            )

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        done: Callable[[Exception | None], None],
        partition: int | None = None,
    ) -> None:
        """Queue a record; `done` is called, in a thread of the client, when it is there or given up.

        Without a partition the key chooses it, without either chance does.

        Raises:
            BrokerError: the topic is not known, or the record too large; `done` is not called.
        """
        with _told():
            future = self._producer.send(topic, key=key, value=value, partition=partition)
        future.add_callback(lambda _metadata: done(None))
        future.add_errback(lambda error: self._failed(error, done))

    def _failed(self, error: Exception, done: Callable[[Exception | None], None]) -> None:
        self.broken = self.broken or not isinstance(error, RetriableError)
        done(error)

    def close(self, limit: float = 0.0) -> None:
        """Give records that are under way `limit` seconds, then end the threads and connections."""
        with contextlib.suppress(KafkaError):
            self._producer.flush(limit)
        # close() would give up waiting for a broker that is gone, and leave its thread
        sender = self._producer._sender  # type: ignore[attr-defined]  # noqa: SLF001
        sender.force_close()
        sender.join(REQUEST_LIMIT)
        with contextlib.suppress(KafkaError):
            self._producer.close(0)
        _quiet.end()


class Consumer:
    """Reads all partitions of one topic."""

    def __init__(
        self,
        access: KafkaAccess,
        topic: str,
        limit: float,
        *,
        hasty: bool = False,
    ) -> None:
        """Connect (BrokerError after `limit` seconds, or when there is no such topic).

        A hasty one is told of each record at once, where others wait a moment for more.
        """
        self._topic = topic
        with _Opening(access, limit) as options:
            self._consumer = KafkaConsumer(
                **options,
                allow_auto_create_topics=False,
                enable_auto_commit=False,
                # what was deleted before it could be read is gone; the rest is not to be skipped
                auto_offset_reset="earliest",
                # a record that was damaged fails the check of its signature
                check_crcs=False,
                fetch_min_bytes=1 if hasty else _BATCH,
                fetch_max_wait_ms=100,
                max_partition_fetch_bytes=_FETCH,
                max_poll_records=MAX_RECORDS,
                metrics_enabled=False,
            )
            try:
                self._partitions = [TopicPartition(topic, number) for number in self._numbers()]
            except BaseException:
                self._consumer.close(autocommit=False)
                raise

    def _numbers(self) -> list[int]:
        numbers = self._consumer.partitions_for_topic(self._topic)
        if not numbers:
            raise BrokerError(
                f"Kafka has no topic {self._topic!r}: make it, or let the preflight make it"
                " (--ms-preflight=auto)"
            )
        return sorted(numbers)

    def end_offsets(self) -> dict[int, int]:
        """Return where the next records will be."""
        with _told():
            found = self._consumer.end_offsets(self._partitions)
            return {place.partition: offset for place, offset in found.items()}

    def start_at(self, offsets: Offsets) -> None:
        """Read from these offsets on; partitions without one are not read."""
        with _told():
            places = [place for place in self._partitions if place.partition in offsets]
            self._consumer.assign(places)
            for place in places:
                self._consumer.seek(place, offsets[place.partition])

    def poll(self, seconds: float) -> list[tuple[bytes, bytes]]:
        """Return the keys and values of what comes within so many seconds, empty ones for none.

        Raises:
            BrokerError: something on the topic cannot be read; do not poll again, begin behind it.
        """
        batches = self._batches(seconds)
        return [(_blob(record.key), _blob(record.value)) for batch in batches for record in batch]

    def _batches(self, seconds: float) -> Iterable[list[Any]]:
        try:
            with _told():
                return self._consumer.poll(timeout_ms=int(seconds * 1000)).values()
        except BrokerError as error:
            if isinstance(error.__cause__, RetriableError):
                time.sleep(min(seconds, _PAUSE))
                return []
            raise

    def positions(self) -> dict[int, int]:
        """Return which record of each partition that is read comes next."""
        with _told():
            found = {place.partition: self._consumer.position(place) for place in self._consumer.assignment()}
            return {partition: offset for partition, offset in found.items() if offset is not None}

    def close(self) -> None:
        """End its thread and connections."""
        self._consumer.close(autocommit=False, timeout_ms=1000)
        _quiet.end()


class ValueConsumer(Consumer):
    """Reads all partitions of one topic, and of its records only the values, with a third of the CPU time.

    What kafka-python has fetched is unpacked here, where that is plain; all else stays as it is.
    """

    def __init__(self, access: KafkaAccess, topic: str, limit: float) -> None:
        """Connect (BrokerError after `limit` seconds, or when there is no such topic)."""
        super().__init__(access, topic, limit)
        self._consumer._fetcher.PartitionRecords = _PlainRecords  # type: ignore[attr-defined]  # noqa: SLF001

    def values(self, seconds: float) -> list[bytes]:
        """Return the values of what comes within so many seconds, empty ones for none; see `poll`.

        That is all that was fetched of a partition, some megabytes at most.
        """
        found: list[bytes] = []
        for batch in self._batches(seconds):
            if batch and not isinstance(batch[0], bytes):
                found += [_blob(record.value) for record in batch]
            else:
                found += batch
        return found


class _PlainRecords(Fetcher.PartitionRecords):
    """What was fetched of one partition; gives up the values of all of it at once."""

    def __init__(self, fetch_offset: int, tp: TopicPartition, records: Any, **known: Any) -> None:
        super().__init__(fetch_offset, tp, records, **known)
        self._buffer: Any = records._buffer  # noqa: SLF001

    def take(self, n: int | None = None) -> list[Any]:
        """Return what is there; `n` only counts for what is not plain."""
        buffer, self._buffer = self._buffer, b""
        try:
            found = plain_values(bytes(buffer), self.fetch_offset)
        except BatchError as error:
            raise CorruptRecordError(str(error)) from None
        if found is None or not found.values:
            return super().take(n)
        self.next_fetch_offset = found.following
        self.drain()
        return found.values


def _blob(content: object) -> bytes:
    return content if isinstance(content, bytes) else b""


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Let errors of kafka-python out as BrokerError, whatever kinds it raises."""
    try:
        yield
    except BrokerError:
        raise
    except Exception as error:
        raise BrokerError(_words(error)) from error


def _words(error: Exception) -> str:
    """Return an error in words: those of the broker, else the name of the error."""
    name = type(error).__name__
    text = str(error.args[0]) if error.args and error.args[0] else ""
    return f"{text} ({name})" if text else name


def _raise_for(code: int, message: str) -> None:
    """Raise the error of a code that is not 0."""
    if code:
        raise for_code(code)(message)
