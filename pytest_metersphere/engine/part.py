"""A scenario of a run as its users call it: the function, its class, and its arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
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

    def bound(self, instance: object) -> Callable[..., Any]:
        """Return the function bound to the user's instance of the class, or as it is without one."""
        bound: Callable[..., Any]
        bound = self.function if self.owner is None else self.function.__get__(instance, self.owner)
        return bound

    def new_instance(self) -> object:
        """Return an instance of the test class for one user, None without a class."""
        return None if self.owner is None else self.owner()
