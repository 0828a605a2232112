"""Values that travel from the controller to the nodes, as MessagePack and never as pickle."""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import re
import uuid
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from pytest_metersphere.errors import TravelError
from pytest_metersphere.scenario import classes

Described = TypeVar("Described")
_MAX_DEPTH = 100
_TAG = "~"
_PLAIN = (bool, float, str, bytes)
_NAMES = (
    "None, bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, "
    "datetime, date, time, timedelta, Path, UUID, Decimal, and members of enums and instances of "
    "dataclasses that can be imported"
)
_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    complex: ("complex", lambda value: [value.real, value.imag]),
    bytearray: ("bytearray", bytes),
    uuid.UUID: ("uuid", lambda value: value.bytes),
    decimal.Decimal: ("decimal", str),
    datetime.datetime: ("datetime", lambda value: [value.isoformat(), value.fold]),
    datetime.date: ("date", lambda value: value.isoformat()),
    datetime.time: ("time", lambda value: [value.isoformat(), value.fold]),
    datetime.timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
}
_READERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda value: int(value, 16),
    "complex": lambda value: complex(*value),
    "bytearray": bytearray,
    "uuid": lambda value: uuid.UUID(bytes=value),
    "decimal": decimal.Decimal,
    "enum": lambda value: classes.member_of(*value),
    "dataclass": lambda value: classes.instance_of(
        value[0], value[1], {name: _unpacked(item) for name, item in value[2]}
    ),
    "datetime": lambda value: datetime.datetime.fromisoformat(value[0]).replace(fold=value[1]),
    "date": datetime.date.fromisoformat,
    "time": lambda value: datetime.time.fromisoformat(value[0]).replace(fold=value[1]),
    "timedelta": lambda value: datetime.timedelta(*value),
    "path": pathlib.Path,
    "tuple": lambda value: tuple(_unpacked(item) for item in value),
    "set": lambda value: {_unpacked(item) for item in value},
    "frozenset": lambda value: frozenset(_unpacked(item) for item in value),
    "dict": lambda value: {_unpacked(key): _unpacked(item) for key, item in value},
}
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){1,3}|0\.0\.0\.0|::1|::")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)


def encode(value: object) -> bytes:
    """Return the value as bytes.

    Raises:
        TravelError: it, or something inside it, is not of a type that travels; says which and where.
    """
    try:
        return msgspec.msgpack.encode(_packed(value, "", 0))
    except UnicodeEncodeError as error:
        raise TravelError(
            f"the text {error.object!r:.60} cannot travel, it is no valid Unicode: {error.reason}"
        ) from None


def decode(data: bytes) -> Any:
    """Return the value that `encode` wrote.

    Raises:
        TravelError: a class in it cannot be imported here, or is another one.
    """
    return _unpacked(msgspec.msgpack.decode(data))


def loopback_url(value: object) -> str | None:
    """Return a URL inside the value whose host is this machine's loopback, None without one."""
    if isinstance(value, str):
        return next((url for url in _URL.findall(value) if _is_loopback(url)), None)
    inside: list[object] = []
    if isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = list(value)
    elif isinstance(value, enum.Enum):
        inside = [value.value]
    elif classes.is_dataclass_instance(value):
        inside = list(classes.values_of(value))
    return next(filter(None, map(loopback_url, inside)), None)


def is_loopback_host(host: str) -> bool:
    """Return whether a host name or address means the machine itself."""
    return _LOOPBACK.fullmatch(host) is not None


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback_host(host)


def _packed(value: Any, where: str, depth: int) -> Any:
    kind = type(value)
    if value is None or kind in _PLAIN:
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 63 else {_TAG: "int", "": hex(value)}
    if depth > _MAX_DEPTH:
        raise TravelError(f"it is nested more than {_MAX_DEPTH} levels deep, or contains itself")
    if kind in _WRITERS:
        name, write = _WRITERS[kind]
        return {_TAG: name, "": write(value)}
    if isinstance(value, pathlib.PurePath):
        return {_TAG: "path", "": str(value)}
    if isinstance(value, enum.Enum):
        return {
            _TAG: "enum",
            "": _named(where, lambda: [*classes.address_of(kind), classes.member_key(value)]),
        }
    if classes.is_dataclass_instance(value):
        return _packed_dataclass(value, where, depth + 1)
    return _packed_container(value, kind, where, depth + 1)


def _packed_dataclass(value: Any, where: str, depth: int) -> Any:
    module, name = _named(where, lambda: classes.address_of(type(value)))
    fields = _named(where, lambda: classes.fields_of(value)).items()
    pairs = [[field, _packed(item, f"{where}.{field}", depth)] for field, item in fields]
    return {_TAG: "dataclass", "": [module, name, pairs]}


def _named(where: str, describe: Callable[[], Described]) -> Described:
    """Return how a class describes itself; what is wrong with it is told with its place."""
    try:
        return describe()
    except TravelError as error:
        raise TravelError(f"{error}{_place(where)}, so it cannot travel") from None


def _place(where: str) -> str:
    return f" (at {where.strip()})" if where else ""


def _packed_container(value: Any, kind: type, where: str, depth: int) -> Any:
    if kind is list:
        return [_packed(item, f"{where}[{index}]", depth) for index, item in enumerate(value)]
    if kind in (tuple, set, frozenset):
        items = [_packed(item, f"{where}[{index}]", depth) for index, item in enumerate(value)]
        return {_TAG: kind.__name__, "": items}
    if kind is dict:
        pairs = [
            [_packed(key, f"{where} key {key!r:.60}", depth), _packed(item, f"{where}[{key!r:.60}]", depth)]
            for key, item in value.items()
        ]
        return {_TAG: "dict", "": pairs}
    raise TravelError(
        f"{kind.__module__}.{kind.__qualname__}{_place(where)} cannot travel; what can: {_NAMES}"
    )


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(item) for item in value]
    if isinstance(value, dict):
        return _READERS[value[_TAG]](value[""])
    return value
