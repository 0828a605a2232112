"""The rows of a data file that users have, one each, on their way to the users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from pytest_metersphere.errors import ConfigError

_json = msgspec.json.Decoder(dict[str, Any])
_fields = msgspec.msgpack.Decoder(list[str])
_encoder = msgspec.msgpack.Encoder()


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows leased to the users of one scenario: user k has row `(first + k - 1) % length`.

    Rows are numbered from 0. Only those of the users here are held, and each as bytes: a row becomes
    a dict when its user asks for it.

    Attributes:
        names: the header of a CSV file, whose rows are MessagePack arrays of text; None for JSON Lines,
            whose rows are the lines.
        length: how many rows of the file go round; with one row for every user, at least as many.
        rows: the rows by number.
        first: the row of user 1; above 0 when other scenarios of the run have the rows before it.
    """

    names: list[str] | None
    length: Annotated[int, msgspec.Meta(ge=1)]
    rows: dict[int, bytes]
    first: Annotated[int, msgspec.Meta(ge=0)] = 0

    def of(self, user: int) -> dict[str, Any]:
        """Return the row of a user (its number in the scenario, from 1), a dict of its own.

        Raises:
            ConfigError: the row is not among those here.
        """
        row = self.rows.get(self._number(user))
        if row is None:
            raise ConfigError(f"no row for user {user} came with the request")
        if self.names is None:
            return _json.decode(row)
        return dict(zip(self.names, _fields.decode(row), strict=True))

    def only_of(self, users: Iterable[int]) -> Rows:
        """Return the same with the rows of these users only, as far as they are here; bytes are shared."""
        numbers = {self._number(user) for user in users} & self.rows.keys()
        return msgspec.structs.replace(self, rows={n: self.rows[n] for n in sorted(numbers)})

    def users(self, wanted: int) -> int:
        """Return how many of the users 1 to `wanted` have a row that nobody has before them."""
        return min(wanted, max(0, self.length - self.first))

    @property
    def size(self) -> int:
        """Return the bytes of the rows."""
        return sum(map(len, self.rows.values()))

    def _number(self, user: int) -> int:
        return (self.first + user - 1) % self.length


def packed_fields(fields: list[str]) -> bytes:
    """Return a row of a CSV file as it is kept."""
    return _encoder.encode(fields)


def checked_line(line: bytes) -> bytes:
    """Return a line of a JSON Lines file as it is kept.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is no JSON object.
    """
    _json.decode(line)
    return line
