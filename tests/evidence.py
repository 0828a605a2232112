"""Which of the things that docs/options.md lists a behaviour test shows; for `test_documented_behaviour`.

Tests are read, not run. What a test says are the texts in it and in everything of its module that it
uses: helpers, constants, fixtures. Docstrings are not among them. The rules:

- an option has tests/plugin/test_option_<key>.py, with tests that give it, its variable and its ini key;
- an ini key or a variable without an option is set by a test beyond tests/unit;
- a keyword of a mark, a metric, a fixture's scope and an attribute of `vu` stand in the source of a
  scenario that a test runs under a pool, not only plans;
- a command has test_<name>.py or test_<name>_command.py, whose tests give each of its options.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.thresholds.grammar import parse

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True)
class Test:
    """A test function and all that it says.

    Attributes:
        texts: its texts, docstrings left out.
        names: those of them that are keys of dicts or given to `setenv`, and the names of arguments.
    """

    path: Path
    name: str
    texts: frozenset[str]
    names: frozenset[str]

    @cached_property
    def runs(self) -> bool:
        """Return whether it runs load: it names a pool, and does not only ask for the plan."""
        return any(text.startswith("--ms-pool") for text in self.texts) and "--ms-plan" not in self.texts

    @cached_property
    def sources(self) -> list[ast.Module]:
        """Return the sources of projects among its texts, of tests and of conftest files."""
        return [module for module in map(_module_of, self.texts) if module is not None]

    def gives(self, option: str) -> bool:
        """Return whether it gives an option of a command line, with its value or before it."""
        return any(text == option or text.startswith(f"{option}=") for text in self.texts)

    def sets(self, name: str) -> bool:
        """Return whether it sets an environment variable, or a key in an ini file."""
        line = re.compile(rf"^\s*{re.escape(name)}\s*=", re.MULTILINE)
        return name in self.names or any(line.search(text) for text in self.texts)

    def uses(self, found: Callable[[ast.AST], Iterable[str]], name: str) -> bool:
        """Return whether it runs a scenario in whose source something is found."""
        nodes = (node for source in self.sources for node in ast.walk(source))
        return self.runs and any(name in found(node) for node in nodes)


def missing(page: str, tests: Path) -> list[str]:
    """Return a sentence for each thing that the page lists and no test shows.

    Args:
        page: the text of docs/options.md.
        tests: the folder of the tests.
    """
    return list(_missing(page, read_tests(tests)))


def read_tests(folder: Path) -> list[Test]:
    """Return the tests in all modules below a folder."""
    return [test for path in sorted(folder.rglob("test_*.py")) for test in _tests_in(path)]


def _missing(page: str, tests: list[Test]) -> Iterator[str]:
    for option, variable, key in rows(page, "## Options of pytest", 3):
        yield from _option_gaps(option.partition("=")[0], variable, key, tests)
    beyond = [test for test in tests if "unit" not in test.path.parts]
    for title in ("## Ini keys without an option", "## Variables without an option"):
        for name in (name for row in rows(page, title, 2) for name in row if name.isidentifier()):
            if not any(test.sets(name) for test in beyond):
                yield f"{name}: no test beyond tests/unit sets it"
    for title, found in _IN_SOURCES.items():
        for (name,) in rows(page, title, 1):
            bare = re.sub(r"^await |\(.*", "", name)
            if not any(test.uses(found, bare) for test in tests):
                yield f"{bare} ({title.strip('# ')}): no test runs a scenario with it under a pool"
    for command in re.findall(r"^### pytest-metersphere (\w+)$", page, flags=re.MULTILINE):
        yield from _command_gaps(page, command, tests)


def _option_gaps(option: str, variable: str, key: str, tests: list[Test]) -> Iterator[str]:
    home = f"test_option_{option.removeprefix('--').replace('-', '_')}.py"
    own = [test for test in tests if test.path.name == home]
    if not any(test.gives(option) for test in own):
        yield f"{option}: no test in tests/plugin/{home} gives it"
    for name in filter(None, (variable, key)):
        if not any(test.sets(name) for test in own):
            yield f"{name}: no test in tests/plugin/{home} sets it"


def _command_gaps(page: str, command: str, tests: list[Test]) -> Iterator[str]:
    homes = (f"test_{command}.py", f"test_{command}_command.py")
    own = [test for test in tests if test.path.name in homes]
    if not any(command in test.texts for test in own):
        yield f"{command}: no test in {' or '.join(homes)} gives the command"
    for (spelled,) in rows(page, f"### pytest-metersphere {command}", 1, whole=True):
        spellings = [part.split(" ")[0] for part in re.findall(r"`([^`]+)`", spelled)]
        if not any(test.gives(option) for test in own for option in spellings):
            yield f"{command} {spellings[0]}: no test in {' or '.join(homes)} gives it"


def rows(page: str, title: str, columns: int, *, whole: bool = False) -> list[list[str]]:
    """Return what the first columns of the tables below a heading hold: their code, or the whole cells.

    Raises:
        LookupError: there is no such heading, or no table below it: nothing would be checked.
    """
    _, found, section = f"\n{page}".partition(f"\n{title}\n")
    section = re.split(r"^#{2,3} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    lines = re.findall(r"^\| (`.*) \|$", section, flags=re.MULTILINE)
    if not found or not lines:
        raise LookupError(f"docs/options.md has no table below {title!r}")
    cells = [re.split(r"(?<!\\)\|", line)[:columns] for line in lines]
    return [[cell if whole else cell.replace("`", "").strip() for cell in line] for line in cells]


def _keywords(node: ast.AST) -> Iterable[str]:
    return [each.arg for each in node.keywords if each.arg] if _is_mark(node, "load_scenario") else ()


def _metrics(node: ast.AST) -> Iterable[str]:
    return map(_metric, _texts(node.args)) if _is_mark(node, "threshold") else ()


def _metric(text: str) -> str:
    """Return the metric of a threshold, p95 for any percentile, nothing when the text is none."""
    try:
        threshold = parse(text)
    except ConfigError:
        return ""
    return threshold.metric if threshold.percentile is None else "p95"


def _scopes(node: ast.AST) -> Iterable[str]:
    """Return the scope of a load-scoped fixture."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest_metersphere.fixture":
        return [str(each.value.value) for each in node.keywords if isinstance(each.value, ast.Constant)]
    return ()


def _attributes(node: ast.AST) -> Iterable[str]:
    return [ast.unparse(node)] if isinstance(node, ast.Attribute) else ()


_IN_SOURCES: dict[str, Callable[[ast.AST], Iterable[str]]] = {
    "## The mark load_scenario": _keywords,
    "## The mark threshold": _metrics,
    "## Load-scoped fixtures": _scopes,
    "## The virtual user": _attributes,
}


def _is_mark(node: ast.AST, name: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{name}"


def _module_of(text: str) -> ast.Module | None:
    """Return the source that a text is, if it defines a function."""
    if "def " not in text:
        return None
    try:
        module = ast.parse(textwrap.dedent(text))
    except SyntaxError:
        return None
    return module if any(isinstance(node, _Function) for node in ast.walk(module)) else None


def _tests_in(path: Path) -> Iterator[Test]:
    module = _without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
    named = dict(_named(module.body))
    for name, node in named.items():
        if isinstance(node, _Function) and name.startswith("test_"):
            said = [inner for outer in _reached(node, named) for inner in ast.walk(outer)]
            yield Test(path, name, frozenset(_texts(said)), frozenset(_names(said)))


def _without_docstrings(module: ast.Module) -> ast.Module:
    for node in ast.walk(module):
        if isinstance(node, _Function | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            node.body.pop(0)
    return module


def _named(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Return what a module defines by its names, the tests in classes included."""
    for node in body:
        if isinstance(node, _Function | ast.ClassDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from ((each.name, each) for each in node.body if isinstance(each, _Function))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((each.id, node) for each in targets if isinstance(each, ast.Name))


def _reached(start: ast.stmt, named: dict[str, ast.stmt]) -> list[ast.stmt]:
    """Return a definition and all definitions of the module that it uses, in whatever number of steps."""
    found = {id(start): start}
    waiting = [start]
    while waiting:
        nodes = list(ast.walk(waiting.pop()))
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        used |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        for node in (named[name] for name in used if name in named):
            if id(node) not in found:
                found[id(node)] = node
                waiting.append(node)
    return list(found.values())


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        if isinstance(node, ast.Dict):
            yield from _texts(each for each in node.keys if each is not None)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setenv":
            yield from _texts(node.args[:1])
