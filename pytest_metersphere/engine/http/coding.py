"""Content codings (RFC 9110, 8.4.1): what was packed for the way is unpacked, within bounds."""

from __future__ import annotations

import functools
import importlib
import zlib
from collections.abc import Callable
from typing import Any

from pytest_metersphere.engine.http.faults import Fault, invalid

MAX_BODY = 256 << 20
"""The most bytes of a body, packed or unpacked."""
_STEP = 1 << 20
_GZIP = 31

Decoder = Callable[[bytes], bytes]


def too_large() -> Fault:
    """Return the fault of a body above MAX_BODY."""
    return Fault("protocol", f"a body of more than {MAX_BODY >> 20} MiB")


def accepted() -> list[str]:
    """Return the codings that can be unpacked here."""
    return [name for name in ("gzip", "deflate", "br", "zstd") if _decoder(name) is not None]


def decoded(body: bytes, codings: str) -> bytes:
    """Return a body unpacked, by the value of its Content-Encoding; unknown codings are left as they are.

    Raises:
        Fault: it is not what it says, or larger than MAX_BODY.
    """
    names = [name.strip().lower() for name in codings.split(",") if name.strip()]
    if len(names) > 3:
        raise invalid(f"{len(names)} content codings")
    for name in reversed(names):
        decoder = _decoder(name)
        if decoder is None:
            return body
        if body:
            try:
                body = decoder(body)
            except Fault:
                raise
            except Exception as error:  # noqa: BLE001 - each library has exceptions of its own
                raise invalid(f"the body is not {name}: {error}") from None
    return body


@functools.cache
def _decoder(name: str) -> Decoder | None:
    if name in ("gzip", "x-gzip"):
        return _gunzip
    if name == "deflate":
        return _inflate
    if name == "identity":
        return bytes
    return _brotli() if name == "br" else _zstd() if name == "zstd" else None


def _gunzip(body: bytes) -> bytes:
    """Unpack all members of a gzip body."""
    unpacked = b""
    while body:
        member, body = _unzip(body, _GZIP, MAX_BODY - len(unpacked))
        unpacked += member
    return unpacked


def _inflate(body: bytes) -> bytes:
    """Unpack zlib's format, or the bare deflate that some servers send in its place."""
    try:
        return _unzip(body, zlib.MAX_WBITS, MAX_BODY)[0]
    except zlib.error:
        return _unzip(body, -zlib.MAX_WBITS, MAX_BODY)[0]


def _unzip(body: bytes, window: int, room: int) -> tuple[bytes, bytes]:
    unzip = zlib.decompressobj(window)
    unpacked = unzip.decompress(body, room + 1)
    if len(unpacked) > room:
        raise too_large()
    if not unzip.eof:
        raise invalid("the packed body is cut short")
    return unpacked, unzip.unused_data


def _brotli() -> Decoder | None:
    """Return a decoder when the package brotli is there and can be bounded (from 1.2 on)."""
    brotli = _imported("brotli")
    if brotli is None or not hasattr(brotli.Decompressor, "can_accept_more_data"):
        return None

    def decode(body: bytes) -> bytes:
        unpack = brotli.Decompressor()

        def step(data: bytes) -> tuple[bytes, bool]:
            return unpack.process(data, output_buffer_limit=_STEP), unpack.is_finished()

        return _in_steps(step, body, MAX_BODY)

    return decode


def _zstd() -> Decoder | None:
    """Return a decoder when Python (from 3.14 on) or the package backports.zstd brings one."""
    zstd = _imported("compression.zstd") or _imported("backports.zstd")
    if zstd is None:
        return None

    def decode(body: bytes) -> bytes:
        unpacked = b""
        while body:
            frame = zstd.ZstdDecompressor()
            unpacked += _in_steps(functools.partial(_zstd_step, frame), body, MAX_BODY - len(unpacked))
            body = frame.unused_data
        return unpacked

    return decode


def _zstd_step(frame: Any, data: bytes) -> tuple[bytes, bool]:
    return frame.decompress(data, _STEP), frame.eof


def _in_steps(step: Callable[[bytes], tuple[bytes, bool]], body: bytes, room: int) -> bytes:
    """Unpack a body by steps that return at most so much, and whether it was the last."""
    pieces: list[bytes] = []
    size, is_last = 0, False
    while not is_last:
        piece, is_last = step(b"" if pieces else body)
        if not piece and not is_last and pieces:
            raise invalid("the packed body is cut short")
        pieces.append(piece)
        size += len(piece)
        if size > room:
            raise too_large()
    return b"".join(pieces)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
