"""GitHub's ways to hear from a step: files named by variables, and commands printed on lines of their own.

See "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TextIO

import msgspec

from pytest_metersphere.reports.text import encodable

Level = Literal["error", "warning", "notice"]


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """A message at a place in the repository; `file` is empty for one without a place."""

    level: Level
    title: str
    message: str
    file: str = ""
    line: int | None = None

    def command(self) -> str:
        """Return the workflow command that shows it."""
        place: dict[str, object] = {"file": self.file, "line": self.line} if self.file else {}
        properties = {**place, "title": self.title}
        said = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value)
        return f"::{self.level} {said}::{_data(self.message)}"


class Step:
    """The step of the workflow that this process is.

    Outside GitHub Actions nothing is written, and no command is printed.
    """

    def __init__(self, environ: Mapping[str, str], stdout: TextIO) -> None:
        self._outputs = environ.get("GITHUB_OUTPUT", "")
        self._summary = environ.get("GITHUB_STEP_SUMMARY", "")
        self._workspace = environ.get("GITHUB_WORKSPACE", "")
        self._commands = environ.get("GITHUB_ACTIONS") == "true"
        self._stdout = stdout

    def set_outputs(self, values: Mapping[str, str]) -> None:
        """Set outputs of the step; a later value of a name takes the place of an earlier one."""
        if self._outputs:
            _append(self._outputs, "".join(_entry(name, value) for name, value in values.items()))

    def summary_size(self) -> int:
        """Return how many bytes others have written into the step's summary."""
        try:
            return Path(self._summary).stat().st_size if self._summary else 0
        except OSError:
            return 0

    def add_summary(self, text: str) -> None:
        """Append Markdown to the step's summary."""
        if self._summary:
            _append(self._summary, text)

    def annotate(self, annotation: Annotation) -> None:
        """Show a message at its place."""
        if self._commands:
            self._print(annotation.command())

    @contextlib.contextmanager
    def commands_off(self) -> Iterator[None]:
        """Have GitHub take what is printed meanwhile as text, also where it looks like a command.

        What a server under test answers can stand in a test's output; the word that ends this is drawn
        at random.
        """
        if not self._commands:
            yield
            return
        word = secrets.token_hex(16)
        self._print(f"::stop-commands::{word}")
        try:
            yield
        finally:
            self._print(f"::{word}::")

    def path(self, path: Path) -> str:
        """Return a path relative to the workspace, where it lies within, else as it is."""
        if self._workspace:
            with contextlib.suppress(ValueError):
                return path.resolve().relative_to(Path(self._workspace).resolve()).as_posix()
        return str(path)

    def _print(self, command: str) -> None:
        # a command counts only at the begin of a line, and pytest may have left one unfinished
        self._stdout.write(f"\n{command}\n")
        self._stdout.flush()


def _append(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(encodable(text))


def _entry(name: str, value: str) -> str:
    end = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def _data(text: str) -> str:
    return encodable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
