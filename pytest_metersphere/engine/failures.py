"""How samples and iterations fail: the exceptions users see, their kinds, and their grouping."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_metersphere.errors import MeterSphereError

if TYPE_CHECKING:
    from pytest_metersphere.engine.http import Response

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_HASH = r"(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}"
_VARIABLE = re.compile(rf"{_UUID}|\b{_HASH}\b|0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
_SEGMENT = re.compile(rf"{_UUID}|{_HASH}|[0-9a-fA-F]{{16,}}|\d+")
_MAX_MESSAGE = 300
_MOST_CAUSES = 20
_PACKAGE = Path(__file__).parents[1]


EXHAUSTION = ("descriptors", "ports")
"""The kinds of failures that are this machine's own: nothing is left to make a connection with."""


class RequestError(MeterSphereError):
    """An HTTP sample failed.

    Attributes:
        kind: status, refused, reset, timeout, dns, tls, protocol, descriptors or ports.
        group: the text under which reports count it.
    """

    def __init__(self, message: str, *, kind: str, group: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.group = group


class StatusError(RequestError):
    """The answer has a status of 400 or above that `expect=` does not allow.

    Attributes:
        response: the answer, read to its end.
    """

    def __init__(self, message: str, response: Response) -> None:
        group = f"{response.status_code} {generalised(response.reason)}".strip()
        super().__init__(message, kind="status", group=group)
        self.response = response


class ConnectionFailure(RequestError):
    """The connection could not be made, or broke before the answer was complete."""


class RequestTimeout(RequestError):
    """The answer was not complete within `timeout`."""


class Interrupted(BaseException):
    """Raised in a thread whose user must go; never caught by `except Exception`."""


def generalised(message: str) -> str:
    """Return a message with numbers, UUIDs and hashes as `{}`, cut to its first line."""
    first = next(iter(message.strip().splitlines()), "")
    return _VARIABLE.sub("{}", first)[:_MAX_MESSAGE]


def path_label(method: str, path: str) -> str:
    """Return a request's label: method and path, with segments that are numbers, UUIDs or hashes as `{}`."""
    segments = ("{}" if _SEGMENT.fullmatch(segment) else segment for segment in path.split("/"))
    return f"{method} {'/'.join(segments) or '/'}"


def kind_of(error: BaseException) -> str:
    """Return the kind under which a failure is counted."""
    exhausted = _exhaustion(error)
    if exhausted:
        return exhausted
    if isinstance(error, RequestError):
        return error.kind
    if isinstance(error, AssertionError):
        return "assert"
    return "failed" if isinstance(error, pytest.fail.Exception) else "exception"


def _exhaustion(error: BaseException | None) -> str:
    """Return which of EXHAUSTION is behind an exception, of whichever library; empty for neither."""
    for _ in range(_MOST_CAUSES):
        if error is None or isinstance(error, StatusError | AssertionError):
            break
        if isinstance(error, OSError):
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return "descriptors"
            if error.errno == errno.EADDRNOTAVAIL and ports_are_short():
                return "ports"
        error = error.__cause__ or error.__context__
    return ""


def ports_are_short(proc: Path = Path("/proc")) -> bool:
    """Return whether half of the local ports are taken, or nobody says how many are.

    That is what tells EADDRNOTAVAIL for want of a port from that for an address which is not there, such as
    `::1` on a machine without IPv6.
    """
    try:
        low, high = map(int, (proc / "sys/net/ipv4/ip_local_port_range").read_text().split())
        sockets = (proc / "net/sockstat").read_text()
        found = re.search(r"^TCP: inuse (\d+).* tw (\d+)", sockets, re.MULTILINE)
        taken = sum(map(int, found.groups())) if found else high
    except (OSError, ValueError):
        return True
    return taken * 2 >= high - low + 1


def group_of(error: BaseException) -> str:
    """Return the message under which a failure is counted."""
    if isinstance(error, RequestError):
        return error.group
    text = generalised(_said(error))
    if isinstance(error, AssertionError):
        return text or f"assertion failed at {_place(error)}"
    if isinstance(error, pytest.fail.Exception):
        return text or "pytest.fail"
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def exemplar(error: BaseException, *, user: int, iteration: int, node: str) -> str:
    """Return a failure in full: who, when, and the traceback from the scenario on, with relative paths."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [_below_here(frame) for frame in frames if not Path(frame.filename).is_relative_to(_PACKAGE)]
    where = "".join(traceback.format_list(own))
    what = "".join(traceback.format_exception_only(error)).removeprefix(f"{__name__}.")
    return f"node {node}, user {user}, iteration {iteration}\n{where}{what}".rstrip()


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot say what it is must not end its user
        return ""


def _below_here(frame: traceback.FrameSummary) -> traceback.FrameSummary:
    path = Path(frame.filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return traceback.FrameSummary(str(shown), frame.lineno, frame.name, line=frame.line)


def _place(error: BaseException) -> str:
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    last = [*frames][-1:]
    return f"{last[0].filename.rsplit('/', 1)[-1]}:{last[0].lineno}" if last else "an unknown place"
