"""What becomes of a connection in the rules of nftables and iptables, as their tools print them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.inspection import firewall, iptables, nftables
from pytest_metersphere.inspection.rules import Block, Connection, all_of, any_of, blocks

HERE = Connection("10.0.0.5", 9092, here=True)
AWAY = Connection("10.0.0.5", 9092, here=False)
Statements = list[dict[str, Any]]
DROP: Statements = [{"drop": None}]
PORT = {"payload": {"protocol": "tcp", "field": "dport"}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    """Return a condition."""
    return {"match": {"op": op, "left": left, "right": right}}


def by_nft(
    *rules: Statements,
    policy: str = "accept",
    hook: str = "input",
    more: Any = (),
    at: Connection = HERE,
) -> list[Block]:
    """Return what stops a connection where a chain of nftables has these rules, lists of statements."""
    chain = {
        "family": "inet",
        "table": "filter",
        "name": "in",
        "type": "filter",
        "hook": hook,
        "policy": policy,
    }
    items: list[Any] = [{"metainfo": {"version": "1.0.6"}}, {"chain": chain}, *more]
    for handle, statements in enumerate(rules, start=1):
        items.append(
            {
                "rule": {
                    "family": "inet",
                    "table": "filter",
                    "chain": "in",
                    "handle": handle,
                    "expr": statements,
                }
            }
        )
    return blocks(nftables.chains({"nftables": items}, {}, at), at)


def by_iptables(listing: str, at: Connection = HERE) -> list[Block]:
    """Return what stops a connection by what `iptables -S` prints."""
    return blocks(iptables.chains(listing, "iptables", at), at)


def by_tools(patch: pytest.MonkeyPatch, folder: Path, *, iptables: str, nft: str) -> None:
    """Let there be only tools that print this; `nft` is what it prints as JSON, empty for no rules."""
    listing = "x" if nft else ""
    for name, text in (("rules", iptables), ("ruleset", nft), ("listing", listing)):
        (folder / name).write_text(text)
    scripts = {
        "iptables": f"cat {folder}/rules",
        "nft": f"[ $1 = -a ] && cat {folder}/listing || cat {folder}/ruleset",
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    patch.setenv("PATH", f"{folder}:/bin:/usr/bin")


@pytest.mark.parametrize(
    "condition",
    [
        match(PORT, 9092),
        match(PORT, {"range": [9000, 9100]}),
        match(PORT, {"set": [22, {"range": [9090, 9099]}]}),
        match(PORT, 22, "!="),
        match(PORT, "@closed"),
        match({"payload": {"protocol": "th", "field": "dport"}}, 9092),
        match({"payload": {"protocol": "ip", "field": "daddr"}}, {"prefix": {"addr": "10.0.0.0", "len": 8}}),
        match({"payload": {"protocol": "ip", "field": "saddr"}}, "10.0.0.5"),
        match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}),
        match({"meta": {"key": "iifname"}}, "lo"),
        match({"ct": {"key": "state"}}, ["new", "invalid"], "in"),
    ],
)
@pytest.mark.parametrize("end", [{"drop": None}, {"reject": {"type": "tcp reset"}}])
def test_a_rule_of_nftables_that_is_about_it(condition: Any, end: Any) -> None:
    """It certainly stops the connection, and the command takes away that rule."""
    closed = {
        "set": {"family": "inet", "table": "filter", "name": "closed", "elem": [{"elem": {"val": 9092}}]}
    }
    (block,) = by_nft([condition, {"counter": {}}, end], more=[closed])

    assert block.certain
    assert block.command == "nft delete rule inet filter in handle 1"


@pytest.mark.parametrize(
    "condition",
    [
        match(PORT, 9093),
        match(PORT, {"set": [22, {"range": [1, 1024]}]}),
        match(PORT, 9092, "!="),
        match({"payload": {"protocol": "udp", "field": "dport"}}, 9092),
        match({"payload": {"protocol": "ip", "field": "daddr"}}, {"prefix": {"addr": "10.1.0.0", "len": 16}}),
        match({"meta": {"key": "iifname"}}, "eth0"),
        match({"meta": {"key": "nfproto"}}, "ipv6"),
        match({"ct": {"key": "state"}}, ["established", "related"], "in"),
    ],
)
def test_a_rule_of_nftables_that_is_not(condition: Any) -> None:
    """It stops nothing."""
    rule: Statements = [condition, {"drop": None}]
    assert by_nft(rule) == []


def test_a_rule_that_may_be_about_it() -> None:
    """It is a suspect when it names the port; what is sure comes first."""
    unknown = match({"payload": {"protocol": "ip", "field": "saddr"}}, "192.0.2.1")
    limited: Statements = [{"limit": {"rate": 10}}, match(PORT, 9092), {"drop": None}]
    sure: Statements = [match(PORT, 9092), {"drop": None}]

    assert by_nft([unknown, *DROP], hook="output", at=AWAY) == []
    assert [block.certain for block in by_nft(limited)] == [False]
    assert [(block.certain, block.command[-1]) for block in by_nft(limited, sure)] == [
        (True, "2"),
        (False, "1"),
    ]


def test_what_is_accepted_before_is_not_stopped() -> None:
    """Perhaps accepted is not certainly stopped."""
    sure: Statements = [match(PORT, 9092), {"accept": None}]
    perhaps: Statements = [{"limit": {"rate": 10}}, {"accept": None}]

    assert by_nft(sure, DROP) == []
    assert [block.certain for block in by_nft(perhaps, DROP)] == [False]
    assert [block.certain for block in by_nft(DROP, sure)] == [True]


@pytest.mark.parametrize("policy", ["accept", "drop"])
def test_the_policy_decides_last(policy: str) -> None:
    """The command lets the port through at the head of the chain."""
    found = by_nft([match(PORT, 22), {"accept": None}], policy=policy)

    assert [block.command for block in found] == (
        ["nft insert rule inet filter in tcp dport 9092 accept"] if policy == "drop" else []
    )


def test_maps_and_other_chains_are_followed() -> None:
    """To the rule that stops it; a map without the port decides nothing."""
    more = [
        {"chain": {"family": "inet", "table": "filter", "name": "more"}},
        {
            "rule": {
                "family": "inet",
                "table": "filter",
                "chain": "more",
                "handle": 9,
                "expr": [{"drop": None}],
            }
        },
    ]
    jump = {"jump": {"target": "more"}}
    to_more = {"vmap": {"key": PORT, "data": {"set": [[22, {"accept": None}], [9092, jump]]}}}
    silent = {"vmap": {"key": PORT, "data": {"set": [[22, {"drop": None}]]}}}
    (block,) = by_nft([silent], [to_more], more=more)

    assert (block.certain, block.command) == (True, "nft delete rule inet filter more handle 9")
    assert by_nft([match(PORT, 22), jump], more=more) == []


def test_only_the_way_that_it_takes_is_looked_at() -> None:
    """To another machine it leaves by output; to this one it comes in, too."""
    rule = [match(PORT, 9092), {"drop": None}]

    assert by_nft(rule, hook="input", at=AWAY) == []
    assert by_nft(rule, hook="output", at=AWAY) != []
    assert by_nft(rule, hook="output", at=HERE) != []
    assert by_nft(rule, hook="forward", at=HERE) == []


def test_rules_are_shown_as_they_are_written() -> None:
    """By their table and handle."""
    listing = """\
table inet filter { # handle 1
    chain in { # handle 1
        type filter hook input priority filter; policy accept;
        tcp dport 9092  drop # handle 7
    }
}
"""
    assert nftables.texts(listing) == {("inet", "filter", 7): "tcp dport 9092 drop"}


@pytest.mark.parametrize(
    "condition",
    [
        "-p tcp -m tcp --dport 9092",
        "-p tcp -m multiport --dports 22,9000:9100",
        "-d 10.0.0.5/32 -p tcp -m tcp --dport 9092",
        "-i lo -p tcp",
        "! -d 192.0.2.0/24 -p tcp",
        '-m conntrack --ctstate NEW,INVALID -m comment --comment "so it is"',
        "",
    ],
)
@pytest.mark.parametrize("end", ["DROP", "REJECT --reject-with icmp-port-unreachable"])
def test_a_rule_of_iptables_that_is_about_it(condition: str, end: str) -> None:
    """It certainly stops the connection, and the command takes away that rule."""
    rule = " ".join(["INPUT", *condition.split(), "-j", end]) if condition else f"INPUT -j {end}"
    (block,) = by_iptables(f"-P INPUT ACCEPT\n-A {rule}")

    assert block.certain
    assert block.command == f"iptables -D {rule}"


@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp -m tcp --dport 9093 -j DROP",
        "-p udp -m udp --dport 9092 -j DROP",
        "! -i lo -p tcp -j DROP",
        "-d 192.0.2.1/32 -j DROP",
        "-m conntrack --ctstate RELATED,ESTABLISHED -j REJECT",
        "-p tcp -j LOG",
        "-j DOCKER",
        "-m owner --uid-owner 7 -j DROP",
    ],
)
def test_a_rule_of_iptables_that_is_not(rule: str) -> None:
    """It stops nothing."""
    assert by_iptables(f"-P INPUT ACCEPT\n-A INPUT {rule}") == []


def test_chains_of_iptables_are_followed() -> None:
    """With jumps, returns and goto; a chain that leads to itself ends."""
    listing = """
-P INPUT DROP
-N ZONE
-N LOOP
-A INPUT -j ZONE
-A INPUT -j LOOP
-A LOOP -j LOOP
-A ZONE -p tcp -m tcp --dport 22 -j ACCEPT
-A ZONE -p tcp -j RETURN
-A ZONE -j DROP
"""
    (block,) = by_iptables(listing)
    assert block.command == "iptables -I INPUT -p tcp --dport 9092 -j ACCEPT"
    assert by_iptables(listing.replace("-j RETURN", "-j ACCEPT")) == []
    assert by_iptables("-P INPUT DROP\n-N Z\n-A INPUT -g Z\n-A INPUT -j ACCEPT")[0].text.startswith(
        "the policy"
    )


@given(st.lists(st.sampled_from([True, False, None])))
def test_three_answers(answers: list[bool | None]) -> None:
    """Both are what they are for every way in which the unknown may turn out."""

    def outcomes(found: list[bool | None]) -> list[list[bool]]:
        ways: list[list[bool]] = [[]]
        for each in found[:8]:
            ways = [[*way, value] for way in ways for value in ((True, False) if each is None else (each,))]
        return ways

    answers = answers[:8]
    together = {all(way) for way in outcomes(answers)}
    one = {any(way) for way in outcomes(answers)}
    assert all_of(answers) == (together.pop() if len(together) == 1 else None)
    assert any_of(answers) == (one.pop() if len(one) == 1 else None)


@given(st.text(alphabet="-AINPUTjDROP dport:9092!,\n\"'", max_size=200))
def test_whatever_iptables_prints_is_read(text: str) -> None:
    """What is not understood decides nothing, and is no error."""
    by_iptables(text)


def test_who_manages_the_rules_has_the_command() -> None:
    """firewalld and ufw would write theirs again."""
    for name, begin in (
        ("inet firewalld filter_INPUT", "firewall-cmd --permanent --add-port=9092/tcp"),
        ("iptables IN_public_deny", "firewall-cmd"),
        ("iptables ufw-user-input", "ufw allow 9092/tcp"),
        ("iptables INPUT", "iptables -D"),
    ):
        block = Block("a rule", name, certain=True, command="iptables -D INPUT 1")
        assert firewall.managed(block, 9092).command.startswith(begin)


@pytest.mark.parametrize(
    "ruleset", ['{"nftables": 7}', '{"nftables": [{"chain": {"family": "inet"}}]}', "[]", "{"]
)
def test_rules_that_are_not_understood_are_told(
    ruleset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool of another time may print something else: then the rules count as not read."""
    by_tools(monkeypatch, tmp_path, iptables="", nft=ruleset)
    look = firewall.look(HERE)

    assert look.blocks == ()
    assert look.trouble == "`nft -j list ruleset` prints what is not understood here"


@pytest.mark.parametrize(
    ("user", "says", "told"),
    [
        (1000, "You must be root", "this user may not read the rules, try: sudo iptables -S"),
        (0, "Table does not exist\nInsmod?", "`iptables -S` fails: Table does not exist Insmod?"),
        (0, "", "`iptables -S` fails: exit code 4"),
    ],
)
def test_rules_that_cannot_be_read(
    user: int, says: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root is not sent to sudo: what the tool said is quoted."""
    by_tools(monkeypatch, tmp_path, iptables="", nft="")
    (tmp_path / "iptables").write_text(f"#!/bin/sh\ncat >&2 <<END\n{says}\nEND\nexit 4\n")
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert firewall.look(HERE).trouble == told


def test_a_certain_rule_of_nftables_behind_an_uncertain_one_of_iptables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certain one is told first, and the other one, too."""
    chain = {"family": "inet", "table": "f", "name": "out", "type": "filter", "hook": "output"}
    rule = {"family": "inet", "table": "f", "chain": "out", "handle": 7, "expr": DROP}
    ruleset = msgspec.json.encode({"nftables": [{"chain": chain | {"policy": "accept"}}, {"rule": rule}]})
    perhaps = "-A OUTPUT -p tcp -m tcp --dport 9092 -m limit --limit 1/sec -j DROP"
    by_tools(monkeypatch, tmp_path, iptables=f"-P OUTPUT ACCEPT\n{perhaps}", nft=ruleset.decode())
    found = firewall.look(AWAY).blocks

    assert [(each.certain, each.command.partition(" ")[0]) for each in found] == [
        (True, "nft"),
        (False, "iptables"),
    ]
