"""What JMeter says in its log, as far as something follows from it."""

from __future__ import annotations

import re

_STOPPED = re.compile(
    r"(?:Stop|Shutdown) Test (?:Now )?detected by thread: .*|Stopping all threads (?:now )?from element .*"
)


def self_stop(line: str) -> str:
    """Return JMeter's words in a line when these say that the plan itself ended the test, else nothing.

    They come from a thread with "stop test" on an error, and from a Flow Control Action.
    """
    found = _STOPPED.search(line)
    return found[0].rstrip() if found else ""
