"""Looking at brokers and topics, and making these."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Mapping

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError

from pytest_metersphere.dist.kafka.client.opening import QUIET, REQUEST_LIMIT, Opening, raise_for, told
from pytest_metersphere.dist.kafka.survey import (
    Backlog,
    Copies,
    Member,
    backlogs,
    default_retention,
    holdings,
)
from pytest_metersphere.dist.wire import KafkaAccess

MOST_GROUPS = 100
"""Groups of consumers that are asked how far they have read."""

_UNKNOWN_TOPIC = 3
_TOPIC_EXISTS = 36


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


class Admin:
    """Looks at topics and makes them."""

    def __init__(self, access: KafkaAccess, limit: float) -> None:
        """Connect (BrokerError after `limit` seconds)."""
        with Opening(access, limit) as options:
            self._admin = KafkaAdminClient(**options)

    def close(self) -> None:
        """End its thread and connections."""
        self._admin.close()
        QUIET.end()

    def brokers(self) -> int:
        """Return the number of brokers."""
        with told():
            return len(self._admin.describe_cluster()["brokers"])

    def topic(self, name: str) -> Topic | None:
        """Return a topic, None if there is none of this name."""
        with told():
            (found,) = self._admin.describe_topics([name])
            if found["error_code"] == _UNKNOWN_TOPIC:
                return None
            raise_for(found["error_code"], "")
            in_sync = [len(partition["isr_nodes"]) for partition in found["partitions"]]
            return Topic(len(in_sync), min(in_sync, default=0), self._settings(name))

    def topics(self) -> frozenset[str]:
        """Return the names of all topics."""
        with told():
            return frozenset(self._admin.list_topics())

    def members(self, known: Collection[tuple[str, int]]) -> list[Member]:
        """Return the brokers of the cluster in the order of their ids.

        Those whose host and port are not `known` to answer are not asked what they are.
        """
        with told():
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
        with told():
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
        with told():
            (answer,) = self._admin.create_topics({name: wanted}, raise_errors=False)["topics"]
            if answer["error_code"] != _TOPIC_EXISTS:
                raise_for(answer["error_code"], answer.get("error_message") or "")
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
