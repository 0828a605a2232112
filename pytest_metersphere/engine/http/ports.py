"""Local ports: in which part of their range the kernel looks for a free one.

For a new connection Linux looks for a local port that is free towards the server, one after the other, all
even ones before the odd ones or the other way round. With half of them in use towards one server, that takes
a millisecond a connection, during which the process does nothing else. Since 6.3 a socket can have the kernel
look in a part of the range (IP_LOCAL_PORT_RANGE, ip(7)): here each socket names another part.
"""

from __future__ import annotations

import errno
import functools
import itertools
import random
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

TRIES = 4
"""How many parts of the range are tried before all of it is."""
_IP_LOCAL_PORT_RANGE = 51
_PART = 256
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def narrow(sock: socket.socket) -> bool:
    """Let a new socket get its local port from the next part of the range; False where that is not known."""
    parts = _parts()
    if parts is None:
        return False
    try:
        sock.setsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, next(parts))
    except OSError:
        return False
    return True


def is_full(error: OSError) -> bool:
    """Return whether a connection failed because there was no free port in the part, or anywhere."""
    return error.errno == errno.EADDRNOTAVAIL


@functools.cache
def _parts() -> Iterator[bytes] | None:
    """Return the parts of the range as the kernel takes them, over and over; None where it does not."""
    if sys.platform != "linux":
        return None
    try:
        low, high = map(int, _RANGE.read_text().split())
    except (OSError, ValueError):
        return None
    options = parts_of(low, high)
    # processes that begin together are not to ask for the same ports
    at = random.randrange(len(options)) if options else 0
    return itertools.cycle(options[at:] + options[:at]) if options else None


def parts_of(low: int, high: int) -> list[bytes]:
    """Return the range of ports from `low` to `high` (inclusive) in parts.

    A part is 32 bits: its lowest port in the lower 16, its highest in the upper. A short range has no parts.
    """
    count = (high - low + 1) // _PART
    if count < 2:
        return []
    begins = [low + part * _PART for part in range(count)]
    ends = [*(begin - 1 for begin in begins[1:]), high]
    return [struct.pack("=I", begin | end << 16) for begin, end in zip(begins, ends, strict=True)]
