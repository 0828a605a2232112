"""Projects of users: folders with tests, on which pytest runs in a process of its own."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree as ET

from pytest_metersphere.reports.document import Document, ScenarioResult
from pytest_metersphere.reports.results import decode_results
from tests.reports.pages import Element, read_page

OURS = "pytest_metersphere.plugin"
LIMIT = 110.0
REPORTS = ("report.html", "junit.xml", "results.json", "summary.md")


@dataclasses.dataclass(frozen=True)
class Done:
    """A pytest session that has ended, and what it left behind."""

    folder: Path
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Return everything it printed."""
        return self.out + self.err

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers of pytest's last line by their words, errors as `error`."""
        last = re.sub(r"\x1b\[[0-9;]*m", "", self.out.strip().splitlines()[-1])
        found = re.findall(r"(\d+) ([a-z]+)", last.rpartition(" in ")[0])
        return {word.removesuffix("s") if word == "errors" else word: int(number) for number, word in found}

    def line(self, *pieces: str) -> str:
        """Return the only line that holds all the pieces."""
        found = [line for line in self.out.splitlines() if all(piece in line for piece in pieces)]
        assert len(found) == 1, (pieces, found, self.text)
        return found[0]

    @property
    def reports(self) -> Path:
        """Return the folder of the reports."""
        return self.folder / "ms-report"

    @cached_property
    def document(self) -> Document:
        """Return what results.json holds."""
        path = self.reports / "results.json"
        assert path.exists(), self.text
        return decode_results(path.read_bytes())

    def scenario(self, name: str) -> ScenarioResult:
        """Return the result of the only scenario of that name."""
        found = [scenario for scenario in self.document.scenarios if scenario.name == name]
        assert len(found) == 1, (name, [scenario.name for scenario in self.document.scenarios], self.text)
        return found[0]

    @cached_property
    def page(self) -> Element:
        """Return report.html."""
        return read_page((self.reports / "report.html").read_text())

    def article(self, name: str) -> Element:
        """Return what report.html says of a scenario, its overview apart."""
        articles = [
            each for each in self.page.all("article") if each.one("h2").one("span", "name").text == name
        ]
        assert len(articles) == 1, name
        return articles[0]

    def tiles(self, name: str) -> dict[str, str]:
        """Return the numbers that report.html shows of a scenario, by their names."""
        tiles = self.article(name).all("div", "tile")
        return {tile.one("dt").text: str(tile.one("dd").content[0]) for tile in tiles}

    @cached_property
    def summary(self) -> str:
        """Return summary.md as it is written."""
        return (self.reports / "summary.md").read_text()

    def suite(self, name: str) -> ET.Element:
        """Return the suite of a scenario in junit.xml."""
        root = ET.parse(self.reports / "junit.xml").getroot()  # noqa: S314 - our own file
        (suite,) = (suite for suite in root.iter("testsuite") if suite.get("name") == name)
        return suite


class Project:
    """A folder of test files, with warnings as errors, and pytest on it as a user would run it."""

    def __init__(self, folder: Path, *ini: str) -> None:
        """Make the folder; `ini` holds lines for its pytest.ini."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.write("pytest.ini", "\n".join(["[pytest]", "filterwarnings = error", *ini]))

    def write(self, name: str, text: str) -> Path:
        """Write a file, its text dedented."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n").rstrip() + "\n")
        return path

    def command(self, *args: str, plugins: Iterable[str] = ()) -> list[str]:
        """Return the command line of a session that loads our plugin and those named."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", OURS]
        return [*command, *(part for plugin in plugins for part in ("-p", plugin)), *args]

    def run(
        self,
        *args: str,
        plugins: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str = ".",
        prefix: Sequence[str] = (),
        limit: float = LIMIT,
    ) -> Done:
        """Run pytest in the folder, behind `prefix`, wait for its end, and return what came of it."""
        done = subprocess.run(
            [*prefix, *self.command(*args, plugins=plugins)],
            cwd=self.folder / cwd,
            env=environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
        return Done(self.folder, done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """Return this process's environment without what concerns the surrounding pytest."""
    foreign = ("PYTEST_", "COV_", "CI", "BUILD_NUMBER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PY_COLORS": "0", "COLUMNS": "200"}


def mentions(text: str, *pieces: str) -> bool:
    """Return whether the text holds all the pieces."""
    return all(piece in text for piece in pieces)
