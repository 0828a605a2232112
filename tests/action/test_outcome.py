"""One word and one exit code say what came of the session."""

from __future__ import annotations

import pytest

from pytest_metersphere.ci.inputs import FailOn
from pytest_metersphere.ci.outcome import outcome_of, step_code
from pytest_metersphere.ci.record import Failure
from pytest_metersphere.reports.document import Verdict
from tests.action.records import failure, record

_SLOW = failure("t.py::test_slow", verdict="failed")
_INVALID = failure("t.py::test_invalid", verdict="invalid")
_PLAIN = failure("t.py::test_plain")
_SETUP = failure("t.py::test_setup", phase="setup")


@pytest.mark.parametrize(
    ("failures", "code", "outcome"),
    [
        ([], 0, "passed"),
        ([_SLOW], 1, "failed"),
        ([_PLAIN], 1, "failed"),
        ([_SLOW, _INVALID], 1, "invalid"),
        ([_INVALID, _SETUP], 1, "error"),
        ([], 1, "error"),
        ([failure("t.py", phase="collect")], 2, "error"),
        ([], 3, "error"),
        ([], 4, "error"),
        ([], 5, "error"),
    ],
)
def test_the_outcome_is_the_worst_of_what_happened(
    failures: list[Failure], code: int, outcome: Verdict
) -> None:
    """Failed tests fail, what could not be run or judged is an error, and the worst counts."""
    assert outcome_of(record(*failures), code) == outcome


def test_an_interrupted_session_is_aborted() -> None:
    """Whatever failed before, somebody has ended it."""
    ended = record(_SLOW)
    ended.interrupted = True

    assert outcome_of(ended, 2) == "aborted"
    assert step_code(ended, 2, "never") == 2


@pytest.mark.parametrize(
    ("failures", "code", "fail_on", "step"),
    [
        ([_SLOW], 1, "thresholds", 1),
        ([_SLOW], 1, "errors", 0),
        ([_SLOW, _PLAIN], 1, "errors", 1),
        ([_SLOW, _INVALID], 1, "errors", 1),
        ([_SETUP], 1, "errors", 1),
        ([], 1, "errors", 1),
        ([], 4, "errors", 4),
        ([_SETUP, _INVALID], 1, "never", 0),
        ([], 4, "never", 0),
        ([], 5, "thresholds", 5),
        ([], 0, "thresholds", 0),
    ],
)
def test_fail_on_says_what_fails_the_step(
    failures: list[Failure], code: int, fail_on: FailOn, step: int
) -> None:
    """`errors` forgives scenarios with the verdict failed and nothing else, `never` forgives all."""
    assert step_code(record(*failures), code, fail_on) == step
