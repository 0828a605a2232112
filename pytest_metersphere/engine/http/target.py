"""Where a request goes: URLs taken apart, once for each that is used again."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=-]+")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_SAFE = "!$%&'()*+,-./:;=@_~"
_QUERY_SAFE = _PATH_SAFE + "?[]"
_PORTS = {"http": 80, "https": 443}
_MOST_ORIGINS = 4096
_NO_URL = "not an http:// or https:// URL"


@dataclass(frozen=True, eq=False)
class Origin:
    """A server, and the way to it; the same server over the same way is the same object.

    Attributes:
        tls: whether it is https.
        host: name or address, without brackets.
        port: its port.
        authority: host and port as the Host field shows them.
        proxy: the proxy on the way.
    """

    tls: bool
    host: str
    port: int
    authority: str
    proxy: Proxy | None

    @property
    def address(self) -> str:
        """Return host and port as messages show them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Proxy(NamedTuple):
    """An HTTP proxy.

    Attributes:
        host: name or address, without brackets.
        port: its port.
        credentials: value of the Proxy-Authorization field, empty without one.
    """

    host: str
    port: int
    credentials: str = ""

    @property
    def address(self) -> str:
        """Return host and port as messages show them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target(NamedTuple):
    """A URL, taken apart.

    Attributes:
        origin: the server.
        path: path and query as they are sent.
        label_path: the path alone, decoded.
        url: the whole, without login and fragment.
        credentials: value of the Authorization field for the login in the URL, or empty.
    """

    origin: Origin
    path: str
    label_path: str
    url: str
    credentials: str


_origins: dict[tuple[str, str, int, Proxy | None], Origin] = {}


def parse_url(url: str, proxy: Proxy | None = None) -> Target:
    """Take an absolute URL apart.

    Raises:
        TypeError: it is no text.
        ValueError: it is no http:// or https:// URL.
    """
    if not isinstance(url, str):
        raise TypeError(f"a URL is a text, not {url!r}")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{_NO_URL} ({error})") from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError(_NO_URL)
    origin = _origin(parts.scheme, _checked_host(host), _PORTS[parts.scheme] if port is None else port, proxy)
    path = quote(_STRAY_PERCENT.sub("%25", parts.path), safe=_PATH_SAFE) or "/"
    if parts.query:
        path += "?" + quote(_STRAY_PERCENT.sub("%25", parts.query), safe=_QUERY_SAFE)
    whole = f"{parts.scheme}://{origin.authority}"
    shown = path if parts.path or parts.query else ""
    credentials = (
        basic(unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else ""
    )
    return Target(origin, path, unquote(parts.path), whole + shown, credentials)


def refuse_controls(url: object) -> None:
    """Refuse a URL that would end its line.

    Raises:
        ValueError: it holds a line break or another control character.
    """
    if isinstance(url, str) and _CONTROL.search(url):
        raise ValueError(f"a URL holds no line breaks or other control characters: {url!r}")


def parse_proxy(url: str) -> Proxy:
    """Return the proxy that `proxy=` names.

    Raises:
        ValueError: it is no http:// URL.
    """
    refuse_controls(url)
    try:
        target = parse_url(url)
    except (TypeError, ValueError):
        target = None
    if target is None or target.origin.tls:
        raise ValueError(f"proxy={url!r}: give an http:// URL, for example proxy='http://127.0.0.1:3128'")
    return Proxy(target.origin.host, target.origin.port, target.credentials)


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization field (RFC 7617, UTF-8)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def is_address(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _checked_host(host: str) -> str:
    """Return a host as it goes on the wire: an address, or a name in ASCII."""
    if is_address(host):
        return host
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError(f"{_NO_URL} (host {host!r}: {error})") from None
    if not _HOST.fullmatch(name):
        raise ValueError(f"{_NO_URL} (host {host!r})")
    return name


def _origin(scheme: str, host: str, port: int, proxy: Proxy | None) -> Origin:
    key = (scheme, host, port, proxy)
    known = _origins.get(key)
    if known is None:
        shown = f"[{host}]" if ":" in host else host
        authority = shown if port == _PORTS[scheme] else f"{shown}:{port}"
        if len(_origins) >= _MOST_ORIGINS:
            _origins.clear()
        known = _origins.setdefault(key, Origin(scheme == "https", host, port, authority, proxy))
    return known
