"""Answers as MeterSphere's servers expect them: in an envelope, and with HTTP 200 for errors, too."""

from __future__ import annotations

import dataclasses
import json
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP.

    Attributes:
        status: of HTTP.
        body: JSON in ASCII, so that no reader can mistake its encoding.
    """

    status: int
    body: bytes


def done(data: Any = "OK") -> Answer:
    """Return that it was done, and what came of it."""
    return _enveloped(200, success=True, message=None, data=data)


def failed(message: str, status: int = 200) -> Answer:
    """Return that it was not done, and why: a server looks at `success`, and shows the message."""
    return _enveloped(status, success=False, message=message, data=None)


def unknown(path: str) -> Answer:
    """Return that there is no such path; that alone comes without the envelope."""
    return Answer(404, json.dumps({"status": 404, "error": "Not Found", "path": path[:200]}).encode())


def _enveloped(status: int, *, success: bool, message: str | None, data: Any) -> Answer:
    return Answer(status, json.dumps({"success": success, "message": message, "data": data}).encode())
