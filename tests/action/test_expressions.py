"""The harness understands expressions as GitHub does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.action.expressions import evaluate, filled, holds

_CONTEXTS = {"steps": {"load": {"outputs": {"outcome": "Passed", "p95": "0.25", "none": ""}}}, "inputs": {}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("steps.load.outputs.p95 > 0.2", True),
        ("steps.load.outputs.p95 > 0.3", False),
        ("steps.load.outputs.none > 0.3", False),
        ("steps.load.outputs.outcome == 'passed'", True),
        ("steps.load.outputs.outcome != 'passed' || steps.load.outputs.p95 <= 0.25", True),
        ("steps.other.outputs.x || 'python'", "python"),
        ("!(1 < 2 && 'it''s' == 'it''s')", False),
        ("'a' < 'b' && 2", 2.0),
        ("inputs.absent == ''", True),
    ],
)
def test_values(text: str, value: Any) -> None:
    """Operators, contexts and loose comparison give what GitHub's documentation says."""
    assert evaluate(text, _CONTEXTS) == value


def test_what_is_not_understood_is_no_value() -> None:
    """The harness does not guess."""
    with pytest.raises(AssertionError, match="not understood"):
        evaluate("steps.load.outputs.p95 ? 1", _CONTEXTS)
    with pytest.raises(AssertionError, match="no context"):
        evaluate("vars.x", _CONTEXTS)


def test_texts_are_filled() -> None:
    """Each expression in a text is replaced by its value."""
    assert filled("p95 ${{ steps.load.outputs.p95 }}s, ${{ true }}", _CONTEXTS) == "p95 0.25s, true"


@pytest.mark.parametrize(
    ("condition", "failed", "runs"),
    [
        ("", False, True),
        ("", True, False),
        ("always()", True, True),
        ("failure()", False, False),
        ("${{ failure() && steps.load.outputs.p95 > 0.2 }}", True, True),
        ("steps.load.outputs.p95 > 0.2", True, False),
    ],
)
def test_conditions(condition: str, *, failed: bool, runs: bool) -> None:
    """Without a status function a step runs only when all before it have passed."""
    assert holds(condition, _CONTEXTS, failed=failed) is runs
