"""What workers print is kept, up to a limit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_metersphere.dist.node.log import OutputPipe, SliceLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the log may be."""
    return tmp_path / "workers.log"


@pytest.fixture
def log(path: Path) -> Iterator[SliceLog]:
    """Return a log of at most 1,000 bytes."""
    log = SliceLog(path, 1000)
    yield log
    log.close()


def test_the_tail_begins_with_a_whole_line(log: SliceLog) -> None:
    """A line that does not fit whole is left out; what fits whole is all there."""
    log.write(b"first line\nsecond line\n")

    assert log.tail(1000) == b"first line\nsecond line\n"
    assert log.tail(15) == b"second line\n"


def test_a_line_longer_than_the_tail_is_cut(log: SliceLog) -> None:
    """Output without a line break is not lost over it."""
    log.write(b"x" * 100)

    assert log.tail(10) == b"x" * 10


def test_the_file_stays_within_its_limit(log: SliceLog, path: Path) -> None:
    """Of endless output the last is kept, and a line says that something is missing."""
    for number in range(1000):
        log.write(f"line {number}\n".encode())
        assert path.stat().st_size <= 1000

    assert log.tail(1000).startswith(b"[... earlier output was dropped ...]\n")
    assert log.tail(1000).endswith(b"line 998\nline 999\n")


def test_one_piece_above_the_limit_is_cut(log: SliceLog, path: Path) -> None:
    """A single huge piece leaves its end."""
    log.write(b"x" * 10_000 + b"end")

    assert path.stat().st_size <= 1000
    assert log.tail(1000).endswith(b"xxxend")


def test_a_closed_log_is_empty(log: SliceLog) -> None:
    """Closing twice and reading afterwards are harmless."""
    log.write(b"line\n")
    log.close()
    log.close()

    assert log.tail(1000) == b""


def test_a_pipe_brings_output_into_the_log(log: SliceLog) -> None:
    """What was printed is in the log after draining; an empty or closed pipe is no trouble."""
    pipe = OutputPipe(log)
    pipe.drain()
    os.write(pipe.writing, b"printed\n")
    pipe.drain()
    pipe.close()
    pipe.drain()
    pipe.close()

    assert log.tail(1000) == b"printed\n"
