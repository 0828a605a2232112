"""Rows on their way to users: who has which, and what of them travels."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.datafile import read_rows
from pytest_metersphere.engine.rows import Rows, packed_fields
from pytest_metersphere.errors import ConfigError


def numbered(length: int, first: int = 0) -> Rows:
    """Return rows with a column `n` that holds each row's number, from 0."""
    return Rows(
        names=["n"], length=length, rows={n: packed_fields([str(n)]) for n in range(length)}, first=first
    )


@given(length=st.integers(1, 20), first=st.integers(0, 20), user=st.integers(1, 50))
def test_rows_go_round(length: int, first: int, user: int) -> None:
    """User k has the row k behind those of others, and the first again after the last."""
    assert numbered(length, first).of(user) == {"n": str((first + user - 1) % length)}


@given(length=st.integers(1, 20), first=st.integers(0, 20), wanted=st.integers(1, 50))
def test_rows_of_ones_own_are_counted(length: int, first: int, wanted: int) -> None:
    """As many users have one as come before rows are used again."""
    rows = numbered(length, first)
    alone = rows.users(wanted)

    assert 0 <= alone <= wanted
    assert [first + user - 1 < length for user in range(1, wanted + 1)] == [
        user <= alone for user in range(1, wanted + 1)
    ]


@given(length=st.integers(1, 20), users=st.sets(st.integers(1, 60), max_size=10))
def test_no_row_travels_without_its_user(length: int, users: set[int]) -> None:
    """Over the wire too: those of the users that live somewhere, each once, and the same ones."""
    rows = numbered(length)
    here = msgspec.msgpack.decode(msgspec.msgpack.encode(rows.only_of(users)), type=Rows)

    assert set(here.rows) == {(user - 1) % length for user in users}
    assert [here.of(user) for user in users] == [rows.of(user) for user in users]
    assert here.size == sum(len(here.rows[n]) for n in here.rows)


def test_a_row_that_did_not_travel_is_an_error_in_words() -> None:
    """Not a KeyError in the middle of a scenario."""
    with pytest.raises(ConfigError, match="no row for user 2 came with the request"):
        numbered(3).only_of([1]).only_of([1, 2]).of(2)


@pytest.mark.parametrize("wrong", [{"length": 0}, {"first": -1}])
def test_numbers_that_lead_nowhere_do_not_come_off_a_socket(wrong: dict[str, int]) -> None:
    """Rows that go round after none of them are refused where they are decoded."""
    sent = msgspec.to_builtins(numbered(3)) | {"rows": {}} | wrong

    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Rows)


def test_each_asking_makes_a_dict_of_its_own(tmp_path: Path) -> None:
    """What a user does to its row, another with the same row does not see."""
    path = tmp_path / "users.jsonl"
    path.write_text('{"a": [1]}\n')
    rows = read_rows(path, "users.jsonl", 9)
    rows.of(1)["a"].append(2)

    assert rows.of(1) == rows.of(2) == {"a": [1]}
