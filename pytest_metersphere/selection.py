"""Which collected items are load scenarios, and what of them travels to the nodes."""

from __future__ import annotations

import functools
import inspect
import itertools
import posixpath
import unittest
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_metersphere import jmx
from pytest_metersphere.engine.datafile import check, read_rows
from pytest_metersphere.engine.functional import functional, run_coroutine_function
from pytest_metersphere.engine.messages import WORKER_PLUGIN, Part
from pytest_metersphere.engine.rows import Rows
from pytest_metersphere.errors import ConfigError, TravelError
from pytest_metersphere.scenario import travel
from pytest_metersphere.scenario.fixtures import Pending, Scope, TheUser, declaration_of, used_names
from pytest_metersphere.scenario.marker import merge_marks, threshold_texts
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.thresholds.grammar import parse

SCENARIO = pytest.StashKey[Scenario]()
_FIRST_LOOK = 1000
"""Rows of a data file that are checked when one user is to have the first."""
_XUNIT = ("setup_method", "teardown_method", "setup_class", "teardown_class")
_INSTEAD = (
    'use a fixture declared with @pytest_metersphere.fixture(scope="user") for what every virtual user '
    "needs, or an ordinary fixture for what is needed once"
)


def scenario_of(item: pytest.Item) -> Scenario | None:
    """Return the scenario that an item is, None when it is an ordinary test."""
    return item.stash.get(SCENARIO, None)


def declare(item: pytest.Item, *, under_load: bool) -> None:
    """Read an item's marks; what they say is kept on the item.

    Raises:
        ConfigError: they say something that is not understood, or the test is of a kind that cannot be
            a load scenario; begins with `path:line: `.
    """
    marks = _outermost_first(item, "load_scenario")
    thresholds = _in_source_order(item, "threshold")
    path, line = item.nodeid.split("::", 1)[0], (item.location[1] or 0) + 1
    where = f"{path}:{line}: "
    if not marks:
        if thresholds:
            raise ConfigError(f"{where}a threshold mark needs @pytest.mark.load_scenario on the same test")
        return
    if not isinstance(item, pytest.Function):
        raise ConfigError(f"{where}load_scenario belongs on a test function, and {item.nodeid} is none")
    _check_kind(item, where, under_load=under_load)
    _check_fixtures(item, where)
    scenario = merge_marks(
        marks,
        nodeid=item.nodeid,
        name=item.name,
        path=path,
        line=line,
        is_async=inspect.iscoroutinefunction(item.obj),
    )
    if not item.config.pluginmanager.hasplugin(WORKER_PLUGIN):  # which gets the rows, not the file
        _check_data(scenario, item.config.rootpath, where, None if under_load else _FIRST_LOOK)
    if scenario.jmx is not None:
        scenario = jmx.with_test_plan(scenario, item, where)
    texts = threshold_texts(thresholds, path=path, line=line)
    item.stash[SCENARIO] = _with_thresholds(scenario, texts, where)


def _outermost_first(item: pytest.Item, name: str) -> list[pytest.Mark]:
    return list(item.iter_markers(name))[::-1]


def _in_source_order(item: pytest.Item, name: str) -> list[pytest.Mark]:
    """Return the marks of the function, then of class and module, each as the source lists them."""
    groups = itertools.groupby(item.iter_markers_with_node(name), key=lambda pair: pair[0])
    return [mark for _, pairs in groups for _, mark in reversed(list(pairs))]


def _with_thresholds(scenario: Scenario, texts: Iterable[str], where: str) -> Scenario:
    thresholds = tuple(texts)
    for text in thresholds:
        try:
            threshold = parse(text)
        except ConfigError as error:
            raise ConfigError(f"{where}{error}") from None
        if scenario.jmx is not None:
            jmx.check_thresholds([threshold], where)
    return msgspec.structs.replace(scenario, thresholds=thresholds)


def _check_data(scenario: Scenario, root: Path, where: str, most: int | None) -> None:
    """Refuse a data file that cannot be read: the whole of it, or its first rows."""
    data = scenario.data
    if data is None:
        return
    path = root / data.path
    try:
        _read_once(path, data.path, most, _state(path))
    except ConfigError as error:
        hint = ""
        if not path.exists() and (root / data.name).is_file():
            correct = posixpath.relpath(Path(data.name).as_posix(), posixpath.dirname(scenario.path) or ".")
            hint = f"; the name is relative to the test's file, correct: data={correct!r}"
        raise ConfigError(f"{where}load_scenario(data={data.name!r}): {error}{hint}") from None


@functools.lru_cache(maxsize=64)
def _read_once(path: Path, name: str, most: int | None, _state: tuple[int, int]) -> None:
    """Check a file for all tests that name it; again when it has changed."""
    check(path, name, most)


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _check_kind(item: pytest.Function, where: str, *, under_load: bool) -> None:
    function = item.obj
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise ConfigError(f"{where}a load scenario is a def or async def without yield")
    if not under_load or item.cls is None:
        return
    if _is_unittest(item):
        raise ConfigError(
            f"{where}a unittest.TestCase cannot run under a pool; write a plain class or function"
        )
    for name in _XUNIT:
        if getattr(item.cls, name, None) is not None:
            raise ConfigError(
                f"{where}{item.cls.__name__}.{name} would not run where the load runs; {_INSTEAD}"
            )


def _check_fixtures(item: pytest.Function, where: str) -> None:
    """Refuse a fixture that wants what does not exist yet where it runs."""
    definitions = item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - pytest has no public way to them
    for name, known in definitions.items():
        declaration = declaration_of(known[-1].func)
        for asked in known[-1].argnames:
            below = definitions.get(asked, ())[: -1 if asked == name else None]
            scope = "user" if asked == "vu" else _scope_of(below)
            if declaration is None and scope is not None:
                raise ConfigError(
                    f"{where}fixture {name!r} asks for {asked!r}, which exists only where the load runs; "
                    'declare it with @pytest_metersphere.fixture(scope="user")'
                )
            if declaration is not None and declaration.scope == "worker" and scope == "user":
                raise ConfigError(
                    f'{where}fixture {name!r} has scope "worker" and asks for {asked!r}, which each virtual '
                    'user has of its own; declare it with scope="user"'
                )


def _scope_of(definitions: Sequence[Any]) -> Scope | None:
    """Return the scope of a load-scoped fixture, None for an ordinary one or none at all."""
    declaration = declaration_of(definitions[-1].func) if definitions else None
    return None if declaration is None else declaration.scope


def part_of(item: pytest.Function, scenario: Scenario, arguments: Mapping[str, Any]) -> Part:
    """Return what of an item travels: the scenario and the values of ordinary fixtures.

    `arguments` are those of the test and its load-scoped fixtures, set up.

    Raises:
        TravelError: a value cannot travel; names the fixture and what to do.
    """
    values: dict[str, bytes] = {}
    local: list[str] = []
    if scenario.jmx is not None:  # its body, and all that it asks for, stays here
        return Part(scenario=scenario, users=[])
    for name, value in _ordinary_values(item, arguments):
        try:
            values[name] = travel.encode(value)
        except TravelError as error:
            if _is_parameter(item, name, value):
                local.append(name)
                continue
            raise TravelError(_cannot_travel(name, error)) from None
    return Part(scenario=scenario, users=[], values=values, local_params=local)


def check_addresses(item: pytest.Function, arguments: Mapping[str, Any], remote: Iterable[str]) -> None:
    """Refuse a loopback URL among an item's arguments when nodes are other machines.

    Raises:
        TravelError: names the fixture, the URL and a node.
    """
    node = next(iter(remote), None)
    if node is None:
        return
    for name, value in _ordinary_values(item, arguments):
        url = travel.loopback_url(value)
        if url is not None:
            raise TravelError(
                f"fixture {name!r} has the value {url!r}, which on node {node} means that node itself; let "
                "the server under test listen on an address that nodes reach, and let the fixture return it"
            )


def _cannot_travel(name: str, error: TravelError) -> str:
    return (
        f"fixture {name!r}: {error}. Let the fixture return plain values and build the object in a fixture "
        'declared with @pytest_metersphere.fixture(scope="user"), which runs where the load runs'
    )


def _ordinary_values(item: pytest.Function, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and value of the test's own arguments and of those of its load-scoped fixtures."""
    seen: set[str] = set()
    names = [*item._fixtureinfo.argnames, *used_names(item)]  # noqa: SLF001 - no public way to them
    waiting = [(name, arguments[name]) for name in names]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Pending):
            waiting.extend(value.arguments.items())
        elif not isinstance(value, TheUser) and name not in seen:
            seen.add(name)
            yield name, value


def _is_parameter(item: pytest.Function, name: str, value: object) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and name in callspec.params and callspec.params[name] is value


def run_functionally(items: Iterable[pytest.Item]) -> None:
    """Give the scenarios among the items a real `vu` and real load-scoped fixtures, for one iteration."""
    for item in items:
        scenario = scenario_of(item)
        if scenario is None or not isinstance(item, pytest.Function) or _is_unittest(item):
            continue
        if scenario.jmx is not None:
            item.runtest = functools.partial(jmx.run_functionally, item, scenario)  # type: ignore[method-assign]
        else:
            used, row = functools.partial(_used, item), functools.partial(_first_row, item)
            item.obj = functional(item.obj, used, row)


def _used(item: pytest.Function) -> list[Any]:
    return [item.funcargs[name] for name in used_names(item)]


def _first_row(item: pytest.Function) -> Rows | None:
    scenario = scenario_of(item)
    if scenario is None or scenario.data is None:
        return None
    return read_rows(item.config.rootpath / scenario.data.path, scenario.data.path, 1)


def call_functionally(item: pytest.Function) -> bool | None:
    """Run an async scenario that no async plugin has claimed; None when it is none."""
    __tracebackhide__ = True
    if scenario_of(item) is None or not inspect.iscoroutinefunction(item.obj):
        return None
    names = item._fixtureinfo.argnames  # noqa: SLF001 - as pytest's own implementation of the hook
    run_coroutine_function(item.obj, {name: item.funcargs[name] for name in names})
    return True


def _is_unittest(item: pytest.Function) -> bool:
    return item.cls is not None and issubclass(item.cls, unittest.TestCase)
