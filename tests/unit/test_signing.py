"""Signed frames: made and checked with the run's key, refused for everyone else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist import signing
from pytest_metersphere.dist.signing import SignatureError, new_key, sign, verified

KEY = bytes(range(32))


@given(st.binary(), st.binary(min_size=32, max_size=32))
def test_a_signed_frame_is_verified_with_its_key(frame: bytes, key: bytes) -> None:
    """What was signed comes back, with a digest of fixed size."""
    digest, content = verified(key, sign(key, frame))

    assert content == frame
    assert len(digest) == signing.DIGEST_SIZE


@given(st.binary(), st.data())
def test_no_changed_byte_goes_unnoticed(frame: bytes, data: st.DataObject) -> None:
    """Version, digest and content are all covered."""
    signed = bytearray(sign(KEY, frame))
    place = data.draw(st.integers(0, len(signed) - 1))
    signed[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(SignatureError):
        verified(KEY, bytes(signed))


@given(st.binary(), st.integers(1, 17))
def test_a_cut_frame_is_refused(frame: bytes, missing: int) -> None:
    """However little is missing at the end, and whatever is left."""
    with pytest.raises(SignatureError):
        verified(KEY, sign(KEY, frame)[:-missing])


@given(st.binary(max_size=100))
def test_garbage_is_refused(garbage: bytes) -> None:
    """Bytes of any kind are a SignatureError and nothing else."""
    with pytest.raises(SignatureError):
        verified(KEY, garbage)


def test_the_key_of_another_run_is_no_key() -> None:
    """A frame signed for one run is refused in another."""
    with pytest.raises(SignatureError):
        verified(new_key(), sign(new_key(), b"frame"))


def test_the_digest_stands_for_the_content() -> None:
    """The same content has the same digest, other content another."""
    first, same, other = (verified(KEY, sign(KEY, text))[0] for text in (b"a", b"a", b"b"))

    assert first == same != other


def test_an_oversized_frame_is_refused_though_signed() -> None:
    """What is larger than any frame of ours is refused before it is looked at."""
    fits = bytes(signing.MAX_SIGNED - len(sign(KEY, b"")))

    assert verified(KEY, sign(KEY, fits))[1] == fits
    with pytest.raises(SignatureError):
        verified(KEY, sign(KEY, fits + b"\0"))


def test_keys_are_long_and_new_every_time() -> None:
    """No two runs share a key."""
    keys = {new_key() for _ in range(10)}

    assert len(keys) == 10
    assert {len(key) for key in keys} == {signing.KEY_SIZE}
