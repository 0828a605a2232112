"""What a load came to, for the body of a test whose load is a JMeter test plan."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import msgspec

from pytest_metersphere.errors import MeterSphereError
from pytest_metersphere.reports.document import LabelInfo, ScenarioResult, TimesInfo, Verdict

_PERCENTS = {50.0: "p50", 90.0: "p90", 95.0: "p95", 99.0: "p99", 99.9: "p999"}


class NoResult(MeterSphereError):
    """There is no such number: the load was not run yet, or nothing of that kind was recorded."""


class Times:
    """A distribution of times in seconds."""

    def __init__(self, info: TimesInfo) -> None:
        self._info = info

    @property
    def count(self) -> int:
        """Return how many times were recorded."""
        return self._info.count

    @property
    def min(self) -> float:
        """Return the shortest time (NoResult without any)."""
        return self._some(self._info.min)

    @property
    def mean(self) -> float:
        """Return the mean (NoResult without any)."""
        return self._some(self._info.mean)

    @property
    def max(self) -> float:
        """Return the longest time (NoResult without any)."""
        return self._some(self._info.max)

    def percentile(self, percent: float) -> float:
        """Return a percentile: 50, 90, 95, 99 or 99.9.

        Raises:
            NoResult: no time was recorded.
            ValueError: it is another one.
        """
        name = _PERCENTS.get(float(percent))
        if name is None:
            raise ValueError(f"percentile({percent!r}): known are 50, 90, 95, 99 and 99.9")
        return self._some(getattr(self._info, name))

    def _some(self, value: float | None) -> float:
        if value is None:
            raise NoResult("no time was recorded")
        return value


class LabelResult:
    """The samples of one label; rates per second, shares from 0 to 1."""

    def __init__(self, info: LabelInfo) -> None:
        self._info = info

    @property
    def name(self) -> str:
        """Return the label."""
        return self._info.name

    @property
    def kind(self) -> Literal["request", "sample", "transaction"]:
        """Return what it is: a sampler's samples are requests, a Transaction Controller's transactions."""
        return self._info.kind

    @property
    def requests(self) -> int:
        """Return the number of samples, failed ones included."""
        return self._info.requests

    @property
    def failures(self) -> int:
        """Return the number of failed samples."""
        return self._info.failures

    @property
    def error_rate(self) -> float:
        """Return the share of failed samples."""
        return self._info.error_rate

    @property
    def rps(self) -> float:
        """Return the samples per second."""
        return self._info.rps

    @cached_property
    def response(self) -> Times:
        """Return the response times."""
        return Times(self._info.response)

    def percentile(self, percent: float) -> float:
        """Return a percentile of the response times, seconds; see `Times.percentile`."""
        return self.response.percentile(percent)


class LoadResult:
    """What the load of this test came to: the value of the fixture `load_result`. It cannot be changed.

    It covers the measured part, without warm-up; without a pool, the one run of each thread group.
    """

    def __init__(self) -> None:
        self._result: ScenarioResult | None = None

    def fill(self, result: ScenarioResult) -> None:
        """Take the result once the load was run."""
        # a copy: the reports are made of the original
        self._result = msgspec.msgpack.decode(msgspec.msgpack.encode(result), type=ScenarioResult)

    @property
    def _of(self) -> ScenarioResult:
        if self._result is None:
            raise NoResult(
                "the load was not run yet: load_result is for the body of the test, not for fixtures"
            )
        return self._result

    @property
    def verdict(self) -> Verdict:
        """Return the verdict on the load; the body runs on `passed` only."""
        return self._of.verdict

    @property
    def users(self) -> int:
        """Return the most users at once."""
        return self._of.totals.users_max

    @property
    def requests(self) -> int:
        """Return the number of samples, transactions left out."""
        return self._of.totals.requests

    @property
    def failures(self) -> int:
        """Return the number of failed samples."""
        return self._of.totals.failures

    @property
    def error_rate(self) -> float:
        """Return the share of failed samples, 0 to 1."""
        return self._of.totals.error_rate

    @property
    def rps(self) -> float:
        """Return the samples per second."""
        return self._of.totals.rps

    @property
    def duration(self) -> float:
        """Return the measured seconds."""
        return self._of.totals.duration_s

    @cached_property
    def response(self) -> Times:
        """Return the response times over all samples."""
        return Times(self._of.response)

    @cached_property
    def labels(self) -> Mapping[str, LabelResult]:
        """Return the labels by name, samplers and transactions."""
        return MappingProxyType({info.name: LabelResult(info) for info in self._of.labels})

    @property
    def errors(self) -> Mapping[str, int]:
        """Return how often samples failed, by message (numbers, UUIDs and hashes as `{}`)."""
        counts: dict[str, int] = {}
        for error in self._of.errors:
            counts[error.message] = counts.get(error.message, 0) + error.count
        return MappingProxyType(counts)

    def percentile(self, percent: float, label: str | None = None) -> float:
        """Return a percentile of the response times, over all samples or of one label, seconds.

        Raises:
            KeyError: there is no such label.
            NoResult, ValueError: see `Times.percentile`.
        """
        return self.response.percentile(percent) if label is None else self.labels[label].percentile(percent)
