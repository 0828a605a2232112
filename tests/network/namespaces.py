"""Machines of our own: network namespaces around a switch, which is in a namespace, too.

This machine is on the switch as well, by an interface that goes with it. The addresses are from
198.18.0.0/15, which is set aside for such tests (RFC 2544).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.parts import lack, require

HINT = "apt-get install iproute2"
_RIGHTS = "root with the rights to make network namespaces (CAP_SYS_ADMIN and CAP_NET_ADMIN)"
_count = itertools.count()


class _IpError(Exception):
    """What `ip` was asked for, it could not do."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """One namespace.

    Attributes:
        name: of the namespace.
        address: on the switch.
    """

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Return what stands before a command to run it there."""
        return ("ip", "netns", "exec", self.name)

    @contextlib.contextmanager
    def dropping(self, address: str) -> Iterator[None]:
        """Let everything that goes from it to an address vanish, as behind a firewall that says nothing."""
        _ip("-n", self.name, "route", "add", "blackhole", address)
        try:
            yield
        finally:
            _ip("-n", self.name, "route", "del", "blackhole", address)

    @contextlib.contextmanager
    def listening(self, address: str, port: int) -> Iterator[None]:
        """Have somebody there who takes connections, and says nothing."""
        script = (
            f"import socket, sys; s = socket.create_server(({address!r}, {port})); print(flush=True);"
            " sys.stdin.read()"
        )
        with subprocess.Popen(
            [*self.prefix, sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            yield

    @contextlib.contextmanager
    def filtering(self, *commands: str) -> Iterator[None]:
        """Set up its packet filter by commands of a shell; in the end it lets everything through."""
        try:
            for command in commands:
                self.type(command)
            yield
        finally:
            self.type("nft flush ruleset")

    def type(self, command: str) -> str:
        """Run a command as somebody would type it there, as root; return what it prints."""
        done = subprocess.run(
            [*self.prefix, "sh", "-c", f"PATH=$PATH:/usr/sbin; {command}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


class Network:
    """A switch, and machines on it.

    Attributes:
        here: this machine's address on the switch.
    """

    def __init__(self, cleanup: contextlib.ExitStack) -> None:
        """Make the switch; `cleanup` is to remove it and all that comes to it."""
        self._cleanup = cleanup
        self._name = f"ms{os.getpid()}n{next(_count)}"
        self._subnet = _free_subnet()
        self._numbers = itertools.count(1)
        self._switch = self._namespace("switch")
        _ip("-n", self._switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "switch", "up")
        self._cleanup.callback(_unplug, self._name)
        self.here = self._plug_in(self._name, None)

    def machine(self, label: str) -> Machine:
        """Return a new machine on the switch."""
        name = self._namespace(label)
        return Machine(name, self._plug_in("eth0", name))

    def _namespace(self, label: str) -> str:
        name = f"{self._name}-{label}"
        _ip("netns", "add", name)
        self._cleanup.callback(_remove, name)
        _ip("-n", name, "link", "set", "lo", "up")
        return name

    def _plug_in(self, interface: str, namespace: str | None) -> str:
        """Connect a namespace, or this machine, with the switch; return its address there."""
        number = next(self._numbers)
        address, port = f"{self._subnet}.{number}", f"port{number}"
        inside = ["-n", namespace] if namespace else []
        peer = ["type", "veth", "peer", "name", port, "netns", self._switch]
        _ip(*inside, "link", "add", interface, *peer)
        _ip("-n", self._switch, "link", "set", port, "master", "switch", "up")
        _ip(*inside, "address", "add", f"{address}/24", "dev", interface)
        _ip(*inside, "link", "set", interface, "up")
        return address


@contextlib.contextmanager
def network(config: pytest.Config) -> Iterator[Network]:
    """Return a switch of our own; it and the machines on it are gone at the end, whatever happened.

    Without `ip`, or the rights to make namespaces, the test is skipped, or fails under --require-all.
    """
    require(config, "ip", hint=HINT)
    if os.geteuid() != 0:
        lack(config, _RIGHTS)
    with contextlib.ExitStack() as cleanup:
        try:
            made = Network(cleanup)
        except _IpError as error:
            lack(config, f"{_RIGHTS}: {error}")
        yield made


def _remove(namespace: str) -> None:
    """End what still runs in a namespace, and remove it; the interfaces in it go with it."""
    with contextlib.suppress(_IpError):
        for pid in _ip("netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "delete", namespace)


def _unplug(interface: str) -> None:
    """Take this machine from the switch at once; with the namespace it would go, but only some time later."""
    with contextlib.suppress(_IpError):
        _ip("link", "delete", interface)


def _free_subnet() -> str:
    """Return the first three numbers of addresses that this machine has not on any interface."""
    interfaces = json.loads(_ip("-json", "-4", "address", "show"))
    taken = {info["local"] for interface in interfaces for info in interface["addr_info"]}
    used = {address.rpartition(".")[0] for address in taken}
    candidates = (f"198.18.{(os.getpid() + step) % 256}" for step in range(256))
    return next(subnet for subnet in candidates if subnet not in used)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise _IpError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
