"""Writes docs/options.md from the code: `make docs`.

Every text stands where the thing itself is declared: the options' help in `options`, what marks say in
`scenario.marker`, metrics in `thresholds.grammar`, all else in docstrings and in the command's parsers.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest_metersphere
from pytest_metersphere import options
from pytest_metersphere.cli import PROGRAM, _parser
from pytest_metersphere.engine.user import Meter, VirtualUser
from pytest_metersphere.scenario import fixtures, marker
from pytest_metersphere.thresholds import grammar

PAGE = Path(__file__).with_name("options.md")
WIDTH = 130
INTERNAL = frozenset({"close"})
"""Public methods that are there for the engine, not for scenarios."""

_UNITS = {
    "duration": "a duration, `300ms`",
    "fraction": "a percentage, `1%`",
    "rate": "a rate, `200/s`",
    "count": "a whole number",
}


def page() -> str:
    """Return the text of docs/options.md."""
    parts = [*_introduction(), *_options(), *_marks(), *_fixtures(), *_user(), *_command()]
    return "\n\n".join(parts) + "\n"


def _introduction() -> Iterator[str]:
    yield "# Options, marks, and the virtual user"
    yield _prose(
        "All of it, in tables. `make docs` writes this page from the code, so change it there, not here. What"
        " things are for, with examples, is in the [README](../README.md)."
    )
    yield _prose(
        "Durations are texts with a unit (`500ms`, `30s`, `1m30s`, `2h`); in marks a number is seconds."
    )


def _options() -> Iterator[str]:
    yield "## Options of pytest"
    yield _prose(
        "The option wins over the variable, the variable over the ini value, that over the default. Variables"
        " and ini values that are empty count as absent. What may be given several times stands one a line in"
        " variables and ini files."
    )
    rows: list[tuple[str, ...]] = [
        (_code(_usage(each)), _code(_variable(each)), _code(_ini_key(each)), each.help.replace("%%", "%"))
        for each in options._DECLARATIONS
    ]
    yield _table(("option", "variable", "ini key", ""), rows)
    yield "## Ini keys without an option"
    alone = {key: text for key, text in options._LINELISTS.items() if key not in _ini_keys()}
    plain = {**options._INI_TEXTS, options.NODE_CAFILE_KEY: options._NODE_CAFILE_TEXT}
    rows = [(_code(key), _code(f"PYTEST_{key.upper()}"), text) for key, text in plain.items()]
    yield _table(
        ("ini key", "variable", ""), [*rows, *((_code(key), "", text) for key, text in alone.items())]
    )
    yield "## Variables without an option"
    yield "No option and no ini key takes a secret, since command lines and ini files are seen by others."
    login = {f"PYTEST_MS_KAFKA_{name.upper()}": text for name, text in options._KAFKA_LOGIN.items()}
    secrets = options._SECRETS
    yield _table(("variable", ""), [(_code(name), text) for name, text in {**secrets, **login}.items()])


def _usage(option: options._Declaration) -> str:
    return f"{option.flag}={option.metavar}" if option.metavar else option.flag


def _variable(option: options._Declaration) -> str:
    return "" if option.action == "store_true" else options._variable(option.flag)


def _ini_key(option: options._Declaration) -> str:
    """Return the ini key of the same name; what may be given several times has one for lines, in plural."""
    key = options._key(option.flag)
    several = f"{key}s" if option.action == "append" and f"{key}s" in options._LINELISTS else ""
    return key if option.ini else several


def _ini_keys() -> set[str]:
    return {_ini_key(each) for each in options._DECLARATIONS}


def _marks() -> Iterator[str]:
    yield "## The mark load_scenario"
    yield "`@pytest.mark.load_scenario(…)` takes keywords only. Marks on a class or a module are inherited."
    rows = [
        (_code(word), _code(marker._EXAMPLES[word].replace(" or ", "`, `")), _text(marker.DESCRIPTIONS, word))
        for word in marker.KEYWORDS
    ]
    yield _table(("keyword", "example", ""), rows)
    yield "## The mark threshold"
    operators = ", ".join(map(_code, grammar._ORDERING))
    yield _prose(
        '`@pytest.mark.threshold("[label:] metric op value")` is always the condition to pass; so are'
        " `--ms-threshold` and the lines of the ini key `ms_thresholds`. A label may be a pattern (`GET *`)."
        " `p95(service)` is over the time from the first byte sent, `p95` over that from the call. Operators:"
        f" {operators}, and for whole numbers `==` and `!=`, too."
    )
    metrics = {"p95": "duration", **grammar._UNITS}
    rows = [(_code(name), _UNITS[unit], _metric_text(name)) for name, unit in metrics.items()]
    yield _table(("metric", "value", ""), rows)


def _metric_text(name: str) -> str:
    text = _text(grammar.DESCRIPTIONS, name)
    return f"{text}; takes no label" if name in grammar._WITHOUT_LABEL else text


def _text(texts: Mapping[str, str], name: str) -> str:
    if name not in texts:
        raise LookupError(f"nothing is said of {name!r}: describe it in DESCRIPTIONS, where it is declared")
    return texts[name]


def _fixtures() -> Iterator[str]:
    yield "## Load-scoped fixtures"
    yield "`@pytest_metersphere.fixture(scope=…)` declares a fixture that runs where the load runs:"
    yield _table(("scope", ""), [(_code(scope), text) for scope, text in fixtures.DESCRIPTIONS.items()])


def _user() -> Iterator[str]:
    yield "## The virtual user"
    yield _prose(
        "The fixture `vu`, as an `async def` scenario has it. A plain `def` scenario has the same without"
        " `await`, and its calls block."
    )
    user = VirtualUser(Meter(1, "node"))
    yield _table(("attribute", ""), _members(type(user), "vu."))
    client = type(user.http)
    yield "## The HTTP client"
    yield f"{_first_paragraph(client)}."
    yield _table(("attribute", ""), _members(client, "vu.http."))
    yield "Every method takes these, all but `method` and `url` by their names:"
    yield f"```python\nawait vu.http.{_signature(client.request)}\n```"
    yield _table(("argument", ""), _described(client.request, "Args"))
    answer = vars(sys.modules[client.__module__])[inspect.signature(client.request).return_annotation]
    yield "### The answer"
    yield _table(("attribute", ""), _members(answer, "reply."))
    yield "### What it raises"
    yield "All of them are in the module `pytest_metersphere`."
    public = {name: getattr(pytest_metersphere, name) for name in pytest_metersphere.__all__}
    errors = [each for each in public.values() if inspect.isclass(each) and issubclass(each, Exception)]
    rows = [(_code(each.__name__), _first_paragraph(each)) for each in errors]
    yield _table(("exception", ""), rows)


def _members(kind: type, prefix: str) -> list[tuple[str, str]]:
    """Return attributes, properties and methods of a class and its bases, with what their docstrings say."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        found |= {f"{prefix}{name}": text for name, text in _described(base, "Attributes", code=False)}
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in INTERNAL and _is_described(member):
                found[_called(member, f"{prefix}{name}")] = _result(_first_paragraph(member))
    return [(_code(name), text) for name, text in found.items()]


def _is_described(member: Any) -> bool:
    return isinstance(member, property) or inspect.isfunction(member)


def _called(member: Any, name: str) -> str:
    if isinstance(member, property):
        return name
    waits = "await " if inspect.iscoroutinefunction(member) else ""
    named = [
        f"**{each.name}" if each.kind is each.VAR_KEYWORD else each.name
        for each in [*inspect.signature(member).parameters.values()][1:]
        if each.kind is not each.KEYWORD_ONLY
    ]
    more = any(each.kind is each.KEYWORD_ONLY for each in inspect.signature(member).parameters.values())
    return f"{waits}{name}({', '.join([*named, *(['…'] if more else [])])})"


def _result(text: str) -> str:
    """Return what a docstring says is returned, as a phrase."""
    return _capital(text.removeprefix("Return "))


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    bare = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    return (
        f"{function.__name__}{signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)}"
    )


def _first_paragraph(member: Any) -> str:
    return " ".join((inspect.getdoc(member) or "").split("\n\n")[0].split()).rstrip(".")


def _described(member: Any, section: str, *, code: bool = True) -> list[tuple[str, str]]:
    """Return names and texts of a section (`Args`, `Attributes`) of a docstring in Google's style."""
    doc = inspect.getdoc(member) if isinstance(vars(member).get("__doc__", ""), str) else None
    _, found, body = (doc or "").partition(f"{section}:\n")
    if not found or (inspect.isclass(member) and "__doc__" not in vars(member)):
        return []
    rows: list[tuple[str, str]] = []
    for line in body.split("\n\n")[0].splitlines():
        name, colon, text = line.strip().partition(": ")
        if colon and line.startswith("    ") and not line.startswith("     ") and name.isidentifier():
            rows.append((name, text))
        elif rows:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
    return [(_code(name) if code else name, _capital(text).rstrip(".")) for name, text in rows]


def _command() -> Iterator[str]:
    yield f"## The command {PROGRAM}"
    yield "`python -m pytest_metersphere` is the same."
    (commands,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    for name, parser in commands.choices.items():
        yield f"### {PROGRAM} {name}"
        yield from map(_prose, filter(None, (parser.description, parser.epilog)))
        shown = [each for each in parser._actions if each.option_strings and each.dest != "help"]
        rows = [(_command_option(each), _expanded(each, parser.prog)) for each in shown]
        yield _table(("option", ""), rows)


def _command_option(action: argparse.Action) -> str:
    takes = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    value = "" if action.nargs == 0 else f" {takes}"
    return ", ".join(_code(f"{flag}{value}") for flag in action.option_strings)


def _expanded(action: argparse.Action, program: str) -> str:
    return _capital((action.help or "") % {**vars(action), "prog": program})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _prose(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("|".join(("", *map(_cell, line), "")) for line in lines)


def _cell(text: str) -> str:
    return f" {text} ".replace("|", r"\|") if text else " "


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
