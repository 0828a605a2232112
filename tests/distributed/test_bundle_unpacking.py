"""A bundle writes below its folder, within its limits, or not at all."""

from __future__ import annotations

import contextlib
import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist import bundle
from pytest_metersphere.dist.bundle import BundleError, unpack
from tests.fakes.nodes import bundle_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder inside another one."""
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


def _zip_of(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return data.getvalue()


def _entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


def _left_by_side(folder: Path) -> list[str]:
    return [path.name for path in folder.parent.iterdir() if path != folder]


def test_files_and_folders_appear(folder: Path) -> None:
    """Content, nested folders and empty folders are as they were packed."""
    unpack(bundle_of({"conftest.py": b"x = 1\n", "shop/data/users.csv": b"a,b\n", "empty/": b""}), folder)

    assert (folder / "conftest.py").read_bytes() == b"x = 1\n"
    assert (folder / "shop" / "data" / "users.csv").read_bytes() == b"a,b\n"
    assert (folder / "empty").is_dir()


def test_only_the_owner_may_read_and_scripts_stay_executable(folder: Path) -> None:
    """Of a file's mode nothing but the owner's right to execute it survives."""
    script = (_entry("run.sh", stat.S_IFREG | 0o4777), b"#!/bin/sh\n")
    unpack(_zip_of(script, (_entry("data.txt", stat.S_IFREG | 0o666), b"")), folder)

    assert stat.S_IMODE((folder / "run.sh").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "data.txt").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "a/../../evil.py",
        "/evil.py",
        "a//b.py",
        "./a.py",
        "..",
        "a\\..\\..\\evil.py",
        "a/./b.py",
    ],
)
def test_a_path_that_is_not_plain_is_refused(folder: Path, name: str) -> None:
    """Nothing is written outside of the folder, whatever the name of an entry says."""
    with pytest.raises(BundleError, match="unsafe path"):
        unpack(_zip_of((_entry(name), b"evil")), folder)

    assert _left_by_side(folder) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(folder: Path, kind: int) -> None:
    """An entry that is neither a file nor a folder is named and refused."""
    with pytest.raises(BundleError, match=r"'way-out', which is a link or a special file"):
        unpack(_zip_of((_entry("way-out", kind | 0o777), b"/etc")), folder)

    assert list(folder.iterdir()) == []


def test_a_name_that_comes_twice_is_refused(folder: Path) -> None:
    """The second of two entries with one name does not replace the first."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = _zip_of((_entry("a.py"), b"first"), (_entry("a.py"), b"second"))

    with pytest.raises(BundleError, match=r"names 'a.py' twice"):
        unpack(data, folder)
    assert (folder / "a.py").read_bytes() == b"first"


def test_a_file_in_the_place_of_a_folder_is_refused(folder: Path) -> None:
    """An entry below another entry that is a file is an error, not a crash."""
    with pytest.raises(BundleError, match="cannot be unpacked"):
        unpack(bundle_of({"a": b"", "a/b": b""}), folder)


def test_the_unpacked_size_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that unpacks to more than the limit is refused, over all its files together."""
    monkeypatch.setattr(bundle, "MAX_BUNDLE", 3000)
    data = bundle_of({"a": bytes(1000), "b": bytes(2000)})
    unpack(data, folder)

    with pytest.raises(BundleError, match=r"unpacks to more than 2\.93 KiB"):
        unpack(bundle_of({"c": bytes(1000), "d": bytes(2001)}), folder)


def test_a_zip_that_lies_about_sizes_writes_no_more_than_it_says(folder: Path) -> None:
    """An entry whose head says one byte, while a mebibyte comes out of it, is refused."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1 << 20))
        archive.filelist[0].file_size = 1
    with pytest.raises(BundleError, match="not a sound zip"):
        unpack(data.getvalue(), folder)

    assert (folder / "a").stat().st_size <= 1


def test_too_many_entries_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of entries is limited, before any of them is written."""
    monkeypatch.setattr(bundle, "MAX_FILES", 2)

    with pytest.raises(BundleError, match="3 entries, at most 2"):
        unpack(bundle_of({"a": b"", "b": b"", "c": b""}), folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"no zip at all", bundle_of({"a": b"b"})[:-5]],
    ids=["nothing", "two letters", "a text", "cut"],
)
def test_what_is_no_zip_is_refused(folder: Path, data: bytes) -> None:
    """Anything else than a zip is refused with a reason."""
    with pytest.raises(BundleError, match="not a sound zip"):
        unpack(data, folder)


def test_an_unknown_way_of_packing_is_refused(folder: Path) -> None:
    """Only plain and deflated entries are read."""
    entry = _entry("a")
    entry.compress_type = zipfile.ZIP_LZMA

    with pytest.raises(BundleError, match="packed in a way that is not supported"):
        unpack(_zip_of((entry, b"data")), folder)


@given(place=st.integers(min_value=0, max_value=400), byte=st.integers(min_value=0, max_value=255))
def test_a_damaged_bundle_unpacks_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    """Whatever byte of a bundle is wrong, there is no other exception than BundleError."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conftest.py", b"x = 1\n" * 100)
        archive.writestr("shop/users.csv", b"a,b\n")
    damaged = bytearray(data.getvalue())
    damaged[place % len(damaged)] = byte
    outer = tmp_path_factory.mktemp("outer")
    folder = outer / "inside"
    folder.mkdir()

    with contextlib.suppress(BundleError):
        unpack(bytes(damaged), folder)
    assert _left_by_side(folder) == []
