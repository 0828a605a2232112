"""Data files: what is a row, and how mistakes are told."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.datafile import MAX_LINE, check, read_rows
from pytest_metersphere.errors import ConfigError

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
NAMES = st.lists(TEXT.filter(str.strip), min_size=1, max_size=4, unique=True)


def rows_of(path: Path, content: str | bytes, most: int = 1000) -> list[dict[str, Any]]:
    """Return the rows of a file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = read_rows(path, path.name, most)
    assert check(path, path.name) >= found.length
    return [found.of(user) for user in range(1, found.length + 1)]


def complaint(path: Path, content: str | bytes) -> str:
    """Return what both readers say of a file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        check(path, path.name)
    with pytest.raises(ConfigError) as again:
        read_rows(path, path.name, 1000)
    assert str(again.value) == str(caught.value)
    return str(caught.value)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return the path of a CSV file that is not there yet."""
    return tmp_path / "users.csv"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Return the path of a JSON Lines file that is not there yet."""
    return tmp_path / "users.jsonl"


def test_a_table_is_text_by_column(table: Path) -> None:
    """Numbers stay text, empty fields are empty text, blanks belong to a field."""
    assert rows_of(table, "name,age\nann,7\nbob,\n cyd , x\n") == [
        {"name": "ann", "age": "7"},
        {"name": "bob", "age": ""},
        {"name": " cyd ", "age": " x"},
    ]


def test_quoted_fields_hold_commas_quotes_and_line_breaks(table: Path) -> None:
    """As RFC 4180 has it, with its line ends, and without one at the end."""
    assert rows_of(table, 'name,note\r\nann,"a, ""b""\r\nc"\r\nbob,"d"') == [
        {"name": "ann", "note": 'a, "b"\r\nc'},
        {"name": "bob", "note": "d"},
    ]


def test_the_mark_of_windows_and_empty_lines_are_no_content(table: Path, lines: Path) -> None:
    """A byte order mark does not become part of a name."""
    assert rows_of(table, "\ufeffname\n\nann\n\n\nbob\n\n") == [{"name": "ann"}, {"name": "bob"}]
    assert rows_of(lines, '\ufeff{"a": 1}\r\n\r\n{"a": 2}') == [{"a": 1}, {"a": 2}]


def test_a_line_of_json_is_an_object_of_any_depth(lines: Path) -> None:
    """Values keep their types, whole numbers of any size among them."""
    objects: list[dict[str, Any]] = [{}, {"id": 1 << 80, "roles": ["é", None, {"deep": 1.5}]}, {"a": True}]

    assert rows_of(lines, "".join(f"{json.dumps(each)}\n" for each in objects)) == objects


@given(names=NAMES, data=st.data())
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    """Whatever stands in the fields, with quotes where they are needed."""
    fields = st.lists(TEXT, min_size=len(names), max_size=len(names))
    written = data.draw(st.lists(fields, min_size=1, max_size=5))
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([names, *written])
    path = tmp_path_factory.mktemp("written") / "users.csv"

    assert rows_of(path, text.getvalue()) == [dict(zip(names, each, strict=True)) for each in written]


def test_only_the_rows_that_are_wanted_are_read(table: Path) -> None:
    """What stands behind them is not even looked at."""
    table.write_bytes(b"name\nann\nbob\n\xff,,,\n")

    found = read_rows(table, "users.csv", 2)

    assert [found.of(1), found.of(2)] == [{"name": "ann"}, {"name": "bob"}]
    assert found.length == len(found.rows) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "users.csv is empty; its first line is to name the columns"),
        ("\n\r\n", "users.csv is empty"),
        ("name,age\n", "users.csv has a header and no row"),
        ("name,age,name\nann,7,x\n", "users.csv:1: two columns are named 'name'"),
        ("name,,age\nann,7,x\n", "users.csv:1: column 2 has no name; the first line names the columns"),
        ("\nname, \nann,7\n", "users.csv:2: column 2 has no name"),
        ("name,age\nann,7\nbob\n", "users.csv:3: 1 field, where the header has 2"),
        ('name,age\n"a\n\n",1\nann,7,8\n', "users.csv:5: 3 fields, where the header has 2"),
        ('name\nann\n"bob\ncyd\n', "users.csv:3: the record that begins here is no CSV: "),
        ('name\n"ann" x\n', "users.csv:2: the record that begins here is no CSV: "),
        (b"name\nann\nb\xf6b\n", "users.csv:3: the byte 0xf6 is not UTF-8; save the file in UTF-8"),
        ("n" * (MAX_LINE + 1), "users.csv:1: the line is longer than 1 MiB"),
    ],
)
def test_a_table_that_is_not_understood_is_refused_with_the_line(
    table: Path, content: str | bytes, message: str
) -> None:
    """The line on which the record begins, what is wrong and what is right."""
    assert complaint(table, content).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "users.jsonl is empty"),
        ("\n \n", "users.jsonl is empty"),
        ('{"a": 1}\n\n[1]\n', "users.jsonl:3: the line is no JSON object: Expected `object`, got `array`"),
        ('{"a": 1}\n{"a": 1\n', "users.jsonl:2: the line is no JSON object: "),
        ('{"a": NaN}\n', "users.jsonl:1: the line is no JSON object: "),
        ('{"a": 1} {"a": 2}\n', "users.jsonl:1: the line is no JSON object: "),
        (b'{"a": "b\xf6b"}\n', "users.jsonl:1: the byte 0xf6 is not UTF-8"),
        ('{"a": ' + "[" * 100_000 + "\n", "users.jsonl:1: the line is no JSON object: "),
    ],
)
def test_lines_that_are_no_objects_are_refused(lines: Path, content: str | bytes, message: str) -> None:
    """With the number of the line."""
    assert complaint(lines, content).startswith(message)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A folder of the name is no file either."""
    (tmp_path / "folder.csv").mkdir()

    for name, message in (("users.csv", "there is no file users.csv"), ("folder.csv", "is no file")):
        with pytest.raises(ConfigError, match=message):
            check(tmp_path / name, name)
