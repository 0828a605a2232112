"""Opens connections on the event loop: name, address, proxy, TLS, each timed."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from collections.abc import Callable

from pytest_metersphere.engine.http import ports
from pytest_metersphere.engine.http.call import Call
from pytest_metersphere.engine.http.connection import Connection
from pytest_metersphere.engine.http.faults import Fault, handshake, out_of_time, unreachable
from pytest_metersphere.engine.http.names import Address, resolve
from pytest_metersphere.engine.http.target import Origin
from pytest_metersphere.engine.http.tls import PIECE, Secure
from pytest_metersphere.engine.http.tunnel import Tunnel

_FIRST_SHARE = 0.5  # of the time that is left, for each address but the last


async def open_connection(call: Call, home: list[Connection]) -> Connection:
    """Return a new connection to the call's origin; the call takes the times.

    Raises:
        Fault: there is no way there, or not in time.
    """
    now = time.monotonic()
    until = min(call.deadline, now + call.limits.connect)
    try:
        async with asyncio.timeout(until - now):
            return await _open(call, until, home)
    except TimeoutError:
        if call.deadline <= time.monotonic():
            raise out_of_time("total", call.limits.total) from None
        raise out_of_time("connect", call.limits.connect) from None


async def _open(call: Call, until: float, home: list[Connection]) -> Connection:
    loop = asyncio.get_running_loop()
    origin = call.plan.origin
    way = origin.proxy or origin
    start = time.monotonic()
    try:
        addresses = await resolve(way.host, way.port)
    finally:
        looked_up = time.monotonic()
        call.dns += looked_up - start
    try:
        sock = await _connect(addresses, way.address, until)
        try:
            if origin.proxy is not None and origin.tls:
                await _tunnel(sock, origin)
        except BaseException:
            sock.close()
            raise
    finally:
        connected = time.monotonic()
        call.connect += connected - looked_up
    try:
        return await _take_over(loop, sock, origin, home)
    finally:
        if origin.tls:
            call.tls += time.monotonic() - connected


async def _take_over(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, origin: Origin, home: list[Connection]
) -> Connection:
    try:
        tls = await _secured(sock, origin) if origin.tls else None
        _, connection = await loop.create_connection(lambda: Connection(loop, home, tls), sock=sock)
    except OSError as error:
        sock.close()
        raise handshake(origin.address, error) from None
    except BaseException:
        sock.close()
        raise
    return connection


async def _secured(sock: socket.socket, origin: Origin) -> Secure:
    loop = asyncio.get_running_loop()
    tls = Secure(origin.host)
    while not tls.shake_hands():
        await loop.sock_sendall(sock, tls.outgoing.read())
        data = await loop.sock_recv(sock, PIECE)
        if not data:
            raise ConnectionResetError
        tls.incoming.write(data)
    await loop.sock_sendall(sock, tls.outgoing.read())
    return tls


async def _connect(addresses: list[Address], shown: str, until: float) -> socket.socket:
    """Try the addresses one after the other."""
    fault = Fault("refused", f"no connection to {shown}: it has no address")
    for place, address in enumerate(addresses):
        is_last = place == len(addresses) - 1
        left = math.inf if is_last else (until - time.monotonic()) * _FIRST_SHARE
        try:
            async with asyncio.timeout(None if is_last else left):
                return await _connected(address)
        except TimeoutError as error:
            fault = unreachable(shown, error)
        except OSError as error:
            fault = unreachable(shown, error)
    raise fault


async def _connected(address: Address) -> socket.socket:
    """Connect from a port in a part of their range; when several parts are full, from any."""
    for _ in range(ports.TRIES):
        try:
            return await _connected_from(address, ports.narrow)
        except OSError as error:
            if not ports.is_full(error):
                raise
    return await _connected_from(address)


async def _connected_from(
    address: Address, narrow: Callable[[socket.socket], object] | None = None
) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if narrow is not None:
            narrow(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _connect_socket(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_socket(sock: socket.socket, address: Address) -> None:
    """Connect. On one machine the kernel has done it at once, and the event loop has nothing to wait for."""
    try:
        sock.connect(address.place)
    except BlockingIOError:
        if not _has_peer(sock):
            await _until_writable(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error)) from None


def _has_peer(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


async def _until_writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    writable: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not writable.done():
            writable.set_result(None)

    loop.add_writer(sock, note)
    try:
        await writable
    finally:
        loop.remove_writer(sock)


async def _tunnel(sock: socket.socket, origin: Origin) -> None:
    loop = asyncio.get_running_loop()
    tunnel = Tunnel(origin)
    try:
        await loop.sock_sendall(sock, tunnel.request)
        while not tunnel.take(await loop.sock_recv(sock, 1)):
            pass
    except OSError as error:
        raise unreachable(tunnel.proxy, error) from None
