"""Writes docs/options.md, and the types in docs/wire.md, from the code: `make docs`.

Every text stands where the thing itself is declared: the options' help in `options`, what marks say in
`scenario.keywords`, metrics in `thresholds.grammar`, all else in docstrings and in the command's parsers.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest_metersphere
from docs.docstrings import capital, described, first_paragraph
from docs.tables import code, prose, table
from docs.wire_types import types_text
from pytest_metersphere import options, settings
from pytest_metersphere.cli import PROGRAM, _parser
from pytest_metersphere.engine.user import Meter, VirtualUser
from pytest_metersphere.scenario import fixtures, keywords
from pytest_metersphere.thresholds import grammar

PAGE = Path(__file__).with_name("options.md")
WIRE = Path(__file__).with_name("wire.md")
TYPES = "## Types\n\n"
_AWAITED = ("Coroutine[", "Awaitable[")
_PROPERTY = (property, functools.cached_property)
INTERNAL = frozenset({"close", "close_now", "closing", "jar"})
"""Public methods that are there for the engine, not for scenarios."""

_OR = re.compile(r",? or(?:,[^,]*,)? ")  # between the examples of one keyword
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
    yield prose(
        "All of it, in tables. `make docs` writes this page from the code, so change it there, not here. What"
        " things are for, with examples, is in the [README](../README.md)."
    )
    yield prose(
        "Durations are texts with a unit (`500ms`, `30s`, `1m30s`, `2h`); in marks a number is seconds."
    )


def _options() -> Iterator[str]:
    yield "## Options of pytest"
    yield prose(
        "The option wins over the variable, the variable over the ini value, that over the default. Variables"
        " and ini values that are empty count as absent. What may be given several times stands one a line in"
        " variables and ini files."
    )
    rows: list[tuple[str, ...]] = [
        (code(_usage(each)), code(_variable(each)), code(_ini_key(each)), each.help.replace("%%", "%"))
        for each in options._DECLARATIONS
    ]
    yield table(("option", "variable", "ini key", ""), rows)
    yield "## Ini keys without an option"
    alone = {key: text for key, text in options._LINELISTS.items() if key not in _ini_keys()}
    plain = {**options._INI_TEXTS, settings.NODE_CAFILE_KEY: options._NODE_CAFILE_TEXT}
    rows = [(code(key), code(f"PYTEST_{key.upper()}"), text) for key, text in plain.items()]
    yield table(("ini key", "variable", ""), [*rows, *((code(key), "", text) for key, text in alone.items())])
    yield "## Variables without an option"
    yield "No option and no ini key takes a secret, since command lines and ini files are seen by others."
    login = {f"PYTEST_MS_KAFKA_{name.upper()}": text for name, text in options._KAFKA_LOGIN.items()}
    others = {**options._SECRETS, **login, settings.JMETER_HOME_VARIABLE: options._JMETER_HOME_TEXT}
    yield table(("variable", ""), [(code(name), text) for name, text in others.items()])


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
        (
            code(word),
            code("`, `".join(_OR.split(keywords.EXAMPLES[word]))),
            _text(keywords.DESCRIPTIONS, word),
        )
        for word in keywords.KEYWORDS
    ]
    yield table(("keyword", "example", ""), rows)
    yield "## The mark threshold"
    operators = ", ".join(map(code, grammar._ORDERING))
    yield prose(
        '`@pytest.mark.threshold("[label:] metric op value")` is always the condition to pass; so are'
        " `--ms-threshold` and the lines of the ini key `ms_thresholds`. A label may be a pattern (`GET *`)."
        " `p95(service)` is over the time from the first byte sent, `p95` over that from the call. Operators:"
        f" {operators}, and for whole numbers `==` and `!=`, too."
    )
    metrics = {"p95": "duration", **grammar._UNITS}
    rows = [(code(name), _UNITS[unit], _metric_text(name)) for name, unit in metrics.items()]
    yield table(("metric", "value", ""), rows)


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
    yield table(("scope", ""), [(code(scope), text) for scope, text in fixtures.DESCRIPTIONS.items()])


def _user() -> Iterator[str]:
    yield "## The virtual user"
    yield prose(
        "The fixture `vu`, as an `async def` scenario has it. A plain `def` scenario has the same without"
        " `await`, and its calls block."
    )
    user = VirtualUser(Meter(1, "node"))
    yield table(("attribute", ""), _members(type(user), "vu."))
    client = type(user.http)
    yield "## The HTTP client"
    yield f"{first_paragraph(client)}."
    yield table(("attribute", ""), _members(client, "vu.http."))
    yield "Every method takes these, all but `method` and `url` by their names:"
    yield f"```python\nawait vu.http.{_signature(client.request)}\n```"
    yield table(("argument", ""), [(code(name), text) for name, text in described(client.request, "Args")])
    answer = vars(sys.modules[client.__module__])[inspect.signature(client.request).return_annotation]
    yield "### The answer"
    yield table(("attribute", ""), _members(answer, "reply."))
    yield "### What it raises"
    yield "All of them are in the module `pytest_metersphere`."
    public = {name: getattr(pytest_metersphere, name) for name in pytest_metersphere.__all__}
    errors = [each for each in public.values() if inspect.isclass(each) and issubclass(each, Exception)]
    rows = [(code(each.__name__), first_paragraph(each)) for each in errors]
    yield table(("exception", ""), rows)


def _members(kind: type, prefix: str) -> list[tuple[str, str]]:
    """Return attributes, properties and methods of a class and its bases, with what their docstrings say."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        found |= {f"{prefix}{name}": text for name, text in described(base, "Attributes")}
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in INTERNAL and _is_described(member):
                found[_called(member, f"{prefix}{name}")] = _result(first_paragraph(member))
    return [(code(name), text) for name, text in found.items()]


def _is_described(member: Any) -> bool:
    return isinstance(member, _PROPERTY) or inspect.isfunction(member)


def _called(member: Any, name: str) -> str:
    if isinstance(member, _PROPERTY):
        return name
    returns = str(inspect.signature(member).return_annotation)
    waits = "await " if inspect.iscoroutinefunction(member) or returns.startswith(_AWAITED) else ""
    named = [
        f"**{each.name}" if each.kind is each.VAR_KEYWORD else each.name
        for each in [*inspect.signature(member).parameters.values()][1:]
        if each.kind is not each.KEYWORD_ONLY
    ]
    more = any(each.kind is each.KEYWORD_ONLY for each in inspect.signature(member).parameters.values())
    return f"{waits}{name}({', '.join([*named, *(['…'] if more else [])])})"


def _result(text: str) -> str:
    """Return what a docstring says is returned, as a phrase."""
    return capital(text.removeprefix("Return "))


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


def _command() -> Iterator[str]:
    yield f"## The command {PROGRAM}"
    yield "`python -m pytest_metersphere` is the same."
    (commands,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    for name, parser in commands.choices.items():
        yield f"### {PROGRAM} {name}"
        yield from map(prose, filter(None, (parser.description, parser.epilog)))
        shown = [each for each in parser._actions if each.option_strings and each.dest != "help"]
        rows = [(_command_option(each), _expanded(each, parser.prog)) for each in shown]
        yield table(("option", ""), rows)


def _command_option(action: argparse.Action) -> str:
    takes = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    value = "" if action.nargs == 0 else f" {takes}"
    return ", ".join(code(f"{flag}{value}") for flag in action.option_strings)


def _expanded(action: argparse.Action, program: str) -> str:
    return capital((action.help or "") % {**vars(action), "prog": program})


def wire_page(written: str) -> str:
    """Return docs/wire.md with its section about the types, which is the last, written anew."""
    return f"{written.partition(TYPES)[0]}{TYPES}{types_text()}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    WIRE.write_text(wire_page(WIRE.read_text(encoding="utf-8")), encoding="utf-8")
