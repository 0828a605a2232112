"""The endpoints that MeterSphere's servers (v1.10 to v2.10) call for load tests.

Nobody is asked for a login, as these servers have none to give; who may ask can be limited by address.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pytest_metersphere.dist.kafka.brokers import split_address
from pytest_metersphere.dist.kafka.dialling import UnfitError, connect, resolve
from pytest_metersphere.dist.node.config import MeterSphereConfig, Network
from pytest_metersphere.dist.node.controller import NodeController
from pytest_metersphere.dist.node.docker import Engine
from pytest_metersphere.dist.node.docker_client import DockerTrouble
from pytest_metersphere.dist.node.metersphere_api import envelope, names
from pytest_metersphere.dist.node.metersphere_api.declined import Declined
from pytest_metersphere.dist.node.metersphere_api.envelope import Answer
from pytest_metersphere.dist.node.metersphere_api.guests import Guests
from pytest_metersphere.dist.node.metersphere_api.order import NO_KAFKA, read_order
from pytest_metersphere.dist.node.metersphere_api.threads import Threads

START = "/jmeter/container/start"
STOP = "/jmeter/container/stop/"
LOG = "/jmeter/container/log/"
STATUS = "/jmeter/task/status/"
ENDPOINTS = (("POST", START), ("GET", f"{STOP}{{id}}"), ("GET", f"{LOG}{{id}}"), ("GET", f"{STATUS}{{id}}"))
"""What is answered; every other path below `/jmeter/` is unknown."""
CONNECT = 1.0
"""Seconds for a connection to one broker."""
SEARCH = 5.0
"""Seconds after which no further broker is tried."""

Reader = Callable[[], Awaitable[bytes]]
"""Reads the body of a request; a ValueError says why that cannot be done."""

_logger = logging.getLogger(__name__)
_ByName = Callable[[str], Awaitable[object]]


class MeterSphereApi:
    """Answers requests, without knowing how they came.

    Attributes:
        guests: what was started so.
    """

    def __init__(self, engine: Engine, node: NodeController, config: MeterSphereConfig) -> None:
        """Begin; needs a running event loop."""
        self._threads = Threads()
        self.guests = Guests(engine, node, self._threads)
        self._config = config
        self._by_name: Mapping[str, _ByName] = {STOP: self._stop, LOG: self._log, STATUS: self._status}

    async def open(self) -> None:
        """Remove what an earlier controller of this node has left."""
        await self.guests.open()

    async def close(self) -> None:
        """End all that was started."""
        await self.guests.close()
        self._threads.close()

    async def answer(
        self, method: str, path: str, peer: str | None, content_type: str, body: Reader
    ) -> Answer:
        """Return the answer to a request, whatever it is.

        Args:
            method: of HTTP.
            path: decoded, without the query.
            peer: address of whoever asks, None when that is not known.
            content_type: of the body, without parameters.
            body: reads the body.
        """
        if self._config.allowed and not is_among(peer, self._config.allowed):
            return envelope.failed(
                f"{peer} is not among those that --metersphere-allow of this node names", 403
            )
        try:
            if path == START:
                _require_method(method, "POST")
                return envelope.done(await self._start(content_type, body))
            for prefix, work in self._by_name.items():
                if path.startswith(prefix) and path != prefix:
                    _require_method(method, "GET")
                    return envelope.done(await work(path.removeprefix(prefix)))
        except (Declined, DockerTrouble) as error:
            return envelope.failed(str(error))
        except Exception:
            _logger.exception("%s %r", method, path[:200])
            return envelope.failed("the node failed; its log says why")
        return envelope.unknown(path)

    async def _start(self, content_type: str, body: Reader) -> str:
        if content_type != "application/json":
            raise Declined(
                f"Content type {names.shown(content_type)} not supported: it must be application/json"
            )
        try:
            content = await body()
        except ValueError as error:
            raise Declined(str(error)) from None
        order = read_order(content)
        if order.servers:
            await self._threads.do(_require_kafka, order.servers)
        await self.guests.start(order)
        return "OK"

    async def _stop(self, text: str) -> str:
        await self.guests.stop(names.whole_name(text))
        return "OK"

    async def _log(self, text: str) -> str:
        return await self.guests.log(names.whole_name(text))

    async def _status(self, text: str) -> list[dict[str, object]]:
        return await self.guests.summaries(names.matching(text))


def is_among(peer: str | None, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of some networks; that of IPv4 may come as one of IPv6."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in network for network in networks)


def _require_method(method: str, wanted: str) -> None:
    if method != wanted:
        raise Declined(f"Request method '{method[:20]}' not supported: it must be {wanted}")


def _require_kafka(servers: tuple[str, ...]) -> None:
    """See that one of the brokers takes connections: more a client does not need to begin with.

    Raises:
        Declined: none does.
    """
    why = []
    deadline = time.monotonic() + SEARCH
    for server in servers:
        if time.monotonic() > deadline:
            break
        host, port = split_address(server)
        try:
            connect(server, resolve(server, host, port), CONNECT).close()
        except UnfitError as error:
            why.append(error.detail)
        else:
            return
    raise Declined(f"{NO_KAFKA}: {'; '.join(why)}")
