"""Other runs whose frames come over the same topic: they are none of ours, and nothing is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_metersphere.dist.nodes import AnyNode, in_parallel
from pytest_metersphere.errors import NodeError

MOST_QUESTIONS = 100
"""Times that the nodes are asked at most; whoever floods the topic with new names is a stranger."""


class Neighbours:
    """The slices of other runs on the nodes of a pool, asked for when one is first heard of."""

    def __init__(self, own: Collection[str], nodes: Sequence[AnyNode]) -> None:
        """Know the run's own slices, and whom to ask about others; nothing is asked yet."""
        self._own = frozenset(own)
        self._nodes = nodes
        self._known: set[str] = set()
        self._strangers: set[str] = set()
        self._questions = 0

    def __call__(self, slice_id: str) -> bool:
        """Return whether a slice is of another run and one of the nodes holds it."""
        if slice_id in self._own or slice_id in self._strangers:
            return False
        if slice_id not in self._known and self._questions < MOST_QUESTIONS:
            self._questions += 1
            self._known.update(name for held in in_parallel(_held, self._nodes) for name in held)
            if slice_id not in self._known:
                self._strangers.add(slice_id)
        return slice_id in self._known


def _held(node: AnyNode) -> list[str]:
    try:
        with node.connect() as client:
            return client.info().slices
    except NodeError:
        return []
