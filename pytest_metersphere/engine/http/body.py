"""What a request carries: JSON, forms, files, text, bytes, and streams."""

from __future__ import annotations

import json as json_codec
import mimetypes
import os
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode

_PIECE = 1 << 16
_ESCAPES = str.maketrans({"\r": "%0D", "\n": "%0A", '"': "%22"})
OCTETS = "application/octet-stream"


class Body:
    """The body of a request.

    Attributes:
        kind: its Content-Type.
        content: all of it, when it is at hand.
        size: its length in bytes, None when only its end will tell.
    """

    __slots__ = ("_source", "_start", "content", "kind", "size")

    def __init__(self, kind: str, content: bytes = b"", source: Any = None, size: int | None = None) -> None:
        self.kind = kind
        self.content = content
        self.size = len(content) if source is None else size
        self._source = source
        self._start: int | None = _position(source)

    @property
    def streams(self) -> bool:
        """Return whether it is sent piece by piece."""
        return self._source is not None

    def rewind(self) -> bool:
        """Return to its beginning, to be sent again; False when it cannot."""
        if self._source is None:
            return True
        if self._start is None:
            return False
        self._source.seek(self._start)
        return True

    def pieces(self) -> Iterator[bytes]:
        """Return its pieces, framed as they are sent.

        Raises:
            TypeError: the stream yields something else than bytes, or only asynchronously.
        """
        if isinstance(self._source, AsyncIterable):
            raise TypeError("data= is an async iterator, which a plain def scenario cannot read")
        for piece in _read(self._source):
            if piece:
                yield self._framed(piece)
        if self.size is None:
            yield b"0\r\n\r\n"

    async def pieces_async(self) -> AsyncIterator[bytes]:
        """Return the same pieces of a stream of either kind."""
        if not isinstance(self._source, AsyncIterable):
            for framed in self.pieces():
                yield framed
            return
        async for piece in self._source:
            if piece:
                yield self._framed(piece)
        yield b"0\r\n\r\n"

    def _framed(self, piece: Any) -> bytes:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise TypeError(f"data= is a stream of {type(piece).__name__}, and must be one of bytes")
        data = bytes(piece)
        return data if self.size is not None else b"%x\r\n%b\r\n" % (len(data), data)


def body_of(json: Any, data: Any, files: Mapping[str, Any] | None) -> Body | None:
    """Return the body that the arguments of a request ask for, None without one.

    Raises:
        TypeError: the arguments exclude each other, or make no body.
    """
    if files is not None:
        if json is not None:
            raise TypeError("json= and files= exclude each other; send the fields by data=")
        return _multipart(data, files)
    if json is not None:
        if data is not None:
            raise TypeError("json= and data= exclude each other")
        return Body("application/json", json_codec.dumps(json).encode())
    if data is None:
        return None
    return _plain(data)


def _plain(data: Any) -> Body:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return Body(OCTETS, bytes(data))
    if isinstance(data, str):
        return Body("text/plain; charset=utf-8", data.encode())
    if isinstance(data, Mapping) or _is_pairs(data):
        return Body("application/x-www-form-urlencoded", urlencode(data, doseq=True).encode())
    if callable(getattr(data, "read", None)):
        return Body(OCTETS, source=data, size=_size_of_file(data))
    if isinstance(data, (Iterable, AsyncIterable)):
        return Body(OCTETS, source=data)
    raise TypeError(
        f"data={data!r}: give bytes, a text, a mapping for a form, a file, or an iterator of bytes"
    )


def _is_pairs(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and all(
        isinstance(pair, tuple) and len(pair) == 2 for pair in data
    )


def _position(source: Any) -> int | None:
    try:
        position = source.tell()
    except (AttributeError, OSError):
        return None
    return position if isinstance(position, int) else None


def _size_of_file(file: Any) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size - int(file.tell())
    except (AttributeError, OSError, ValueError):
        pass
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (AttributeError, OSError, ValueError):
        return None
    return int(end - here)


def _read(source: Any) -> Iterator[Any]:
    read = getattr(source, "read", None)
    if not callable(read):
        yield from source
        return
    while piece := read(_PIECE):
        yield piece


def _multipart(data: Any, files: Mapping[str, Any]) -> Body:
    """Return a form with files (RFC 7578); fields and files are read here and now."""
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in _fields(data):
        parts.append(_part_head(boundary, name) + b"\r\n\r\n" + _as_bytes(value) + b"\r\n")
    for name, given in files.items():
        filename, content, kind = _file(name, given)
        head = _part_head(boundary, name)
        head += f'; filename="{filename.translate(_ESCAPES)}"\r\nContent-Type: {kind}'.encode()
        parts.append(head + b"\r\n\r\n" + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return Body(f"multipart/form-data; boundary={boundary}", b"".join(parts))


def _fields(data: Any) -> Iterator[tuple[str, Any]]:
    if data is None:
        return
    if not isinstance(data, Mapping):
        raise TypeError(f"data={data!r}: beside files=, give a mapping of the form's fields")
    for name, value in data.items():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            yield name, one


def _part_head(boundary: str, name: str) -> bytes:
    field = str(name).translate(_ESCAPES)
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"'.encode()


def _file(name: str, given: Any) -> tuple[str, bytes, str]:
    """Return file name, content and type of a file given as content or as (name, content[, type])."""
    parts = list(given) if isinstance(given, tuple) else [_name_of(given) or name, given]
    if len(parts) not in (2, 3) or not isinstance(parts[0], str):
        raise TypeError(
            f"files={{{name!r}: …}}: give a file, bytes, or (name, content) or (name, content, type)"
        )
    kind = parts[2] if len(parts) == 3 else mimetypes.guess_type(parts[0])[0] or OCTETS
    if not isinstance(kind, str) or "\r" in kind or "\n" in kind:
        raise ValueError(f"files={{{name!r}: …}}: {kind!r} is no content type")
    return parts[0], _as_bytes(parts[1]), kind


def _name_of(file: Any) -> str:
    name = getattr(file, "name", "")
    return PurePath(name).name if isinstance(name, str) else ""


def _as_bytes(value: Any) -> bytes:
    if callable(getattr(value, "read", None)):
        value = value.read()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return str(value).encode()
