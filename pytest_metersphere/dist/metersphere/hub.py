"""What a session has for JMeters in stock containers: the server that they call, the topics they write to.

Nothing is opened before the first of them is to be started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_metersphere.dist.metersphere.callbacks import Callbacks, Guest, address_towards
from pytest_metersphere.dist.metersphere.logs import Line, read_lines
from pytest_metersphere.dist.metersphere.rows import Pair, rows_by_report
from pytest_metersphere.dist.resolve import is_address
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import BrokerError, PreflightError

if TYPE_CHECKING:
    from pytest_metersphere.dist.kafka.follower import Follower

METRICS_TOPIC = "JMETER_METRICS"
LOG_TOPIC = "JMETER_LOGS"


@dataclasses.dataclass(frozen=True, slots=True)
class JMeterTerms:
    """What was set for test plans on stock nodes.

    Attributes:
        image: the JMeter image with its tag, empty when they run in our runner image.
        heap: Java's options for its heap, empty for the image's own.
        callback_host: the name or address by which nodes call this machine, empty for the one that leads
            to each node.
        callback_port: the port on which they do, 0 for any that is free.
        metrics_topic: where rows go.
        log_topic: where logs go.
        root: the rootdir.
        attached: files that plans may read though nobody knows it before they run.
    """

    image: str = ""
    heap: str = ""
    callback_host: str = ""
    callback_port: int = 0
    metrics_topic: str = METRICS_TOPIC
    log_topic: str = LOG_TOPIC
    root: Path = Path()
    attached: tuple[Path, ...] = ()


class Resident(Guest, Protocol):
    """A JMeter in a container, as the hub knows it; its methods are called by the hub's threads."""

    @property
    def run(self) -> str:
        """Return the id of its run."""

    @property
    def is_missing(self) -> bool:
        """Return whether it has not yet said that it is ready."""

    @property
    def rejected(self) -> int:
        """Return how many of its rows could not be."""

    def take_rows(self, rows: list[Pair]) -> None:
        """Take rows of its report id."""

    def take_line(self, line: Line) -> None:
        """Take a line of the log with its report id."""


class JMeterHub:
    """Opens the server and the topics when they are needed. Safe to be used by several threads.

    Attributes:
        terms: what was set.
    """

    def __init__(self, terms: JMeterTerms | None = None) -> None:
        """Open nothing yet."""
        self.terms = terms or JMeterTerms()
        self._opening = threading.Lock()
        self._lock = threading.Lock()
        self._callbacks: Callbacks | None = None
        self._followers: tuple[Follower, ...] = ()
        self._residents: dict[str, tuple[Resident, str]] = {}
        self._garbage = 0
        self._garbage_before: dict[str, int] = {}

    def open(self, access: KafkaAccess) -> Callbacks:
        """Return the server; from now on what comes on the topics is read.

        Raises:
            BrokerError: Kafka cannot be reached, or a topic is not fit.
        """
        from pytest_metersphere.dist.kafka.follower import Follower
        from pytest_metersphere.dist.kafka.topics import ensure_jmeter_topic

        with self._opening:
            if self._callbacks is None:
                for topic in (self.terms.metrics_topic, self.terms.log_topic):
                    if not (check := ensure_jmeter_topic(access, topic)).ok:
                        raise BrokerError(check.text)
                rows = Follower(access, self.terms.metrics_topic, self.take_rows)
                try:
                    log = Follower(access, self.terms.log_topic, self.take_log)
                except BaseException:
                    rows.close()
                    raise
                self._followers = (rows, log)
                self._callbacks = Callbacks()
            return self._callbacks

    def admit(self, resident: Resident, node_host: str, node_port: int) -> str:
        """Serve a container, and return the URL that its calls begin with.

        Args:
            resident: what is in it.
            node_host: the host of its node, for the address by which we are called.
            node_port: the port of its node.

        Raises:
            PreflightError: there is no address to be called by.
        """
        assert self._callbacks is not None, "open() comes first"
        address = self._address(self._callbacks, node_host, node_port)
        secret = self._callbacks.admit(resident)
        self.know(resident, secret)
        return f"http://{address}/{secret}"

    def know(self, resident: Resident, secret: str = "") -> None:
        """Take the rows and lines of a container from now on."""
        with self._lock:
            self._residents[resident.report_id] = (resident, secret)
            self._garbage_before.setdefault(resident.run, self._garbage)

    def _address(self, callbacks: Callbacks, node_host: str, node_port: int) -> str:
        terms = self.terms
        if terms.callback_host:
            host = terms.callback_host
            port = _listening(callbacks, host, terms.callback_port)
        else:
            try:
                host = address_towards(node_host, node_port)
            except OSError as error:
                raise PreflightError(
                    f"no address of this machine leads to {node_host}: {error.strerror or error}; name one by"
                    " which the node can call it: --ms-callback=HOST:PORT"
                ) from None
            port = callbacks.listen(host, terms.callback_port)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def dismiss(self, report_id: str) -> None:
        """Serve a container no longer."""
        with self._lock:
            found = self._residents.pop(report_id, None)
        if found is not None and self._callbacks is not None:
            self._callbacks.dismiss(found[1])

    def missing(self, run: str) -> int:
        """Return how many containers of a run have not yet said that they are ready."""
        with self._lock:
            return sum(one.is_missing for one, _ in self._residents.values() if one.run == run)

    def rejected(self, run: str) -> int:
        """Return how many records on the topics were garbage, or cannot be of the run that they claim."""
        with self._lock:
            own = sum(one.rejected for one, _ in self._residents.values() if one.run == run)
            return own + self._garbage - self._garbage_before.get(run, self._garbage)

    def mark(self) -> tuple[int, ...]:
        """Ask whether all that is on the topics by now has been taken; `has_passed` answers."""
        return tuple(follower.mark() for follower in self._followers)

    def has_passed(self, marks: tuple[int, ...]) -> bool:
        """Return whether all that was on the topics at a mark has been taken."""
        pairs = zip(self._followers, marks, strict=True)
        return all(follower.has_passed(mark) for follower, mark in pairs)

    @property
    def trouble(self) -> str:
        """Return why nothing comes from Kafka now; empty while all is well."""
        return next((follower.trouble for follower in self._followers if follower.trouble), "")

    @property
    def callbacks(self) -> Callbacks:
        """Return the server."""
        assert self._callbacks is not None, "open() comes first"
        return self._callbacks

    def close(self) -> None:
        """Close everything."""
        with self._opening:
            for follower in self._followers:
                follower.close()
            self._followers = ()
            if self._callbacks is not None:
                self._callbacks.close()
                self._callbacks = None

    def take_rows(self, values: list[bytes]) -> None:
        """Take what came on the topic of rows."""
        found, garbage = rows_by_report(values)
        with self._lock:
            self._garbage += garbage
        for report, rows in found.items():
            resident = self._of(str(report))
            if resident is not None:
                resident.take_rows(rows)

    def take_log(self, values: list[bytes]) -> None:
        """Take what came on the topic of logs."""
        for value in values:
            for line in read_lines(value):
                resident = self._of(line.report)
                if resident is not None:
                    resident.take_line(line)

    def _of(self, report_id: str) -> Resident | None:
        with self._lock:
            found = self._residents.get(report_id)
        return found[0] if found is not None else None


def _listening(callbacks: Callbacks, host: str, port: int) -> int:
    """Listen where a host leads to, and return the port: on that address if it is one of this machine's."""
    if is_address(host):
        with contextlib.suppress(PreflightError):
            return callbacks.listen(host, port)
    return callbacks.listen("", port)
