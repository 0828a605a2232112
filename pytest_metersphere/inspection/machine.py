"""Who listens where on this machine, and whether Kafka runs on it, from /proc; elsewhere nothing is known."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_metersphere.dist.kafka.dialling import Address, on_port

PROC = Path("/proc")

_LISTENING = "0A"
_MAIN_CLASS = b"kafka.Kafka"


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """A socket of this machine that takes TCP connections.

    Attributes:
        address: what it is bound to; `0.0.0.0` or `::` is every address.
        port: and its port.
        inode: the socket's number, by which its owner is found.
    """

    address: str
    port: int
    inode: int

    def serves(self, address: str) -> bool:
        """Return whether connections to an address come to it."""
        mine, asked = ipaddress.ip_address(self.address), ipaddress.ip_address(address)
        mine = getattr(mine, "ipv4_mapped", None) or mine
        if mine.is_unspecified:
            # on `::` Linux takes IPv4 connections, too, unless told otherwise
            return mine.version == 6 or asked.version == 4
        return mine == asked


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine.

    Attributes:
        pid: its process id.
        name: what it calls itself, at most 15 characters.
    """

    pid: int
    name: str


def is_here(address: Address) -> bool:
    """Return whether an address, whatever its port, is one of this machine's."""
    family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind(on_port(address, 0))
        return True
    return False


def listeners() -> list[Listener] | None:
    """Return all of this machine's network, None when nobody can say."""
    found: list[Listener] = []
    known = False
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            found += _listeners((PROC / "net" / name).read_text())
            known = True
    return found if known else None


def owner(listener: Listener) -> Process | None:
    """Return whose socket it is; None when this user may not see that."""
    for pid in _pids():
        if listener.inode in _sockets(pid):
            return Process(pid, _name(pid))
    return None


def brokers() -> dict[int, list[Listener]]:
    """Return the processes in this machine's network that are Kafka, with what they listen on.

    By process id; of one whose sockets this user may not see the list is empty.
    """
    ours = listeners() or []
    found = {}
    for pid in _pids():
        with contextlib.suppress(OSError):
            arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            if _MAIN_CLASS in arguments and _shares_network(pid):
                mine = _sockets(pid)
                found[pid] = [each for each in ours if each.inode in mine]
    return found


def _listeners(table: str) -> Iterator[Listener]:
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTENING:
            with contextlib.suppress(ValueError, struct.error):
                address, _, port = fields[1].partition(":")
                yield Listener(_address(address), int(port, 16), int(fields[9]))


def _address(text: str) -> str:
    """Return an address that the kernel writes as words of 32 bits, each in the machine's own order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"{'<' if sys.byteorder == 'little' else '>'}{len(words)}I", *words)
    return str(ipaddress.ip_address(packed))


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _sockets(pid: int) -> set[int]:
    """Return the numbers of the sockets that a process holds, none when this user may not see them."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError, ValueError):
                link = str(entry.readlink())
                if link.startswith("socket:["):
                    found.add(int(link[8:-1]))
    return found


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "comm").read_text().strip()
    return "?"


def _shares_network(pid: int) -> bool:
    """Return whether a process is in this machine's network, as far as this user may see."""
    try:
        return (PROC / str(pid) / "ns" / "net").readlink() == (PROC / "self" / "ns" / "net").readlink()
    except OSError:
        return True
