"""What a look at the whole cluster comes to: what each broker holds, and how far consumers are behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

_RETENTIONS = {"log.retention.ms": 1, "log.retention.minutes": 60_000, "log.retention.hours": 3_600_000}
"""A broker's settings by precedence, with their milliseconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Copies:
    """Who has a partition.

    Attributes:
        topic: its topic.
        brokers: ids of the brokers that are to have a copy.
        in_sync: ids of those whose copy is complete.
    """

    topic: str
    brokers: frozenset[int]
    in_sync: frozenset[int]


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A broker of the cluster.

    Attributes:
        host: where it says that it is.
        port: and on which port.
        version: release of Kafka whose protocol it speaks, the newest that this client knows of; empty
            when it could not be asked.
        topics: topics of which it has a part.
        partitions: partitions of which it has a copy.
        behind: copies of these that are not complete.
        retention_ms: milliseconds for which it keeps what has no retention of its own, -1 for ever; None
            when this client may not read it.
    """

    host: str
    port: int
    version: str
    topics: int
    partitions: int
    behind: int
    retention_ms: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Backlog:
    """What a group of consumers has still to read of a topic.

    Attributes:
        group: its name.
        records: how many records.
    """

    group: str
    records: int


def holdings(broker: int, copies: Iterable[Copies]) -> tuple[int, int, int]:
    """Return of how many topics and of how many partitions a broker has copies, and how many lag behind."""
    mine = [each for each in copies if broker in each.brokers]
    behind = sum(broker not in each.in_sync for each in mine)
    return len({each.topic for each in mine}), len(mine), behind


def default_retention(settings: Mapping[str, str]) -> int | None:
    """Return the milliseconds for which a broker keeps records, -1 for ever, None when that is not known."""
    for name, unit in _RETENTIONS.items():
        text = settings.get(name, "")
        if text.removeprefix("-").isdecimal():
            return int(text) * unit if int(text) > 0 else -1
    return None


def backlogs(
    read: Mapping[str, Mapping[tuple[str, int], int]], ends: Mapping[tuple[str, int], int]
) -> dict[str, Backlog]:
    """Return for each topic the group of consumers that has most of it to read still.

    Args:
        read: by group, how far it has read each partition (topic and number); below 0 is not at all.
        ends: where the next record of each partition will be.
    """
    found: dict[str, Backlog] = {}
    for group, places in sorted(read.items()):
        left: dict[str, int] = {}
        for place, offset in places.items():
            if offset >= 0 and place in ends:
                left[place[0]] = left.get(place[0], 0) + max(0, ends[place] - offset)
        for topic, records in left.items():
            if topic not in found or records > found[topic].records:
                found[topic] = Backlog(group, records)
    return found
