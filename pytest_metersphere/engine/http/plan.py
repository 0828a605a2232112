"""Requests, made ready: the bytes of their heads, kept for those that come again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlencode

from pytest_metersphere.engine.failures import path_label
from pytest_metersphere.engine.http.body import OCTETS, Body
from pytest_metersphere.engine.http.coding import accepted
from pytest_metersphere.engine.http.target import Origin, Proxy, Target, basic, parse_url, refuse_controls

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(r"[\x00\r\n]")
_OURS = ("content-length", "transfer-encoding")
_MOST_PLANS = 4096
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_BODIED = frozenset({"POST", "PUT", "PATCH"})
_OF_BODY = ("content-type", "content-encoding", "content-language", "content-location", "expect")
_OF_ORIGIN = ("authorization", "cookie", "host", "proxy-authorization")

Fields = tuple[tuple[str, str], ...]


class Plan:
    """A request without its body and cookies.

    Attributes:
        method: in capitals.
        target: the URL.
        origin: where it goes.
        start: its request line and fields, each with its line end.
        whole: the whole request, when it has neither body nor cookies.
        label: its sample's name.
        repeatable: it may be sent again when the connection was closed before it arrived (RFC 9110, 9.2.2).
        is_head: its answer has no body.
        fields: the fields that the scenario gave.
        has_kind: Content-Type is among them.
        cookies: the scenario's own Cookie field.
        awaits_consent: it says `Expect: 100-continue`.
        last: the connection ends with it.
        dull: the last head of an answer in which nothing needed attention.
    """

    __slots__ = (
        "awaits_consent",
        "cookies",
        "dull",
        "fields",
        "has_kind",
        "is_head",
        "label",
        "last",
        "method",
        "origin",
        "repeatable",
        "start",
        "target",
        "whole",
    )

    def __init__(self, method: str, target: Target, fields: Fields) -> None:
        self.method = method
        self.target = target
        self.origin: Origin = target.origin
        self.fields = fields
        self.label = path_label(method, target.label_path)
        self.repeatable = method in _REPEATABLE
        self.is_head = method == "HEAD"
        named = {name.lower(): value for name, value in fields}
        self.has_kind = "content-type" in named
        self.cookies = named.get("cookie", "")
        self.awaits_consent = named.get("expect", "").lower() == "100-continue"
        self.last = "close" in named.get("connection", "").lower()
        self.start = self._start(named)
        cookie = f"Cookie: {self.cookies}\r\n".encode() if self.cookies else b""
        self.whole = self.start + cookie + (_NO_BODY if method in _BODIED else b"") + b"\r\n"
        self.dull: bytes | None = None

    def _start(self, named: Mapping[str, str]) -> bytes:
        target, proxy = self.target, self.origin.proxy
        via = proxy if proxy is not None and not self.origin.tls else None
        path = f"http://{self.origin.authority}{target.path}" if via is not None else target.path
        lines = [f"{self.method} {path} HTTP/1.1"]
        if "host" not in named:
            lines.append(f"Host: {self.origin.authority}")
        lines += [f"{name}: {value}" for name, value in _defaults().items() if name.lower() not in named]
        if target.credentials and "authorization" not in named:
            lines.append(f"Authorization: {target.credentials}")
        if via is not None and via.credentials:
            lines.append(f"Proxy-Authorization: {via.credentials}")
        lines += [f"{name}: {value}" for name, value in self.fields if name.lower() != "cookie"]
        return _encoded("".join(f"{line}\r\n" for line in lines))

    def head(self, body: Body | None, cookies: str) -> bytes:
        """Return everything in front of the body."""
        both = "; ".join(filter(None, (self.cookies, cookies)))
        lines = f"Cookie: {both}\r\n" if both else ""
        if body is not None:
            if not self.has_kind:
                lines += f"Content-Type: {body.kind}\r\n"
            length = f"Content-Length: {body.size}" if body.size is not None else "Transfer-Encoding: chunked"
            lines += f"{length}\r\n"
        elif self.method in _BODIED:
            lines += _NO_BODY.decode()
        return self.start + _encoded(f"{lines}\r\n")

    def redirected(self, status: int, location: str) -> tuple[Plan, bool]:
        """Return the request that a redirect asks for, and whether it has the body of this one.

        301, 302 and 303 ask for a GET, 307 and 308 for the same again (RFC 9110, 15.4). What was meant
        for this server alone goes to no other.

        Raises:
            ValueError: it leads to no http:// or https:// URL.
        """
        same = status in (307, 308)
        refuse_controls(location)
        target = parse_url(location, self.origin.proxy)
        dropped: tuple[str, ...] = () if same else _OF_BODY
        if target.origin is not self.origin:
            dropped += _OF_ORIGIN
        elif self.target.credentials and not target.credentials:
            target = target._replace(credentials=self.target.credentials)
        fields = tuple(field for field in self.fields if field[0].lower() not in dropped)
        method = self.method if same or self.is_head else "GET"
        return Plan(method, target, fields), same


_NO_BODY = f"Content-Type: {OCTETS}\r\nContent-Length: 0\r\n".encode()
_plans: dict[tuple[str, str], Plan] = {}
_others: dict[tuple[str, str, Fields, Proxy | None], Plan] = {}
_default_fields: dict[str, str] = {}

known_plan = _plans.get
"""Return the plan of (method, url) as the scenario wrote them, None when it was not made yet."""


def plan_of(
    method: str,
    url: str,
    *,
    params: Any = None,
    headers: Mapping[str, Any] | None = None,
    auth: Any = None,
    proxy: Proxy | None = None,
) -> Plan:
    """Return the plan of a request; the same request has the same plan.

    Raises:
        TypeError: an argument makes no sense.
        ValueError: a header or the method holds what would end its line.
        BadURLError: the URL is none that can be requested.
    """
    refuse_controls(url)
    if params is None and not headers and auth is None and proxy is None:
        key = (method, url)
        plan = _plans.get(key)
        if plan is None:
            made = Plan(_checked_method(method), _target(url), ())
            plan = _kept(_plans, key, made)
        return plan
    fields = _fields(headers or {}, auth)
    if params is not None:
        return Plan(_checked_method(method), _target(_with_params(url, params), proxy), fields)
    other = (method, url, fields, proxy)
    plan = _others.get(other)
    if plan is None:
        plan = _kept(_others, other, Plan(_checked_method(method), _target(url, proxy), fields))
    return plan


class BadURLError(ValueError):
    """A URL that cannot be requested: the sample fails, and says so."""


def _kept(plans: dict[Any, Plan], key: Any, plan: Plan) -> Plan:
    if len(plans) >= _MOST_PLANS:
        plans.clear()
    plans[key] = plan
    return plan


def _target(url: str, proxy: Proxy | None = None) -> Target:
    try:
        return parse_url(url, proxy)
    except ValueError as error:
        raise BadURLError(str(error)) from None


def _with_params(url: str, params: Any) -> str:
    if not isinstance(params, (Mapping, list, tuple)):
        raise TypeError(f"params={params!r}: give a mapping, or a list of (name, value)")
    query = urlencode(params, doseq=True)
    if not isinstance(url, str) or not query:
        return url
    base, mark, fragment = url.partition("#")
    separator = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
    return f"{base}{separator}{query}{mark}{fragment}"


def _checked_method(method: str) -> str:
    if not isinstance(method, str):
        raise TypeError(f"a method is a text, not {method!r}")
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"{method!r} is no HTTP method")
    if method.upper() == "CONNECT":
        raise ValueError("CONNECT is for proxies: give proxy= and request the https:// URL")
    return method.upper()


def _fields(headers: Mapping[str, Any], auth: Any) -> Fields:
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers={headers!r}: give a mapping")
    fields = [_field(name, value) for name, value in headers.items()]
    if auth is not None:
        fields = [field for field in fields if field[0].lower() != "authorization"]
        fields.append(("Authorization", _authorization(auth)))
    return tuple(fields)


def _field(name: Any, value: Any) -> tuple[str, str]:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if name.lower() in _OURS:
        raise ValueError(f"header {name}: the client sets it by itself, from the body")
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"header {name}: {value!r} is no text")
    text = str(value).strip(" \t")
    if _BAD_VALUE.search(text):
        raise ValueError(f"header {name}: {text!r} holds a line break or NUL")
    return name, text


def _authorization(auth: Any) -> str:
    if isinstance(auth, str) and auth and not _BAD_VALUE.search(auth):
        return f"Bearer {auth}"
    if isinstance(auth, (tuple, list)) and len(auth) == 2 and all(isinstance(part, str) for part in auth):
        return basic(auth[0], auth[1])
    raise TypeError("auth=: give (user, password), or a token as one text")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _defaults() -> dict[str, str]:
    if not _default_fields:
        _default_fields["User-Agent"] = f"pytest-metersphere/{_version()}"
        _default_fields["Accept"] = "*/*"
        _default_fields["Accept-Encoding"] = ", ".join(accepted())
    return _default_fields


def _version() -> str:
    try:
        return version("pytest-metersphere")
    except PackageNotFoundError:  # run from a folder that was put on the path
        return "unknown"
