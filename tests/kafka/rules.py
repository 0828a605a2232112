"""What an operator does to a broker: topics made by hand, and who may do what."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kafka import KafkaAdminClient
    from kafka.admin import (
        ACL,
        ACLOperation,
        ACLPermissionType,
        ConfigResource,
        ConfigResourceType,
        ResourcePattern,
        ResourceType,
    )


@contextlib.contextmanager
def operator(address: str) -> Iterator[KafkaAdminClient]:
    """Return a client that may do everything."""
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=[address])) as admin:
        yield admin


def make_topic(
    address: str, name: str, settings: Mapping[str, str] | None = None, partitions: int = 6
) -> None:
    """Make a topic with these settings."""
    wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(settings or {})}
    with operator(address) as admin:
        admin.create_topics({name: wanted}, wait_for_metadata=True)


def change_topic(address: str, name: str, settings: Mapping[str, str]) -> None:
    """Change settings of a topic."""
    with operator(address) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(settings))])


def allow(address: str, user: str, topic: str, *operations: str) -> None:
    """Let a user do something with a topic."""
    pattern = ResourcePattern(ResourceType.TOPIC, topic)
    rules = [
        ACL(f"User:{user}", "*", ACLOperation[operation], ACLPermissionType.ALLOW, pattern)
        for operation in operations
    ]
    with operator(address) as admin:
        admin.create_acls(rules)
