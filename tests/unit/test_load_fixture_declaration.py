"""The declaration of load-scoped fixtures: what the decorator leaves for pytest, and what it refuses."""

from __future__ import annotations

import inspect

import pytest

import pytest_metersphere
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.fixtures import THE_USER, Declaration, Pending, declaration_of

NEVER = "a load-scoped fixture ran on the controller"


@pytest.fixture
def base() -> str:
    """Return a value of an ordinary fixture."""
    return "http://example.org"


@pytest.fixture
def vu() -> object:
    """Stand in for the plugin's own `vu`."""
    return THE_USER


@pytest_metersphere.fixture(scope="worker")
def pool(base: str) -> str:
    """Depend on an ordinary fixture."""
    raise AssertionError(NEVER)


@pytest_metersphere.fixture(scope="user", name="account")
async def _account(vu: object, pool: str) -> str:
    """Depend on the user and on another load-scoped fixture, under another name."""
    raise AssertionError(NEVER)


class TestInAClass:
    """Fixtures that are methods."""

    @pytest_metersphere.fixture(scope="user")
    def own(self, base: str) -> str:
        """Want the instance of the test class."""
        raise AssertionError(NEVER)

    def test_a_method_is_known_as_one(self, own: Pending) -> None:
        """What stands for the fixture says that it wants the instance of the class."""
        assert isinstance(own, Pending)
        assert own.is_method
        assert own.arguments == {"base": "http://example.org"}


def test_a_test_gets_what_stands_for_the_value(account: Pending, base: str) -> None:
    """pytest resolves the whole graph without running a load-scoped fixture."""
    assert isinstance(account, Pending)
    assert not account.is_method
    assert (account.declaration.name, account.declaration.scope) == ("account", "user")
    assert account.arguments["vu"] is THE_USER
    inner = account.arguments["pool"]
    assert (inner.declaration.name, inner.declaration.scope) == ("pool", "worker")
    assert inner.arguments == {"base": base}


def test_the_declaration_leads_back_to_the_function(request: pytest.FixtureRequest) -> None:
    """From pytest's definition of the fixture, the function that the user wrote is found."""
    definition = request._fixturemanager.getfixturedefs("account", request.node)
    assert definition is not None

    declaration = declaration_of(definition[-1].func)

    assert isinstance(declaration, Declaration)
    assert inspect.iscoroutinefunction(declaration.function)
    assert list(inspect.signature(declaration.function).parameters) == ["vu", "pool"]
    assert definition[-1].func.__doc__ == declaration.function.__doc__
    assert definition[-1].func.__name__ == "_account"


def test_an_ordinary_fixture_has_no_declaration(request: pytest.FixtureRequest) -> None:
    """Functions that the decorator did not see are not mistaken for load-scoped ones."""
    definition = request._fixturemanager.getfixturedefs("base", request.node)
    assert definition is not None

    assert declaration_of(definition[-1].func) is None
    assert declaration_of(len) is None


@pytest.mark.parametrize(
    ("scope", "hint"),
    [
        ("users", "did you mean 'user'"),
        ("session", "use pytest.fixture"),
        (None, "scope=None"),
        (3, "scope=3"),
    ],
)
def test_another_scope_is_refused(scope: object, hint: str) -> None:
    """The error names the scope, the two that there are, and what to use for pytest's own."""
    with pytest.raises(ConfigError) as caught:
        pytest_metersphere.fixture(scope=scope)  # type: ignore[arg-type]

    text = str(caught.value)
    assert '"user" or "worker"' in text
    assert hint in text
