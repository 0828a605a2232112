"""A scenario of a run as its users call it: the function, its class, and its arguments."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from pytest_metersphere.engine.messages import Part


@dataclasses.dataclass(frozen=True, slots=True)
class Callee:
    """What an iteration calls.

    Attributes:
        part: what was asked for, and which users live here.
        function: the test function, or what stands in the class: a function, staticmethod or classmethod.
        owner: the test class, None for a module-level function; instantiated once per user.
        arguments: value, Pending or THE_USER by argument name.
        used: load-scoped fixtures that are set up for each user and are no arguments.
    """

    part: Part
    function: Any
    owner: type | None
    arguments: dict[str, Any]
    used: list[Any] = dataclasses.field(default_factory=list)

    def call(self, instance: object, values: Mapping[str, Any]) -> Callable[[], Any]:
        """Return what runs one iteration of a user: the function with its instance and its arguments."""
        function = self.function if self.owner is None else self.function.__get__(instance, self.owner)
        # arguments by position cost a call less than those by name
        leading = list(itertools.takewhile(values.__contains__, _places(function)))
        others = {name: value for name, value in values.items() if name not in leading}
        return functools.partial(function, *map(values.__getitem__, leading), **others)

    def new_instance(self) -> object:
        """Return an instance of the test class for one user, None without a class."""
        return None if self.owner is None else self.owner()


def _places(function: Any) -> tuple[str, ...]:
    """Return the names of the parameters that can be given by position; none for what is no function."""
    if inspect.ismethod(function):
        return _places(function.__func__)[1:]
    if not inspect.isfunction(function):
        return ()
    return function.__code__.co_varnames[: function.__code__.co_argcount]
