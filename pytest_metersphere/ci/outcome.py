"""What came of the session in one word, and with which exit code the step of the Action ends."""

from __future__ import annotations

from pytest_metersphere.ci.inputs import FailOn
from pytest_metersphere.ci.record import Record
from pytest_metersphere.reports.document import Verdict
from pytest_metersphere.reports.wording import worst


def outcome_of(record: Record, exit_code: int) -> Verdict:
    """Return the outcome of a pytest session in the words of the verdicts.

    `aborted`: somebody ended it. `error`: something could not be run or judged at all, a bad option and a
    failed preflight included. `invalid`: the numbers of a scenario cannot be believed. `failed`: a
    threshold, a scenario or a test failed.
    """
    if record.interrupted:
        return "aborted"
    if exit_code == 0:
        return "passed"
    if exit_code != 1:
        return "error"
    verdicts = {failure.verdict or _word(failure.phase) for failure in record.failures}
    return worst(verdicts) or "error"


def step_code(record: Record, exit_code: int, fail_on: FailOn) -> int:
    """Return the exit code of the step: pytest's, or 0 where `fail_on` lets it pass.

    A session that somebody ended never passes.
    """
    outcome = outcome_of(record, exit_code)
    if outcome == "aborted" or fail_on == "thresholds":
        return exit_code or (2 if outcome == "aborted" else 0)
    return 0 if fail_on == "never" or (outcome == "failed" and _only_verdicts(record)) else exit_code


def _word(phase: str) -> Verdict:
    return "failed" if phase == "call" else "error"


def _only_verdicts(record: Record) -> bool:
    """Return whether nothing but load scenarios with the verdict `failed` did not pass."""
    return all(failure.verdict == "failed" for failure in record.failures)
