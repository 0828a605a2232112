"""Nodes that answer, and are not as they should be; and those that never come to an end."""

from __future__ import annotations

import pytest

from pytest_metersphere.dist.pool import Pool, parse_pool
from pytest_metersphere.dist.wire import PROTOCOL
from pytest_metersphere.inspection import doctor, nodes
from pytest_metersphere.inspection.doctor import examine
from pytest_metersphere.inspection.gathering import gathered
from pytest_metersphere.inspection.settings import Target
from pytest_metersphere.inspection.status import status_of
from pytest_metersphere.inspection.text import doctor_lines, status_lines
from pytest_metersphere.inspection.values import NodeStatus
from tests.fakes.node_answers import AnsweringNode, answering
from tests.fakes.nodes import TOKEN


def pool_of(*fakes: AnsweringNode) -> Pool:
    """Return a pool of these nodes, named a, b and so on."""
    named = zip("abc", fakes, strict=False)
    return parse_pool(",".join(f"{name}@{fake.address}" for name, fake in named), {})


def status_row(fake: AnsweringNode) -> NodeStatus:
    """Return how a node is."""
    (row,) = status_of(Target(pool_of(fake), None, TOKEN)).nodes
    return row


def test_a_node_tells_what_it_has() -> None:
    """Of what it has free no more counts than the pool declares."""
    with answering(AnsweringNode()) as fake:
        pool = parse_pool(f"a@{fake.address}=40,b@localhost:{fake.port}", {})
        declared, free = status_of(Target(pool, None, TOKEN)).nodes

    assert (declared.capacity, declared.declared, declared.free) == (100, 40, 40)
    assert (free.capacity, free.declared, free.free, free.slices, free.workers) == (100, None, 60, 2, 1)


def test_a_node_tells_of_what_it_runs_for_others() -> None:
    """It is up; why nothing is free there is said."""
    with answering(AnsweringNode(guests=["t-7f3a", "t-7f3b"], free=0)) as fake:
        row = status_row(fake)

    assert (row.state, row.ok, row.free) == ("up", True, 0)
    assert row.detail == "containers of a MeterSphere server run there: t-7f3a, t-7f3b"


@pytest.mark.parametrize(("ahead", "words"), [(7200.0, "2h00m"), (-7200.0, "2h00m")])
def test_a_clock_that_is_off(ahead: float, words: str) -> None:
    """Ahead or behind, by how much, and what to do."""
    fake = AnsweringNode()
    fake.clock = ahead
    with answering(fake):
        row = status_row(fake)

    assert (row.state, row.ok) == ("clock off", False)
    assert row.clock_offset == pytest.approx(ahead, abs=10)
    assert f"its clock is {words} {'ahead of' if ahead > 0 else 'behind'} this machine's" in row.detail
    assert "NTP" in row.detail


@pytest.mark.parametrize("changes", [{"version": "0.0.9"}, {"protocol": PROTOCOL + 1}])
def test_another_version(changes: dict[str, object]) -> None:
    """Both versions are named."""
    with answering(AnsweringNode(**changes)) as fake:
        row = status_row(fake)

    assert (row.state, row.ok) == ("other version", False)
    assert f"(protocol {row.version and changes.get('protocol', PROTOCOL)})" in row.detail
    assert "install the same version" in row.detail


def test_a_node_that_is_not_well_by_its_own_words() -> None:
    """Its /status says so."""
    fake = AnsweringNode()
    fake.status = b'{"success":false,"message":"no","data":""}'
    with answering(fake):
        row = status_row(fake)

    assert (row.state, row.ok) == ("unwell", False)
    assert "says that it is not well" in row.detail


def test_a_token_that_comes_back_is_not_shown() -> None:
    """Neither from what is no node, nor from one that takes it for its version."""
    echo, odd = AnsweringNode(), AnsweringNode(version=f"\x1b[31m{TOKEN}", python="\u202e3")
    echo.echoes = True
    with answering(echo), answering(odd):
        target = Target(pool_of(echo, odd), None, TOKEN)
        status, findings = status_of(target), examine(target)

    first, second = status.nodes
    assert first.state == "not ours"
    assert "***" in first.detail
    assert second.version == "\x1b[31m***"
    text = "\n".join([*status_lines(status, None), *doctor_lines(findings, None)])
    assert TOKEN not in f"{text}{status}{findings}{target}"
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_an_answer_without_an_end_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no answer; the other node is told in full."""
    monkeypatch.setattr(nodes, "LIMIT", 0.5)
    monkeypatch.setattr(doctor, "NODE_LIMIT", 0.5)
    endless = AnsweringNode()
    endless.trickles = True
    with answering(endless), answering(AnsweringNode()) as well:
        target = Target(pool_of(endless, well), None, TOKEN)
        status, findings = status_of(target), examine(target)

    first, second = status.nodes
    assert (first.state, second.state) == ("down", "up")
    assert "did not come to the end of its answers within 500 ms" in first.detail
    (lost,) = [finding for finding in findings.checks if finding.subject == "node a"]
    assert (lost.name, lost.ok) == ("answers", False)
    assert "within 500 ms" in lost.detail
    assert [finding for finding in findings.checks if finding.subject == "node b"]


def test_errors_of_many_at_once_come_out() -> None:
    """What goes wrong in a thread is raised where it is waited for."""
    assert gathered(lambda number: number * 2, [3, 1, 2], 5.0) == [6, 2, 4]
    assert gathered(str, [], 0.0) == []
    with pytest.raises(ZeroDivisionError):
        gathered(lambda number: 1 // number, [1, 0], 5.0)
