"""A request that a node-controller does not carry out."""

from __future__ import annotations

from pytest_metersphere.dist.wire import Refusal
from pytest_metersphere.errors import MeterSphereError


class Refused(MeterSphereError):
    """The answer to a request is a Refusal.

    Attributes:
        status: HTTP status of the answer.
        refusal: its body.
    """

    def __init__(
        self, status: int, error: str, message: str, *, capacity: int | None = None, free: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.refusal = Refusal(error=error, message=message, capacity=capacity, free=free)
