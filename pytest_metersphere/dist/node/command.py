"""The command `pytest-metersphere node`: its options, and what it says."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_metersphere.dist.node.config import (
    DEFAULT_MAX_SLICES,
    DEFAULT_PORT,
    DEFAULT_USERS_PER_CORE,
    NodeConfig,
    default_name,
    find_token,
    new_token,
    node_name,
    tls_context,
)
from pytest_metersphere.dist.node.docker_options import add_docker, cores_of, docker_config
from pytest_metersphere.dist.node.metersphere_api.options import (
    add_metersphere,
    metersphere_config,
    warning,
)
from pytest_metersphere.errors import ConfigError, MeterSphereError


def add_node(node: argparse.ArgumentParser) -> None:
    """Declare what `node` takes."""
    node.description = (
        "Run a node-controller: it runs load for whoever has its token, which comes from --token-file, from"
        " PYTEST_MS_TOKEN, from the file that PYTEST_MS_TOKEN_FILE names, or else is generated and printed."
    )
    node.set_defaults(run=_run_node)
    node.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    node.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port, 0 for any free one (%(default)s)"
    )
    node.add_argument("--name", help="name of this node in reports (the machine's name)")
    node.add_argument(
        "--capacity",
        type=_count,
        metavar="USERS",
        help=f"virtual users it may carry ({DEFAULT_USERS_PER_CORE} a worker)",
    )
    node.add_argument("--workers", type=_count, metavar="N", help="worker processes of a slice (one a core)")
    node.add_argument(
        "--max-slices",
        type=_count,
        metavar="N",
        default=DEFAULT_MAX_SLICES,
        help="slices at once (%(default)s)",
    )
    node.add_argument("--token-file", type=Path, metavar="FILE", help="file that holds the token")
    node.add_argument(
        "--tls-cert",
        type=Path,
        metavar="FILE",
        help="speak TLS with this certificate (PEM, with those between it and its root)",
    )
    node.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM)")
    add_docker(node)
    add_metersphere(node)
    node.add_argument("--until-stdin-closes", action="store_true", help="end when standard input is closed")
    node.add_argument(
        "--announce",
        choices=("text", "json"),
        default="text",
        help="how to say on standard output that it serves: for people, or as one line of JSON",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, write 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, write 1 or more")
    return int(text)


def _run_node(parsed: argparse.Namespace) -> int:
    if os.name != "posix":
        raise MeterSphereError("a node-controller needs Linux or macOS")
    from pytest_metersphere.dist.node.main import listen, run

    config, generated = _node_config(parsed)
    sock = listen(config)
    port: int = sock.getsockname()[1]
    for text in _warnings(config, port):
        sys.stderr.write(f"{parsed.parser.prog}: warning: {text}\n")
    config = dataclasses.replace(
        config, port=port, docker=docker_config(parsed, f"{config.name}@{config.host}:{port}")
    )
    announce = _announce_json if parsed.announce == "json" else _announce_text
    run(
        config,
        sock,
        lambda: announce(config, port, generated=generated),
        until_stdin_closes=parsed.until_stdin_closes,
    )
    return 0


def _warnings(config: NodeConfig, port: int) -> Iterator[str]:
    if config.metersphere is not None:
        yield warning(config.metersphere, port, on_loopback=config.on_loopback)
    if not config.on_loopback and config.tls is None:
        switch = "" if config.metersphere else "; --tls-cert and --tls-key switch it on"
        yield f"{config.host} is open to the network without TLS{switch}"


def _node_config(parsed: argparse.Namespace) -> tuple[NodeConfig, bool]:
    """Return how the node is to run, and whether its token was made here."""
    token = find_token(parsed.token_file)
    workers: int = parsed.workers or cores_of(parsed)
    config = NodeConfig(
        name=default_name() if parsed.name is None else node_name(parsed.name),
        token=token or new_token(),
        capacity=parsed.capacity or DEFAULT_USERS_PER_CORE * workers,
        workers=workers,
        host=parsed.host,
        port=parsed.port,
        max_slices=parsed.max_slices,
        tls=_tls(parsed),
        metersphere=metersphere_config(parsed),
    )
    return config, token is None


def _tls(parsed: argparse.Namespace) -> ssl.SSLContext | None:
    cert, key = parsed.tls_cert, parsed.tls_key
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        given, missing = ("--tls-key", "--tls-cert") if cert is None else ("--tls-cert", "--tls-key")
        raise ConfigError(f"{given} needs {missing} beside it")
    return tls_context(cert, key)


def _announce_text(config: NodeConfig, port: int, *, generated: bool) -> None:
    host = f"[{config.host}]" if ":" in config.host else config.host
    _say(f"node {config.name} listens on {config.scheme}://{host}:{port}")
    _say(f"it carries {config.capacity} users, {config.workers} workers a slice, {config.max_slices} slices")
    if config.docker is not None:
        _say(f"slices run in containers of image {config.docker.image}")
    if config.metersphere is not None:
        _say("MeterSphere's servers can start containers here, without a login (--metersphere-api)")
    if generated:
        _say(f"its token, for PYTEST_MS_TOKEN where pytest runs: {config.token}")


def _announce_json(config: NodeConfig, port: int, *, generated: bool) -> None:
    token = {"token": config.token} if generated else {}
    _say(json.dumps({"port": port, "name": config.name, "capacity": config.capacity} | token))


def _say(line: str) -> None:
    """Print a line; whoever started the node may have stopped listening."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
