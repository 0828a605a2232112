"""How everything is now: nodes, Kafka and this machine's containers; nothing is started, made or written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pytest_metersphere import __version__
from pytest_metersphere.inspection.containers import host_status
from pytest_metersphere.inspection.kafka import kafka_status
from pytest_metersphere.inspection.nodes import clash, located, node_statuses
from pytest_metersphere.inspection.redaction import redacted
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.values import STATUS_SCHEMA, NodeStatus, StatusReport


def status_of(target: Target) -> StatusReport:
    """Ask the nodes of the pool, Kafka and the Docker Engine of this machine, all at once."""
    with ThreadPoolExecutor(2) as side:
        asked = side.submit(kafka_status, target.kafka) if target.kafka else None
        looked = side.submit(host_status)
        nodes, problems = _nodes(target)
        kafka = asked.result() if asked else None
        host = looked.result()
    well = not problems and all(node.ok for node in nodes) and (kafka is None or kafka.ok)
    report = StatusReport(
        schema=STATUS_SCHEMA,
        version=__version__,
        ok=host.ok if target.empty else well,
        pool=target.pool.name if target.pool else None,
        nodes=nodes,
        kafka=kafka,
        problems=problems,
        host=host,
    )
    return redacted(report, target.secrets)


def _nodes(target: Target) -> tuple[list[NodeStatus], list[str]]:
    if target.pool is None:
        return [], []
    places = located(target.pool)
    problem = clash(places)
    return node_statuses(places, target), [problem] if problem else []
