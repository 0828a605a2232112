"""Whether this machine's own packet filter stops a connection: read from its tools, nothing is changed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess

import msgspec

from pytest_metersphere.inspection import iptables, nftables
from pytest_metersphere.inspection.rules import Block, Chain, Connection, blocks
from pytest_metersphere.reports.text import clipped, one_line

_LIMIT = 5.0
_LONGEST_WORDS = 300
_FIREWALLD = ("firewalld", "_ZONES", " IN_", " FWDI_")
_UFW = (" ufw-", " ufw6-")


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What was found of the packet filter.

    Attributes:
        blocks: what stops the connection, or may; certain ones first.
        trouble: why the rules, or some of them, could not be read; empty when they could.
    """

    blocks: tuple[Block, ...] = ()
    trouble: str = ""


def opening(port: int) -> list[str]:
    """Return the commands that open a port, for the firewalls that are usual; to be typed on its machine."""
    return [
        f"firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload",
        f"ufw allow {port}/tcp",
        f"iptables -I INPUT -p tcp --dport {port} -j ACCEPT",
    ]


def look(connection: Connection) -> Look:
    """Read the rules of iptables and of nftables, whichever of them there are, up to a certain answer."""
    troubles: list[str] = []
    found: list[Block] = []
    for read in (_iptables, _nftables):
        try:
            found += blocks(read(connection), connection)
        except _Unreadable as error:
            troubles.append(str(error))
        if any(each.certain for each in found):
            # nft shows most rules of iptables once more
            break
    found.sort(key=lambda each: not each.certain)
    return Look(tuple(managed(each, connection.port) for each in found), "; ".join(troubles))


class _Unreadable(Exception):
    """The rules are there, and this user may not read them."""


def _iptables(connection: Connection) -> dict[str, Chain]:
    program = "ip6tables" if ":" in connection.address else "iptables"
    return iptables.chains(_said(program, "-S"), program, connection)


def _nftables(connection: Connection) -> dict[str, Chain]:
    listing = _said("nft", "-a", "list", "ruleset")
    if not listing:
        return {}
    try:
        ruleset = msgspec.json.decode(_said("nft", "-j", "list", "ruleset"))
        return nftables.chains(ruleset, nftables.texts(listing), connection)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError):
        raise _Unreadable("`nft -j list ruleset` prints what is not understood here") from None


def _said(program: str, *arguments: str) -> str:
    """Return what a tool prints, nothing when it is not installed (_Unreadable when it fails)."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        return ""
    command = " ".join((program, *arguments))
    try:
        done = subprocess.run(
            [path, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unreadable(f"`{command}` does not answer: {error}") from None
    if done.returncode != 0 and os.geteuid() != 0:
        raise _Unreadable(f"this user may not read the rules, try: sudo {command}")
    if done.returncode != 0:
        said = clipped(one_line(done.stderr), _LONGEST_WORDS) or f"exit code {done.returncode}"
        raise _Unreadable(f"`{command}` fails: {said}")
    return done.stdout


def managed(block: Block, port: int) -> Block:
    """Return what stops a connection with the command of who manages its rule, and would write it again."""
    permanent, ufw, _ = opening(port)
    if any(mark in block.chain for mark in _FIREWALLD):
        return dataclasses.replace(block, command=permanent)
    if any(mark in block.chain for mark in _UFW):
        return dataclasses.replace(block, command=ufw)
    return block
