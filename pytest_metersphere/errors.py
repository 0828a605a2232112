"""The exceptions of the project: each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

NodeTrouble = Literal["", "no answer", "unwell", "stranger", "stock", "token", "version"]
"""What is the matter with a node: there was no answer that HTTP or TLS could make sense of; it says itself
that it is not well; it is something else, or MeterSphere's own; it does not take the token; it is of another
version. Empty for anything else."""


class MeterSphereError(Exception):
    """Base of every error that this project raises on purpose."""


class ConfigError(MeterSphereError):
    """An option, an ini value, a mark or a pool text that cannot be understood."""


class PreflightError(MeterSphereError):
    """A part that the run needs is not there or not fit; nothing was started."""


class CapacityError(PreflightError):
    """The pool or a node has less free capacity than the run needs."""


class NodeError(MeterSphereError):
    """A node-controller answered with an error or not at all.

    Attributes:
        node: name of the node.
        status: HTTP status of its answer, None when there was none.
        kind: what is the matter with it, for programs.
    """

    def __init__(self, node: str, message: str, status: int | None = None, kind: NodeTrouble = "") -> None:
        super().__init__(f"node {node}: {message}")
        self.node = node
        self.status = status
        self.kind = kind


class BrokerError(MeterSphereError):
    """Kafka cannot be reached, or refuses what it is asked for."""


class TravelError(MeterSphereError):
    """A fixture or parameter value that cannot be sent to the nodes."""


class WireError(MeterSphereError):
    """Bytes from a socket that are not what the protocol says."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known word, or an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
