"""A slice's frames are kept in order, within a limit, and never fail the run."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.node.spool import Spool

LARGE = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a spool may be."""
    return tmp_path / "frames"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    """Return a spool of 100 bytes."""
    spool = Spool(path, 100)
    yield spool
    spool.close()


def test_an_empty_spool_has_nothing(spool: Spool) -> None:
    """Reading before anything was kept returns nothing."""
    assert spool.read(0, LARGE) == []
    assert not spool.holds_more_than(0)


def test_frames_come_back_in_order_after_a_sequence(spool: Spool) -> None:
    """Only the frames above the sequence are returned, each with its own."""
    for sequence in (1, 2, 3):
        spool.append(sequence, f"frame {sequence}".encode())

    assert spool.read(1, LARGE) == [(2, b"frame 2"), (3, b"frame 3")]
    assert spool.read(3, LARGE) == []
    assert (spool.holds_more_than(2), spool.holds_more_than(3)) == (True, False)


def test_a_read_stays_within_its_limit(spool: Spool) -> None:
    """As many frames are returned as fit, and one that alone is larger."""
    for sequence in (1, 2, 3):
        spool.append(sequence, bytes(10))

    assert [sequence for sequence, _ in spool.read(0, 20)] == [1, 2]
    assert [sequence for sequence, _ in spool.read(0, 29)] == [1, 2]
    assert [sequence for sequence, _ in spool.read(2, 3)] == [3]


def test_a_full_spool_keeps_the_oldest_and_counts_the_rest(spool: Spool, path: Path) -> None:
    """What finds no room is counted, what is there stays, and a smaller one may still fit."""
    spool.append(1, bytes(90))
    spool.append(2, bytes(20))
    spool.append(3, bytes(10))
    spool.append(4, b"x")

    assert [sequence for sequence, _ in spool.read(0, LARGE)] == [1, 3]
    assert spool.dropped == 2
    assert path.stat().st_size == 100


def test_the_file_is_private(spool: Spool, path: Path) -> None:
    """Nobody else may read what a load test saw."""
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_closed_spool_takes_and_gives_nothing(spool: Spool) -> None:
    """Closing twice, writing and reading afterwards are harmless."""
    spool.append(1, b"frame")
    spool.close()
    spool.close()
    spool.append(2, b"frame")

    assert spool.closed
    assert spool.read(0, LARGE) == []
    assert not spool.holds_more_than(0)
    assert spool.dropped == 1


def test_a_disk_without_room_drops_the_frame(spool: Spool) -> None:
    """A write that fails costs that frame only, and the next one is kept."""
    spool.append(1, b"first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, hard))
    try:
        spool.append(2, b"second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.append(3, b"third")

    assert spool.read(0, LARGE) == [(1, b"first"), (3, b"third")]
    assert spool.dropped == 1


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=60), max_size=30),
    limit=st.integers(min_value=1, max_value=200),
)
def test_pulling_in_batches_gives_every_frame_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int
) -> None:
    """Whatever the sizes and the batch limit are, following the last sequence reads each frame once."""
    spool = Spool(tmp_path_factory.mktemp("spool") / "frames", LARGE)
    frames = [(sequence, bytes([sequence]) * size) for sequence, size in enumerate(sizes, 1)]
    for sequence, frame in frames:
        spool.append(sequence, frame)

    pulled: list[tuple[int, bytes]] = []
    while batch := spool.read(pulled[-1][0] if pulled else 0, limit):
        assert len(batch) == 1 or sum(len(frame) for _, frame in batch) <= limit
        pulled += batch
    spool.close()

    assert pulled == frames
