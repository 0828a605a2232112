"""The bundle: the project's code and data as one zip, packed on the controller, unpacked on the nodes."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.units import format_size

MAX_BUNDLE = 50 << 20
"""The largest bundle, packed and unpacked alike, in bytes."""
MAX_FILES = 10_000
"""The largest number of entries of a bundle."""

_CHUNK = 1 << 20
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BundleError(ConfigError):
    """A bundle that is too large, broken, or wants to write where it must not."""


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of a bundle below a folder that exists and is empty.

    Only plain files and folders with plain relative names are accepted. The unpacked size is
    measured while it is read: what the zip says about itself is not believed. When this raises,
    files may be left in the folder.

    Raises:
        BundleError: data is not a zip, or has an entry that is unsafe, double, encrypted, or beyond
            MAX_BUNDLE bytes or MAX_FILES entries in all.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_FILES:
                raise BundleError(f"the bundle has {len(entries)} entries, at most {MAX_FILES} are allowed")
            room = MAX_BUNDLE
            for entry in entries:
                room -= _unpack_entry(archive, entry, folder, room)
    except _BROKEN as error:
        raise BundleError(f"the bundle is not a sound zip file: {error}") from error
    except OSError as error:
        raise BundleError(f"the bundle cannot be unpacked: {error}") from error


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, room: int) -> int:
    """Write one entry and return its size in bytes."""
    target = folder.joinpath(*_safe_parts(entry))
    if entry.is_dir():
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = 0
    try:
        with archive.open(entry) as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > room:
                    raise BundleError(f"the bundle unpacks to more than {format_size(MAX_BUNDLE)}")
                file.write(chunk)
    except FileExistsError as error:
        raise BundleError(f"the bundle names {entry.filename!r} twice") from error
    target.chmod(0o600 | (entry.external_attr >> 16) & 0o100)
    return written


def _safe_parts(entry: zipfile.ZipInfo) -> list[str]:
    """Return the components of an entry's name, after checking that it stays inside the folder."""
    name = entry.filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BundleError(f"the bundle has {name!r}, which is a link or a special file")
    if entry.flag_bits & 0x1 or entry.compress_type not in _METHODS:
        raise BundleError(f"the bundle has {name!r} encrypted or packed in a way that is not supported")
    parts = name.removesuffix("/").split("/")
    if "\\" in name or "\0" in entry.orig_filename or any(part in ("", ".", "..") for part in parts):
        raise BundleError(f"the bundle has the unsafe path {name!r}")
    return parts
