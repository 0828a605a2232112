"""The nodes of the session's pool, connected: names resolved, local ones started, all of them checked."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from pytest_metersphere.dist.checks import Wanted, check_node
from pytest_metersphere.dist.local import LocalPool
from pytest_metersphere.dist.metersphere.node import StockNode, StockTerms, stock_twin
from pytest_metersphere.dist.nodes import AnyNode, Node, in_parallel
from pytest_metersphere.dist.pool import NodeSpec, Pool
from pytest_metersphere.dist.resolve import resolved
from pytest_metersphere.dist.wire import Check, NodeInfo
from pytest_metersphere.engine.messages import Part
from pytest_metersphere.errors import ConfigError, NodeError, PreflightError
from pytest_metersphere.scenario.travel import is_loopback_host


class Fleet:
    """The nodes of a pool.

    Attributes:
        nodes: in the order of the pool.
    """

    def __init__(self, pool: Pool, token: str, cafile: str | None = None) -> None:
        """Resolve what stands for several nodes, and start the local ones.

        Args:
            pool: the nodes as they were written.
            token: what those which are not local ask for.
            cafile: file of the certificates that vouch for these; with it they are spoken to over TLS.

        Raises:
            PreflightError: a name cannot be resolved, or a local node did not start.
        """
        self._terms = StockTerms()
        specs = resolved(pool).nodes
        local = [spec for spec in specs if spec.local]
        self._local = LocalPool(local) if local else None
        try:
            ports = iter(self._local.ports() if self._local else [])
        except NodeError as error:
            self.close()
            raise PreflightError(str(error)) from None
        self._remote = {spec.name for spec in specs if not spec.local}
        self.nodes: list[Node | StockNode] = [
            _node(spec, next(ports), self._local.token)
            if spec.local and self._local
            else _node(spec, spec.port, token, cafile)
            for spec in specs
        ]

    def recognise(self, terms: StockTerms) -> None:
        """Find out which nodes are stock MeterSphere ones; what the session has for these is in `terms`."""
        self._terms = terms
        self.nodes = in_parallel(self._recognised, self.nodes)

    def _recognised(self, node: Node | StockNode) -> Node | StockNode:
        if isinstance(node, StockNode) or node.name not in self._remote:
            return node
        return stock_twin(node, self._terms) or node

    @property
    def has_stock_jmeter(self) -> bool:
        """Return whether test plans run in the stock JMeter image on any of the nodes."""
        return any(isinstance(node, StockNode) and _runs_jmeter_image(node) for node in self.nodes)

    def check(self, wanted: Wanted) -> list[Check]:
        """Check every node at once, each up to the first thing that does not hold."""
        found = in_parallel(lambda node: check(node, wanted), self.nodes)
        return [finding for findings in found for finding in findings]

    def free_capacities(self) -> list[int]:
        """Return the users that each node could take now: what it reports, at most what the pool says.

        Raises:
            NodeError: a node does not answer.
        """
        infos = in_parallel(_info, self.nodes)
        return [_free(node, info) for node, info in zip(self.nodes, infos, strict=True)]

    def close(self) -> None:
        """End the local nodes, and the links to stock ones."""
        self._terms.close()
        if self._local is not None:
            self._local.close()
            self._local = None


def check(node: Node | StockNode, wanted: Wanted) -> list[Check]:
    """Check one node, up to the first thing that does not hold."""
    if not isinstance(node, StockNode):
        return check_node(node, wanted)
    # kafka-python is imported only where Kafka is used
    if node.terms.kafka is None:
        return lacking(node)
    from pytest_metersphere.dist.metersphere.checks import check_stock

    return check_stock(node, wanted)


def for_parts(node: Node | StockNode, parts: Sequence[Part]) -> AnyNode:
    """Return a node as what runs these parts; a stock one runs test plans in the JMeter image, if any."""
    if isinstance(node, StockNode) and _runs_jmeter_image(node) and parts[0].scenario.jmx is not None:
        from pytest_metersphere.dist.metersphere.jmeter_node import JMeterNode

        return JMeterNode(node)
    return node


def _runs_jmeter_image(node: StockNode) -> bool:
    return bool(node.terms.hub.terms.image)


def lacking(node: StockNode) -> list[Check]:
    """Return the only check of a stock node for which there is no Kafka."""
    return [Check(name=f"node {node.name}", ok=False, detail=f"node {node.name}: {node.lack}")]


def require_certificates(cafile: str, source: str) -> None:
    """See that a file holds certificates.

    Raises:
        ConfigError: it does not; names the file and `source`, where it was written.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{source}: {cafile!r} holds no certificates in PEM form ({why}); name the file of the authority"
            " that signed those of the nodes"
        ) from None


def _node(spec: NodeSpec, port: int, token: str, cafile: str | None = None) -> Node:
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return Node(
        name=spec.name,
        host=spec.host,
        url=f"{'https' if cafile else 'http'}://{host}:{port}",
        token=token,
        capacity=spec.capacity,
        loopback=is_loopback_host(spec.host),
        cafile=cafile,
    )


def _info(node: AnyNode) -> NodeInfo:
    with node.connect() as client:
        return client.info()


def _free(node: AnyNode, info: NodeInfo) -> int:
    return info.free if node.capacity is None else min(info.free, node.capacity)
