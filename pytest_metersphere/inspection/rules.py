"""What becomes of a connection in the rules of a packet filter: pure, whichever filter it is.

Not every condition of a rule can be decided from outside (rates, marks, sets of addresses), so a match is
yes, no, or perhaps. A rule that certainly ends the connection is the answer. Those that perhaps do and name
its port are suspects; so is the policy of a chain in which nothing certainly accepts it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

Verdict = Literal["accept", "block", "jump", "goto", "return", ""]
Hook = Literal["input", "output"]


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """A connection that is asked about.

    Attributes:
        address: to which address.
        port: to which TCP port.
        here: the address is one of this machine's own, so that it goes over the loopback interface.
    """

    address: str
    port: int
    here: bool

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """Return where in the filter it passes by on this machine."""
        return ("output", "input") if self.here else ("output",)


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        text: the rule as its tool writes it.
        matches: whether it is about the connection; None when that cannot be said.
        names_port: it names the connection's port.
        verdict: what it does; empty for what ends nothing.
        target: the chain that it goes on with, for `jump` and `goto`.
        removal: the command that takes it away.
    """

    text: str
    matches: bool | None
    names_port: bool
    verdict: Verdict
    target: str = ""
    removal: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """Some rules in order.

    Attributes:
        name: unique in the filter; says the table, too, where there are several.
        rules: its rules.
        hook: where packets enter it; empty for one that others jump to.
        blocks: whether its policy ends what no rule has decided about.
        opening: the command that lets the connection through at its head.
    """

    name: str
    rules: Sequence[Rule]
    hook: str = ""
    blocks: bool = False
    opening: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """What ends a connection, or may end it.

    Attributes:
        text: the rule, or the chain whose policy it is.
        chain: the chain's name.
        certain: whether it does.
        command: what lets the connection through.
    """

    text: str
    chain: str
    certain: bool
    command: str


def all_of(answers: Sequence[bool | None]) -> bool | None:
    """Return whether all hold; None when that cannot be said."""
    return False if False in answers else None if None in answers else True


def any_of(answers: Sequence[bool | None]) -> bool | None:
    """Return whether one of them holds; None when that cannot be said."""
    return True if True in answers else None if None in answers else False


def in_network(address: str, network: str) -> bool | None:
    """Return whether an address belongs to a network, `10.0.0.0/8`; None for what is none."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return None


def blocks(chains: Mapping[str, Chain], connection: Connection) -> list[Block]:
    """Return what ends a connection on this machine: what does so certainly first, then what may."""
    found = [
        each
        for hook in connection.hooks
        for chain in chains.values()
        if chain.hook == hook
        for each in _of_base(chains, chain)
    ]
    return sorted(dict.fromkeys(found), key=lambda each: not each.certain)


def _of_base(chains: Mapping[str, Chain], chain: Chain) -> Iterator[Block]:
    walk = _Walk(chains)
    decided = walk.through(chain, certain=True)
    yield from walk.found
    if not decided and chain.blocks:
        text = f"the policy of {chain.name}, and no rule of it certainly accepts the connection"
        yield Block(text, chain.name, not walk.perhaps_accepted, chain.opening)


class _Walk:
    """One packet's way through the chains."""

    def __init__(self, chains: Mapping[str, Chain]) -> None:
        self._chains = chains
        self._entered: list[str] = []
        self.found: list[Block] = []
        self.perhaps_accepted = False

    def through(self, chain: Chain, *, certain: bool) -> bool:
        """Return whether the packet's fate is certainly decided in a chain."""
        if chain.name in self._entered:
            return False
        self._entered.append(chain.name)
        try:
            return self._through(chain, certain=certain)
        finally:
            self._entered.pop()

    def _through(self, chain: Chain, *, certain: bool) -> bool:
        for rule in chain.rules:
            if rule.matches is False:
                continue
            sure = certain and rule.matches is True
            if rule.verdict in ("jump", "goto") and rule.target in self._chains:
                if self.through(self._chains[rule.target], certain=sure):
                    return True
                if sure and rule.verdict == "goto":
                    return False
            elif rule.verdict == "block" and (sure or rule.names_port):
                certain_end = sure and not self.perhaps_accepted
                self.found.append(Block(rule.text, chain.name, certain_end, rule.removal))
            elif rule.verdict == "accept" and not sure:
                self.perhaps_accepted = True
            if sure and rule.verdict in ("accept", "block"):
                return True
            if sure and rule.verdict == "return":
                return False
        return False
