"""Messages to and from containers: signed, for one purpose, and everything else is garbage."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist import control
from pytest_metersphere.dist.control import (
    Command,
    Commission,
    GoCommand,
    LogReport,
    ParcelChunk,
    ParcelHead,
    Report,
)
from pytest_metersphere.dist.node.refusal import Refused
from pytest_metersphere.dist.node.runner import Parcel
from pytest_metersphere.dist.signing import new_key, sign
from pytest_metersphere.dist.wire import PROTOCOL, KafkaAccess
from pytest_metersphere.errors import WireError

KEY = new_key()
COMMAND = Command(run="r", slice="r-1", number=1, order=GoCommand())
REPORT = Report(
    protocol=PROTOCOL, version="1", run="r", slice="r-1", number=1, clock=0.0, content=LogReport(text="x")
)
COMMISSION = Commission(
    protocol=PROTOCOL,
    version="1",
    run="r",
    slice="r-1",
    node="n1",
    key=KEY,
    kafka=KafkaAccess(servers=("k:1",), password="secret"),
    partition=0,
    offset=0,
)


def test_messages_come_back_as_they_were() -> None:
    """Both kinds, and what a container is told."""
    assert control.opened_command(KEY, control.sealed(KEY, COMMAND)) == COMMAND
    assert control.opened_report(KEY, control.sealed(KEY, REPORT)) == REPORT
    assert control.read(control.written(COMMISSION)) == COMMISSION


def test_secrets_do_not_show() -> None:
    """A commission's repr has neither key nor password in it."""
    assert repr(KEY) not in repr(COMMISSION)
    assert "secret" not in repr(COMMISSION)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        control.sealed(new_key(), COMMAND),
        control.sealed(KEY, REPORT),
        sign(KEY, b"\x80"),
        control.sealed(KEY, COMMAND)[:-1],
        bytes(2_000_000),
    ],
    ids=["empty", "garbage", "another key", "a report", "a frame", "cut", "huge"],
)
def test_what_is_no_command(value: bytes) -> None:
    """A report or a frame of the run is none, though its signature is good."""
    with pytest.raises(WireError, match="no command of this run"):
        control.opened_command(KEY, value)


@given(st.binary(max_size=300))
def test_anything_may_be_in_a_record(value: bytes) -> None:
    """Signed by the right key or not, it is refused with one kind of error."""
    for hostile in (value, sign(KEY, value, b"ms-load command"), sign(KEY, value, b"ms-load report")):
        with pytest.raises(WireError):
            control.opened_command(KEY, hostile)
        with pytest.raises(WireError):
            control.opened_report(KEY, hostile)


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", "gA=="])
def test_what_is_no_commission(text: str) -> None:
    """The variable is named, its content is not shown."""
    with pytest.raises(WireError, match="PYTEST_MS_RUNNER"):
        control.read(text)


@given(st.integers(0, 2**64 - 1), st.integers(1, 100))
def test_a_run_has_a_partition(run: int, partitions: int) -> None:
    """One that there is."""
    assert 0 <= control.partition_of(f"{run:016x}", partitions) < partitions


def head_of(content: bytes, chunks: int) -> ParcelHead:
    """Return the head of a parcel."""
    return ParcelHead(size=len(content), chunks=chunks, sha256=hashlib.sha256(content).digest())


@given(st.binary(max_size=200), st.integers(1, 50))
def test_a_parcel_is_put_together(content: bytes, size: int) -> None:
    """Whatever the chunks are, and also when there is nothing in it."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    parcel = Parcel("bundle", 200)
    parcel.begin(head_of(content, len(pieces)))
    for index, piece in enumerate(pieces):
        assert parcel.content is None
        parcel.add(ParcelChunk(index=index, content=piece))

    assert parcel.content == content


def test_a_chunk_without_a_head() -> None:
    """Nobody said that something comes."""
    with pytest.raises(Refused, match="has a chunk 0 out of turn"):
        Parcel("bundle", 100).add(ParcelChunk(index=0, content=b"x"))


@pytest.mark.parametrize(
    "head",
    [
        ParcelHead(size=101, chunks=1, sha256=b""),
        ParcelHead(size=-1, chunks=1, sha256=b""),
        ParcelHead(size=1, chunks=-1, sha256=b""),
        ParcelHead(size=10, chunks=2**62, sha256=b""),
    ],
)
def test_heads_that_make_no_sense(head: ParcelHead) -> None:
    """Nothing is kept ready for them."""
    with pytest.raises(Refused, match="makes no sense"):
        Parcel("bundle", 100).begin(head)


def test_a_second_head() -> None:
    """One bundle is enough."""
    parcel = Parcel("bundle", 100)
    parcel.begin(head_of(b"abc", 2))
    with pytest.raises(Refused, match="makes no sense"):
        parcel.begin(head_of(b"abc", 2))


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        ([(1, b"abc")], "a chunk 1 out of turn"),
        ([(0, b"abc"), (0, b"def")], "a chunk 0 out of turn"),
        ([(-1, b"abc")], "a chunk -1 out of turn"),
        ([(0, b"abcdefg")], "is larger than was said"),
        ([(0, b"abc"), (1, b"deX")], "its SHA-256 differs"),
        ([(0, b"abc"), (1, b"de")], "its size or its SHA-256 differs"),
        ([(0, b"abc"), (1, b"def"), (2, b"")], "a chunk 2 out of turn"),
    ],
)
def test_hostile_chunks(chunks: list[tuple[int, bytes]], told: str) -> None:
    """Out of turn, too much, or not what was announced."""
    parcel = Parcel("bundle", 100)
    parcel.begin(head_of(b"abcdef", 2))
    *first, last = [ParcelChunk(index=index, content=content) for index, content in chunks]
    for chunk in first:
        parcel.add(chunk)
    with pytest.raises(Refused, match=told):
        parcel.add(last)
