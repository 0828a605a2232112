"""results.json: the document as it is, for other programs and for later versions of this one."""

from __future__ import annotations

import msgspec

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.reports.document import SCHEMA, Document
from pytest_metersphere.reports.text import encodable

_FAMILY, _, _MAJOR = SCHEMA.rpartition("/")


class _Head(msgspec.Struct):
    """What tells a results.json from other JSON."""

    schema: str = ""


def encode_results(document: Document) -> bytes:
    """Return the document as indented JSON (UTF-8, with a line end at its end).

    Lone surrogates, which UTF-8 cannot hold, are written as escapes in the text.
    """
    try:
        packed = msgspec.json.encode(document)
    except UnicodeEncodeError:
        packed = msgspec.json.encode(_encodable(msgspec.to_builtins(document)))
    return msgspec.json.format(packed, indent=2) + b"\n"


def decode_results(content: bytes) -> Document:
    """Return the document that a results.json holds; fields that this version does not know are left out.

    Raises:
        ConfigError: the content is not JSON, not a results.json, of a newer schema, or not as the
            schema says.
    """
    _check_schema(_head(content).schema)
    try:
        return msgspec.json.decode(content, type=Document)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the results do not follow schema {SCHEMA}: {error}; write them anew") from None


def _head(content: bytes) -> _Head:
    try:
        return msgspec.json.decode(content, type=_Head)
    except msgspec.ValidationError:
        return _Head()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"the results are not JSON ({error}); give the results.json of a report") from None


def _check_schema(schema: str) -> None:
    family, _, major = schema.rpartition("/")
    if family != _FAMILY or not (major.isascii() and major.isdigit()):
        found = f"their schema is {schema[:80]!r}" if schema else "they name no schema"
        raise ConfigError(
            f"these are no results of pytest-metersphere: {found} instead of {SCHEMA!r}; "
            "give the results.json of a report"
        )
    if len(major) > 9 or int(major) > int(_MAJOR):
        raise ConfigError(
            f"the results have schema {schema!r}, newer than {SCHEMA!r}, which this version reads; "
            "update pytest-metersphere"
        )


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value
