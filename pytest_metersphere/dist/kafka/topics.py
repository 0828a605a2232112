"""The topics on Kafka: made with settings that lose nothing, and looked at when they are there already."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

from pytest_metersphere.dist.kafka.client.admin import Admin, Topic
from pytest_metersphere.dist.wire import Check, KafkaAccess
from pytest_metersphere.errors import BrokerError
from pytest_metersphere.units import format_duration, format_size

PARTITIONS = 6
"""One would carry the frames of hundreds of nodes; six spread them evenly over 1, 2, 3 or 6 brokers, and cost
the one who reads them all next to nothing."""
REPLICAS = 3
RETENTION = 24 * 3600.0
"""Seconds for which frames are kept: a day to look into a run of yesterday."""
CONTROL_RETENTION = 3600.0
"""Seconds for which bundles and commands are kept: they are read within minutes, and of no use later."""
MARGIN = 600.0
"""Seconds for which the first frame must be kept beyond the length of the run."""
LARGEST_MESSAGE = 1 << 20
NEEDED_MESSAGE = 512 << 10
"""Bytes of a batch that must fit: a frame is 256 KiB at most, unless one label alone is larger."""

_ALLOW = "allow the user to create, write and read {name}, or choose other topics by ini ms_kafka_prefix"
_ALTER = (
    "change it (kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config …), delete "
    "it, or choose other topics by ini ms_kafka_prefix"
)
_CREATE = f"kafka-topics.sh --create --topic {{name}} --partitions {PARTITIONS} {{config}}"
_READABLE = ("uncompressed", "producer", "gzip")


def settings_for(longest_run: float) -> dict[str, str]:
    """Return the settings of a topic that keeps a run of so many seconds.

    The time of a record is the broker's, or a node whose clock is wrong would have its frames deleted at
    once. What others send compressed is unpacked by the broker, within `max.message.bytes`: so nobody can
    send what this client cannot unpack, or what would fill its memory.
    """
    return {
        "cleanup.policy": "delete",
        "compression.type": "uncompressed",
        "max.message.bytes": str(LARGEST_MESSAGE),
        "message.timestamp.type": "LogAppendTime",
        "retention.bytes": "-1",
        "retention.ms": str(int(max(RETENTION, longest_run + MARGIN) * 1000)),
    }


def ensure_topics(access: KafkaAccess, longest_run: float = 0.0, limit: float = 10.0) -> list[Check]:
    """Make the topic for frames if it is not there, and say what of one that is there would lose frames.

    Args:
        access: how to reach Kafka.
        longest_run: seconds of the longest run whose frames it is to keep.
        limit: seconds to connect.
    """
    return [_ensured(access, access.results_topic, settings_for(longest_run), longest_run, limit)]


def ensure_control_topic(access: KafkaAccess, limit: float = 10.0) -> Check:
    """Make the topic for stock nodes if it is not there, and say what of one that is would lose messages.

    Args:
        access: how to reach Kafka.
        limit: seconds to connect.
    """
    settings = settings_for(0.0) | {"retention.ms": str(int(CONTROL_RETENTION * 1000))}
    return _ensured(access, access.control_topic, settings, 0.0, limit)


def ensure_jmeter_topic(access: KafkaAccess, name: str, limit: float = 10.0) -> Check:
    """Make a topic that JMeters write to if it is not there; one of MeterSphere's own is taken as it is.

    What comes there is read at once, so that the minute for which some brokers keep it is enough.

    Args:
        access: how to reach Kafka.
        name: the topic.
        limit: seconds to connect.
    """
    settings = settings_for(0.0) | {"retention.ms": str(int(CONTROL_RETENTION * 1000))}
    return _ensured(access, name, settings, None, limit)


def _ensured(
    access: KafkaAccess, name: str, settings: Mapping[str, str], longest_run: float | None, limit: float
) -> Check:
    begin = time.monotonic()
    try:
        with contextlib.closing(Admin(access, limit)) as admin:
            detail, hint = _made_or_found(admin, name, settings, longest_run)
    except BrokerError as error:
        detail, hint = f"the topic {name} cannot be looked at: {error}", _ALLOW.format(name=name)
    seconds = time.monotonic() - begin
    return Check(name=f"kafka topic {name}", ok=not hint, detail=detail, hint=hint, seconds=seconds)


def _made_or_found(
    admin: Admin, name: str, settings: Mapping[str, str], longest_run: float | None
) -> tuple[str, str]:
    """Return what is to be said of the topic, and what to do; nothing if all is well."""
    topic = admin.topic(name)
    if topic is None:
        return _made(admin, name, settings)
    if topic.settings is None:
        return "it is there; its settings may not be read by this user", ""
    wrong = _unreadable(topic.settings) if longest_run is None else losses(topic.settings, longest_run)
    if wrong:
        return f"the topic {name} would lose frames: {'; '.join(wrong)}", _ALTER.format(name=name)
    why = shortage(topic)
    if why:
        hint = "start the missing brokers, or lower min.insync.replicas of the topic"
        return f"the topic {name} takes nothing: {why}", hint
    return f"it is there, with {topic.partitions} partitions", ""


def _made(admin: Admin, name: str, settings: Mapping[str, str]) -> tuple[str, str]:
    replicas = min(REPLICAS, admin.brokers())
    try:
        admin.create(name, PARTITIONS, replicas, settings)
    except BrokerError as error:
        by_hand = " ".join(f"--config {key}={value}" for key, value in settings.items())
        hint = f"{_ALLOW.format(name=name)}; or make it by hand: {_CREATE.format(name=name, config=by_hand)}"
        return f"the topic {name} cannot be made: {error}", hint
    return f"made, with {PARTITIONS} partitions and {replicas} replicas of each", ""


def shortage(topic: Topic) -> str:
    """Return why brokers take nothing for a topic now; empty when they do, or when nobody can know."""
    replicas = _number(topic.settings or {}, "min.insync.replicas")
    if topic.in_sync >= replicas:
        return ""
    return f"min.insync.replicas={replicas}, but only {topic.in_sync} are in sync"


def losses(settings: Mapping[str, str], longest_run: float) -> list[str]:
    """Return a sentence for each setting of a topic by which frames would be lost."""
    return list(_losses(settings, longest_run))


def _losses(settings: Mapping[str, str], longest_run: float) -> Iterator[str]:
    kept = _number(settings, "retention.ms")
    if 0 <= kept < (longest_run + MARGIN) * 1000:
        yield (
            f"retention.ms={kept} deletes frames after {format_duration(kept / 1000)}; the longest run takes "
            f"{format_duration(longest_run)}, with a margin it needs {int((longest_run + MARGIN) * 1000)}"
        )
    if settings.get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        yield (
            "message.timestamp.type=CreateTime lets a node whose clock is wrong lose its frames; it needs "
            "LogAppendTime"
        )
    if 0 <= _number(settings, "max.message.bytes") < NEEDED_MESSAGE:
        size = _number(settings, "max.message.bytes")
        yield f"max.message.bytes={size} refuses frames above {format_size(size)}; it needs {LARGEST_MESSAGE}"
    if "compact" in settings.get("cleanup.policy", "delete"):
        yield "cleanup.policy=compact keeps only the last frame of each node; it needs delete"
    if settings.get("compression.type", "producer") not in _READABLE:
        yield (
            f"compression.type={settings['compression.type']} packs frames in a way that cannot be unpacked "
            "here; it needs uncompressed"
        )


def _unreadable(settings: Mapping[str, str]) -> list[str]:
    """Return a sentence if a topic packs what is written to it in a way that cannot be unpacked here."""
    packing = settings.get("compression.type", "producer")
    if packing in _READABLE:
        return []
    return [f"compression.type={packing} packs it in a way that cannot be unpacked here; it needs producer"]


def _number(settings: Mapping[str, str], name: str) -> int:
    """Return a setting that is a number, -1 when it is unlimited or unknown."""
    try:
        return int(settings[name])
    except (KeyError, ValueError):
        return -1
