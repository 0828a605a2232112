"""The inputs of the GitHub Action, as its variables hold them, and the command line they come to."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import msgspec

from pytest_metersphere.errors import ConfigError, did_you_mean

FailOn = Literal["thresholds", "errors", "never"]
PREFIX = "PYTEST_MS_ACTION_"

_OPTIONS = {"pool": "--ms-pool", "kafka": "--ms-kafka", "users": "--ms-users", "hold": "--ms-hold"}
_NOT_OURS = "no:pytest_github_actions_annotate_failures"
"""That plugin prints workflow commands, which are switched off while the tests run; our own say the same."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the user of the Action asked for; an empty text stands for an input that was not given.

    Attributes:
        tests: files, folders or node ids.
        args: further arguments for pytest.
        pool, kafka, users, hold, report_dir: the values of the options of these names.
        thresholds: one text for each `--ms-threshold`.
        fail_on: what makes the step fail: `thresholds`, everything that makes pytest fail; `errors`, all
            of that but a scenario with the verdict `failed`; `never`, only that it was cancelled.
    """

    tests: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    pool: str = ""
    kafka: str = ""
    users: str = ""
    hold: str = ""
    thresholds: tuple[str, ...] = ()
    report_dir: str = ""
    fail_on: FailOn = "thresholds"

    def command_line(self) -> list[str]:
        """Return the arguments for pytest; what stands in `tests` never becomes an option."""
        options = [f"{flag}={getattr(self, name)}" for name, flag in _OPTIONS.items() if getattr(self, name)]
        options += [f"--ms-threshold={text}" for text in self.thresholds]
        if self.report_dir:
            options.append(f"--ms-report-dir={self.report_dir}")
        return ["-p", _NOT_OURS, *options, *self.args, *(["--", *self.tests] if self.tests else [])]


def read_inputs(environ: Mapping[str, str]) -> Inputs:
    """Return the inputs that the variables `PYTEST_MS_ACTION_…` hold.

    `tests` and `args` are split as a shell splits words, quotes respected, and nothing in them is run;
    in `tests`, `*` and `?` stand for files that exist. `thresholds` has one a line.

    Raises:
        ConfigError: an input that is not understood; the message names it.
    """

    def text(name: str) -> str:
        return environ.get(PREFIX + name.upper(), "").strip()

    return Inputs(
        tests=tuple(path for word in _words("tests", text("tests")) for path in _matches(word)),
        args=tuple(_words("args", text("args"))),
        pool=text("pool"),
        kafka=text("kafka"),
        users=text("users"),
        hold=text("hold"),
        thresholds=tuple(line.strip() for line in text("thresholds").splitlines() if line.strip()),
        report_dir=text("report_dir"),
        fail_on=_fail_on(text("fail_on")),
    )


def _words(name: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"input {name}: {text!r} cannot be split into words ({str(error).lower()}); "
            "close the quote, or escape it with a backslash"
        ) from None


def _matches(word: str) -> Sequence[str]:
    """Return the files that a pattern stands for; a word that names a test or matches nothing stays."""
    if "::" in word or not any(sign in word for sign in "*?") or os.path.lexists(word):
        return [word]
    # Path.glob takes no absolute pattern
    return sorted(glob.glob(word, recursive=True)) or [word]  # noqa: PTH207


def _fail_on(text: str) -> FailOn:
    choices: tuple[FailOn, ...] = get_args(FailOn)
    for choice in choices:
        if text in ("", choice):
            return choice
    raise ConfigError(
        f"input fail-on: {text!r} is not one of {', '.join(choices)}; write for example "
        f"fail-on: errors{did_you_mean(text, choices)}"
    )
