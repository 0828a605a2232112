"""Annotations: the worst first, at their tests, and no more than GitHub shows."""

from __future__ import annotations

from pathlib import Path

from pytest_metersphere.ci.annotations import MAX_A_LEVEL, annotations_of
from pytest_metersphere.ci.github import Annotation
from pytest_metersphere.ci.record import Record
from tests.action.records import ROOTDIR, failure, record
from tests.reports.documents import sample_document


def _annotations(of: Record, *, tolerated: bool = False) -> list[Annotation]:
    return annotations_of(of, lambda path: path.relative_to(ROOTDIR.parent).as_posix(), tolerated=tolerated)


def test_a_scenario_is_annotated_once_at_its_test() -> None:
    """File and line are the test's, relative to the repository; the text is the report's findings."""
    document = sample_document("failed", scenarios=1)
    scenario = document.scenarios[0]
    (annotation,) = _annotations(record(failure(scenario.nodeid, verdict="failed"), document=document))

    assert (annotation.level, annotation.file) == ("error", f"backend/{scenario.file}")
    assert annotation.line == scenario.line
    assert annotation.title == f"{scenario.name}: failed"
    assert annotation.message == "\n".join(scenario.findings)


def test_the_worst_come_first() -> None:
    """Errors of set-up stand before failed tests, and what pytest refused before all."""
    failures = [failure("a.py::test_a"), failure("b.py::test_b", phase="setup")]
    found = _annotations(
        record(*failures, document=sample_document("failed", scenarios=1), refused="no pool")
    )

    assert [annotation.title for annotation in found] == [
        "pytest did not begin",
        "test_b: error in setup",
        "test_cart: failed",
        "test_a: failed",
    ]


def test_a_failing_tear_down_of_a_judged_scenario_is_told_too() -> None:
    """The verdict's annotation does not hide what happened after the run."""
    document = sample_document("failed", scenarios=1)
    nodeid = document.scenarios[0].nodeid
    failures = [failure(nodeid, verdict="failed"), failure(nodeid, phase="teardown")]

    assert len(_annotations(record(*failures, document=document))) == 2


def test_no_more_than_github_shows() -> None:
    """Of many, the last one says how many more there are."""
    found = _annotations(record(*[failure(f"t.py::test_{number}") for number in range(25)]))

    assert len(found) == MAX_A_LEVEL
    assert found[-1].message == "16 messages more: see the step's summary"


def test_what_is_tolerated_is_a_warning() -> None:
    """Where the step passes all the same, nothing is shown as an error."""
    found = _annotations(record(failure(verdict="failed")), tolerated=True)

    assert [annotation.level for annotation in found] == ["warning"]


def test_warnings_of_passed_scenarios_are_shown() -> None:
    """What else a reader of the numbers should know stands beside the test."""
    document = sample_document("passed", scenarios=1)
    document.scenarios[0].warnings = ["more than 500 labels came"]

    (annotation,) = _annotations(record(document=document))

    assert (annotation.level, annotation.message) == ("warning", "more than 500 labels came")
    assert annotation.line == document.scenarios[0].line


def test_a_session_that_passed_has_none() -> None:
    """Green is silent."""
    assert _annotations(record(document=sample_document("passed", scenarios=2))) == []


def test_a_path_outside_pytests_rootdir_is_kept() -> None:
    """An absolute path of a test stays what it is."""
    found = annotations_of(record(failure("/other/test_x.py::test")), str, tolerated=False)

    assert found[0].file == str(Path("/other/test_x.py"))
