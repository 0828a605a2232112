"""Load-scoped fixtures: declared on the controller, run where the load runs."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast

import pytest

from pytest_metersphere.errors import ConfigError, MeterSphereError, did_you_mean

Scope = Literal["user", "worker"]
F = TypeVar("F", bound=Callable[..., Any])
DESCRIPTIONS = {
    "user": "Once for every virtual user; it may ask for `vu`",
    "worker": "Once for every worker process, of which a node has one a core",
}
"""How often a load-scoped fixture runs, by its scope."""
_SCOPES = tuple(DESCRIPTIONS)
_MARK = "_metersphere_load_fixture"


@dataclasses.dataclass(frozen=True, slots=True)
class Declaration:
    """What `@pytest_metersphere.fixture` declares: the function and how often it runs."""

    name: str
    scope: Scope
    function: Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """Stands for the value of a load-scoped fixture until the load engine sets it up.

    Attributes:
        declaration: the fixture.
        arguments: what it asked for; values of ordinary fixtures, other Pendings, or THE_USER.
        is_method: it is defined in the test's class and wants its instance as first argument.
    """

    declaration: Declaration
    arguments: dict[str, Any]
    is_method: bool = False


class TheUser:
    """Stands for `vu` until there is one."""


THE_USER = TheUser()


def fixture(*, scope: Scope, name: str | None = None) -> Callable[[F], F]:
    """Declare a load-scoped fixture.

    The function, `def` or `async def`, runs once for every virtual user (scope "user") or once for every
    worker process (scope "worker"); what stands behind its `yield` runs when the user or the worker
    ends. It may ask for `vu` (scope "user"), for other load-scoped fixtures and for ordinary fixtures,
    whose values then travel. Under load the controller never runs it.

    Raises:
        ConfigError: the scope is none of the two.
    """
    if scope not in _SCOPES:
        raise ConfigError(
            f'pytest_metersphere.fixture(scope={scope!r}): the scope is "user" or "worker"'
            f"{did_you_mean(str(scope), _SCOPES)}; for other scopes use pytest.fixture"
        )

    def declare(function: F) -> F:
        declaration = Declaration(name or function.__name__, scope, function)

        def pending(*instance: object, **arguments: Any) -> Pending:
            return Pending(declaration, arguments, bool(instance))

        pending.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        functools.update_wrapper(
            pending, function, assigned=("__module__", "__name__", "__qualname__", "__doc__")
        )
        del pending.__wrapped__  # type: ignore[attr-defined]
        setattr(pending, _MARK, declaration)
        return cast(F, pytest.fixture(name=name)(pending))

    return declare


def used_names(item: pytest.Function) -> list[str]:
    """Return the load-scoped fixtures that a test does not take, but asks for by `usefixtures`."""
    info = item._fixtureinfo  # noqa: SLF001 - pytest has no public way to it
    wanted = [name for name in info.initialnames if name not in info.argnames]
    known = {name: info.name2fixturedefs.get(name) for name in wanted}
    return [name for name, found in known.items() if found and declaration_of(found[-1].func)]


def declaration_of(function: Callable[..., Any]) -> Declaration | None:
    """Return the declaration behind a fixture's function, None for an ordinary fixture."""
    return getattr(function, _MARK, None)


def stand_in(name: str, values: Mapping[str, Any], definitions: Any, depth: int = 1) -> Any:
    """Return the value, Pending or THE_USER that stands for an argument of a test or of a fixture.

    Args:
        name: the argument.
        values: those of ordinary fixtures and parameters.
        definitions: pytest's fixture definitions by name, the nearest last.
        depth: which of them is meant, from the last; a fixture that asks for its own name means the next.

    Raises:
        MeterSphereError: an ordinary fixture has no value.
    """
    if name == "vu":
        return THE_USER
    known = definitions.get(name, ())
    declaration = declaration_of(known[-depth].func) if len(known) >= depth else None
    if declaration is None:
        if name not in values:
            raise MeterSphereError(f"no value of fixture {name!r} came with the request")
        return values[name]
    definition = known[-depth]
    arguments = {
        asked: stand_in(asked, values, definitions, depth + 1 if asked == name else 1)
        for asked in definition.argnames
    }
    return Pending(declaration, arguments, isinstance(definition.func, types.MethodType))
