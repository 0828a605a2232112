"""All take turns, as far as there is time, and none that is missing or fails stops the others."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.compare import parts
from benchmarks.compare.__main__ import take_turns
from benchmarks.compare.line_up import LineUp
from benchmarks.compare.process import RunFailed
from benchmarks.compare.rivals.base import MissingPart
from benchmarks.compare.server import counts
from tests.benchmarks.programs import Fake


class _Task:
    """Notes that it was its turn."""

    def __init__(self, name: str, turns: list[str], *, repetitions: int = 99, fails: bool = False) -> None:
        self.name = name
        self.repetitions = repetitions
        self._turns = turns
        self._fails = fails

    def measure(self) -> str:
        self._turns.append(self.name)
        if self._fails:
            raise RunFailed("it fell over")
        return "well"


def test_all_take_turns() -> None:
    """One repetition of all comes before the second of any; some have fewer."""
    turns: list[str] = []
    tasks = [_Task("a", turns), _Task("b", turns, repetitions=1), _Task("c", turns)]

    take_turns(tasks, 3, math.inf)

    assert turns == ["a", "b", "c", "a", "c", "a", "c"]


def test_a_failure_stops_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    """What fails twice is left out from then on; the others go on, and the reason is shown."""
    turns: list[str] = []

    take_turns([_Task("a", turns, fails=True), _Task("b", turns)], 4, math.inf)

    assert turns == ["a", "b", "a", "b", "b", "b"]
    assert "1/4 a: FAILED: it fell over" in capsys.readouterr().out


def test_no_turn_begins_after_the_deadline() -> None:
    """When the time is over, nothing more is measured."""
    turns: list[str] = []

    take_turns([_Task("a", turns)], 3, -math.inf)

    assert turns == []


def test_who_is_missing_is_named(tmp_path: Path) -> None:
    """A load generator that cannot be installed is missing with its reason; the others are there."""
    found = LineUp([], [lambda: Fake("there"), lambda: Fake("gone", there=False)])

    found.install(tmp_path / "cache")

    assert found.missing == {"gone": "nobody has it"}


@pytest.mark.parametrize("rival", ["k6", "vegeta"])
def test_without_its_compiler_a_program_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rival: str
) -> None:
    """The reason says what would help."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingPart, match="go is not there: apt-get install golang"):
        parts.go_program(tmp_path, rival, f"example.org/{rival}@v1.0.0")


def test_an_installer_that_fails_is_quoted(tmp_path: Path) -> None:
    """What an installer said last is the reason."""
    with pytest.raises(MissingPart, match="`sh -c` ended with 3: no space left"):
        parts.run(["sh", "-c", "echo no space left; exit 3"])


def test_an_installer_that_is_not_there_is_missing() -> None:
    """No traceback when a tool does not exist."""
    with pytest.raises(MissingPart, match="no-such-installer"):
        parts.run(["no-such-installer", "install"])


def test_a_version_is_found_in_what_a_program_prints(tmp_path: Path) -> None:
    """Also in that of one that ends with 1 after telling it, as wrk does."""
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho tool debian/4.1.0-3 [epoll]\nexit 1\n")
    program.chmod(0o755)

    assert parts.version(str(program), "--version") == "4.1.0"
    assert parts.version("true", "") == "?"


def test_nginx_status_page_is_read() -> None:
    """Connections and requests come from the page that nginx shows."""
    page = (
        "Active connections: 2 \nserver accepts handled requests\n 101 101 59937 \n"
        "Reading: 0 Writing: 1 Waiting: 1 \n"
    )

    assert counts(page) == (101, 59937)


def test_another_page_is_no_status_page() -> None:
    """What is not nginx's page is an error, not zero requests."""
    with pytest.raises(ValueError, match="not nginx's status page"):
        counts("404 Not Found")
