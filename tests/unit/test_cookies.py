"""The cookies of a user: who gets which, and for how long (RFC 6265)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.http.cookies import CookieJar, parse_cookie
from pytest_metersphere.engine.http.target import parse_url

SHOP = "https://www.shop.test/carts/5?x=1"


def sent(line: str, url: str, *, source: str = SHOP) -> str:
    """Return what is sent to a URL after a server has set a cookie."""
    jar = CookieJar()
    jar.take([line], parse_url(source))
    return jar.header(parse_url(url))


@pytest.mark.parametrize(
    ("line", "url", "header"),
    [
        ("a=b", SHOP, "a=b"),
        ("a=b", "https://www.shop.test/carts", "a=b"),
        ("a=b", "https://www.shop.test/carts/7", "a=b"),
        ("a=b", "https://www.shop.test/cartsy", ""),
        ("a=b", "https://www.shop.test/", ""),
        ("a=b; Path=/", "https://www.shop.test/", "a=b"),
        ("a=b; path=/carts/", "https://www.shop.test/carts/7", "a=b"),
        ("a=b; Path=other", "https://www.shop.test/carts/7", "a=b"),
        ("a=b; Path=/", "https://shop.test/", ""),
        ("a=b; Path=/", "https://x.www.shop.test/", ""),
        ("a=b; Path=/; Domain=shop.test", "https://shop.test/", "a=b"),
        ("a=b; Path=/; Domain=.shop.test", "https://api.shop.test/", "a=b"),
        ("a=b; Path=/; Domain=shop.test", "https://myshop.test/", ""),
        ("a=b; Path=/; Domain=other.test", SHOP, ""),
        ("a=b; Path=/; Domain=test", SHOP, ""),
        ("a=b; Path=/; Domain=x.www.shop.test", SHOP, ""),
        ("a=b; Path=/; Secure", "http://www.shop.test/", ""),
        ("a=b; Path=/", "http://www.shop.test/", "a=b"),
        ("a=b; Path=/", "https://www.shop.test:8443/", "a=b"),
        ("a=b; Path=/; Max-Age=60", SHOP, "a=b"),
        ("a=b; Path=/; Max-Age=0", SHOP, ""),
        ("a=b; Path=/; Max-Age=-5", SHOP, ""),
        ("a=b; Path=/; Max-Age=soon", SHOP, "a=b"),
        ("a=b; Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT", SHOP, ""),
        ("a=b; Path=/; Expires=Wed, 21-Oct-2099 07:28:00 GMT", SHOP, "a=b"),
        ("a=b; Path=/; Expires=someday", SHOP, "a=b"),
        ("a=b; Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=60", SHOP, "a=b"),
        ("a=", SHOP, "a="),
        ("a=b=c", SHOP, "a=b=c"),
        ("nonsense", SHOP, ""),
        ("=b", SHOP, ""),
        ("a=b\x00c", SHOP, ""),
        ("a=" + "b" * 5000, SHOP, ""),
    ],
)
def test_where_a_cookie_goes(line: str, url: str, header: str) -> None:
    """Host, path, Secure and expiry decide; what is no cookie is none."""
    assert sent(line, url) == header


def test_an_address_is_no_domain() -> None:
    """A cookie of an address goes to that address alone."""
    source = "http://10.0.0.1/"
    assert sent("a=b", source, source=source) == "a=b"
    assert sent("a=b; Domain=0.0.1", source, source=source) == ""
    assert sent("a=b; Domain=10.0.0.1", source, source=source) == "a=b"


def test_later_cookies_replace_and_remove() -> None:
    """The same name, domain and path is the same cookie; longer paths come first."""
    jar, target = CookieJar(), parse_url(SHOP)
    jar.take(["a=1; Path=/", "b=2; Path=/carts", "c=3; Path=/"], target)
    jar.take(["a=4; Path=/"], target)
    assert jar.header(target) == "b=2; c=3; a=4"

    jar.take(["b=; Path=/carts; Max-Age=0", "c=; Path=/; Max-Age=0", "a=; Path=/; Max-Age=0"], target)
    assert (jar.header(target), jar.empty) == ("", True)


def test_a_jar_is_bounded() -> None:
    """A server that sets cookies without end loses the oldest ones."""
    jar, target = CookieJar(), parse_url(SHOP)
    jar.take([f"c{number}=x; Path=/" for number in range(1500)], target)

    names = [pair.partition("=")[0] for pair in jar.header(target).split("; ")]
    assert names == [f"c{number}" for number in range(500, 1500)]


@given(st.text(max_size=80))
def test_any_line_is_a_cookie_or_none(line: str) -> None:
    """Whatever a server sets cannot end a header line, and never crashes."""
    cookie = parse_cookie(line, parse_url(SHOP))
    assert cookie is None or (cookie.name + cookie.value).isprintable()
