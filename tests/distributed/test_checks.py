"""The preflight of one node: each thing that can be wrong is named, with what to do."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import socket
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytest_metersphere
from pytest_metersphere.dist.checks import CLOCK_LIMIT, Wanted, check_node, clock_offset
from pytest_metersphere.dist.node.controller import NodeController
from pytest_metersphere.dist.nodes import Node
from pytest_metersphere.dist.wire import PROTOCOL, Check, NodeInfo
from tests.fakes.nodes import NodeThread, free_port
from tests.fakes.stock import StockController

WANTED = Wanted(pytest_metersphere.__version__, platform.python_version())


def failed(node: Node, wanted: Wanted = WANTED) -> list[Check]:
    """Return what does not hold about a node."""
    return [check for check in check_node(node, wanted) if not check.ok]


def only_failure(node: Node, wanted: Wanted = WANTED) -> Check:
    """Return the one thing that does not hold about a node."""
    (check,) = failed(node, wanted)
    return check


def test_a_node_that_is_fit(node: NodeThread) -> None:
    """Every finding has the node's name, and the order is that of asking."""
    packages = {name: importlib.metadata.version(name) for name in ("pytest", "msgspec")}
    checks = check_node(node.node(host="localhost"), dataclasses.replace(WANTED, packages=packages))
    names = [check.name.removeprefix("node n1: ") for check in checks]

    assert all(check.ok and check.detail for check in checks)
    assert names[:5] == ["name", "reachable", "token", "version", "clock"]
    assert {"capacity", "slices", "folder", "python", "packages"} <= set(names)


def test_packages_that_differ_are_named_with_the_command_that_helps(node: NodeThread) -> None:
    """What is missing and what has another version stand in one line, with names and versions."""
    wanted = {"no-such-package": "1.2", "msgspec": "0.0.1", "pytest": importlib.metadata.version("pytest")}
    check = only_failure(node.node(), dataclasses.replace(WANTED, packages=wanted))

    assert check.name == "node n1: packages"
    assert check.text == (
        "node n1: the tests import what differs on the node: no-such-package 1.2 is missing,"
        f" msgspec is {importlib.metadata.version('msgspec')} there and 0.0.1 here;"
        " on the node, in the environment of pytest-metersphere: pip install"
        " no-such-package==1.2 msgspec==0.0.1"
    )


@pytest.mark.parametrize("name", ["", "../etc", "a b", "x" * 200, "-r", "ä"])
def test_a_name_that_no_package_can_have_is_missing(node: NodeThread, name: str) -> None:
    """Whatever it is asked for, the node answers."""
    check = only_failure(node.node(), dataclasses.replace(WANTED, packages={name: "1"}))

    assert "is missing" in check.detail


def test_another_minor_version_of_python_is_named(node: NodeThread) -> None:
    """Another patch version is not."""
    check = only_failure(node.node(), dataclasses.replace(WANTED, python="3.9.1"))
    here = platform.python_version()
    patch = f"{here.rpartition('.')[0]}.99"

    assert check.text == (
        f"node n1: Python is {here} there and 3.9.1 here; run both on the same minor version of Python"
    )
    assert failed(node.node(), dataclasses.replace(WANTED, python=patch)) == []


def test_another_version_is_named_with_both_and_nothing_more_is_asked(node: NodeThread) -> None:
    """What another version answers means nothing."""
    checks = check_node(node.node(), dataclasses.replace(WANTED, version="9.9"))

    assert checks[-1].name == "node n1: version"
    assert checks[-1].text == (
        f"node n1: the node has version {pytest_metersphere.__version__} (protocol {PROTOCOL}),"
        f" the controller 9.9 (protocol {PROTOCOL}): install the same version of pytest-metersphere on both"
    )


@pytest.mark.parametrize(("shift", "words"), [(7200.0, "ahead of"), (-7200.0, "behind")])
def test_a_clock_that_is_off_is_named_with_its_offset(
    node: NodeThread, monkeypatch: pytest.MonkeyPatch, shift: float, words: str
) -> None:
    """The other checks are made all the same."""
    plain = NodeController.info

    async def shifted(self: NodeController) -> NodeInfo:
        return msgspec.structs.replace(await plain(self), clock=time.time() + shift)

    monkeypatch.setattr(NodeController, "info", shifted)
    check = only_failure(node.node())

    assert check.name == "node n1: clock"
    assert check.detail == f"node n1: its clock is 2h00m {words} the controller's"
    assert "NTP" in check.hint


@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 20),
    st.floats(0, 1),
)
def test_the_time_of_the_request_is_never_taken_for_an_offset(
    offset: float, took: float, when: float
) -> None:
    """A clock that is right is right however slow the way; what is found is at most what is there."""
    found = clock_offset(1e9 + offset + took * when, 1e9, 1e9 + took)
    tolerance = 1e-5

    assert abs(found) <= abs(offset) + tolerance
    assert abs(found) >= abs(offset) - took - tolerance
    assert found * offset >= -tolerance
    assert clock_offset(1e9 + took * when, 1e9, 1e9 + took) == pytest.approx(0.0, abs=tolerance)


def test_the_limit_of_clocks_is_five_seconds() -> None:
    """As documented."""
    assert CLOCK_LIMIT == 5.0


def test_a_wrong_token_is_named(node: NodeThread) -> None:
    """With the variable to set."""
    text = only_failure(node.node(token="wrong-token")).text

    assert text.startswith(f"node n1: the node-controller at {node.url} does not accept the token")
    assert "PYTEST_MS_TOKEN" in text


def test_nobody_there_is_named() -> None:
    """With the command that is missing."""
    node = Node("n1", "127.0.0.1", f"http://127.0.0.1:{free_port()}", "", None, loopback=True)

    assert "start `pytest-metersphere node` there" in only_failure(node).text


def test_a_name_that_cannot_be_resolved_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    check = only_failure(
        Node("n1", "nowhere.invalid", "http://nowhere.invalid:8082", "", None, loopback=False)
    )

    assert check.text == (
        "node n1: the name 'nowhere.invalid' cannot be resolved: Name or service not known;"
        " check its spelling, and DNS"
    )


def test_a_stock_node_controller_is_named() -> None:
    """Its /status passes; that it is none of ours is found without a token being accepted or refused."""
    with StockController() as stock:
        checks = check_node(Node("n1", "127.0.0.1", stock.url, "", None, loopback=True), WANTED)

    assert [check.ok for check in checks] == [True, False]
    assert checks[-1].text.startswith(f"node n1: a stock MeterSphere node-controller listens on {stock.url}")
    assert stock.asked == ["GET /status", "GET /v1/node", "GET /status"]
