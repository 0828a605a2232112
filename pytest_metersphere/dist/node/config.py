"""What a node-controller is told when it starts."""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import secrets
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.settings import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE

DEFAULT_PORT = 8082
DEFAULT_USERS_PER_CORE = 1000
"""Users that one core is trusted with when no capacity is declared.

A worker with a thousand users that send one GET a second used 0.28 of a core, with two thousand
0.48 and a loop lag above 100 ms (benchmarks/users_per_core.py; docs/design.md has the rows). Users
that never pause saturate a core with a few dozen, whatever the capacity says.
"""
DEFAULT_MAX_SLICES = 16
WORKER_COMMAND = (sys.executable, "-P", "-m", "pytest_metersphere.engine.worker")
"""How a worker starts; `-P` keeps a project's own `queue.py` from hiding the standard library's."""

Network = IPv4Network | IPv6Network

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerConfig:
    """How slices get containers of their own.

    Attributes:
        node: tells this node's containers from those of all others on the machine, its `name@host:port`.
        image: name and tag of the image.
        pull: pull the image when it is not there.
        network: the network of the containers, `host` or another one that Docker knows.
        memory: bytes that a container may use, None without a limit.
        cpus: cores that a container may use the time of, None without a limit.
        pids: processes and threads that a container may have, None for 4096 and two for each user.
        env: variables of the containers; whoever may ask Docker sees them.
    """

    node: str
    image: str
    pull: bool = False
    network: str = "host"
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSphereConfig:
    """How a node answers MeterSphere's servers, which have no login.

    Attributes:
        allowed: networks of those who may ask; none means everybody who reaches the port.
    """

    allowed: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """How a node-controller runs.

    Attributes:
        name: its name in reports.
        token: what every request but `GET /status` must carry.
        capacity: users that it may carry at once.
        workers: worker processes that a slice may have.
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        max_slices: slices that it may hold at once.
        tls: speaks TLS with this certificate; plain HTTP without.
        worker_command: starts a worker; `--fd N` is appended.
        docker: puts each slice into a container; without, workers are processes of the machine.
        metersphere: takes the place of a MeterSphere node-controller, too; needs `docker`.
        spool_limit: bytes of frames kept for each slice.
        log_limit: bytes of its workers' output kept for each slice.
    """

    name: str
    token: str = field(repr=False)
    capacity: int
    workers: int
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    max_slices: int = DEFAULT_MAX_SLICES
    tls: ssl.SSLContext | None = None
    worker_command: tuple[str, ...] = WORKER_COMMAND
    docker: DockerConfig | None = None
    metersphere: MeterSphereConfig | None = None
    spool_limit: int = 1 << 30
    log_limit: int = 8 << 20

    @property
    def scheme(self) -> str:
        """Return what stands before `://` in the node's address."""
        return "https" if self.tls else "http"

    @property
    def on_loopback(self) -> bool:
        """Return whether only this machine can reach the node."""
        return is_loopback(self.host)


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return how to speak TLS with a certificate (PEM, with those between it and its root) and its key.

    Raises:
        ConfigError: a file cannot be read, holds something else, is encrypted, or the two do not belong
            together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for option, file in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{option}: {str(file)!r} cannot be read: {error.strerror or error}") from None
    try:
        context.load_cert_chain(cert, key, password=_refuse_password)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or str(error)
        raise ConfigError(
            f"--tls-cert {str(cert)!r} and --tls-key {str(key)!r} are no certificate with its key ({why});"
            " both are PEM files, the certificate with those between it and its root behind it"
        ) from None
    return context


def _refuse_password() -> str:
    raise ConfigError(
        "--tls-key: the key is encrypted, and a node-controller has nobody to ask; decrypt it first"
    )


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def node_name(text: str) -> str:
    """Return the text when it may name a node.

    Raises:
        ConfigError: it has other characters than reports and pool texts can carry.
    """
    if not _NAME.fullmatch(text):
        raise ConfigError(
            f"{text!r} cannot name a node: up to 64 letters, digits, dots, dashes and underscores"
        )
    return text


def default_name() -> str:
    """Return this machine's name, as far as it may name a node."""
    return re.sub(r"[^A-Za-z0-9_.-]", "", platform.node()).lstrip("_.-")[:64] or "node"


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(32)


def find_token(file: Path | None) -> str | None:
    """Return the token of a file, a variable, or a file that a variable names, None without any of them.

    Raises:
        ConfigError: the file cannot be read, or what is in it cannot be a token.
    """
    if file is not None:
        return _token_in(file, "--token-file")
    text = os.environ.get(TOKEN_VARIABLE, "").strip()
    if text:
        return _sound_token(text, TOKEN_VARIABLE)
    named = os.environ.get(TOKEN_FILE_VARIABLE, "").strip()
    return _token_in(Path(named).expanduser(), TOKEN_FILE_VARIABLE) if named else None


def _token_in(file: Path, origin: str) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin}: cannot read the token: {error}") from error
    return _sound_token(text.strip(), f"{origin} {file}")


def _sound_token(text: str, origin: str) -> str:
    if not re.fullmatch(r"[!-~]{8,512}", text):
        raise ConfigError(
            f"{origin}: a token has 8 to 512 printable ASCII characters and no blanks; make one with"
            " python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return text
