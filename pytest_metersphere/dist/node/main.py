"""A node-controller from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable

from pytest_metersphere.dist.node.config import NodeConfig
from pytest_metersphere.errors import MeterSphereError

_BACKLOG = 512


class ListenError(MeterSphereError):
    """The address cannot be listened on."""


def listen(config: NodeConfig) -> socket.socket:
    """Return a socket that listens on the configured address.

    Raises:
        ListenError: the port is in use, or the address is not one of this machine.
    """
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(
            f"cannot listen on {config.host}:{config.port}: {reason}; choose another --port or --host"
        ) from error


def run(
    config: NodeConfig, sock: socket.socket, on_ready: Callable[[], None], *, until_stdin_closes: bool
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, or until standard input closes, if that is asked for.

    When this returns, no worker is left, and no file.

    Args:
        config: what to run.
        sock: the listening socket.
        on_ready: called once requests are answered.
        until_stdin_closes: take the end of standard input as a signal to end: so a node dies with
            the process that started it, however that dies.
    """
    asyncio.run(_serve(config, sock, on_ready, until_stdin_closes=until_stdin_closes))


async def _serve(
    config: NodeConfig, sock: socket.socket, on_ready: Callable[[], None], *, until_stdin_closes: bool
) -> None:
    end = asyncio.Event()
    _end_on_signals(end)
    if until_stdin_closes:
        _end_with_stdin(end)
    from pytest_metersphere.dist.node.service import serving

    async with serving(config, sock):
        on_ready()
        await end.wait()


def _end_on_signals(end: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end.set)


def _end_with_stdin(end: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(end.set)

    threading.Thread(target=read, name="stdin", daemon=True).start()
