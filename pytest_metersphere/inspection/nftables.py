"""The rules of nftables as `nft -j list ruleset` prints them, read for one connection.

libnftables-json(5) describes what is printed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_metersphere.inspection.rules import (
    Chain,
    Connection,
    Rule,
    Verdict,
    all_of,
    any_of,
    in_network,
)

_OTHER_PROTOCOLS = ("udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "esp", "ah", "arp")
_ENDS: Mapping[str, Verdict] = {"accept": "accept", "drop": "block", "reject": "block", "return": "return"}
_HARMLESS = ("counter", "log", "comment")
_TABLE = re.compile(r"^table (\S+) (\S+) \{")
_HANDLE = re.compile(r"^\s*(.+?) # handle (\d+)$")
Key = tuple[str, str, int]


def texts(listing: str) -> dict[Key, str]:
    """Return the rules as `nft -a list ruleset` writes them, by family, table and handle."""
    found: dict[Key, str] = {}
    table = ("", "")
    for line in listing.splitlines():
        if head := _TABLE.match(line):
            table = (head[1], head[2])
        elif (rule := _HANDLE.match(line)) and not rule[1].endswith("{"):
            found[*table, int(rule[2])] = " ".join(rule[1].split())
    return found


def chains(ruleset: Any, written: Mapping[Key, str], connection: Connection) -> dict[str, Chain]:
    """Return the chains through which a connection may go, by family, table and name.

    Args:
        ruleset: what was printed, decoded.
        written: the rules as they are written, from `texts`.
        connection: the connection that its rules are read for.
    """
    items = [item for item in ruleset["nftables"] if isinstance(item, dict)]
    families = ("inet", "ip6" if ":" in connection.address else "ip")
    reader = _Reader(connection, _sets(items), written)
    rules: dict[str, list[Rule]] = {}
    for rule in _of(items, "rule", families):
        rules.setdefault(_name(rule, rule["chain"]), []).append(reader.rule(rule))
    found = {}
    for chain in _of(items, "chain", families):
        name = _name(chain, chain["name"])
        found[name] = Chain(
            name=name,
            rules=tuple(rules.get(name, ())),
            hook=chain.get("hook", "") if chain.get("type") == "filter" else "",
            blocks=chain.get("policy") == "drop",
            opening=f"nft insert rule {name} tcp dport {connection.port} accept",
        )
    return found


def _of(items: Sequence[dict[str, Any]], kind: str, families: Sequence[str]) -> Iterator[dict[str, Any]]:
    return (item[kind] for item in items if kind in item and item[kind]["family"] in families)


def _name(item: Mapping[str, Any], chain: str) -> str:
    return f"{item['family']} {item['table']} {chain}"


def _sets(items: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], Any]:
    return {
        (item["set"]["family"], item["set"]["table"], f"@{item['set']['name']}"): item["set"].get("elem", [])
        for item in items
        if "set" in item
    }


@dataclasses.dataclass(frozen=True, slots=True)
class _Effect:
    """What one statement of a rule says: a condition, or what becomes of the packet."""

    matches: bool | None = True
    names_port: bool = False
    verdict: Verdict = ""
    target: str = ""


class _Reader:
    """Reads rules for one connection."""

    def __init__(
        self, connection: Connection, sets: Mapping[tuple[str, str, str], Any], written: Mapping[Key, str]
    ) -> None:
        self._connection = connection
        self._sets = sets
        self._written = written

    def rule(self, rule: Mapping[str, Any]) -> Rule:
        effects = [self._effect(kind, said, rule) for item in rule["expr"] for kind, said in item.items()]
        decisive = next((each for each in effects if each.verdict), _Effect())
        place, handle = _name(rule, rule["chain"]), rule["handle"]
        written = self._written.get((rule["family"], rule["table"], handle), f"rule {handle}")
        return Rule(
            text=f"{place}: {written}",
            matches=all_of([each.matches for each in effects]),
            names_port=any(each.names_port for each in effects),
            verdict=decisive.verdict,
            target=decisive.target,
            removal=f"nft delete rule {place} handle {handle}",
        )

    def _effect(self, kind: str, content: Any, rule: Mapping[str, Any]) -> _Effect:
        """Return what a statement of a rule says."""
        table = (rule["family"], rule["table"])
        if kind == "match":
            answer = self._match(content, table)
            return _Effect(answer, names_port=bool(answer) and _is_port(content["left"]))
        if kind == "vmap":
            chosen = self._chosen(content, table)
            if not chosen:
                return _Effect(None if chosen is None else False)
            ((verdict, target),) = chosen.items()
            effect = self._effect(verdict, target, rule)
            return dataclasses.replace(effect, names_port=_is_port(content["key"]))
        if kind in ("jump", "goto"):
            goes: Verdict = "jump" if kind == "jump" else "goto"
            return _Effect(verdict=goes, target=_name(rule, content["target"]))
        return _Effect(True if kind in (*_ENDS, *_HARMLESS) else None, verdict=_ENDS.get(kind, ""))

    def _match(self, content: Mapping[str, Any], table: tuple[str, str]) -> bool | None:
        left = content["left"]
        if isinstance(left, dict) and left.get("payload", {}).get("protocol") in _OTHER_PROTOCOLS:
            return False
        value = self._value(left)
        if value is None:
            return None
        answer = self._holds(content["right"], value, table)
        if content["op"] == "!=":
            return None if answer is None else not answer
        return answer if content["op"] in ("==", "in") else None

    def _chosen(self, content: Mapping[str, Any], table: tuple[str, str]) -> dict[str, Any] | None:
        """Return the verdict that a map has for the connection; none when it has none, None if unknown."""
        value, data = self._value(content["key"]), content["data"]
        if value is None or not isinstance(data, dict):
            return None
        for key, verdict in data.get("set", ()):
            if self._holds(key, value, table):
                return dict(verdict)
        return {}

    def _value(self, left: Any) -> str | int | None:
        """Return what the connection has where a match looks; None when that is not known."""
        if not isinstance(left, dict):
            return None
        if _is_port(left):
            return self._connection.port
        (kind, content), *_ = left.items()
        field = content.get("field") or content.get("key") if isinstance(content, dict) else None
        known: dict[tuple[str, str | None], str] = {
            ("meta", "l4proto"): "tcp",
            ("meta", "nfproto"): "ipv6" if ":" in self._connection.address else "ipv4",
            ("ct", "state"): "new",
            ("payload", "daddr"): self._connection.address,
        }
        if self._connection.here:
            known |= {("meta", key): "lo" for key in ("iifname", "oifname", "iif", "oif")}
            known |= {("payload", "saddr"): self._connection.address}
        elif kind == "meta" and field in ("oifname", "oif"):
            return "an interface that is not lo"
        return known.get((kind, field))

    def _holds(self, right: Any, value: str | int, table: tuple[str, str]) -> bool | None:
        """Return whether a value is one of those on the right side of a match."""
        if isinstance(right, str) and right.startswith("@"):
            elements = self._sets.get((*table, right))
            return None if elements is None else self._holds({"set": elements}, value, table)
        if isinstance(right, list) or (isinstance(right, dict) and "set" in right):
            elements = right if isinstance(right, list) else right["set"]
            return any_of([self._holds(each, value, table) for each in elements])
        if isinstance(right, dict) and "elem" in right:
            return self._holds(right["elem"].get("val"), value, table)
        if value == "an interface that is not lo":
            return False if right == "lo" else None
        return _is_one(right, value)


def _is_port(left: Any) -> bool:
    payload = left.get("payload", {}) if isinstance(left, dict) else {}
    return payload.get("protocol") in ("tcp", "th") and payload.get("field") == "dport"


def _is_one(right: Any, value: str | int) -> bool | None:
    if isinstance(right, dict) and "range" in right:
        first, last = right["range"]
        return first <= value <= last if isinstance(value, int) and isinstance(first, int) else None
    if isinstance(right, dict) and "prefix" in right:
        prefix = right["prefix"]
        return in_network(str(value), f"{prefix['addr']}/{prefix['len']}")
    return right == value if isinstance(right, str | int) else None
