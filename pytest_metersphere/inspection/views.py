"""What a node sees of its Docker Engine, of the image and of Kafka, as far as it tells without a start."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pytest_metersphere import __version__
from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.kafka.brokers import split_address
from pytest_metersphere.dist.metersphere.node import StockNode
from pytest_metersphere.dist.metersphere.rest import NO_IMAGE, NO_KAFKA
from pytest_metersphere.dist.wire import PROTOCOL, Check, CheckRequest, KafkaAccess, NodeInfo
from pytest_metersphere.inspection.values import ImageState, NodeState, NodeStatus


def views_of(client: NodeClient, info: NodeInfo, kafka: KafkaAccess | None) -> dict[str, Check]:
    """Return what a node of ours says of Docker, of its image and of Kafka, by name; it starts nothing.

    When it says that it can start nothing, Docker or the image are what is missing, and asking is safe.
    """
    if kafka is None and not info.trouble:
        return {}
    request = CheckRequest(
        protocol=PROTOCOL, version=__version__, users=0, kafka=kafka, looks_only=not info.trouble
    )
    return {check.name: check for check in client.check(request).checks}


def with_views(row: NodeStatus, checks: Mapping[str, Check]) -> NodeStatus:
    """Return a row with what its node sees."""
    if row.launcher == "docker":
        docker, image = checks.get("docker"), checks.get("image")
        up = docker is None or docker.ok
        there = image is None or image.ok
        row = msgspec.structs.replace(
            row,
            docker="up" if up else "down",
            image_state=None if not up else "there" if there else "missing",
        )
    kafka = checks.get("kafka")
    if kafka is None:
        return row
    if kafka.ok:
        return msgspec.structs.replace(row, kafka="reached")
    why = kafka.detail.removeprefix("Kafka: ")
    detail = f"it does not reach Kafka: {why}; on the node, {kafka.hint}" if row.ok else row.detail
    state: NodeState = "no kafka" if row.ok else row.state
    return msgspec.structs.replace(row, kafka="not reached", state=state, ok=False, detail=detail)


def with_refusals(row: NodeStatus, node: StockNode) -> NodeStatus:
    """Return the row with what its node-controller says of the image and of Kafka, by starting nothing."""
    image, kafka = node.terms.image, node.terms.kafka
    row = msgspec.structs.replace(row, image=image)
    servers = ",".join(kafka.servers) if kafka is not None else ""
    why = node.api.refusal(image, servers)
    if NO_KAFKA in why:
        row = msgspec.structs.replace(row, kafka="not reached", detail=_unreached(servers))
        why = node.api.refusal(image)
    elif servers:
        row = msgspec.structs.replace(row, kafka="port open")
    if why:
        state: ImageState | None = "missing" if why.startswith(NO_IMAGE) else None
        return msgspec.structs.replace(row, state="unwell", ok=False, detail=why, image_state=state)
    return msgspec.structs.replace(row, image_state="there")


def _unreached(servers: str) -> str:
    host, port = split_address(servers.partition(",")[0])
    return (
        f"its node-controller does not reach every one of {servers}; our containers, which are on the network"
        " of the machine itself, may: `doctor` tries. Try there: docker exec ms-node-controller nc -zv"
        f" {host} {port}"
    )
