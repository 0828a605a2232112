"""What goes into the bundle: the project's own modules, whole, and nothing that is installed."""

from __future__ import annotations

import importlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_metersphere.dist import sources
from pytest_metersphere.dist.bundle import BundleError, unpack
from pytest_metersphere.dist.sources import Sources, gather, pack


class Project:
    """A rootdir with files, whose modules are imported into this process."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._patch = patch

    def write(self, *paths: str) -> None:
        """Make files; each holds its own path as a comment."""
        for path in paths:
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"# {path}\n")

    def load(self, *modules: str, path: str = ".") -> None:
        """Import modules from a folder of the project."""
        self._patch.syspath_prepend(str(self.root / path))
        for name in modules:
            importlib.import_module(name)

    def gathered(self, *patterns: str, tests: tuple[str, ...] = ()) -> Sources:
        """Return what gather finds for these test files and patterns."""
        return gather(self.root, [self.root / test for test in tests], patterns)

    def names(self, *patterns: str, tests: tuple[str, ...] = ()) -> list[str]:
        """Return the gathered files relative to the rootdir, sorted."""
        found = self.gathered(*patterns, tests=tests)
        return sorted(file.relative_to(self.root).as_posix() for file in found.files)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Make an empty project, and forget its modules afterwards."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    root = tmp_path / "project"
    root.mkdir()
    yield Project(root.resolve(), monkeypatch)
    for name in set(sys.modules) - known:
        del sys.modules[name]
    importlib.invalidate_caches()


def unzipped(data: bytes) -> dict[str, bytes]:
    """Return the files of a zip by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_imported_package_goes_whole_with_its_data(project: Project) -> None:
    """Modules that were not imported, subpackages and data files are there; byte code is not."""
    project.write(
        "shop/__init__.py", "shop/cart.py", "shop/never.py", "shop/data/users.csv", "shop/sub/__init__.py"
    )
    project.write("shop/__pycache__/cart.cpython-311.pyc", "shop/old.pyc", "other/__init__.py", "README.md")
    project.load("shop.cart")

    assert project.names() == [
        "shop/__init__.py",
        "shop/cart.py",
        "shop/data/users.csv",
        "shop/never.py",
        "shop/sub/__init__.py",
    ]


def test_a_lone_module_goes_without_its_neighbours(project: Project) -> None:
    """Of a folder that is no package only what was imported is taken."""
    project.write("lib/helper_alone.py", "lib/neighbour.py")
    project.load("helper_alone", path="lib")

    found = project.gathered()

    assert project.names() == ["lib/helper_alone.py"]
    assert found.sys_path == ("lib",)


def test_test_files_go_with_the_conftest_chain(project: Project) -> None:
    """A test file that was imported under no name of its own takes what stands above it along."""
    project.write("conftest.py", "tests/conftest.py", "tests/api/__init__.py", "tests/api/test_shop.py")
    project.write("tests/api/test_other.py", "tests/web/conftest.py")

    assert project.names(tests=("tests/api/test_shop.py",)) == [
        "conftest.py",
        "tests/api/__init__.py",
        "tests/api/test_shop.py",
        "tests/conftest.py",
    ]


def test_a_namespace_package_goes_whole(project: Project) -> None:
    """A package without __init__.py is taken from every folder that it has in the project."""
    project.write("one/spacious/first.py", "one/spacious/data.json", "two/spacious/second.py")
    project.load(path="two")
    project.load("spacious.first", "spacious.second", path="one")

    assert project.names() == ["one/spacious/data.json", "one/spacious/first.py", "two/spacious/second.py"]
    assert project.gathered().sys_path == ("one", "two")


def test_a_namespace_package_outside_is_left_out(project: Project, tmp_path: Path) -> None:
    """Portions of a namespace package that lie elsewhere stay where they are."""
    project.write("here/spread/mine.py")
    elsewhere = tmp_path / "elsewhere" / "spread"
    elsewhere.mkdir(parents=True)
    (elsewhere / "theirs.py").touch()
    project.load(path="../elsewhere")
    project.load("spread.mine", "spread.theirs", path="here")

    assert project.names() == ["here/spread/mine.py"]


def test_what_is_installed_below_the_rootdir_stays_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a site-packages folder nor the environment that runs is the project's own code."""
    project.write("env/lib/site-packages/installed_one.py", "venv/lib/installed_two.py", "src/own_module.py")
    project.load("installed_one", path="env/lib/site-packages")
    project.load("installed_two", path="venv/lib")
    project.load("own_module", path="src")
    monkeypatch.setattr(sys, "prefix", str(project.root / "venv"))

    assert project.names() == ["src/own_module.py"]


def test_a_project_below_the_interpreters_prefix_is_the_users_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rootdir such as /usr/src/app, with the prefix /usr, is not taken for an installation."""
    project.write("own_code.py")
    project.load("own_code")
    monkeypatch.setattr(sys, "prefix", str(project.root.parent))
    monkeypatch.setattr(sys, "exec_prefix", str(project.root.parent))

    assert project.names() == ["own_code.py"]


def test_environments_and_caches_inside_a_package_are_left_out(project: Project) -> None:
    """A virtual environment is known by its pyvenv.cfg, other folders by their names."""
    project.write("__init__.py", "conftest.py", "anyname/pyvenv.cfg", "anyname/lib/thing.py")
    project.write(".git/config", "node_modules/left/pad.js", ".tox/x.py", "kept/.hidden", ".venv/x.py")
    project.load("project", path="..")

    assert project.names() == ["__init__.py", "conftest.py", "kept/.hidden"]
    assert project.gathered().sys_path == ("..",)


def test_this_package_is_never_bundled(project: Project) -> None:
    """Nodes have pytest-metersphere of their own, even when its source is the rootdir."""
    own = Path(sources.__file__).parents[2]

    found = gather(own, [], [])

    assert not any("pytest_metersphere" in file.relative_to(own).parts for file in found.files)


def test_links_count_as_what_they_lead_to(project: Project, tmp_path: Path) -> None:
    """A link to a file of the project goes as that file; one that leads out or nowhere is left out."""
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    project.write("linked/__init__.py", "data/big.csv", "folder/x.txt")
    package = project.root / "linked"
    (package / "users.csv").symlink_to(project.root / "data" / "big.csv")
    (package / "secret.txt").symlink_to(outside)
    (package / "broken").symlink_to(package / "nowhere")
    (package / "folder").symlink_to(project.root / "folder")
    project.load("linked")

    assert project.names() == ["linked/__init__.py", "linked/users.csv"]
    assert unzipped(pack(project.gathered()))["linked/users.csv"] == b"# data/big.csv\n"


def test_a_package_imported_through_a_link_is_found(project: Project) -> None:
    """A linked package folder is taken from where it really lies."""
    project.write("vendored/linkedpkg/__init__.py", "vendored/linkedpkg/data.txt")
    (project.root / "linkedpkg").symlink_to(project.root / "vendored" / "linkedpkg")
    project.load("linkedpkg")

    assert project.names() == ["vendored/linkedpkg/__init__.py", "vendored/linkedpkg/data.txt"]
    assert project.gathered().sys_path == ("vendored",)


def test_patterns_add_files_and_folders(project: Project, tmp_path: Path) -> None:
    """A pattern names files, folders with all that is in them, and links to files of the project."""
    project.write("data/a.csv", "data/b.txt", "assets/deep/c.bin", "assets/__pycache__/d.pyc")
    (project.root / "data" / "current.csv").symlink_to(project.root / "data" / "a.csv")
    (tmp_path / "outside.csv").touch()
    (project.root / "data" / "outside.csv").symlink_to(tmp_path / "outside.csv")

    assert project.names("data/*.csv", "assets") == [
        "assets/deep/c.bin",
        "data/a.csv",
        "data/current.csv",
    ]


@pytest.mark.parametrize("pattern", ["data/*.csv", "../*", "..", "fifo", "broken", "empty"])
def test_a_pattern_that_matches_no_file_is_an_error(project: Project, pattern: str) -> None:
    """Nothing there, outside the rootdir, a pipe, a broken link or an empty folder: the error names it."""
    os.mkfifo(project.root / "fifo")
    (project.root / "empty").mkdir()
    (project.root / "broken").symlink_to(project.root / "nowhere")
    (project.root.parent / "outside.txt").touch()

    with pytest.raises(BundleError, match="ms_bundle: the pattern") as caught:
        project.gathered(pattern)

    assert repr(pattern) in str(caught.value)
    assert str(project.root) in str(caught.value)


@pytest.mark.parametrize("pattern", ["/etc/*", "", ".", "a**"])
def test_what_is_no_pattern_is_an_error(project: Project, pattern: str) -> None:
    """Absolute and malformed patterns are refused, with an example."""
    with pytest.raises(BundleError, match="is no glob pattern relative to the rootdir; correct: data"):
        project.gathered(pattern)


def test_a_test_file_outside_the_rootdir_is_an_error(project: Project) -> None:
    """The error names the file, the rootdir and the option that helps."""
    with pytest.raises(BundleError, match=r"test_x\.py lies outside the rootdir .* --rootdir"):
        project.gathered(tests=("../test_x.py",))


def test_folders_come_in_the_order_of_sys_path(project: Project) -> None:
    """The nodes look for modules in the order in which this process does, the rootdir included."""
    project.write("zulu/first_mod.py", "alpha/second_mod.py", "third_mod.py")
    project.load("third_mod")
    project.load("second_mod", path="alpha")
    project.load("first_mod", path="zulu")

    assert project.gathered().sys_path == ("zulu", "alpha", ".")


def test_the_same_content_packs_to_the_same_bytes(project: Project) -> None:
    """Neither time stamps nor the order on disk show in the zip."""
    project.write("samepkg/__init__.py", "samepkg/b.py", "samepkg/a.txt")
    project.load("samepkg")
    first = pack(project.gathered())
    for name in ("a.txt", "b.py"):
        file = project.root / "samepkg" / name
        text = file.read_text()
        file.unlink()
        file.write_text(text)
        os.utime(file, (1, 1))

    assert pack(project.gathered()) == first
    assert list(unzipped(first)) == ["samepkg/__init__.py", "samepkg/a.txt", "samepkg/b.py"]


def test_a_bundle_unpacks_to_what_was_packed(project: Project, tmp_path: Path) -> None:
    """Contents arrive, and a program may still be run."""
    project.write("tools/__init__.py", "tools/run.sh")
    (project.root / "tools" / "run.sh").chmod(0o755)
    project.load("tools")
    target = tmp_path / "unpacked"
    target.mkdir()

    unpack(pack(project.gathered()), target)

    assert (target / "tools" / "run.sh").read_text() == "# tools/run.sh\n"
    assert os.access(target / "tools" / "run.sh", os.X_OK)
    assert not (target / "tools" / "__init__.py").stat().st_mode & 0o100


def test_too_many_files_are_an_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how many there would be and how many may be."""
    project.write(*(f"many/{number}.txt" for number in range(4)))
    monkeypatch.setattr(sources, "MAX_FILES", 3)

    with pytest.raises(BundleError, match="would hold 4 files, at most 3"):
        pack(project.gathered("many"))


def test_too_much_data_is_an_error_that_names_the_largest(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes are summed before anything is read."""
    project.write("data/small.txt")
    (project.root / "data" / "large.bin").write_bytes(bytes(3000))
    monkeypatch.setattr(sources, "MAX_BUNDLE", 2048)

    with pytest.raises(BundleError, match=r"at most 2 KiB are allowed; .* data/large\.bin \(2\.93 KiB\)"):
        pack(project.gathered("data"))


def test_a_file_that_cannot_be_read_is_an_error(project: Project) -> None:
    """A file that is gone by now is named."""
    project.write("data/gone.txt")
    found = project.gathered("data")
    (project.root / "data" / "gone.txt").unlink()
    with pytest.raises(BundleError, match=r"the bundle cannot be made: .*gone\.txt"):
        pack(found)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS only takes file names that are Unicode")
def test_a_file_whose_name_is_no_text_is_an_error(project: Project) -> None:
    """A zip holds names as UTF-8; one that cannot be written so is told of, not left out."""
    project.write("data/x.txt")
    (project.root / "data" / "\udcff.txt").touch()
    with pytest.raises(BundleError, match=r"the bundle cannot be made: .*surrogates"):
        pack(project.gathered("data"))
