"""Whether this node has the packages, the Python and the JMeter that the controller's tests run on."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Callable, Mapping

from pytest_metersphere.dist.wire import Check
from pytest_metersphere.engine.jmeter.home import NoJMeter, working_home

MAX_PACKAGES = 1000

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def check_packages(
    wanted: Mapping[str, str], version_of: Callable[[str], str | None] | None = None, remedy: str = ""
) -> Check:
    """Return whether the distributions are installed in these versions; names each that is not.

    Args:
        wanted: versions by name.
        version_of: returns the installed version, None without; by default that of this environment.
        remedy: what to do about those that differ; by default to install them here.
    """
    version_of = version_of or _version_of
    faults: dict[str, str] = {}
    for name, version in list(wanted.items())[:MAX_PACKAGES]:
        installed = version_of(name)
        if installed is None:
            faults[f"{name}=={version}"] = f"{name} {version} is missing"
        elif installed != version:
            faults[f"{name}=={version}"] = f"{name} is {installed} there and {version} here"
    if not faults:
        return Check(
            name="packages", ok=True, detail=f"{len(wanted)} packages that the tests import are there"
        )
    return Check(
        name="packages",
        ok=False,
        detail=f"the tests import what differs on the node: {', '.join(faults.values())}",
        hint=remedy
        or f"on the node, in the environment of pytest-metersphere: pip install {' '.join(faults)}",
    )


def check_python(wanted: str, found: str = "") -> Check:
    """Return whether a Python, this one by default, is of the same minor version as `wanted`, `3.11.7`."""
    here = found or platform.python_version()
    same = here.split(".")[:2] == wanted.split(".")[:2]
    return Check(
        name="python",
        ok=same,
        detail=f"Python is {here} there and {wanted} here",
        hint="" if same else "run both on the same minor version of Python",
    )


def check_jmeter() -> Check:
    """Return whether Java and JMeter are here, and Java works; that takes a moment."""
    try:
        return jmeter_check(working_home().version)
    except NoJMeter as error:
        return jmeter_check("", f"on the node {error}")


def jmeter_check(version: str, lack: str = "", remedy: str = "") -> Check:
    """Return that there is JMeter, of a version as far as that is known; or what is lacking, and where."""
    if lack:
        return Check(
            name="jmeter", ok=False, detail=f"the load is a JMeter test plan, and {lack}", hint=remedy
        )
    return Check(name="jmeter", ok=True, detail=f"JMeter {version or 'of an unknown version'} is there")


def _version_of(name: str) -> str | None:
    """Return the installed version of a distribution, None when it is not there or cannot be one."""
    if not _NAME.fullmatch(name):
        return None
    try:
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return version
