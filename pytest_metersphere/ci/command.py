"""The step of the Action: run pytest with the inputs, and tell GitHub what came of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import TextIO

import pytest

from pytest_metersphere.ci.annotations import annotations_of
from pytest_metersphere.ci.github import Annotation, Step
from pytest_metersphere.ci.inputs import read_inputs
from pytest_metersphere.ci.outcome import outcome_of, step_code
from pytest_metersphere.ci.record import Record
from pytest_metersphere.ci.summary import step_summary
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.reports.document import Document, Verdict

OUTPUTS = ("outcome", "exit-code", "report-path", "junit-path", "json-path", "p95", "error-rate")
"""The names of the outputs; each is set at every end, empty where there is nothing to say."""


def main(environ: Mapping[str, str], stdout: TextIO = sys.stdout) -> int:
    """Run the tests as the variables of the Action say, and return the exit code of the step.

    That is pytest's own code, or 0 where the input `fail-on` lets the step pass. Everything that GitHub
    is to know is written before it returns: outputs, summary, annotations.
    """
    step = Step(environ, stdout)
    # should this process be killed, these are what later steps see
    step.set_outputs(_outputs(step, Record(), "error", int(pytest.ExitCode.INTERNAL_ERROR)))
    record = Record()
    try:
        inputs = read_inputs(environ)
    except ConfigError as error:
        record.refused = str(error)
        code = int(pytest.ExitCode.USAGE_ERROR)
        stdout.write(f"ERROR: {error}\n")
        _tell(step, record, code, tolerated=False)
        return code
    with step.commands_off():
        code = _run_pytest(inputs.command_line(), record)
    final = step_code(record, code, inputs.fail_on)
    _tell(step, record, code, tolerated=final == 0)
    return final


def _run_pytest(arguments: list[str], record: Record) -> int:
    """Run pytest in this process; SIGINT, which a cancelled job gets, and SIGTERM end it as Ctrl-C does."""
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return int(pytest.main(arguments, plugins=[record]))
    except KeyboardInterrupt:
        record.interrupted = True
        return int(pytest.ExitCode.INTERRUPTED)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _tell(step: Step, record: Record, code: int, *, tolerated: bool) -> None:
    outcome = outcome_of(record, code)
    step.set_outputs(_outputs(step, record, outcome, code))
    step.add_summary(step_summary(record, outcome, step.summary_size()))
    for annotation in annotations_of(record, step.path, tolerated=tolerated):
        step.annotate(annotation)
    if outcome == "passed" and record.document is None:
        step.annotate(
            Annotation(
                level="warning",
                title="No load",
                message="no load scenario was run as load: the input pool names the pool to run them on",
            )
        )


def _outputs(step: Step, record: Record, outcome: Verdict, code: int) -> dict[str, str]:
    paths = record.paths
    files = (paths.html, paths.junit, paths.results) if paths else ()
    written = [step.path(file) if file.exists() else "" for file in files] or [""] * 3
    return dict(zip(OUTPUTS, (outcome, str(code), *written, *_worst_numbers(record.document)), strict=True))


def _worst_numbers(document: Document | None) -> tuple[str, str]:
    """Return the largest p95 response time in seconds and the largest error rate of all scenarios."""
    scenarios = document.scenarios if document else []
    times = [each.response.p95 for each in scenarios if each.response.p95 is not None]
    rates = [each.totals.error_rate for each in scenarios if each.totals.requests]
    return (f"{max(times):.6g}" if times else "", f"{max(rates):.6g}" if rates else "")
