"""A request of a MeterSphere server that is not carried out."""

from __future__ import annotations

from pytest_metersphere.errors import MeterSphereError


class Declined(MeterSphereError):
    """The answer says that it failed, and this is the message in it."""
