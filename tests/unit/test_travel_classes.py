"""UUIDs, decimals, members of enums and dataclasses on their way to the nodes."""

from __future__ import annotations

import dataclasses
import decimal
import enum
import sys
import types
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.errors import TravelError
from pytest_metersphere.scenario import travel


class Colour(enum.Enum):
    """A plain enum, with an alias."""

    RED = "red"
    BLUE = "blue"
    CRIMSON = "red"  # noqa: PIE796 - an alias


class Level(enum.IntEnum):
    """An enum of numbers."""

    LOW = 1
    HIGH = 10


class Word(enum.StrEnum):
    """An enum of texts."""

    YES = "yes"


class Right(enum.Flag):
    """An enum of flags."""

    READ = enum.auto()
    WRITE = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Money:
    """A frozen dataclass with slots."""

    amount: decimal.Decimal
    currency: str = "EUR"


@dataclasses.dataclass
class Basket:
    """A dataclass with everything that a field can be."""

    owner: uuid.UUID
    items: dict[str, Money] = dataclasses.field(default_factory=dict)
    colour: Colour = dataclasses.field(default=Colour.RED, kw_only=True)
    total: int = dataclasses.field(init=False, default=0)
    unset: int = dataclasses.field(init=False)
    raised: int = 0

    def __post_init__(self) -> None:
        """Change what was given, as some do."""
        self.total = len(self.items)
        self.raised += 1

    @dataclasses.dataclass
    class Inner:
        """A dataclass inside another."""

        depth: int


@dataclasses.dataclass
class WithInitVar:
    """Wants an argument that it does not keep."""

    kept: int
    given: dataclasses.InitVar[int]


@dataclasses.dataclass(init=False)
class OwnInit:
    """Has fields that its own __init__ does not take."""

    field: int

    def __init__(self) -> None:
        self.field = 1


class NotADataclass:
    """Something else that can be imported and called."""


def there_and_back(value: object) -> Any:
    """Return what arrives of a value."""
    return travel.decode(travel.encode(value))


@given(st.uuids(), st.decimals(allow_nan=False))
def test_uuids_and_decimals_arrive_exactly(identity: uuid.UUID, number: decimal.Decimal) -> None:
    """Also the exponent of a decimal, infinities and its sign of zero."""
    arrived = there_and_back({identity: [number]})
    ((key, (other,)),) = arrived.items()

    assert (key, type(key)) == (identity, uuid.UUID)
    assert (str(other), type(other)) == (str(number), decimal.Decimal)


def test_a_decimal_that_is_no_number_arrives() -> None:
    """NaN and the signalling one."""
    assert [str(one) for one in there_and_back([decimal.Decimal("NaN"), decimal.Decimal("sNaN12")])] == [
        "NaN",
        "sNaN12",
    ]


@pytest.mark.parametrize(
    "member",
    [Colour.BLUE, Colour.CRIMSON, Level.HIGH, Word.YES, Right.READ, Right.READ | Right.WRITE, Right(0)],
    ids=str,
)
def test_members_of_enums_arrive_as_themselves(member: enum.Enum) -> None:
    """The very member, alone, in containers and as a key."""
    assert there_and_back(member) is member
    assert there_and_back({member: [member]}) == {member: [member]}


def test_a_dataclass_arrives_with_all_its_fields() -> None:
    """Frozen, nested, with defaults, keyword-only and such as __init__ does not take."""
    basket = Basket(uuid.UUID(int=7), {"book": Money(decimal.Decimal("9.90"))}, colour=Colour.BLUE)
    arrived = there_and_back([basket])[0]

    assert type(arrived) is Basket
    assert (arrived.owner, arrived.items, arrived.colour) == (basket.owner, basket.items, basket.colour)
    assert (arrived.total, arrived.raised) == (1, 1)
    assert not hasattr(arrived, "unset")


def test_a_field_that_init_does_not_take_keeps_its_value() -> None:
    """What was set later wins over what __post_init__ makes of it on arrival."""
    basket = Basket(uuid.UUID(int=7))
    basket.total, basket.unset = 99, 5
    arrived = there_and_back(basket)

    assert (arrived.total, arrived.unset) == (99, 5)


def test_a_class_inside_a_class_is_found() -> None:
    """The qualified name is followed."""
    assert there_and_back(Basket.Inner(3)) == Basket.Inner(3)


@given(st.recursive(st.builds(Basket.Inner, st.integers()), lambda inner: st.lists(inner, max_size=3)))
def test_dataclasses_arrive_at_any_depth(value: object) -> None:
    """Inside lists, as deep as lists may be."""
    assert there_and_back(value) == value


def local_enum() -> enum.Enum:
    """Return a member of an enum that nobody can import."""

    class Hidden(enum.Enum):
        A = 1

    return Hidden.A


def local_dataclass() -> object:
    """Return an instance of a dataclass that nobody can import."""

    @dataclasses.dataclass
    class Hidden:
        a: int = 1

    return Hidden()


def of_main() -> object:
    """Return an instance of a dataclass of the program itself."""
    return dataclasses.make_dataclass("Cart", ["a"], namespace={"__module__": "__main__"})(1)


def replaced() -> object:
    """Return an instance of a class whose name another one has taken."""
    return dataclasses.make_dataclass("Money", ["a"], namespace={"__module__": __name__})(1)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (local_enum(), "local_enum.<locals>.Hidden is defined inside a function"),
        (local_dataclass(), "local_dataclass.<locals>.Hidden is defined inside a function"),
        (of_main(), "Cart is defined in __main__"),
        (replaced(), "Money cannot be imported by that name"),
        (WithInitVar(1, 2), "WithInitVar cannot be built from its fields: __init__ wants 'given'"),
        (OwnInit(), "OwnInit cannot be built from its fields: __init__ does not take the field 'field'"),
        (NotADataclass(), "NotADataclass (at ['cart'][0]) cannot travel; what can: None, bool"),
        (Money, "builtins.type (at ['cart'][0]) cannot travel; what can: None, bool"),
        (Colour, "cannot travel; what can: None, bool"),
    ],
)
def test_what_nobody_could_import_is_refused(value: object, why: str) -> None:
    """The class is named, why it cannot travel, and where in the value it stands."""
    with pytest.raises(TravelError) as caught:
        travel.encode({"cart": [value]})

    assert why in str(caught.value)
    assert "(at ['cart'][0])" in str(caught.value)


def test_a_field_that_cannot_travel_is_named() -> None:
    """The place goes through the fields."""
    basket = Basket(uuid.UUID(int=7), {"book": object()})  # type: ignore[dict-item]

    with pytest.raises(TravelError, match=r"builtins\.object \(at \[1\]\.items\['book'\]\) cannot travel"):
        travel.encode((0, basket))


def test_a_dataclass_that_contains_itself_is_refused() -> None:
    """A cycle through fields ends in an error."""
    basket = Basket(uuid.UUID(int=7))
    basket.items["me"] = basket  # type: ignore[assignment]

    with pytest.raises(TravelError, match="contains itself"):
        travel.encode(basket)


def forged(tag: str, *content: object) -> bytes:
    """Return bytes that nobody here would write."""
    return msgspec.msgpack.encode({"~": tag, "": list(content)})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (forged("enum", "os", "system", "true"), "os has no class system here"),
        (forged("enum", "subprocess", "Popen", "true"), "subprocess.Popen is no Enum here"),
        (
            forged("dataclass", "subprocess", "Popen", [["args", "true"]]),
            "subprocess.Popen is no dataclass here",
        ),
        (forged("dataclass", __name__, "NotADataclass", []), "NotADataclass is no dataclass here"),
        (forged("dataclass", __name__, "Gone", []), "has no class Gone here"),
        (
            forged("dataclass", "no.such.module", "X", []),
            "no.such.module, for its X, cannot be imported here",
        ),
        (forged("dataclass", __name__, "Money", [["price", 1]]), "Money has no field 'price' here"),
        (forged("dataclass", __name__, "Money", []), "Money could not be built here: TypeError"),
        (forged("enum", __name__, "Colour", "GREEN"), "Colour has no member 'GREEN' here"),
        (forged("enum", __name__, "Colour", 7), "Colour has no member 7 here"),
    ],
)
def test_a_name_that_means_something_else_here_is_an_error(data: bytes, why: str) -> None:
    """Only enums and dataclasses come of a name: nothing else is called, whatever the bytes say."""
    with pytest.raises(TravelError) as caught:
        travel.decode(data)

    assert why in str(caught.value)


def test_a_module_that_breaks_while_it_is_imported_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its error is in the message."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "ms_broken_module.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(str(folder))

    with pytest.raises(TravelError, match="cannot be imported here: RuntimeError: no licence"):
        travel.decode(forged("dataclass", "ms_broken_module", "X", []))


def test_a_module_that_was_not_imported_yet_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On a node the value may come before the first import of its module."""
    folder = tmp_path_factory.mktemp("modules")
    text = "import dataclasses\n@dataclasses.dataclass\nclass Cart:\n    size: int\n"
    (folder / "ms_fresh_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "ms_fresh_module", raising=False)
    cart = travel.decode(forged("dataclass", "ms_fresh_module", "Cart", [["size", 3]]))

    assert (type(cart).__name__, cart.size) == ("Cart", 3)
    assert isinstance(sys.modules.pop("ms_fresh_module"), types.ModuleType)


class Server(enum.Enum):
    """Addresses, one of them of the machine itself."""

    HERE = "http://127.0.0.1:8000/"
    THERE = "http://10.0.0.1:8000/"


def test_loopback_urls_are_found_in_fields_and_members() -> None:
    """A URL does not hide in a class."""
    assert travel.loopback_url([Server.HERE]) == Server.HERE.value
    assert travel.loopback_url(Server.THERE) is None
    assert travel.loopback_url({"a": Money(decimal.Decimal(1), "http://localhost/")}) == "http://localhost/"
    assert travel.loopback_url(Basket(uuid.UUID(int=7))) is None
