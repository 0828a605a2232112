"""Which installed packages the bundled modules import, so that nodes can be asked for the same ones.

Read from the source, without running it: import statements anywhere in a module, and `pytest_plugins`.
Begun with what pytest has imported, followed through the bundle, so that a bundled module which
no scenario comes near asks for nothing.
"""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_metersphere.dist.sources import Sources

_OWN = "pytest_metersphere"
_PLUGINS = "pytest_plugins"


def required_packages(sources: Sources) -> dict[str, str]:
    """Return the distributions that the modules of a bundle import, with the versions installed here.

    What is not installed here either, such as an optional package, is left out.
    """
    bundle = _Bundle(sources)
    distributions = importlib.metadata.packages_distributions()
    names: set[str] = set()
    for module in bundle.imported_modules():
        if not bundle.holds(module):
            names.update(_distributions_of(module, distributions))
    versions = {name: _version_of(name) for name in sorted(names, key=str.lower)}
    return {name: version for name, version in versions.items() if version}


class _Bundle:
    """The modules of a bundle by their dotted names."""

    def __init__(self, sources: Sources) -> None:
        self._files = sources.files
        self._roots = [sources.root / folder for folder in sources.sys_path]
        self._begin = sources.imported
        self._by_name: dict[str, list[Path]] = {}

    def imported_modules(self) -> Iterator[str]:
        """Yield the dotted names that the imported modules import, and the bundled modules behind them."""
        waiting, seen = list(self._begin), set(self._begin)
        while waiting:
            file = waiting.pop()
            for name in self._imports_of(file):
                yield name
                found = [path for path in self._files_of(name) if path not in seen]
                seen.update(found)
                waiting += found

    def holds(self, module: str) -> bool:
        """Return whether a module, or a package that it is in, is one of the bundle's."""
        return bool(self._files_of(module))

    def _files_of(self, module: str) -> list[Path]:
        """Return the files that importing a dotted name executes, as far as they are in the bundle."""
        known = self._by_name.get(module)
        if known is None:
            parts = module.split(".")
            places = [root.joinpath(*parts[:end]) for root in self._roots for end in range(1, len(parts) + 1)]
            paths = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")]
            known = self._by_name[module] = [path for path in paths if path in self._files]
        return known

    def _imports_of(self, file: Path) -> Iterator[str]:
        if file.suffix != ".py":
            return
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            return
        for node in _nodes_run(tree):
            yield from self._names(node, file)

    def _names(self, node: ast.AST, file: Path) -> Iterator[str]:
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = self._base(node, file)
                names = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
                # a relative import leads to the bundle or nowhere
                yield from (name for name in names if name and (not node.level or self.holds(name)))
            case ast.Assign(targets=[ast.Name(id=name)]) if name == _PLUGINS:
                yield from _texts(node.value)

    def _base(self, node: ast.ImportFrom, file: Path) -> str:
        """Return the dotted name behind `from`, a relative one made absolute; empty outside packages."""
        if not node.level:
            return node.module or ""
        folder = file.parents[node.level - 1] if node.level <= len(file.parents) else file.parent
        for root in self._roots:
            if folder.is_relative_to(root):
                package = ".".join(folder.relative_to(root).parts)
                return ".".join(part for part in (package, node.module) if part)
        return ""


def _nodes_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module, without what only a type checker reads."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _texts(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _distributions_of(module: str, known: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the distributions from which a module comes; of several with one namespace the right one."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == _OWN:
        return set()
    # a damaged installation has no name
    candidates = {name for name in known.get(top, ()) if name}
    if len(candidates) < 2:
        return candidates
    place = module.replace(".", "/")
    return {name for name in candidates if _has_module(name, place)}


def _version_of(distribution: str) -> str:
    """Return the installed version, empty when the installation is damaged."""
    try:
        return importlib.metadata.version(distribution) or ""
    except (importlib.metadata.PackageNotFoundError, KeyError):
        return ""


def _has_module(distribution: str, place: str) -> bool:
    files = importlib.metadata.files(distribution) or []
    return any(path.as_posix() in (f"{place}.py", f"{place}/__init__.py") for path in files)
