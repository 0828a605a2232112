"""Enum members and dataclass instances on their way to the nodes, whose classes are imported there by name.

Only what can be imported under its own name travels, and only an Enum or a dataclass is made of it: a
name that leads to anything else is refused on arrival.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any

from pytest_metersphere.errors import TravelError

_MISSING = object()


def is_dataclass_instance(value: object) -> bool:
    """Return whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def address_of(kind: type) -> tuple[str, str]:
    """Return module and qualified name under which a class can be imported.

    Raises:
        TravelError: it cannot; says why.
    """
    module, name = kind.__module__, kind.__qualname__
    if module == "__main__":
        raise TravelError(f"{name} is defined in __main__, which is another program on the nodes")
    if "<locals>" in name:
        raise TravelError(f"{module}.{name} is defined inside a function; define it at the top of a module")
    if _attribute(sys.modules.get(module), name) is not kind:
        raise TravelError(f"{module}.{name} cannot be imported by that name: it means something else by now")
    return module, name


def member_key(member: enum.Enum) -> str | int:
    """Return what stands for a member within its class: its name, or the number of several flags together.

    Raises:
        TravelError: there is no such thing.
    """
    if type(member).__members__.get(member.name) is member:
        return member.name
    if isinstance(member, enum.Flag) and isinstance(member.value, int):
        return member.value
    raise TravelError(f"{member!r} is a member without a name")


def member_of(module: str, name: str, key: str | int) -> enum.Enum:
    """Return the member that `address_of` and `member_key` stand for.

    Raises:
        TravelError: there is no such Enum here, or it has no such member.
    """
    kind = _imported(module, name)
    if not issubclass(kind, enum.Enum):
        raise TravelError(f"{module}.{name} is no Enum here")
    try:
        member: enum.Enum = kind[key] if isinstance(key, str) else kind(key)
    except (KeyError, ValueError):
        raise TravelError(f"{module}.{name} has no member {key!r} here") from None
    return member


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance that have a value.

    Raises:
        TravelError: its class could not be called with these fields.
    """
    kind = type(value)
    fault = _fault_of(kind)
    if fault:
        raise TravelError(f"{kind.__module__}.{kind.__qualname__} cannot be built from its fields: {fault}")
    found = {each.name: getattr(value, each.name, _MISSING) for each in dataclasses.fields(kind)}
    missing = [each.name for each in dataclasses.fields(kind) if each.init and found[each.name] is _MISSING]
    if missing:
        raise TravelError(f"{kind.__module__}.{kind.__qualname__} has no value in its field {missing[0]!r}")
    return {name: one for name, one in found.items() if one is not _MISSING}


def values_of(value: Any) -> list[Any]:
    """Return the values in the fields of a dataclass instance."""
    return [getattr(value, each.name, None) for each in dataclasses.fields(value)]


def instance_of(module: str, name: str, values: Mapping[str, Any]) -> Any:
    """Return the dataclass instance that `address_of` and `fields_of` stand for.

    The class is called, so that `__post_init__` runs; then every field gets the value that it had.

    Raises:
        TravelError: there is no such dataclass here, or it cannot be built.
    """
    kind = _imported(module, name)
    if not dataclasses.is_dataclass(kind):
        raise TravelError(f"{module}.{name} is no dataclass here")
    known = {each.name: each.init for each in dataclasses.fields(kind)}
    if unknown := [field for field in values if field not in known]:
        raise TravelError(
            f"{module}.{name} has no field {unknown[0]!r} here: is the node's version another one?"
        )
    try:
        made = kind(**{field: value for field, value in values.items() if known[field]})
        for field, value in values.items():
            object.__setattr__(made, field, value)
    except Exception as error:
        raise TravelError(f"{module}.{name} could not be built here: {_in_words(error)}") from error
    return made


def _fault_of(kind: type) -> str:
    """Return why a dataclass cannot be called with its fields, empty when it can."""
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return "its parameters are unknown"
    init = {each.name for each in dataclasses.fields(kind) if each.init}
    by_name = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    wanted = [one.name for one in parameters if one.name not in init and _is_required(one)]
    if wanted:
        return f"__init__ wants {wanted[0]!r}, which is no field"
    if not any(one.kind is one.VAR_KEYWORD for one in parameters) and (left := init - by_name):
        return f"__init__ does not take the field {min(left)!r}"
    return ""


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_KEYWORD,
        parameter.VAR_POSITIONAL,
    )


def _imported(module: str, name: str) -> type:
    try:
        place = importlib.import_module(module)
    except Exception as error:
        raise TravelError(f"{module}, for its {name}, cannot be imported here: {_in_words(error)}") from error
    found = _attribute(place, name)
    if not isinstance(found, type):
        raise TravelError(f"{module} has no class {name} here")
    return found


def _attribute(place: object, name: str) -> object:
    """Return what a dotted name means inside a module, None without such a thing."""
    for part in name.split("."):
        place = getattr(place, part, None)
    return place


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
