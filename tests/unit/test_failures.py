"""How failures are named, grouped and shown."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.failures import (
    ConnectionFailure,
    RequestTimeout,
    StatusError,
    exemplar,
    generalised,
    group_of,
    kind_of,
    path_label,
    ports_are_short,
)

UUID = "6f1c2f5e-8a43-4f0e-9c1d-0123456789ab"


class SilentError(Exception):
    """An exception that cannot be turned into text."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def answered(status: int, reason: str) -> StatusError:
    """Return the error that an answer makes."""
    response: Any = SimpleNamespace(status_code=status, reason=reason)
    return StatusError("GET http://h/ answered", response)


def caught(function: Any) -> BaseException:
    """Return what a function raises."""
    with pytest.raises(BaseException) as info:  # noqa: PT011 - any exception is of interest here
        function()
    return info.value


@pytest.mark.parametrize(
    ("message", "general"),
    [
        ("order 4711 is gone", "order {} is gone"),
        ("took 1.5 s, -3 allowed", "took {} s, -{} allowed"),
        (f"cart {UUID} and {UUID.upper()}", "cart {} and {}"),
        ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8!", "commit {}!"),
        ("at 0x7f3a, item42", "at {}, item{}"),
        ("deadbeef facade added", "deadbeef facade added"),
        ("first line 1\nsecond line 2", "first line {}"),
        ("\n  late start 7 \n", "late start {}"),
        ("", ""),
    ],
)
def test_messages_lose_what_varies(message: str, general: str) -> None:
    """Numbers, UUIDs and hashes become `{}`, words stay, and only the first line counts."""
    assert generalised(message) == general


@given(st.text(max_size=2000))
def test_messages_stay_short(message: str) -> None:
    """A group's name has at most 300 characters and one line, and no digit of ours is left."""
    general = generalised(message)

    assert len(general) <= 300
    assert len(general.splitlines()) <= 1
    assert not any(digit in general for digit in "0123456789")


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("", "GET /"),
        ("/", "GET /"),
        ("/cart", "GET /cart"),
        ("/orders/4711/items/9", "GET /orders/{}/items/{}"),
        (f"/users/{UUID}", "GET /users/{}"),
        ("/blobs/9fceb02d0ae598e9", "GET /blobs/{}"),
        ("/blobs/abcdefabcdefabcd/", "GET /blobs/{}/"),
        ("/v2/item42/facade", "GET /v2/item42/facade"),
        ("/search/1.5", "GET /search/1.5"),
    ],
)
def test_labels_keep_the_shape_of_a_path(path: str, label: str) -> None:
    """Segments that are a number, a UUID or a hash become `{}`; segments that only contain one stay."""
    assert path_label("GET", path) == label


@pytest.mark.parametrize(
    ("error", "kind", "group"),
    [
        (answered(404, "Not Found"), "status", "404 Not Found"),
        (answered(500, "Error 4711"), "status", "500 Error {}"),
        (answered(599, ""), "status", "599"),
        (ConnectionFailure("m", kind="refused", group="refused by h:1"), "refused", "refused by h:1"),
        (RequestTimeout("m", kind="timeout", group="timeout"), "timeout", "timeout"),
        (AssertionError("assert 'queued' == 'paid'\n  - paid"), "assert", "assert 'queued' == 'paid'"),
        (pytest.fail.Exception("order 7 lost"), "failed", "order {} lost"),
        (pytest.fail.Exception(""), "failed", "pytest.fail"),
        (ValueError("no 5"), "exception", "ValueError: no {}"),
        (ValueError(), "exception", "ValueError"),
        (SystemExit(3), "exception", "SystemExit: {}"),
        (SilentError(), "exception", "SilentError"),
    ],
)
def test_failures_have_a_kind_and_a_group(error: BaseException, kind: str, group: str) -> None:
    """Reports count by kind and group, and both come from the exception alone."""
    assert (kind_of(error), group_of(error)) == (kind, group)


def test_an_assertion_without_words_is_grouped_by_its_place() -> None:
    """A bare assertion is known by file and line; one that was never raised has no place."""

    def fails() -> None:
        raise AssertionError

    assert group_of(caught(fails)).startswith("assertion failed at test_failures.py:")
    assert group_of(AssertionError()) == "assertion failed at an unknown place"


def test_an_exemplar_shows_who_and_where() -> None:
    """Node, user, iteration, and the traceback down to the line that failed."""

    def fails() -> None:
        raise ValueError("cart 7\nis empty")

    text = exemplar(caught(fails), user=12, iteration=3, node="local-1")

    first, *middle, before_last, last = text.splitlines()
    assert first == "node local-1, user 12, iteration 3"
    assert (before_last, last) == ("ValueError: cart 7", "is empty")
    assert any("test_failures.py" in line and "in fails" in line for line in middle)
    assert 'raise ValueError("cart 7\\nis empty")' in text


def test_an_exemplar_leaves_our_own_frames_out() -> None:
    """The path that an exception takes through this package is not the user's; its type has no prefix."""

    def fails() -> None:
        path_label("GET", None)  # type: ignore[arg-type]

    text = exemplar(caught(fails), user=1, iteration=0, node="n")

    assert "in fails" in text
    assert "failures.py" not in text.replace("test_failures.py", "")
    refused = exemplar(ConnectionFailure("gone", kind="reset", group="g"), user=1, iteration=0, node="n")
    assert refused == "node n, user 1, iteration 0\nConnectionFailure: gone"


def test_a_project_with_our_name_keeps_its_frames(tmp_path: Any) -> None:
    """Only this package's own folder is left out, not every folder that is called like it."""
    file = tmp_path / "pytest_metersphere" / "test_shop.py"
    names: dict[str, Any] = {}
    exec(compile("def fails():\n    raise ValueError('x')\n", str(file), "exec"), names)  # noqa: S102

    text = exemplar(caught(names["fails"]), user=1, iteration=0, node="n")

    assert "test_shop.py" in text


def test_an_exception_that_cannot_speak_has_an_exemplar_too() -> None:
    """An exception whose text raises is shown by its type."""
    text = exemplar(SilentError(), user=1, iteration=0, node="n")

    assert "SilentError" in text


def because(cause: BaseException) -> ConnectionFailure:
    """Return a failed connection, raised from a cause."""
    error = ConnectionFailure("refused", kind="refused", group="refused")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_want_of_descriptors_is_a_kind_of_its_own(number: int) -> None:
    """Whatever was wrapped around it: it is this machine's failure, not the server's."""
    found = OSError(number, "Too many open files")

    assert kind_of(found) == kind_of(because(found)) == "descriptors"
    assert kind_of(because(OSError(errno.ECONNREFUSED, "refused"))) == "refused"


def test_want_of_ports_needs_many_ports_in_use(tmp_path: Path) -> None:
    """An address that is not there, as ::1 without IPv6, fails with the same number."""
    proc(tmp_path, inuse=900, waiting=100)
    assert ports_are_short(tmp_path)
    proc(tmp_path, inuse=5, waiting=10)
    assert not ports_are_short(tmp_path)
    assert ports_are_short(tmp_path / "elsewhere")


def proc(folder: Path, *, inuse: int, waiting: int) -> None:
    """Write what Linux says of a machine with a thousand local ports."""
    (folder / "sys/net/ipv4").mkdir(parents=True, exist_ok=True)
    (folder / "net").mkdir(exist_ok=True)
    (folder / "sys/net/ipv4/ip_local_port_range").write_text("32000\t32999\n")
    line = f"TCP: inuse {inuse} orphan 0 tw {waiting} alloc 9 mem 1"
    (folder / "net/sockstat").write_text(f"sockets: used 40\n{line}\nUDP: inuse 3 mem 1\n")
