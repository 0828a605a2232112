"""The cookies of one user (RFC 6265)."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from pytest_metersphere.engine.http.target import Target, is_address

_MOST_COOKIES = 1000
_LONGEST = 4096


@dataclass(frozen=True)
class Cookie:
    """A cookie and where it may go.

    Attributes:
        domain: the host, or the domain that it names.
        exact: it goes to that host alone, not to those below.
        path: the path below which it is sent.
        secure: it goes over TLS only.
        until: when it expires, seconds of Unix time.
    """

    name: str
    value: str
    domain: str
    exact: bool
    path: str
    secure: bool
    until: float


def parse_cookie(line: str, target: Target) -> Cookie | None:
    """Return the cookie of a Set-Cookie field that came from a URL, None when it is none or not for it."""
    pair, *attributes = line.split(";")
    name, equals, value = (part.strip() for part in pair.partition("="))
    if not equals or not name or len(pair) > _LONGEST or not (name + value).isprintable():
        return None
    named = {}
    for attribute in attributes:
        key, _, given = attribute.partition("=")
        named[key.strip().lower()] = given.strip()
    host = target.origin.host.lower()
    domain = named.get("domain", "").lstrip(".").lower()
    if domain and domain != host and (not _is_below(host, domain) or "." not in domain):
        return None
    path = named.get("path", "")
    return Cookie(
        name,
        value,
        domain or host,
        not domain,
        path if path.startswith("/") else _folder(target.path),
        "secure" in named,
        _expiry(named),
    )


class CookieJar:
    """Keeps what servers set, and says what to send.

    Attributes:
        empty: nothing is kept, so there is nothing to ask for.
    """

    def __init__(self) -> None:
        self.empty = True
        self._cookies: dict[tuple[str, str, str], Cookie] = {}
        self._answers: dict[tuple[str, bool, str], tuple[str, float]] = {}

    def take(self, lines: list[str], target: Target) -> None:
        """Keep the cookies of an answer's Set-Cookie fields."""
        for line in lines:
            cookie = parse_cookie(line, target)
            if cookie is None:
                continue
            key = (cookie.domain, cookie.path, cookie.name)
            self._cookies.pop(key, None)
            if cookie.until > time.time():
                while len(self._cookies) >= _MOST_COOKIES:
                    del self._cookies[next(iter(self._cookies))]
                self._cookies[key] = cookie
        self._answers.clear()
        self.empty = not self._cookies

    def header(self, target: Target) -> str:
        """Return the value of the Cookie field for a URL, empty when there is nothing to send."""
        if self.empty:
            return ""
        origin = target.origin
        path = target.path.partition("?")[0]
        key = (origin.host, origin.tls, path)
        now = time.time()
        known = self._answers.get(key)
        if known is None or known[1] <= now:
            fitting = [c for c in self._cookies.values() if c.until > now and _fits(c, target, path)]
            fitting.sort(key=lambda cookie: -len(cookie.path))
            text = "; ".join(f"{cookie.name}={cookie.value}" for cookie in fitting)
            known = (text, min((cookie.until for cookie in fitting), default=math.inf))
            if len(self._answers) >= _MOST_COOKIES:
                self._answers.clear()
            self._answers[key] = known
        return known[0]


def _fits(cookie: Cookie, target: Target, path: str) -> bool:
    host = target.origin.host.lower()
    if cookie.secure and not target.origin.tls:
        return False
    if host != cookie.domain and (cookie.exact or not _is_below(host, cookie.domain)):
        return False
    below = cookie.path if cookie.path.endswith("/") else cookie.path + "/"
    return path == cookie.path or path.startswith(below)


def _is_below(host: str, domain: str) -> bool:
    return host.endswith(f".{domain}") and not is_address(host)


def _folder(path: str) -> str:
    """Return the default path of a cookie (RFC 6265, 5.1.4)."""
    folder = path.partition("?")[0].rpartition("/")[0]
    return folder or "/"


def _expiry(named: dict[str, str]) -> float:
    age = named.get("max-age", "")
    if age.removeprefix("-").isdecimal() and age.isascii():
        return -math.inf if age.startswith("-") or int(age[:15]) == 0 else time.time() + int(age[:15])
    try:
        return parsedate_to_datetime(named["expires"].replace("-", " ")).timestamp()
    except (KeyError, ValueError, OverflowError):  # none, or no date
        return math.inf
