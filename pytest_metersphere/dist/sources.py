"""What goes into the bundle: the code that pytest has imported from under its rootdir, and its data."""

from __future__ import annotations

import dataclasses
import io
import os
import site
import stat
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from pytest_metersphere.dist.bundle import MAX_BUNDLE, MAX_FILES, BundleError
from pytest_metersphere.units import format_size

_OWN = "pytest_metersphere"
_SKIPPED_FOLDERS = {"__pycache__", ".git", ".hg", ".venv", "node_modules", ".tox", ".nox"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """The files of a bundle.

    Attributes:
        root: the rootdir.
        files: absolute paths, all under the rootdir.
        sys_path: folders that hold the top-level modules among them, relative to the rootdir.
        imported: those of the files that were imported, and the test files with their conftests.
    """

    root: Path
    files: frozenset[Path]
    sys_path: tuple[str, ...]
    imported: frozenset[Path] = frozenset()


def gather(
    root: Path, test_files: Iterable[Path], patterns: Iterable[str], attached: Iterable[Path] = ()
) -> Sources:
    """Find what the scenarios need on a node.

    Everything imported from under the rootdir, each top-level package whole with its data; the test
    files; what is attached to them; and what the glob patterns (relative to the rootdir) name. Nothing
    from the interpreter's own folders or site-packages.

    Raises:
        BundleError: a test file lies outside the rootdir, or a pattern matches nothing.
    """
    root = Path(os.path.realpath(root))
    installed = _installed_folders(root)
    files: set[Path] = set()
    folders: list[Path] = []
    modules = _imported(root, installed)
    for top in dict.fromkeys(_top_level(module) for module in modules):
        for place in _places(top):
            if _is_ours(place, root, installed):
                files.update(_walk(place, root) if place.is_dir() else [place])
                folders.append(place.parent)
    tests = {_test_file(Path(os.path.realpath(test_file)), root) for test_file in test_files}
    files |= tests
    files |= {_test_file(Path(os.path.realpath(file)), root) for file in attached}
    files.update(_conftests(root, files))
    begun = tests | {Path(os.path.realpath(str(module.__file__))) for module in modules}
    begun.update(_conftests(root, tests))
    for pattern in patterns:
        files.update(_matches(root, pattern))
    relative = dict.fromkeys(os.path.relpath(folder, root) for folder in _in_sys_path_order(folders))
    return Sources(root, frozenset(files), tuple(relative), frozenset(begun & files))


def matching(root: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files that glob patterns relative to the rootdir name (BundleError when one names none)."""
    root = Path(os.path.realpath(root))
    return sorted({file for pattern in patterns for file in _matches(root, pattern)})


def pack(sources: Sources) -> bytes:
    """Return the files as one zip, the same bytes for the same content.

    Raises:
        BundleError: they are too many or too large (it names the largest), or one cannot be read.
    """
    if len(sources.files) > MAX_FILES:
        raise BundleError(
            f"the bundle would hold {len(sources.files)} files, at most {MAX_FILES} are allowed"
        )
    try:
        return _packed(sources)
    except (OSError, UnicodeEncodeError) as error:
        raise BundleError(f"the bundle cannot be made: {error}") from error


def _packed(sources: Sources) -> bytes:
    found = {file: file.stat() for file in sorted(sources.files)}
    sizes = {file: entry.st_size for file, entry in found.items()}
    if sum(sizes.values()) > MAX_BUNDLE:
        largest = max(sizes, key=lambda file: sizes[file])
        name = largest.relative_to(sources.root).as_posix()
        raise BundleError(
            f"the bundle would hold {format_size(sum(sizes.values()))}, at most {format_size(MAX_BUNDLE)} "
            f"are allowed; its largest file is {name} ({format_size(sizes[largest])}). "
            "Move data that the scenarios do not need out of the imported packages"
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, status in found.items():
            entry = zipfile.ZipInfo(file.relative_to(sources.root).as_posix(), _EPOCH)
            entry.external_attr = (stat.S_IFREG | 0o600 | status.st_mode & 0o100) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return buffer.getvalue()


def _imported(root: Path, installed: tuple[Path, ...]) -> list[ModuleType]:
    """Return the modules whose file is the user's own."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] != _OWN
        and isinstance(module, ModuleType)
        and (file := getattr(module, "__file__", None))
        and _is_ours(Path(os.path.realpath(file)), root, installed)
    ]


def _top_level(module: ModuleType) -> ModuleType:
    top = sys.modules.get(module.__name__.partition(".")[0])
    return top if isinstance(top, ModuleType) else module


def _places(module: ModuleType) -> list[Path]:
    """Return the package's folders (a namespace package may have several), or the module's file."""
    paths = getattr(module, "__path__", None)
    if paths is not None:
        return [Path(os.path.realpath(path)) for path in paths]
    file = getattr(module, "__file__", None)
    return [Path(os.path.realpath(file))] if file else []


def _is_ours(place: Path, root: Path, installed: tuple[Path, ...]) -> bool:
    if place == root or not place.is_relative_to(root) or not place.exists():
        return place == root and (root / "__init__.py").exists()
    return not any(place.is_relative_to(folder) for folder in installed)


def _installed_folders(root: Path) -> tuple[Path, ...]:
    """Return the folders of the interpreter and of installed packages, but none that the rootdir lies in."""
    folders = {sys.prefix, sys.exec_prefix, sysconfig.get_path("stdlib"), site.getusersitepackages()}
    folders.update(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    folders.update(path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"})
    real = [Path(os.path.realpath(folder)) for folder in folders]
    return tuple(folder for folder in real if not root.is_relative_to(folder))


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if name not in _SKIPPED_FOLDERS and not _is_venv(Path(path, name))
        ]
        for name in names:
            file = Path(path, name)
            if file.suffix != ".pyc" and _is_file_below(root, file):
                yield file


def _is_venv(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").exists()


def _is_file_below(root: Path, path: Path) -> bool:
    """Return whether a path is a file of the rootdir's; a link counts as the file that it leads to."""
    return path.is_file() and path.is_relative_to(root) and Path(os.path.realpath(path)).is_relative_to(root)


def _test_file(file: Path, root: Path) -> Path:
    if not file.is_relative_to(root):
        raise BundleError(
            f"{file} lies outside the rootdir {root}, so it cannot be sent to the nodes; give pytest a "
            "--rootdir above it"
        )
    return file


def _conftests(root: Path, files: Iterable[Path]) -> Iterator[Path]:
    """Yield the conftest files that stand above the files, up to the rootdir."""
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(root)}
    for folder in folders:
        for name in ("conftest.py", "__init__.py"):
            if (folder / name).is_file():
                yield folder / name


def _matches(root: Path, pattern: str) -> set[Path]:
    try:
        found = [path for path in map(_normal, root.glob(pattern)) if path.is_relative_to(root)]
    except (NotImplementedError, ValueError, IndexError) as error:
        raise BundleError(
            f"ms_bundle: {pattern!r} is no glob pattern relative to the rootdir; correct: data/*.csv"
        ) from error
    files = {file for path in found for file in (_walk(path, root) if path.is_dir() else [path])}
    inside = {file for file in files if _is_file_below(root, file)}
    if not inside:
        raise BundleError(f"ms_bundle: the pattern {pattern!r} matches no file under {root}")
    return inside


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _in_sys_path_order(folders: Iterable[Path]) -> list[Path]:
    order = {os.path.realpath(path): index for index, path in reversed(list(enumerate(sys.path)))}
    return sorted(set(folders), key=lambda folder: (order.get(str(folder), len(order)), str(folder)))
