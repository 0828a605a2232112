"""How to reach Kafka, as users write it down, made into what clients need."""

from __future__ import annotations

import ipaddress
import re
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pytest_metersphere.dist.wire import KafkaAccess, SaslMechanism, SecurityProtocol
from pytest_metersphere.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    # a node-controller reads no settings, and needs no pytest for it
    from pytest_metersphere.settings import KafkaSettings

_EXAMPLE = "kafka-1:9092,kafka-2:9092"
_VARIABLE = "PYTEST_MS_KAFKA_"
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,200}")
_LARGEST_FILE = 1 << 20
_PROTOCOLS: tuple[SecurityProtocol, ...] = get_args(SecurityProtocol)
_MECHANISMS: tuple[SaslMechanism, ...] = get_args(SaslMechanism)[1:]


def read_access(settings: KafkaSettings) -> KafkaAccess:
    """Return how to reach Kafka, with the content of the files that are named.

    Raises:
        ConfigError: something cannot be understood, is missing or contradicts another; says what and
            where it was written.
    """
    access = KafkaAccess(
        servers=parse_servers(settings.text, settings.source),
        security_protocol=_protocol(settings),
        sasl_mechanism=_mechanism(settings),
        username=settings.username,
        password=settings.password.reveal() if settings.password else "",
        ca=_content("CAFILE", settings.cafile),
        certificate=_content("CERTFILE", settings.certfile),
        key=_content("KEYFILE", settings.keyfile),
        prefix=_prefix(settings),
    )
    if access.key and not access.certificate:
        raise ConfigError(f"{_VARIABLE}KEYFILE is set without {_VARIABLE}CERTFILE, its certificate")
    if access.tls:
        tls_context(access)
    return access


def parse_servers(text: str, source: str) -> tuple[str, ...]:
    """Return the bootstrap servers of a text such as `kafka-1:9092,kafka-2:9092`, normalized.

    Raises:
        ConfigError: one is not `host:port`, or there is none; names the source and the piece.
    """
    pieces = [piece for piece in re.split(r"[,\s]+", text) if piece]
    if not pieces:
        raise ConfigError(f"{source}: there is no server in {text!r}, write for example {_EXAMPLE}")
    return tuple(dict.fromkeys(_server(piece, source) for piece in pieces))


def split_address(server: str) -> tuple[str, int]:
    """Return host (IPv6 without brackets) and port of a normalized server."""
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tls_context(access: KafkaAccess) -> ssl.SSLContext:
    """Return the TLS settings for connections to a broker: certificate and host name are checked.

    Raises:
        ConfigError: a certificate or key cannot be used; names the variable.
    """
    try:
        context = ssl.create_default_context(cadata=access.ca or None)
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{_VARIABLE}CAFILE: the file holds no certificate in PEM form") from None
    if access.certificate:
        _load_certificate(context, access)
    return context


def _load_certificate(context: ssl.SSLContext, access: KafkaAccess) -> None:
    # OpenSSL reads certificates and keys from files only
    with tempfile.TemporaryDirectory(prefix="ms-kafka-") as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        certificate.write_text(access.certificate)
        key.write_text(access.key or access.certificate)
        try:
            # without a password OpenSSL would ask for one on the terminal
            context.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"{_VARIABLE}CERTFILE and {_VARIABLE}KEYFILE: they are no PEM certificate with its key, "
                f"unencrypted ({_why(error)})"
            ) from None


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()


def _server(piece: str, source: str) -> str:
    if "://" in piece:
        raise ConfigError(
            f"{source}: {piece!r}: a server has no scheme, write for example kafka:9092; how to connect "
            f"is set by {_VARIABLE}SECURITY_PROTOCOL"
        )
    if piece.count(":") > 1 and not piece.startswith("["):
        raise ConfigError(f"{source}: {piece!r}: an IPv6 address stands in brackets: [fd00::5]:9092")
    host, colon, port = piece.rpartition(":")
    if not colon or (host.startswith("[") and not host.endswith("]")):
        raise ConfigError(f"{source}: {piece!r} has no port, write for example {piece}:9092")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ConfigError(
            f"{source}: {piece!r}: {port!r} is not a port (1 to 65535), write for example kafka:9092"
        )
    return join_address(_host(piece, host, source), int(port))


def _host(piece: str, host: str, source: str) -> str:
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1]))
        if re.fullmatch(r"[0-9.]+", host):
            return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise ConfigError(f"{source}: {piece!r}: {host!r} is not an IP address") from None
    if not _HOST.fullmatch(host) or ".." in host:
        raise ConfigError(f"{source}: {piece!r}: {host!r} is not a host, write for example {_EXAMPLE}")
    return host


def _prefix(settings: KafkaSettings) -> str:
    if not _PREFIX.fullmatch(settings.prefix):
        raise ConfigError(
            f"{settings.prefix_source}: {settings.prefix!r} cannot begin the name of a topic: letters, "
            "digits, . _ and - may be in it, 200 at most; write for example ms-load"
        )
    return settings.prefix


def _protocol(settings: KafkaSettings) -> SecurityProtocol:
    if not settings.security_protocol:
        _check_nothing_needs_a_protocol(settings)
        return "PLAINTEXT"
    wanted = settings.security_protocol.upper().replace("-", "_")
    for protocol in _PROTOCOLS:
        if wanted == protocol:
            _check_tls(settings, protocol)
            return protocol
    raise ConfigError(
        f"{_VARIABLE}SECURITY_PROTOCOL: {settings.security_protocol!r} is none of {', '.join(_PROTOCOLS)}"
        f"{did_you_mean(wanted, _PROTOCOLS)}"
    )


def _check_nothing_needs_a_protocol(settings: KafkaSettings) -> None:
    """Refuse to guess how far a password may be seen."""
    if settings.username or settings.password or settings.sasl_mechanism:
        raise ConfigError(
            f"a user, password or mechanism for Kafka is set without {_VARIABLE}SECURITY_PROTOCOL: set it to "
            "SASL_SSL, or to SASL_PLAINTEXT if the password may cross the network in the clear"
        )
    if settings.cafile or settings.certfile or settings.keyfile:
        raise ConfigError(
            f"a certificate for Kafka is set without {_VARIABLE}SECURITY_PROTOCOL: set it to SSL, or to "
            "SASL_SSL if the client logs in"
        )


def _check_tls(settings: KafkaSettings, protocol: SecurityProtocol) -> None:
    files = {"CAFILE": settings.cafile, "CERTFILE": settings.certfile, "KEYFILE": settings.keyfile}
    given = [name for name, path in files.items() if path]
    if given and protocol not in ("SSL", "SASL_SSL"):
        raise ConfigError(
            f"{_VARIABLE}{given[0]} is set, but {_VARIABLE}SECURITY_PROTOCOL={protocol} does not encrypt: "
            f"set it to {'SASL_SSL' if protocol.startswith('SASL') else 'SSL'}, or take the file away"
        )


def _mechanism(settings: KafkaSettings) -> SaslMechanism:
    if not settings.security_protocol.upper().startswith("SASL"):
        if settings.username or settings.password or settings.sasl_mechanism:
            raise ConfigError(
                f"a user, password or mechanism for Kafka is set, but {_VARIABLE}SECURITY_PROTOCOL="
                f"{settings.security_protocol} does not log in: set it to SASL_SSL or SASL_PLAINTEXT"
            )
        return ""
    for value, name in ((settings.username, "USERNAME"), (settings.password, "PASSWORD")):
        if not value:
            raise ConfigError(
                f"{_VARIABLE}SECURITY_PROTOCOL={settings.security_protocol} logs in: set "
                f"{_VARIABLE}{name}, too"
            )
    return _known_mechanism(settings.sasl_mechanism)


def _known_mechanism(text: str) -> SaslMechanism:
    names = ", ".join(_MECHANISMS)
    if not text:
        raise ConfigError(
            f"{_VARIABLE}SASL_MECHANISM is not set: set it to what the broker takes, one of {names}"
        )
    for mechanism in _MECHANISMS:
        if text.upper() == mechanism:
            return mechanism
    raise ConfigError(
        f"{_VARIABLE}SASL_MECHANISM: {text!r} is none of {names}{did_you_mean(text.upper(), _MECHANISMS)}"
    )


def _content(name: str, path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{_VARIABLE}{name}: {path!r} cannot be read: {error.strerror or error}") from None
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if len(data) > _LARGEST_FILE or "-----BEGIN " not in text:
        raise ConfigError(f"{_VARIABLE}{name}: {path!r} is no PEM file (-----BEGIN …)")
    return text
