"""Which installed packages a bundle asks its nodes for."""

from __future__ import annotations

import importlib.metadata
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_metersphere.dist import packages
from pytest_metersphere.dist.packages import required_packages
from pytest_metersphere.dist.sources import Sources

INSTALLED = {
    "requests": ["requests"],
    "yaml": ["PyYAML"],
    "google": ["google-cloud-storage", "protobuf"],
    "shop": ["shop"],
    "pytest": ["pytest"],
}
FILES = {
    "google-cloud-storage": ["google/cloud/storage/__init__.py"],
    "protobuf": ["google/protobuf/__init__.py", "google/protobuf/message.py"],
}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have these distributions installed, each in a version that is its name's length."""
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: INSTALLED)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{len(name)}.0")
    monkeypatch.setattr(
        importlib.metadata,
        "files",
        lambda name: [importlib.metadata.PackagePath(p) for p in FILES.get(name, [])],
    )


def asked_for(
    root: Path, files: Mapping[str, str], *imported: str, sys_path: tuple[str, ...] = (".",)
) -> list[str]:
    """Return the distributions that a bundle of these files asks for; `imported` were imported."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    begun = frozenset(root / name for name in imported or files)
    return list(required_packages(Sources(root, frozenset(root / name for name in files), sys_path, begun)))


@pytest.mark.parametrize(
    "text",
    [
        "import requests",
        "import requests.adapters as a, json",
        "from requests import get",
        "from requests.adapters import *",
        "def f():\n    import requests",
        "class A:\n    async def f(self):\n        from requests import get",
        "try:\n    import requests\nexcept ImportError:\n    pass",
        "if True:\n    pass\nelse:\n    import requests",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import yaml\nelse:\n    import requests",
        "pytest_plugins = ['requests.plugin']",
        "pytest_plugins = 'requests'",
    ],
)
def test_imports_are_found_wherever_they_stand(tmp_path: Path, text: str) -> None:
    """At the top, in functions and classes, and in pytest_plugins."""
    assert asked_for(tmp_path, {"test_a.py": text}) == ["requests"]


@pytest.mark.parametrize(
    "text",
    [
        "import os, json, xml.etree",
        "import not_installed_here",
        "import pytest_metersphere",
        "import typing\nif typing.TYPE_CHECKING:\n    import requests",
        "'import requests'",
        "this is no Python",
        "",
    ],
)
def test_what_no_node_needs_to_have_is_not_asked_for(tmp_path: Path, text: str) -> None:
    """The standard library, ourselves, what is not here either, and what only a type checker reads."""
    assert asked_for(tmp_path, {"test_a.py": text}) == []


def test_versions_are_those_installed_here(tmp_path: Path) -> None:
    """Distributions are named as they call themselves, not as they are imported."""
    (tmp_path / "test_a.py").write_text("import yaml, requests, pytest")
    file = frozenset([tmp_path / "test_a.py"])

    assert required_packages(Sources(tmp_path, file, (".",), file)) == {
        "pytest": "6.0",
        "PyYAML": "6.0",
        "requests": "8.0",
    }


def test_bundled_modules_are_not_asked_for_but_followed(tmp_path: Path) -> None:
    """A module of the bundle is no package of the node's, even when it is installed; its imports count."""
    files = {
        "test_a.py": "def f():\n    from shop import cart",
        "src/shop/__init__.py": "",
        "src/shop/cart.py": "from . import prices\nfrom .deep import things",
        "src/shop/prices.py": "import requests",
        "src/shop/deep/__init__.py": "from ..other import x",
        "src/shop/other.py": "import yaml",
        "src/shop/unused.py": "import pytest",
    }

    assert asked_for(tmp_path, files, "test_a.py", sys_path=(".", "src")) == ["PyYAML", "requests"]


def test_a_bundled_module_that_nobody_imports_asks_for_nothing(tmp_path: Path) -> None:
    """A package comes whole; what no scenario comes near may need what only the controller has."""
    files = {"test_a.py": "import shop", "shop/__init__.py": "", "shop/admin.py": "import requests"}

    assert asked_for(tmp_path, files, "test_a.py") == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from google.protobuf import message", ["protobuf"]),
        ("import google.cloud.storage", ["google-cloud-storage"]),
        ("from google.cloud import storage", ["google-cloud-storage"]),
        ("import google.something.else_", []),
    ],
)
def test_of_several_distributions_in_one_namespace_the_right_one_is_asked_for(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    """The top-level name alone does not say which."""
    assert asked_for(tmp_path, {"test_a.py": text}) == names


def test_relative_imports_outside_packages_lead_nowhere_or_beside(tmp_path: Path) -> None:
    """However many dots there are, nothing breaks."""
    files = {"test_a.py": "from . import helper\nfrom ....... import x\nfrom .. import requests"}
    files["helper.py"] = "import yaml"

    assert asked_for(tmp_path, files, "test_a.py") == ["PyYAML"]


def test_files_that_are_no_modules_are_left_alone(tmp_path: Path) -> None:
    """Data is not read as Python."""
    assert asked_for(tmp_path, {"users.csv": "import requests"}) == []
    assert packages.required_packages(Sources(tmp_path, frozenset(), ())) == {}


def test_a_damaged_installation_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution without a name or a version is nothing to ask for."""

    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(
        importlib.metadata, "packages_distributions", lambda: {"requests": [None, "requests"]}
    )
    monkeypatch.setattr(importlib.metadata, "version", version)

    assert asked_for(tmp_path, {"test_a.py": "import requests"}) == []
