"""The HTTP face of a node-controller (the contract is `dist.wire`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from pytest_metersphere.dist.bundle import MAX_BUNDLE
from pytest_metersphere.dist.node.config import NodeConfig
from pytest_metersphere.dist.node.controller import NodeController
from pytest_metersphere.dist.node.guard import METERSPHERE_PATHS, OPEN_PATH, Guard
from pytest_metersphere.dist.node.refusal import Refused
from pytest_metersphere.dist.node.slices import Slice
from pytest_metersphere.dist.wire import CheckAnswer, CheckRequest, Spoken, StartRequest, StopRequest
from pytest_metersphere.units import format_size

if TYPE_CHECKING:
    from pytest_metersphere.dist.node.metersphere_api.api import MeterSphereApi

MAX_REQUEST = 48 << 20
"""Largest `request` part of a start request, in bytes; rows of data files are most of a large one."""
MAX_JSON = 1 << 20
"""Largest JSON body, in bytes."""
MAX_WAIT = 10.0
"""Longest long poll, in seconds."""
MAX_GRACE = 86_400.0
LOG_TAIL = 256 << 10
"""Bytes of the workers' output in one answer."""

_FRAMING = 64 << 10
_LAST_ANSWERS = 0.3
_STATUS = {"success": True, "message": None, "data": "OK"}
_PART_LIMITS = {"request": MAX_REQUEST, "bundle": MAX_BUNDLE}
_logger = logging.getLogger(__name__)
# aiohttp gives a traceback for every stranger who does not speak HTTP; our own failures are logged above
_silent = logging.getLogger(f"{__name__}.http")
_silent.setLevel(logging.CRITICAL)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


@contextlib.asynccontextmanager
async def serving(config: NodeConfig, sock: socket.socket) -> AsyncIterator[NodeController]:
    """Run a node on a listening socket; afterwards no worker, no file and no connection is left."""
    node = NodeController(config)
    api = _metersphere(node)
    runner = web.AppRunner(
        application(node, api), access_log=None, logger=_silent, shutdown_timeout=_LAST_ANSWERS
    )
    try:
        if api is not None:
            # before the node does, which would remove its containers without a word to MeterSphere
            await api.open()
        await node.open()
        await runner.setup()
        await web.SockSite(runner, sock, ssl_context=config.tls).start()
        yield node
    finally:
        with contextlib.suppress(TimeoutError):
            ends = [node.close(), *([api.close()] if api else [])]
            await asyncio.wait_for(asyncio.gather(*ends), node.patience)
        await runner.cleanup()


def _metersphere(node: NodeController) -> MeterSphereApi | None:
    config = node.config
    if config.metersphere is None or config.docker is None:
        return None
    # the Docker SDK is imported only where containers are started
    from pytest_metersphere.dist.node.docker import Engine
    from pytest_metersphere.dist.node.metersphere_api.api import MeterSphereApi

    api = MeterSphereApi(Engine(config.docker), node, config.metersphere)
    node.guests = api.guests
    return api


def application(node: NodeController, api: MeterSphereApi | None = None) -> web.Application:
    """Return the service of a node, with what MeterSphere's servers ask for if that is given."""
    guard = Guard(node.config.token, node.config.on_loopback, metersphere=api is not None)
    service = _Service(node)

    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            guard.admit(request.path, request.headers)
            return await handler(request)
        except Refused as refused:
            return _answer(refused.refusal, refused.status)
        except web.HTTPException as error:
            kind = "unknown" if error.status == 404 else "request"
            return _answer(
                Refused(error.status, kind, f"{request.method} {request.path[:200]}: {error.reason}").refusal,
                error.status,
            )
        except Exception:
            _logger.exception("%s %s", request.method, request.path)
            return _answer(Refused(500, "internal", "the node failed; its log says why").refusal, 500)

    app = web.Application(middlewares=[guarded], client_max_size=MAX_JSON)
    app.add_routes(service.routes())
    if api is not None:
        app.add_routes([web.route("*", f"{METERSPHERE_PATHS}{{rest:[\\s\\S]*}}", _for_metersphere(api))])
    return app


def _for_metersphere(api: MeterSphereApi) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        answer = await api.answer(
            request.method, request.path, request.remote, request.content_type, lambda: _body(request)
        )
        return web.Response(body=answer.body, status=answer.status, content_type="application/json")

    return handle


async def _body(request: web.Request) -> bytes:
    """Return the body of a request, whatever it is; ValueError when it cannot be read, or is too large."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ValueError(f"the body is larger than {format_size(MAX_JSON)}") from None
    except (HttpProcessingError, web.RequestPayloadError, RuntimeError) as error:
        raise ValueError(f"the body cannot be read: {error}") from None


class _Service:
    """One method for each endpoint."""

    def __init__(self, node: NodeController) -> None:
        self._node = node

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(OPEN_PATH, self.status),
            web.get("/v1/node", self.node),
            web.post("/v1/check", self.check),
            web.post("/v1/slices", self.start),
            web.get("/v1/slices/{id}", self.slice),
            web.post("/v1/slices/{id}/go", self.go),
            web.post("/v1/slices/{id}/stop", self.stop),
            web.post("/v1/slices/{id}/lease", self.lease),
            web.get("/v1/slices/{id}/frames", self.frames),
            web.get("/v1/slices/{id}/log", self.log),
            web.delete("/v1/slices/{id}", self.delete),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(_STATUS), content_type="application/json")

    async def node(self, _request: web.Request) -> web.Response:
        return _answer(await self._node.info())

    async def check(self, request: web.Request) -> web.Response:
        wanted = await _json(request, CheckRequest)
        return _answer(CheckAnswer(checks=await self._node.check(wanted)))

    async def start(self, request: web.Request) -> web.Response:
        parts = await _multipart(request)
        self._node.require_version(_decode(parts["request"], Spoken))
        wanted = _decode(parts["request"], StartRequest)
        return _answer(await self._node.start(wanted, parts["bundle"]), 201)

    async def slice(self, request: web.Request) -> web.Response:
        found = self._find(request)
        await found.wait_while(request.query.get("state", ""), _wait_of(request))
        return _answer(self._find(request).info())

    async def go(self, request: web.Request) -> web.Response:
        await _no_body(request)
        found = self._find(request)
        found.go()
        return _answer(found.info())

    async def stop(self, request: web.Request) -> web.Response:
        wanted = await _json(request, StopRequest) if request.can_read_body else StopRequest()
        if wanted.grace is not None and not 0 <= wanted.grace <= MAX_GRACE:
            raise Refused(400, "request", f"grace must be 0 to {MAX_GRACE:g} seconds")
        found = self._find(request)
        found.stop(wanted.grace)
        return _answer(found.info())

    async def lease(self, request: web.Request) -> web.Response:
        await _no_body(request)
        return _answer(self._find(request).info())

    async def frames(self, request: web.Request) -> web.Response:
        after = _number_of(request, "after")
        batch = await self._find(request).frames(int(after), _wait_of(request))
        self._find(request)
        return web.Response(body=msgspec.msgpack.encode(batch), content_type="application/msgpack")

    async def log(self, request: web.Request) -> web.Response:
        tail = self._find(request).log_tail(LOG_TAIL)
        return web.Response(text=tail.decode(errors="replace"), content_type="text/plain")

    async def delete(self, request: web.Request) -> web.Response:
        await _no_body(request)
        await self._node.delete(request.match_info["id"])
        return web.Response(status=204)

    def _find(self, request: web.Request) -> Slice:
        return self._node.find(request.match_info["id"])


def _answer(body: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def _number_of(request: web.Request, name: str) -> float:
    """Return a number of the query, 0 when it is not there."""
    text = request.query.get(name, "0")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1 << 53:
        raise Refused(400, "request", f"{name}={text[:80]!r} is not a number from 0")
    return number


def _wait_of(request: web.Request) -> float:
    return min(_number_of(request, "wait"), MAX_WAIT)


async def _json(request: web.Request, kind: type[T]) -> T:
    """Return the JSON body as a value of ours."""
    _require_type(request, "application/json")
    return _decode(await request.read(), kind, msgspec.json.decode)


async def _no_body(request: web.Request) -> None:
    """Accept an empty body, or JSON that says nothing."""
    if request.can_read_body:
        _require_type(request, "application/json")
        await request.read()


def _require_type(request: web.Request, wanted: str) -> None:
    if request.content_type != wanted or hdrs.CONTENT_TYPE not in request.headers:
        raise Refused(415, "request", f"the Content-Type must be {wanted}")


def _decode(data: bytes, kind: type[T], decode: Callable[..., T] = msgspec.msgpack.decode) -> T:
    try:
        return decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(400, "request", f"the body is no {kind.__name__}: {error}") from error


async def _multipart(request: web.Request) -> dict[str, bytes]:
    """Return the two parts of a start request; sizes are measured, not believed."""
    _require_type(request, "multipart/form-data")
    if (request.content_length or 0) > MAX_REQUEST + MAX_BUNDLE + _FRAMING:
        raise _too_large("body", MAX_REQUEST + MAX_BUNDLE)
    parts: dict[str, bytes] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name not in _PART_LIMITS or part.name in parts:
                raise Refused(400, "request", "the body must have one part request and one part bundle")
            parts[part.name] = await _read_part(part, part.name)
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        raise Refused(400, "request", f"the body is not multipart/form-data: {error}") from error
    if len(parts) != len(_PART_LIMITS):
        raise Refused(400, "request", "the body must have the parts request and bundle")
    return parts


async def _read_part(part: BodyPartReader, name: str) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(1 << 18):
        data += chunk
        if len(data) > _PART_LIMITS[name]:
            raise _too_large(name, _PART_LIMITS[name])
    return bytes(data)


def _too_large(what: str, limit: int) -> Refused:
    return Refused(413, "request", f"the {what} is larger than {format_size(limit)}")
