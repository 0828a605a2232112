"""Who may speak to a node is judged by the head of the request alone."""

from __future__ import annotations

import pytest

from pytest_metersphere.dist.node.guard import Guard
from pytest_metersphere.dist.node.refusal import Refused

GUARD = Guard("the-token", on_loopback=True)
GOOD = {"Host": "127.0.0.1:8082", "Authorization": "Bearer the-token"}


def refusal_of(path: str, headers: dict[str, str], guard: Guard = GUARD) -> tuple[int, str]:
    """Return status and kind of the refusal."""
    with pytest.raises(Refused) as caught:
        guard.admit(path, headers)
    return caught.value.status, caught.value.refusal.error


def test_the_token_opens_everything() -> None:
    """A request with the token passes; the scheme may be written in any case."""
    GUARD.admit("/v1/node", GOOD)
    GUARD.admit("/v1/slices/s1/go", GOOD | {"Authorization": "bearer the-token"})


def test_the_status_needs_no_token() -> None:
    """Whether a node is there may be asked by everybody."""
    GUARD.admit("/status", {"Host": "localhost:8082"})


@pytest.mark.parametrize(
    "credentials",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer the-token2",
        "Basic the-token",
        "the-token",
        "Bearer \udce4",
    ],
)
def test_without_the_token_nothing_else_opens(credentials: str) -> None:
    """Missing, wrong and strange credentials are the same: 401."""
    headers = GOOD | {"Authorization": credentials}

    assert refusal_of("/v1/node", headers) == (401, "token")
    assert refusal_of("/", headers) == (401, "token")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:8082"])
@pytest.mark.parametrize("path", ["/status", "/v1/slices"])
def test_web_pages_are_refused(path: str, origin: str) -> None:
    """Whatever has an Origin comes from a page, and a node serves no pages."""
    assert refusal_of(path, GOOD | {"Origin": origin}) == (403, "origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
def test_what_a_web_page_shows_is_refused(site: str) -> None:
    """An image has no Origin, but the browser says that a page wants it; what a person types is fine."""
    assert refusal_of("/status", GOOD | {"Sec-Fetch-Site": site}) == (403, "origin")
    GUARD.admit("/status", GOOD | {"Sec-Fetch-Site": "none"})


@pytest.mark.parametrize(
    "sent", [{"Accept-Language": "en"}, {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"}]
)
def test_browsers_are_refused_where_there_is_no_token(sent: dict[str, str]) -> None:
    """Over plain HTTP to another machine an image, or a page under a name of its own, says nothing else."""
    opened = Guard("the-token", on_loopback=False, metersphere=True)
    page = {"Host": "evil.example:8082", "User-Agent": "Java/17.0.9"}

    assert refusal_of("/jmeter/container/stop/x", page | sent, opened) == (403, "origin")
    opened.admit("/jmeter/container/stop/x", page)
    opened.admit("/status", page | sent)


def test_what_metersphere_asks_for_is_open_only_where_it_is_answered() -> None:
    """Its servers have no token; all else wants it there, too."""
    host = {"Host": "127.0.0.1:8082"}
    opened = Guard("the-token", on_loopback=True, metersphere=True)

    opened.admit("/jmeter/container/start", host)
    assert refusal_of("/jmeter/container/start", host) == (401, "token")
    for path in ("/v1/node", "/jmeter", "/v1/jmeter/", "//jmeter/"):
        assert refusal_of(path, host, opened) == (401, "token")
    assert refusal_of("/jmeter/container/start", host | {"Origin": "null"}, opened) == (403, "origin")
    assert refusal_of("/jmeter/container/start", {"Host": "evil.example"}, opened) == (421, "host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.8.7:80", "[::1]", "[::1]:8082"]
)
def test_names_of_this_machine_are_fine(host: str) -> None:
    """Loopback may be addressed by any of its names, with any port."""
    GUARD.admit("/v1/node", GOOD | {"Host": host})


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8082",
        "10.0.0.1",
        "[::2]",
        "127.1",
        "::1",
    ],
)
def test_a_foreign_host_gives_a_rebound_name_away(host: str) -> None:
    """On loopback a name that is not loopback's is refused, on every path."""
    assert refusal_of("/status", {"Host": host}) == (421, "host")
    assert refusal_of("/v1/node", GOOD | {"Host": host}) == (421, "host")


def test_a_node_on_the_network_has_any_name() -> None:
    """The Host is only judged on loopback: elsewhere a node does not know its names."""
    guard = Guard("the-token", on_loopback=False)

    guard.admit("/v1/node", GOOD | {"Host": "node1.load.example:8082"})
    assert refusal_of("/v1/node", {"Host": "node1"}, guard) == (401, "token")


def test_the_token_is_not_shown() -> None:
    """What is printed of a guard holds no secret."""
    assert "the-token" not in repr(GUARD)
