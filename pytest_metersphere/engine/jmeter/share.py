"""A node's share of a test plan, and how numbers are divided by it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one node has of a run.

    All nodes stand in one row; its users are those from `before` to `before + users` of `total`.

    Attributes:
        users: users on this node.
        before: users on the nodes in front of it.
        total: users on all nodes.
        node: its place among the nodes that have users, from 0.
        nodes: how many of these there are.
    """

    users: int
    before: int = 0
    total: int
    node: int = 0
    nodes: int = 1

    @property
    def alone(self) -> bool:
        """Return whether no other node has users."""
        return self.users == self.total

    def begin_of(self, count: int) -> int:
        """Return where its part of `count` things in a row begins."""
        return count * self.before // self.total if self.total else 0

    def end_of(self, count: int) -> int:
        """Return where its part of `count` things in a row ends."""
        return count * (self.before + self.users) // self.total if self.total else 0

    @property
    def fraction(self) -> float:
        """Return its part of the users, 0 to 1."""
        return self.users / self.total if self.total else 0.0

    def part_of(self, count: int) -> int:
        """Return how many of `count` things it has: the nodes' parts add up to them."""
        return self.end_of(count) - self.begin_of(count)

    def groups(self, weights: Sequence[int]) -> list[Share]:
        """Return its share of each of several groups, which all users are divided over by weight."""
        begin = apportioned(self.before, weights)
        end = apportioned(self.before + self.users, weights)
        whole = apportioned(self.total, weights)
        return [
            Share(users=after - first, before=first, total=total, node=self.node, nodes=self.nodes)
            for first, after, total in zip(begin, end, whole, strict=True)
        ]


def apportioned(count: int, weights: Sequence[int]) -> list[int]:
    """Return `count` divided in proportion to weights, whole and exact, by d'Hondt's method.

    Each one goes to the group with the largest weight / (what it has + 1), the first of equals
    (D'Hondt, 1882). So no part ever falls while the count rises. Where the count is the sum of the
    weights, the parts are the weights.

    Raises:
        ValueError: there is something to divide, and no weight above 0.
    """
    whole = sum(weights)
    if count and not whole:
        raise ValueError("there is no group with a weight to divide over")
    # each has at least the whole part of its exact proportion, so the method may begin there
    parts = [count * weight // whole if whole else 0 for weight in weights]
    for _ in range(count - sum(parts)):
        winner = max(range(len(weights)), key=lambda group: (weights[group] / (parts[group] + 1), -group))
        parts[winner] += 1
    return parts
