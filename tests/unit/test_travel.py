"""Values on their way to the nodes: what arrives, what is refused, and which URLs must not leave."""

from __future__ import annotations

import datetime
import pathlib
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.errors import TravelError
from pytest_metersphere.scenario import travel

ZONES = st.sampled_from(
    [
        None,
        datetime.UTC,
        datetime.timezone(datetime.timedelta(hours=-3, minutes=-30)),
        datetime.timezone(datetime.timedelta(seconds=1, microseconds=7)),
    ]
)
PATHS = st.lists(st.from_regex(r"[A-Za-z0-9 ._é-]+", fullmatch=True), max_size=4).map(
    lambda parts: pathlib.Path("/", *parts)
)
KEYS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(1 << 70), 1 << 70),
        st.floats(allow_nan=False),
        st.complex_numbers(allow_nan=False),
        st.text(),
        st.binary(),
        st.datetimes(timezones=ZONES),
        st.dates(),
        st.times(timezones=ZONES),
        st.timedeltas(),
        PATHS,
    ),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    KEYS | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(KEYS, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=15,
)


class Named(str):
    """A text that is more than a text."""

    __slots__ = ()


def typed(value: Any) -> Any:
    """Return a value together with the types of everything in it, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return dict, sorted((repr(typed(key)), repr(typed(item))) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), [typed(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(repr(typed(item)) for item in value)
    return type(value), repr(value)


def len_of(number: int) -> str:
    """Return a short name for a long number."""
    return f"{number.bit_length()} bits, {'negative' if number < 0 else 'positive'}"


def there_and_back(value: object) -> Any:
    """Return what arrives of a value."""
    return travel.decode(travel.encode(value))


@given(VALUES)
def test_everything_that_travels_arrives_as_it_was(value: Any) -> None:
    """The value that arrives is equal, of the same types, at every depth."""
    assert typed(there_and_back(value)) == typed(value)


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, (1 << 64) - 1, 10**6000, -(10**6000)], ids=len_of)
def test_integers_of_any_size_travel(value: int) -> None:
    """Neither MessagePack's 64 bits nor Python's limit on digits stops a number."""
    assert there_and_back([value]) == [value]


def test_not_a_number_travels() -> None:
    """A NaN arrives as one."""
    arrived = there_and_back(float("nan"))

    assert isinstance(arrived, float)
    assert arrived != arrived  # noqa: PLR0124 - that is what NaN means


def test_a_time_in_a_named_zone_arrives_as_the_same_moment() -> None:
    """The name of the zone stays behind, the moment is kept; also in the hour that comes twice."""
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    moments = [datetime.datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1)]

    arrived = there_and_back(moments)

    assert [moment.timestamp() for moment in arrived] == [moment.timestamp() for moment in moments]


def test_dicts_with_the_marks_of_the_encoding_are_only_dicts() -> None:
    """No key or value of a user's dict is mistaken for the encoding's own."""
    value = {"~": "int", "": "ff", "nested": {"~": "path", "": "/etc"}}

    assert there_and_back(value) == value


def test_deep_nesting_travels_within_the_limit() -> None:
    """A hundred levels arrive."""
    value: list[Any] = []
    for _ in range(99):
        value = [value]

    assert there_and_back(value) == value


@pytest.mark.parametrize(
    ("value", "named", "place"),
    [
        (object(), "builtins.object", ""),
        (len, "builtins.builtin_function_or_method", ""),
        ([1, {2.5}, [object()]], "builtins.object", "(at [2][0])"),
        ({"db": {"pool": object()}}, "builtins.object", "(at ['db']['pool'])"),
        ({(1, Named("x")): 1}, "test_travel.Named", "[1])"),
        (("a", Named("x")), "test_travel.Named", "(at [1])"),
        ({"at": datetime.UTC}, "datetime.timezone", "(at ['at'])"),
    ],
)
def test_what_cannot_travel_is_named_with_its_place(value: object, named: str, place: str) -> None:
    """The error says the type, where in the value it stands, and what could travel."""
    with pytest.raises(TravelError) as caught:
        travel.encode(value)

    text = str(caught.value)
    assert named in text
    assert place in text
    assert "cannot travel; what can: None, bool, int" in text


def test_a_value_that_contains_itself_is_refused() -> None:
    """A cycle ends in an error, through lists and dicts alike."""
    lists: list[Any] = []
    lists.append(lists)
    dicts: dict[str, Any] = {}
    dicts["me"] = [dicts]

    for cycle in (lists, dicts):
        with pytest.raises(TravelError, match="contains itself"):
            travel.encode(cycle)


@pytest.mark.parametrize("value", ["\ud800", {"\udcff": 1}, [pathlib.Path("data/\udcff")]])
def test_text_that_is_no_unicode_is_refused(value: object) -> None:
    """Half a surrogate pair, as file names can have, is an error with words."""
    with pytest.raises(TravelError, match="no valid Unicode"):
        travel.encode(value)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("http://127.0.0.1:8000/cart", "http://127.0.0.1:8000/cart"),
        ("HTTPS://LocalHost", "HTTPS://LocalHost"),
        ("postgresql://me:secret@localhost/db", "postgresql://me:secret@localhost/db"),
        ("ws://[::1]:9/", "ws://[::1]:9/"),
        ("first http://example.org/, then http://0.0.0.0:1/x", "http://0.0.0.0:1/x"),
        ("http://127.1/", "http://127.1/"),
        ({"urls": [("a", frozenset({"http://127.9.9.9/"}))]}, "http://127.9.9.9/"),
        ({"http://localhost:1/": 1}, "http://localhost:1/"),
    ],
)
def test_loopback_urls_are_found_wherever_they_stand(value: object, url: str) -> None:
    """A URL of the machine itself is found in texts and inside containers."""
    assert travel.loopback_url(value) == url


@pytest.mark.parametrize(
    "value",
    [
        "http://example.org/?next=localhost",
        "http://127.example.org/",
        "localhost:8000",
        "http://[broken",
        "http:///path",
        b"http://localhost/",
        ["http://10.0.0.1/", {"a": None}, 5],
        "",
    ],
)
def test_other_texts_are_no_loopback_urls(value: object) -> None:
    """Hosts that merely look alike, bare host names and broken URLs are left alone."""
    assert travel.loopback_url(value) is None
