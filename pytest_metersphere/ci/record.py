"""What happened in the pytest session of the Action, seen through pytest's hooks."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.plugin import CONTROLLER
from pytest_metersphere.reports.document import Document, Verdict
from pytest_metersphere.reports.files import ReportPaths

_PLACE = re.compile(r"([^:\n]+\.py):(\d+): ")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A test, or a file of tests, that did not pass.

    Attributes:
        nodeid: pytest's node id.
        phase: collect, setup, call or teardown.
        verdict: a load scenario's verdict, None for anything else.
        file: relative to pytest's rootdir, or absolute.
        line: from 1, None when only the file is known.
        message: what pytest says of it.
    """

    nodeid: str
    phase: str
    verdict: Verdict | None
    file: str
    line: int | None
    message: str


class Record:
    """A pytest plugin that notes how the session went.

    Attributes:
        rootdir: pytest's rootdir, None when pytest did not get that far.
        failures: in the order they came.
        refused: pytest's message when it would not begin, as for a bad option or a failed preflight.
        interrupted: somebody ended the session before its time.
        document: what was run as load, None when nothing was.
        paths: where the reports stand, None when none were written.
        problem: why not all reports are there, empty when they are.
    """

    def __init__(self) -> None:
        self.rootdir: Path | None = None
        self.failures: list[Failure] = []
        self.refused = ""
        self.interrupted = False
        self.document: Document | None = None
        self.paths: ReportPaths | None = None
        self.problem = ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, object, object]:
        """Note the rootdir, and what pytest refuses to begin with."""
        self.rootdir = config.rootpath
        try:
            return (yield)
        except pytest.UsageError as error:
            self.refused = "\n".join(map(str, error.args))
            raise

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected, at the place that the message begins with, if it does."""
        if report.failed:
            message = report.longreprtext
            place = _PLACE.match(message)
            file = place[1] if place else report.nodeid.partition("::")[0]
            self._add(report.nodeid, "collect", None, file, int(place[2]) if place else None, message)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what failed."""
        if report.failed:
            file, line, _ = report.location
            verdict = getattr(report, "ms_verdict", None)
            where = None if line is None else line + 1
            self._add(report.nodeid, report.when or "call", verdict, file, where, _message(report))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that somebody ended the session; pytest ends it so after a collection error, too."""
        self.interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Take what the load session leaves, after its reports were written."""
        controller = session.config.stash.get(CONTROLLER, None)
        if controller is None:
            return
        self.problem = controller.problem
        self.paths = controller.session.report_paths
        if controller.session.results:
            self.document = controller.session.document()

    def _add(
        self, nodeid: str, phase: str, verdict: Verdict | None, file: str, line: int | None, message: str
    ) -> None:
        self.failures.append(
            Failure(nodeid=nodeid, phase=phase, verdict=verdict, file=file, line=line, message=message)
        )


def _message(report: pytest.TestReport) -> str:
    """Return the exception's own text, or all that pytest shows of a failure without one."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message) if crash is not None else report.longreprtext
