"""The links of a session to the slices on stock nodes, one for each run, whatever the number of its nodes."""

from __future__ import annotations

import itertools
import secrets
import threading
from typing import TYPE_CHECKING

from pytest_metersphere.dist.signing import new_key
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError

if TYPE_CHECKING:
    from pytest_metersphere.dist.metersphere.link import Link

FAREWELL = 3.0
"""Seconds for the last commands of a run to be on Kafka."""


class Exchange:
    """Opens a link when the first slice of a run needs it, and closes it with the last."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._opening = threading.Lock()
        self._trying = threading.Lock()
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}
        self._names: dict[str, str] = {}
        self._trial = (secrets.token_hex(8), new_key())
        self._trials = itertools.count()

    def open(self, run: str, key: bytes, access: KafkaAccess, bundle: bytes | None = None) -> Link:
        """Return the link of a run; when it is new, the bundle is on Kafka then.

        Raises:
            BrokerError: Kafka cannot be reached, or does not take the bundle.
        """
        from pytest_metersphere.dist.metersphere.link import Link

        with self._opening:
            with self._lock:
                known = self._links.get(run)
            if known is not None:
                return known
            link = Link(access, run, key)
            try:
                if bundle is not None:
                    link.send("", bundle)
            except BaseException:
                link.close(0.0)
                raise
            with self._lock:
                self._links[run] = link
            return link

    def trial(self, access: KafkaAccess) -> tuple[Link, str, bytes]:
        """Return the link for trying nodes out, with a new id of a slice and the key.

        The topic is made if it is not there.

        Raises:
            BrokerError: Kafka cannot be reached, or the topic is not fit.
        """
        from pytest_metersphere.dist.kafka.topics import ensure_control_topic

        run, key = self._trial
        with self._trying:
            if run not in self._links and not (check := ensure_control_topic(access)).ok:
                raise BrokerError(check.text)
            link = self.open(run, key, access)
            slice_id = f"{run}-{next(self._trials)}"
            link.join(slice_id)
        return link, slice_id, key

    def note(self, slice_id: str, name: str) -> None:
        """Note the name of a slice's container, which is about to be started."""
        with self._lock:
            self._names[slice_id] = name

    def name(self, slice_id: str) -> str | None:
        """Return the name of a slice's container, None when none was started."""
        with self._lock:
            return self._names.get(slice_id)

    def of(self, slice_id: str) -> Link | None:
        """Return the link of a slice's run, None when there is none."""
        with self._lock:
            return self._links.get(slice_id.rpartition("-")[0])

    def rejected(self, run: str) -> int:
        """Return how many records of others claimed to be of a run, as its link and containers saw it."""
        with self._lock:
            link = self._links.get(run)
        return link.all_rejected() if link else 0

    def leave(self, slice_id: str) -> None:
        """Let go of a slice, and of its run's link with the last one."""
        run = slice_id.rpartition("-")[0]
        with self._trying, self._lock:
            self._names.pop(slice_id, None)
            link = self._links.get(run)
            if link is None or link.leave(slice_id):
                return
            del self._links[run]
        link.close(FAREWELL)

    def close(self) -> None:
        """Close what is still open."""
        with self._lock:
            links, self._links = list(self._links.values()), {}
        for link in links:
            link.close(0.0)
