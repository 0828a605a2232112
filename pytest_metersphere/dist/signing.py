"""Signed frames: what a slice packed, behind a digest that only the run's nodes and its controller can make.

A signed frame is one byte VERSION, DIGEST_SIZE bytes of keyed BLAKE2b (RFC 7693) over that byte and the
packed frame, and the packed frame. The run's key travels in the start requests and nowhere else, so
whoever can only write to a topic, or replays what another run sent, cannot make a frame of this run.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

VERSION = 1
KEY_SIZE = 32
DIGEST_SIZE = 16
MAX_SIGNED = 1_000_000
"""Bytes above which a signed frame is not even looked at; ours are split far below."""

FRAME = b"ms-load frame"
COMMAND = b"ms-load command"
REPORT = b"ms-load report"
"""What is signed: none of them can be passed off as another (BLAKE2's personalisation, 16 bytes at most)."""

_HEAD = bytes([VERSION])
_OVERHEAD = len(_HEAD) + DIGEST_SIZE


class SignatureError(Exception):
    """Bytes that are no frame signed with the run's key."""


def new_key() -> bytes:
    """Return a key for one run."""
    return secrets.token_bytes(KEY_SIZE)


def sign(key: bytes, frame: bytes, purpose: bytes = FRAME) -> bytes:
    """Return a packed frame, or something packed for another purpose, with its signature in front."""
    return _HEAD + _digest(key, frame, purpose) + frame


def verified(key: bytes, signed: bytes, purpose: bytes = FRAME) -> tuple[bytes, bytes]:
    """Return the digest and the packed frame of a signed one, in constant time.

    The digest stands for the content: two frames of one run with the same digest are the same.

    Raises:
        SignatureError: too large, too short, of another version, or signed with another key or for another
            purpose.
    """
    if not _OVERHEAD <= len(signed) <= MAX_SIGNED:
        raise SignatureError(f"{len(signed)} bytes are no signed frame")
    head, digest, frame = signed[: len(_HEAD)], signed[len(_HEAD) : _OVERHEAD], signed[_OVERHEAD:]
    if head != _HEAD or not hmac.compare_digest(digest, _digest(key, frame, purpose)):
        raise SignatureError("the signature is not that of this run")
    return digest, frame


def _digest(key: bytes, frame: bytes, purpose: bytes) -> bytes:
    mac = hashlib.blake2b(_HEAD, digest_size=DIGEST_SIZE, key=key, person=purpose)
    mac.update(frame)
    return mac.digest()
