"""Reads data files: CSV with a header (RFC 4180) and JSON Lines, in UTF-8.

A file is read as a stream, line by line, so that its size does not matter: what is kept of it are the
rows that users will have.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from pytest_metersphere.engine.rows import Rows, checked_line, packed_fields
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.units import format_size

MAX_LINE = 1 << 20
"""The longest line of a data file, in bytes."""

_BOM = b"\xef\xbb\xbf"


def read_rows(path: Path, name: str, most: int) -> Rows:
    """Return the first `most` rows of a file, or all of them when it has fewer; the rest is not looked at.

    Args:
        path: the file; one that ends with .jsonl is read as JSON Lines, any other as CSV.
        name: what messages call it.
        most: rows to read, at least 1.

    Raises:
        ConfigError: it cannot be read, has no row, or a line that is not understood; says which.
    """
    with _opened(path, name) as (names, rows):
        found = dict(enumerate(itertools.islice(rows, most)))
    if not found:
        raise ConfigError(f"{name} {'is empty' if names is None else 'has a header and no row'}")
    return Rows(names=names, length=len(found), rows=found)


def check(path: Path, name: str, most: int | None = None) -> int:
    """Read a file, or its first `most` rows, keeping nothing of it, and return the number of rows read.

    Raises:
        ConfigError: as read_rows.
    """
    with _opened(path, name) as (names, rows):
        count = sum(1 for _ in itertools.islice(rows, most))
    if not count:
        raise ConfigError(f"{name} {'is empty' if names is None else 'has a header and no row'}")
    return count


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[list[str] | None, Iterator[bytes]]]:
    """Yield the header (None without one) and the rows."""
    if not path.exists():
        raise ConfigError(f"there is no file {name}")
    if not path.is_file():
        raise ConfigError(f"{name} is no file")
    try:
        with path.open("rb") as file:
            lines = _Lines(file, name)
            yield (None, _json_rows(lines)) if path.suffix.lower() == ".jsonl" else _csv_rows(lines)
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from None


class _Lines:
    """The lines of a file, counted.

    Attributes:
        name: what messages call the file.
        number: that of the line read last, from 1.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.number = 0
        self._file = file
        self.name = name

    def __iter__(self) -> Iterator[bytes]:
        while line := self._file.readline(MAX_LINE + 1):
            self.number += 1
            if len(line) > MAX_LINE:
                raise self.mistake(f"the line is longer than {format_size(MAX_LINE)}")
            yield line.removeprefix(_BOM) if self.number == 1 else line

    def texts(self) -> Iterator[str]:
        for line in self:
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise self.not_utf8(error) from None

    def mistake(self, what: str, line: int | None = None) -> ConfigError:
        return ConfigError(f"{self.name}:{self.number if line is None else line}: {what}")

    def not_utf8(self, error: UnicodeDecodeError) -> ConfigError:
        byte = error.object[error.start]
        return self.mistake(f"the byte 0x{byte:02x} is not UTF-8; save the file in UTF-8")


def _json_rows(lines: _Lines) -> Iterator[bytes]:
    for line in lines:
        row = line.strip()
        if not row:
            continue
        try:
            yield checked_line(row)
        except UnicodeDecodeError as error:
            raise lines.not_utf8(error) from None
        except (msgspec.MsgspecError, RecursionError) as error:
            raise lines.mistake(f"the line is no JSON object: {error}") from None


def _csv_rows(lines: _Lines) -> tuple[list[str], Iterator[bytes]]:
    records = _records(lines)
    place, header = next(records, (0, []))
    if not header:
        raise ConfigError(f"{lines.name} is empty; its first line is to name the columns")
    for column, name in enumerate(header, start=1):
        if not name.strip():
            raise lines.mistake(f"column {column} has no name; the first line names the columns", place)
        if name in header[: column - 1]:
            raise lines.mistake(f"two columns are named {name!r}", place)

    def rows() -> Iterator[bytes]:
        for number, fields in records:
            if len(fields) != len(header):
                found = f"{len(fields)} field{'s' if len(fields) > 1 else ''}"
                raise lines.mistake(f"{found}, where the header has {len(header)}", number)
            yield packed_fields(fields)

    return header, rows()


def _records(lines: _Lines) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not empty, each with the line on which it begins."""
    reader = csv.reader(lines.texts(), strict=True)
    begin = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise lines.mistake(f"the record that begins here is no CSV: {error}", begin) from None
        if fields:
            yield begin, fields
        begin = lines.number + 1
