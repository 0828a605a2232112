"""Inputs become a command line for pytest, and text stays text."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_metersphere.ci.inputs import PREFIX, Inputs, read_inputs
from pytest_metersphere.errors import ConfigError


def _read(**inputs: str) -> Inputs:
    return read_inputs({PREFIX + name.upper(): text for name, text in inputs.items()})


def test_nothing_given_adds_nothing() -> None:
    """Without inputs pytest gets no option of ours, so that ini values hold."""
    assert read_inputs({}) == Inputs()
    assert not [part for part in Inputs().command_line() if part.startswith("--")]


def test_every_value_becomes_its_option() -> None:
    """Each input stands for the option of its name, thresholds for one each."""
    line = _read(
        pool="local=4+4",
        kafka="kafka:9092",
        users="10%",
        hold="5s",
        report_dir="out put",
        thresholds="p95 < 300ms\n\n  GET /cart: error_rate < 1%  \n",
    ).command_line()

    assert line[2:] == [
        "--ms-pool=local=4+4",
        "--ms-kafka=kafka:9092",
        "--ms-users=10%",
        "--ms-hold=5s",
        "--ms-threshold=p95 < 300ms",
        "--ms-threshold=GET /cart: error_rate < 1%",
        "--ms-report-dir=out put",
    ]


def test_words_are_split_as_a_shell_splits_them() -> None:
    """Quotes hold words together, line ends part them, and nothing is expanded."""
    inputs = _read(tests="'a b.py'\nc.py::test_x[$(id)]", args="-k 'one or two' --ms-ramp=2s `id` $HOME")

    assert inputs.tests == ("a b.py", "c.py::test_x[$(id)]")
    assert inputs.args == ("-k", "one or two", "--ms-ramp=2s", "`id`", "$HOME")


def test_tests_never_become_options() -> None:
    """What stands in `tests` comes behind the double dash."""
    line = _read(tests="--co -p evil", args="-x").command_line()

    assert line[-4:] == ["--", "--co", "-p", "evil"]
    assert line.index("-x") < line.index("--")


def test_patterns_stand_for_files(tmp_path: Path) -> None:
    """`*` stands for the files that exist, in order; a pattern without any stays for pytest to refuse."""
    for name in ("test_b.py", "test_a.py", "other.txt"):
        (tmp_path / name).touch()

    assert _read(tests=f"'{tmp_path}/test_*.py'").tests == (
        str(tmp_path / "test_a.py"),
        str(tmp_path / "test_b.py"),
    )
    assert _read(tests="nowhere/test_*.py").tests == ("nowhere/test_*.py",)


@pytest.mark.parametrize("name", ["tests", "args"])
def test_an_open_quote_is_refused(name: str) -> None:
    """The message names the input, what it holds and what to do."""
    with pytest.raises(ConfigError, match=rf"^input {name}: .*a'b.*close the quote"):
        _read(**{name: "a'b"})


def test_an_unknown_fail_on_is_refused() -> None:
    """The message lists what there is and says what was probably meant."""
    with pytest.raises(
        ConfigError, match=r"input fail-on: 'error' is not one of thresholds, errors, never.*'errors'"
    ):
        _read(fail_on="error")
