"""Groups: scenarios that run at the same time, and how their fixtures are there when they do.

pytest comes to one test after the other, and the load of a group runs when it has come to the first of
its members. The fixtures of the others are set up then, too, from where they stand. That goes for those
that outlive a test: of module scope when all members are in one module, of session scope otherwise.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from pytest_metersphere.reports.document import ScenarioResult
from pytest_metersphere.scenario.fixtures import declaration_of, stand_in, used_names
from pytest_metersphere.selection import scenario_of

_IN_ONE_MODULE = ("module", "package", "session")
_ACROSS_MODULES = ("session",)
_OWN_NAME = (
    "asks for the load-scoped fixture {0!r}, which asks for an ordinary one of the same name; in a group "
    "that one cannot be set up from where the other members stand: give one of the two another name"
)
_EARLY = r"Calling request\.getfixturevalue"


@dataclasses.dataclass(eq=False)
class Group:
    """The members of a group that are selected, two at least.

    Attributes:
        name: as the marks have it.
        members: in the order in which pytest comes to them.
        results: what became of those that have run.
        ran: the load has run, or was tried to.
        trouble: why it did not start, empty while it did.
    """

    name: str
    members: list[pytest.Function]
    results: dict[str, ScenarioResult] = dataclasses.field(default_factory=dict)
    ran: bool = False
    trouble: str = ""
    _reached: set[pytest.Item] = dataclasses.field(default_factory=set, init=False)

    def reach(self, item: pytest.Item) -> None:
        """Note that pytest has come to a member."""
        self._reached.add(item)

    def fail(self, trouble: str) -> None:
        """Note why the load cannot start; when it has run already, that does not matter any more."""
        if not self.ran and not self.trouble:
            self.trouble = trouble

    def others(self) -> list[pytest.Function]:
        """Return the members to which pytest has yet to come, without those that it will skip."""
        return [member for member in self.members if member not in self._reached and not _is_left_out(member)]

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes that fixtures of the members may have."""
        return _IN_ONE_MODULE if len({member.path for member in self.members}) == 1 else _ACROSS_MODULES

    def values_of(self, item: pytest.Function) -> dict[str, Any]:
        """Return the arguments of a member to which pytest has yet to come, its fixtures set up.

        Raises what the fixtures raise.
        """
        values = _direct_parameters(item)
        with warnings.catch_warnings():
            # pytest believes that a test which is not there yet is being torn down
            warnings.filterwarnings("ignore", message=_EARLY)
            for name, definition in _ordinary(item, item.fixturenames).items():
                if definition.scope in self.scopes:
                    values[name] = item._request.getfixturevalue(name)  # noqa: SLF001 - no public way
        item._initrequest()  # noqa: SLF001 - the item is to be as pytest expects it
        definitions = _definitions(item)
        names = [*item._fixtureinfo.argnames, *used_names(item)]  # noqa: SLF001
        return {name: stand_in(name, values, definitions) for name in names}

    def mistakes(self) -> Iterator[tuple[pytest.Function, str]]:
        """Yield what keeps members from being set up together, with the member; begins with `path:line: `."""
        for member in self.members:
            asked = _asked(member)
            for name, definition in _ordinary(member, asked).items():
                if definition.scope not in self.scopes:
                    yield member, f"{self._place(member)} {self._narrow(name, definition.scope)}"
            for name in asked:
                if _takes_its_own_name(_definitions(member).get(name)):
                    yield member, f"{self._place(member)} {_OWN_NAME.format(name)}"
        yield from self._contradictions()

    def _narrow(self, name: str, scope: str) -> str:
        where = "they are in one module" if "module" in self.scopes else "they are in several modules"
        return (
            f"asks for the fixture {name!r} of {scope} scope. All members are set up together, and {where}, "
            f"so what they ask for is to be of {self.scopes[0]} scope: "
            f'@pytest.fixture(scope="{self.scopes[0]}"), or @pytest_metersphere.fixture(scope="user") for '
            "what runs where the load runs"
        )

    def _contradictions(self) -> Iterator[tuple[pytest.Function, str]]:
        """Yield members that want a fixture with another parameter than a member before them."""
        wanted: dict[object, tuple[object, str]] = {}
        for member in self.members:
            callspec = getattr(member, "callspec", None)
            for name, definition in _ordinary(member, member.fixturenames).items():
                if callspec is None or name not in callspec.params:
                    continue
                index, first = wanted.setdefault(definition, (callspec.indices[name], member.name))
                if index != callspec.indices[name]:
                    text = (
                        f"wants the fixture {name!r} with another parameter than {first}, and it cannot have "
                        "both at the same time; take one of them out of the group"
                    )
                    yield member, f"{self._place(member)} {text}"

    def _place(self, member: pytest.Function) -> str:
        scenario = scenario_of(member)
        assert scenario is not None
        return f"{scenario.path}:{scenario.line}: group {self.name!r}: {member.name}"


def groups_of(items: Iterable[pytest.Item]) -> list[Group]:
    """Return the groups among the items that have several members."""
    found: dict[str, list[pytest.Function]] = {}
    for item in items:
        scenario = scenario_of(item)
        if scenario is not None and scenario.group and isinstance(item, pytest.Function):
            found.setdefault(scenario.group, []).append(item)
    return [Group(name, members) for name, members in found.items() if len(members) > 1]


def stand_together(items: list[pytest.Item], groups: Sequence[Group]) -> None:
    """Move the members of each group behind the first of them."""
    behind: dict[pytest.Item, list[pytest.Function]] = {group.members[0]: group.members for group in groups}
    moved = {member for group in groups for member in group.members[1:]}
    items[:] = [each for item in items if item not in moved for each in behind.get(item, [item])]


def _is_left_out(item: pytest.Item) -> bool:
    """Return whether marks keep pytest from running a test at all."""
    from _pytest.skipping import evaluate_skip_marks, evaluate_xfail_marks

    if evaluate_skip_marks(item) is not None:
        return True
    xfail = evaluate_xfail_marks(item)
    return xfail is not None and not xfail.run and not item.config.option.runxfail


def _definitions(item: pytest.Function) -> Any:
    return item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - pytest has no public way to them


def _asked(item: pytest.Function) -> list[str]:
    """Return the fixtures that a test asks for, and those that its load-scoped fixtures ask for."""
    definitions = _definitions(item)
    names = list(item._fixtureinfo.argnames)  # noqa: SLF001 - no public way to them
    names += [name for mark in item.iter_markers("usefixtures") for name in mark.args]
    names += used_names(item)
    for name in names:  # grows while it is looked at
        known = definitions.get(name)
        if known and declaration_of(known[-1].func):
            names += [asked for asked in known[-1].argnames if asked not in names]
    return list(dict.fromkeys(names))


def _ordinary(item: pytest.Function, names: Iterable[str]) -> dict[str, Any]:
    """Return the definitions of those of the fixtures that pytest is to set up."""
    known = {name: _definitions(item).get(name) for name in names if name != "vu"}
    direct = _direct_parameters(item)
    return {
        name: definitions[-1]
        for name, definitions in known.items()
        if definitions and name not in direct and not declaration_of(definitions[-1].func)
    }


def _takes_its_own_name(definitions: Sequence[Any] | None) -> bool:
    """Return whether a load-scoped fixture asks for an ordinary one that it hides."""
    if not definitions or not declaration_of(definitions[-1].func):
        return False
    hidden = definitions[-2:-1]
    own = definitions[-1].argname in definitions[-1].argnames
    return bool(own and hidden and not declaration_of(hidden[0].func))


def _direct_parameters(item: pytest.Function) -> dict[str, Any]:
    """Return the values that parametrization gives to arguments without a fixture in between."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return {}
    definitions = _definitions(item)
    return {
        name: value
        for name, value in callspec.params.items()
        if not definitions.get(name) or definitions[name][-1].func.__name__ == "get_direct_param_fixture_func"
    }
