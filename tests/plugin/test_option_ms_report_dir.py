"""--ms-report-dir: where the reports go, and whose directory it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_metersphere.reports.files import ReportDirectory
from tests.plugin.conftest import Inner
from tests.plugin.projects import REPORTS, Project, mentions

SHORT = """
    import pytest

    @pytest.mark.load_scenario(users=2, iterations=2)
    async def test_cart(vu):
        with vu.sample("step"):
            await vu.sleep(0.001)
"""


def reports_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder, the lock apart."""
    return {path.name for path in folder.iterdir()} - {".lock"} if folder.exists() else set()


@pytest.fixture
def shop(project: Project) -> Project:
    """Return a project with a scenario of a moment."""
    project.write("test_shop.py", SHORT)
    return project


def test_the_reports_go_where_the_option_says(shop: Project) -> None:
    """Folders on the way are made; git is told to look away; the terminal names the four files."""
    done = shop.run("--ms-pool=local", "--ms-report-dir=out/load")

    folder = shop.folder / "out" / "load"
    assert done.code == 0, done.text
    assert reports_in(folder) == {*REPORTS, ".gitignore"}
    assert (folder / ".gitignore").read_text() == "*\n"
    assert not (shop.folder / "ms-report").exists()
    for name in REPORTS:
        assert done.line(str(folder / name))


def test_by_default_they_go_to_ms_report(shop: Project) -> None:
    """Below the folder in which pytest was started, and earlier reports are replaced."""
    first = shop.run("--ms-pool=local")
    assert first.code == 0, first.text
    run_id = first.scenario("test_cart").run_id

    second = shop.run("--ms-pool=local")

    assert second.code == 0, second.text
    assert reports_in(shop.folder / "ms-report") == {*REPORTS, ".gitignore"}
    for name in ("results.json", "junit.xml"):
        assert run_id not in (shop.folder / "ms-report" / name).read_text()


def test_an_ini_value_is_relative_to_its_file(shop: Project) -> None:
    """Wherever pytest is started."""
    with (shop.folder / "pytest.ini").open("a") as ini:
        ini.write("ms_report_dir = from-ini\n")
    (shop.folder / "sub").mkdir()

    done = shop.run("--ms-pool=local", "../test_shop.py", cwd="sub")

    assert done.code == 0, done.text
    assert reports_in(shop.folder / "from-ini") == {*REPORTS, ".gitignore"}


def test_a_variable_and_an_option_are_relative_to_where_pytest_is_started(shop: Project) -> None:
    """The option wins over the variable."""
    (shop.folder / "sub").mkdir()

    done = shop.run("--ms-pool=local", "../test_shop.py", cwd="sub", env={"PYTEST_MS_REPORT_DIR": "by-env"})

    assert done.code == 0, done.text
    assert reports_in(shop.folder / "sub" / "by-env") == {*REPORTS, ".gitignore"}


def test_the_files_of_others_stay(shop: Project) -> None:
    """A folder that held something before stays visible to git, and loses nothing."""
    kept = shop.write("out/notes.txt", "mine")

    done = shop.run("--ms-pool=local", "--ms-report-dir=out")

    assert done.code == 0, done.text
    assert reports_in(shop.folder / "out") == {*REPORTS, "notes.txt"}
    assert kept.read_text() == "mine\n"


def test_a_directory_of_a_live_session_is_refused(scenario: Inner) -> None:
    """Two sessions would write over each other; the message names the holder and the way out."""
    folder = scenario.pytester.path / "shared"
    with ReportDirectory(folder):
        message = scenario.refuses("--ms-pool=local", "--ms-report-dir=shared")

    assert mentions(message, str(folder), "is in use by a running session (pid ", "--ms-report-dir")
    assert reports_in(folder) == {".gitignore"}


def test_a_file_in_its_place_is_refused(scenario: Inner) -> None:
    """Before any node is started."""
    (scenario.pytester.path / "taken").write_text("")

    assert mentions(
        scenario.refuses("--ms-pool=local", "--ms-report-dir=taken"),
        "--ms-report-dir: 'taken' is not a folder",
    )


def test_a_file_on_the_way_is_refused(scenario: Inner) -> None:
    """What the operating system says is put in words."""
    (scenario.pytester.path / "taken").write_text("")

    message = scenario.refuses("--ms-pool=local", "--ms-report-dir=taken/below")

    assert mentions(message, "taken/below", "name another directory with --ms-report-dir")


def test_without_a_pool_no_directory_is_made(scenario: Inner) -> None:
    """A functional session leaves nothing behind."""
    scenario.run("--ms-report-dir=out").assert_outcomes(passed=1)

    assert not (scenario.pytester.path / "out").exists()
