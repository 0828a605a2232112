"""The step's summary: the verdict first, all that did not pass, and never too large for GitHub."""

from __future__ import annotations

from pytest_metersphere.ci.summary import step_summary
from pytest_metersphere.reports.markdown import render_summary
from pytest_metersphere.reports.page import MAX_SIZE
from tests.action.records import failure, record
from tests.reports.documents import sample_document


def test_of_a_load_session_it_is_the_summary_of_the_reports() -> None:
    """What summary.md says is what the step's summary says."""
    document = sample_document("failed", scenarios=2)
    nodeid = document.scenarios[0].nodeid

    made = step_summary(record(failure(nodeid, verdict="failed"), document=document), "failed")

    assert made == render_summary(document)


def test_other_tests_that_did_not_pass_are_listed_below() -> None:
    """Their node ids, and what pytest says of them, follow the load's summary."""
    made = step_summary(record(failure(), document=sample_document("passed")), "failed")

    assert made.startswith("### ✅ Load test passed")
    assert "#### 1 test beside the load did not pass" in made
    assert "- `tests/test_shop.py::test_cart` (call)\n\n```text\nassert 1 == 2\n```" in made


def test_what_pytest_refused_stands_whole() -> None:
    """A failed preflight has no report: its message is the summary."""
    made = step_summary(record(refused="node 10.0.0.11 does not answer\nstart it with …"), "error")

    assert made.startswith("### ❗ Load test: error\n\npytest did not begin:\n\n```text\nnode 10.0.0.11 does")
    assert made.rstrip().endswith("start it with …\n```")


def test_without_load_it_says_what_to_do() -> None:
    """A session in which nothing was run as load names the input that is missing."""
    made = step_summary(record(), "passed")

    assert "No load scenario was run as load. The input `pool`" in made


def test_hostile_text_cannot_leave_its_block() -> None:
    """A message with fences, HTML and mentions is shown as it is."""
    message = "````\n</details> @everyone <script>\n```"
    made = step_summary(record(failure(message=message)), "failed")

    assert f"`````text\n{message}\n`````" in made


def test_it_fits_beside_what_others_have_written() -> None:
    """With much written already less is shown, with nearly all of it nothing."""
    document = sample_document("failed", scenarios=3, labels=[f"GET /{number}" * 20 for number in range(400)])
    failures = [failure(f"t.py::test_{number}", message="x" * 3000) for number in range(60)]
    made = record(*failures, document=document)

    for used in (0, MAX_SIZE // 2, MAX_SIZE - 40_000):
        text = step_summary(made, "failed", used)
        assert 0 < len(text.encode()) <= MAX_SIZE - used
        assert text.startswith("### ❌ Load test failed")
        assert "that did not pass" in text
    assert step_summary(made, "failed", MAX_SIZE - 1000) == ""
