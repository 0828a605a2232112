"""The rules of iptables as `iptables -S` prints them, read for one connection."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from pytest_metersphere.inspection.rules import Chain, Connection, Rule, Verdict, all_of, in_network

_HOOKS = {"INPUT": "input", "OUTPUT": "output"}
_ENDS: Mapping[str, Verdict] = {
    "ACCEPT": "accept",
    "DROP": "block",
    "REJECT": "block",
    "RETURN": "return",
}
_SAYS_NOTHING = ("-m", "--match", "--comment", "--reject-with")
"""Options with a value that are no condition."""


def chains(listing: str, program: str, connection: Connection) -> dict[str, Chain]:
    """Return all chains by name.

    Args:
        listing: what was printed.
        program: `iptables` or `ip6tables`, for the commands.
        connection: the connection that the rules are read for.
    """
    policies: dict[str, str] = {}
    rules: dict[str, list[Rule]] = {}
    for line in listing.splitlines():
        kind, _, rest = line.partition(" ")
        name, _, condition = rest.partition(" ")
        if kind in ("-P", "-N"):
            policies[name] = condition
            rules.setdefault(name, [])
        elif kind == "-A":
            rules.setdefault(name, []).append(_rule(f"{program} -A {rest}", condition, connection))
    return {
        name: Chain(
            name=f"{program} {name}",
            rules=tuple(found),
            hook=_HOOKS.get(name, ""),
            blocks=policies.get(name) == "DROP",
            opening=f"{program} -I {name} -p tcp --dport {connection.port} -j ACCEPT",
        )
        for name, found in rules.items()
    }


def _rule(text: str, condition: str, connection: Connection) -> Rule:
    answers: list[bool | None] = [True]
    names_port, target = False, ""
    goes: Verdict = "jump"
    for option, value, negated in _options(condition):
        if option in ("-j", "--jump", "-g", "--goto"):
            target, goes = value, "goto" if option in ("-g", "--goto") else "jump"
        elif option not in _SAYS_NOTHING:
            answer = _holds(option, value, connection)
            names_port |= option in ("--dport", "--dports") and bool(answer) and not negated
            answers.append(answer if answer is None or not negated else not answer)
    verdict = _ENDS.get(target, goes if target else "")
    return Rule(
        text=text,
        matches=all_of(answers),
        names_port=names_port,
        verdict=verdict,
        target=target,
        removal=text.replace(" -A ", " -D ", 1),
    )


def _options(condition: str) -> Iterator[tuple[str, str, bool]]:
    """Yield the options of a rule with their values, and whether they are negated."""
    try:
        words = shlex.split(condition)
    except ValueError:
        words = condition.split()
    negated = False
    while words:
        word = words.pop(0)
        if word == "!":
            negated = True
            continue
        values = []
        while words and not words[0].startswith("-") and words[0] != "!":
            values.append(words.pop(0))
        yield word, " ".join(values), negated
        negated = False


def _holds(option: str, value: str, connection: Connection) -> bool | None:
    """Return whether a condition holds; None when that is not known."""
    match option:
        case "-p" | "--protocol":
            return value.lower() in ("tcp", "6", "all")
        case "--dport" | "--dports" | "--destination-port" | "--destination-ports":
            return any(_in_range(piece, connection.port) for piece in value.split(","))
        case "-d" | "--destination":
            return in_network(connection.address, value)
        case "-s" | "--source":
            return in_network(connection.address, value) if connection.here else None
        case "-i" | "-o" | "--in-interface" | "--out-interface":
            if connection.here:
                return value == "lo"
            return False if value == "lo" else None
        case "--ctstate" | "--state":
            return "NEW" in value.split(",")
    return None


def _in_range(piece: str, port: int) -> bool:
    """Return whether a port is one of `80`, `80:90`, `80:` or `:90`."""
    if not piece.replace(":", "").isdecimal():
        return False
    first, colon, last = piece.partition(":")
    if not colon:
        return first == str(port)
    return int(first or 0) <= port <= int(last or 65535)
