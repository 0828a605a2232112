"""The report directory belongs to one live session, and its files come whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_metersphere.errors import ConfigError, MeterSphereError
from pytest_metersphere.reports.document import Document
from pytest_metersphere.reports.files import ReportDirectory
from pytest_metersphere.reports.results import decode_results
from tests.reports.documents import sample_document

_HOLD = """
import sys
from pathlib import Path
from pytest_metersphere.reports.files import ReportDirectory
held = ReportDirectory(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def _break(_document: Document) -> str:
    raise RuntimeError("no room for tables")


def test_writes_the_four_reports(tmp_path: Path) -> None:
    """A directory that is not there is made, and holds the four reports and nothing half done."""
    document = sample_document("failed")

    with ReportDirectory(tmp_path / "a" / "ms-report") as directory:
        paths = directory.write(document)

    assert [path.name for path in (paths.html, paths.junit, paths.results, paths.summary)] == [
        "report.html",
        "junit.xml",
        "results.json",
        "summary.md",
    ]
    assert decode_results(paths.results.read_bytes()) == document
    assert "Failed" in paths.html.read_text(encoding="utf-8")
    assert paths.junit.read_text(encoding="utf-8").startswith("<?xml")
    assert paths.summary.read_text(encoding="utf-8").startswith("### ")
    assert {path.name for path in directory.path.iterdir()} == {
        *(".gitignore", ".lock", "junit.xml", "report.html", "results.json", "summary.md"),
    }


def test_git_sees_nothing_of_a_new_directory(tmp_path: Path) -> None:
    """A directory that the session made hides all of itself from git."""
    (tmp_path / "empty").mkdir()

    for name in ("new", "empty"):
        with ReportDirectory(tmp_path / name):
            assert (tmp_path / name / ".gitignore").read_text() == "*\n"


def test_git_sees_what_was_there_before(tmp_path: Path) -> None:
    """A directory with files of its user is used, but not hidden."""
    (tmp_path / "pyproject.toml").touch()

    with ReportDirectory(tmp_path):
        assert not (tmp_path / ".gitignore").exists()


def test_reports_replace_earlier_ones(tmp_path: Path) -> None:
    """Writing again, by the same session or a later one, leaves only the last document."""
    with ReportDirectory(tmp_path) as directory:
        directory.write(sample_document("aborted"))
        directory.write(sample_document("failed"))
    with ReportDirectory(tmp_path) as directory:
        paths = directory.write(sample_document("passed"))

    assert decode_results(paths.results.read_bytes()) == sample_document("passed")
    assert "Passed" in paths.html.read_text(encoding="utf-8")


def test_a_directory_in_use_is_refused_with_the_pid(tmp_path: Path) -> None:
    """A second session is told which process holds the directory and what to do."""
    with (
        ReportDirectory(tmp_path),
        pytest.raises(ConfigError, match=rf"in use .*pid {os.getpid()}\).*--ms-report-dir"),
    ):
        ReportDirectory(tmp_path)


def test_a_released_directory_is_free(tmp_path: Path) -> None:
    """After release, which may be done twice, the next session gets the directory."""
    first = ReportDirectory(tmp_path)
    first.release()
    first.release()

    ReportDirectory(tmp_path).release()


def test_a_dead_session_holds_nothing(tmp_path: Path) -> None:
    """A session that was killed is named as long as it lives, and forgotten when it is gone."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=rf"pid {session.pid}\)"):
            ReportDirectory(tmp_path)
        session.kill()

    with ReportDirectory(tmp_path) as directory:
        assert directory.write(sample_document()).results.exists()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    """A file where the directory should be is named, with what to do."""
    path = tmp_path / "ms-report"
    path.touch()

    with pytest.raises(ConfigError, match=r"ms-report is a file; name another directory"):
        ReportDirectory(path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A place where nothing can be made is named, with the system's reason and what to do."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"cannot be written \(Not a directory\); name another"):
        ReportDirectory(tmp_path / "file" / "ms-report")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run as another user")
def test_a_read_only_directory_is_refused(tmp_path: Path) -> None:
    """A directory without the right to write is named, with the system's reason and what to do."""
    tmp_path.chmod(0o500)

    with pytest.raises(ConfigError, match=r"cannot be written \(Permission denied\)"):
        ReportDirectory(tmp_path)


def test_a_broken_renderer_keeps_no_other_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other reports are written, the error names the one that failed, and no older one stays."""
    with ReportDirectory(tmp_path) as directory:
        directory.write(sample_document("passed"))
        monkeypatch.setattr("pytest_metersphere.reports.junit.render_junit", _break)

        with pytest.raises(MeterSphereError, match=r"junit\.xml \(RuntimeError: no room for tables\)"):
            directory.write(sample_document("failed"))

    assert not (tmp_path / "junit.xml").exists()
    assert "Failed" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert decode_results((tmp_path / "results.json").read_bytes()) == sample_document("failed")


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A directory in the place of a report is an error with its name; the other reports are there."""
    (tmp_path / "summary.md" / "mine").mkdir(parents=True)

    with (
        ReportDirectory(tmp_path) as directory,
        pytest.raises(MeterSphereError, match=r"not all reports .*summary\.md \(IsADirectoryError"),
    ):
        directory.write(sample_document())

    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "summary.md" / "mine").exists()
    assert not list(tmp_path.glob(".*.part"))
