"""What a container may be called, and which one a path means: one by its whole name, not by a part."""

from __future__ import annotations

import re
from collections.abc import Callable

from pytest_metersphere.dist.metersphere.names import container
from pytest_metersphere.dist.node.metersphere_api.declined import Declined

RESERVED = "pytest-metersphere-"
"""How the containers of our slices begin."""
MAX_NAME = 200
"""Characters of a name at most; MeterSphere's ids have 36."""

_NAME = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9_.-]{{1,{MAX_NAME - 1}}}", re.ASCII)
_START = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9_.-]{{0,{MAX_NAME - 1}}}", re.ASCII)
_SHOWN = 80


def new_name(text: str) -> str:
    """Return a TEST_ID when a container may be started under it.

    Raises:
        Declined: it is empty, of other characters than Docker takes, or a name of our own containers.
    """
    if not text:
        raise Declined(
            "TEST_ID is missing or empty: it is the name of the container. (A stock node-controller would now"
            " have removed every container of its machine.)"
        )
    if text.startswith(RESERVED):
        raise Declined(
            f"Invalid container name ({shown(text)}): {RESERVED}… are the names of our own containers"
        )
    return _sound(text)


def whole_name(text: str) -> str:
    """Return the name that the end of a path means: `x`, or `^x$` as for a stock node-controller.

    Raises:
        Declined: no container can have it.
    """
    anchored = text.startswith("^") and text.endswith("$")
    return _sound(text[1:-1] if anchored else text)


def matching(text: str) -> Callable[[str], bool]:
    """Return which names the end of a path for the status means: one, or with `^x` those that begin so.

    Raises:
        Declined: no container can have it.
    """
    if text.startswith("^") and not text.endswith("$"):
        if not _START.fullmatch(text[1:]):
            raise _invalid(text)
        return lambda name: name.startswith(text[1:])
    return whole_name(text).__eq__


def users_of(name: str) -> int | None:
    """Return the users of a container, which only the names of our own runners say; None for others."""
    told = container(name)
    return None if told is None else told.users


def shown(text: str) -> str:
    """Return a text of a stranger for a message, shortened."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _sound(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise _invalid(text)
    return text


def _invalid(text: str) -> Declined:
    return Declined(
        f"Invalid container name ({shown(text)}): only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to {MAX_NAME}"
    )
