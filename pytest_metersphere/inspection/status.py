"""How everything is now: nodes and Kafka, asked at the same time; nothing is started, made or written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pytest_metersphere import __version__
from pytest_metersphere.inspection.kafka import kafka_status
from pytest_metersphere.inspection.nodes import clash, located, node_statuses
from pytest_metersphere.inspection.redaction import redacted
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.values import STATUS_SCHEMA, NodeStatus, StatusReport


def status_of(target: Target) -> StatusReport:
    """Ask the nodes of the pool and Kafka how they are."""
    with ThreadPoolExecutor(1) as side:
        asked = side.submit(kafka_status, target.kafka) if target.kafka else None
        nodes, problems = _nodes(target)
        kafka = asked.result() if asked else None
    report = StatusReport(
        schema=STATUS_SCHEMA,
        version=__version__,
        ok=not problems and all(node.ok for node in nodes) and (kafka is None or kafka.ok),
        pool=target.pool.name if target.pool else None,
        nodes=nodes,
        kafka=kafka,
        problems=problems,
    )
    return redacted(report, target.secrets)


def _nodes(target: Target) -> tuple[list[NodeStatus], list[str]]:
    if target.pool is None:
        return [], []
    places = located(target.pool)
    problem = clash(places)
    return node_statuses(places, target), [problem] if problem else []
