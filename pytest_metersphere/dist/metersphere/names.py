"""How our containers on stock nodes are called: no name is part of another one's.

A stock node-controller takes TEST_ID for the container's name, and removes, when it starts one, every
container whose name *contains* it; an empty one is contained in all. So all our names have the same length.
They say which slice it is and how many users it has, because a stock node-controller knows neither.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

PREFIX = "ms-load-"
_NAME = re.compile(r"ms-load-(?P<run>[0-9a-f]{16})-(?P<index>[0-9]{6})-(?P<users>[0-9]{9})")
_SLICE = re.compile(r"(?P<run>[0-9a-f]{16})-(?P<index>[0-9]{1,6})")


class Container(NamedTuple):
    """What a container's name says.

    Attributes:
        slice: id of its slice.
        users: users of the slice.
    """

    slice: str
    users: int


def container_name(slice_id: str, users: int) -> str:
    """Return the name of a slice's container (ValueError for an id that is no slice's)."""
    found = _SLICE.fullmatch(slice_id)
    if found is None or not 0 <= users <= 999_999_999:
        raise ValueError(f"there is no container for {slice_id!r} with {users} users")
    return f"{PREFIX}{found['run']}-{int(found['index']):06d}-{users:09d}"


def container(name: str) -> Container | None:
    """Return what a name says, None when it is none of ours."""
    found = _NAME.fullmatch(name.removeprefix("/"))
    if found is None:
        return None
    return Container(f"{found['run']}-{int(found['index'])}", int(found["users"]))


def impossible_name(nonce: str) -> str:
    """Return what no container can be called, as it is no name, and what is found in no container's name.

    A stock node-controller removes what has the name in its own before it starts anything, so a name that
    is only to be refused must not be found anywhere. `nonce` is hexadecimal.
    """
    return f"{PREFIX}{nonce}!"


def exactly(name: str) -> str:
    """Return a name as the end of a path that means this container only."""
    return quote(f"^{name}$", safe="")


def ours() -> str:
    """Return the end of a path that means all our containers."""
    return quote(f"^{PREFIX}", safe="")
