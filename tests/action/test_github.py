"""What is written for GitHub says what it should, whatever the texts hold."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pytest_metersphere.ci.github import Annotation, Step
from tests.action.runner import StepResult, _read_outputs

_HOSTILE = "a\nb=c\n::error::x\nEOF\r50%"


@pytest.fixture
def printed() -> io.StringIO:
    """Return what takes the commands."""
    return io.StringIO()


def _step(folder: Path, printed: io.StringIO, **more: str) -> Step:
    files = {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    return Step({"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(folder), **files, **more}, printed)


def _annotations(printed: io.StringIO) -> list[dict[str, str]]:
    return StepResult("", 0, printed.getvalue(), {}, "").annotations


def test_an_output_may_hold_any_text(tmp_path: Path, printed: io.StringIO) -> None:
    """Line ends and things that look like the end of a value stay within it; the last word counts."""
    step = _step(tmp_path, printed)
    step.set_outputs({"outcome": "first"})
    step.set_outputs({"outcome": _HOSTILE.replace("\r", ""), "p95": ""})

    read = _read_outputs((tmp_path / "output").read_text())
    assert read == {"outcome": _HOSTILE.replace("\r", ""), "p95": ""}


def test_an_annotation_may_hold_any_text(tmp_path: Path, printed: io.StringIO) -> None:
    """Nothing in title, message or file ends the command or adds a property."""
    annotation = Annotation(
        level="error", title="a,line=1::b\n", message=_HOSTILE, file="dir,x/test:y.py", line=3
    )
    _step(tmp_path, printed).annotate(annotation)

    assert _annotations(printed) == [
        {
            "level": "error",
            "title": "a,line=1::b\n",
            "message": _HOSTILE,
            "file": "dir,x/test:y.py",
            "line": "3",
        }
    ]


def test_commands_in_the_output_of_tests_are_not_obeyed(tmp_path: Path, printed: io.StringIO) -> None:
    """Between the two words GitHub takes every line as text, and no line can guess the second word."""
    step = _step(tmp_path, printed)
    with step.commands_off():
        printed.write("::error::from a server\n::stop-commands::x\n::x::\n::error::again\n")
    step.annotate(Annotation(level="notice", title="ours", message="shown"))

    assert [each["message"] for each in _annotations(printed)] == ["shown"]


def test_a_command_begins_its_line(tmp_path: Path, printed: io.StringIO) -> None:
    """What was printed before without a line end does not swallow it."""
    printed.write("half a line")
    _step(tmp_path, printed).annotate(Annotation(level="error", title="t", message="m"))

    assert "\n::error title=t::m\n" in printed.getvalue()


def test_outside_github_nothing_is_written(tmp_path: Path, printed: io.StringIO) -> None:
    """Without GitHub's variables there is no command, no file and no complaint."""
    step = Step({}, printed)
    with step.commands_off():
        step.set_outputs({"outcome": "passed"})
        step.add_summary("x")
    step.annotate(Annotation(level="error", title="t", message="m"))

    assert (printed.getvalue(), step.summary_size(), list(tmp_path.iterdir())) == ("", 0, [])


def test_paths_are_relative_to_the_workspace(tmp_path: Path, printed: io.StringIO) -> None:
    """Files elsewhere keep their whole path."""
    step = _step(tmp_path, printed)

    assert step.path(tmp_path / "out" / "report.html") == "out/report.html"
    assert step.path(Path("/elsewhere/report.html")) == "/elsewhere/report.html"


def test_text_that_is_no_unicode_can_be_written(tmp_path: Path, printed: io.StringIO) -> None:
    """A lone surrogate, as names of files may hold, becomes an escape."""
    step = _step(tmp_path, printed)
    step.add_summary("\ud800")
    step.annotate(Annotation(level="error", title="t", message="\ud800"))

    assert (tmp_path / "summary").read_text() == "\\ud800"
    assert step.summary_size() == len("\\ud800")
    assert _annotations(printed)[0]["message"] == "\\ud800"
