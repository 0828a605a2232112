"""What a node sees of its Docker Engine, of the image and of Kafka, as far as it tells without a start."""

from __future__ import annotations

import msgspec

from pytest_metersphere import __version__
from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.kafka.brokers import split_address
from pytest_metersphere.dist.metersphere.node import StockNode
from pytest_metersphere.dist.metersphere.rest import NO_IMAGE, NO_KAFKA, kafka_lists
from pytest_metersphere.dist.wire import PROTOCOL, Check, CheckRequest, KafkaAccess, NodeInfo
from pytest_metersphere.inspection.values import ImageState, NodeStatus


def kafka_view(client: NodeClient, kafka: KafkaAccess) -> Check | None:
    """Ask a node of ours whether it reaches Kafka; it starts and fetches nothing for that."""
    request = CheckRequest(protocol=PROTOCOL, version=__version__, users=0, kafka=kafka, looks_only=True)
    return next((check for check in client.check(request).checks if check.name == "kafka"), None)


def with_docker(row: NodeStatus, info: NodeInfo) -> NodeStatus:
    """Return the row of a node with what it says of Docker, if its slices run in containers."""
    if info.launcher != "docker":
        return row
    missing = info.trouble.startswith(f"image {info.image} ")
    if info.trouble and not missing:
        return msgspec.structs.replace(row, docker="down")
    return msgspec.structs.replace(row, docker="up", image_state="missing" if missing else "there")


def with_kafka(row: NodeStatus, view: Check | None) -> NodeStatus:
    """Return the row of a node with what it sees of Kafka; its state, unless that is worse already."""
    if view is None:
        return row
    if view.ok:
        return msgspec.structs.replace(row, kafka="reached")
    row = msgspec.structs.replace(row, kafka="not reached")
    if not row.ok:
        return row
    detail = f"it does not reach Kafka: {view.detail.removeprefix('Kafka: ')}; on the node, {view.hint}"
    return msgspec.structs.replace(row, state="no kafka", ok=False, detail=detail)


def with_refusals(row: NodeStatus, node: StockNode) -> NodeStatus:
    """Return the row with what its node-controller says of the image and of Kafka, by starting nothing."""
    image, kafka = node.terms.image, node.terms.kafka
    assert kafka is not None, "a stock node without Kafka has a lack, and is not asked"
    row = msgspec.structs.replace(row, image=image)
    every, *fewer = kafka_lists(kafka.servers, needed=False)
    why = node.api.refusal(image, every)
    if NO_KAFKA in why:
        row = msgspec.structs.replace(row, kafka="not reached", detail=_unreached(every))
        whys = (node.api.refusal(image, servers) for servers in fewer)
        why = next((other for other in whys if NO_KAFKA not in other), why)
    else:
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
