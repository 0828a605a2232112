"""A real Apache Kafka broker (KRaft, one node), from its jars to its end.

`python -m tests.kafka.broker` fetches the jars, so that no test has to wait for them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.parts import require

KAFKA = "4.4.0"
LOG4J = "2.25.5"
HINT = "apt-get install default-jre-headless maven"
PATIENCE = 45.0

_ROOT = Path(__file__).resolve().parents[2]
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>pytest-metersphere</groupId>
  <artifactId>broker-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J}</version>
    </dependency>
  </dependencies>
</project>
"""
_LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n%throwable
"""
_JAVA = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


def cache() -> Path:
    """Return the folder for the jars: in $XDG_CACHE_HOME, else `.cache` of the repository."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home, "pytest-metersphere", "kafka") if home else _ROOT / ".cache" / "kafka"


def jars(maven: str) -> Path:
    """Return the folder of Kafka's jars; Maven fetches them when they are not there yet."""
    folder = cache() / f"{KAFKA}-{LOG4J}"
    if not folder.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache()) as making:
            _fetch(maven, Path(making))
            # another process may have been faster
            with contextlib.suppress(OSError):
                Path(making, "jars").rename(folder)
    return folder


def _fetch(maven: str, folder: Path) -> None:
    (folder / "pom.xml").write_text(_POM)
    command = [maven, "-q", "-B", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies"]
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"Maven could not fetch Kafka {KAFKA}:\n{done.stdout}{done.stderr}")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a broker is to be.

    Attributes:
        security: of the door for clients; the broker has another, plain one for the harness.
        mechanisms: with SASL, what it accepts.
        users: with SASL, passwords by name.
        advertised: `host:port` that it tells clients instead of its own.
        names: with TLS, what its certificate is for.
        wants_certificate: with TLS, a client must show one.
        settings: more lines of its configuration.
        host: address that its doors are on.
        port: of the door for clients, any free one without.
        prefix: what stands before its command, to run it in a network namespace for example.
    """

    security: str = "PLAINTEXT"
    mechanisms: tuple[str, ...] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    users: Mapping[str, str] = dataclasses.field(default_factory=dict)
    advertised: str = ""
    names: tuple[str, ...] = ("127.0.0.1", "localhost")
    wants_certificate: bool = False
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    prefix: tuple[str, ...] = ()


class Broker:
    """One broker with data of its own; it can be stopped and started again on the same ports.

    Attributes:
        port: of the door for clients.
        plain_port: of the plain door, where everything is allowed.
        controller_port: of its other role.
        ca: of its certificate, with TLS.
    """

    def __init__(self, java: str, jars: Path, folder: Path, recipe: Recipe) -> None:
        """Prepare it in an empty folder; nothing runs yet."""
        self.recipe = recipe
        self.port, self.plain_port, self.controller_port = _free_ports(3)
        self.port = recipe.port or self.port
        self.ca = trustme.CA()
        self._folder = folder
        self._java = [java, *_JAVA, f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"]
        self._java += ["-cp", f"{jars}/*"]
        self._process: subprocess.Popen[bytes] | None = None
        self._write()
        self._format()

    @property
    def address(self) -> str:
        """Return `host:port` for clients."""
        return f"{self.recipe.host}:{self.port}"

    @property
    def plain_address(self) -> str:
        """Return `host:port` of the plain door."""
        return f"{self.recipe.host}:{self.plain_port}"

    @property
    def ca_pem(self) -> str:
        """Return the certificate of its authority."""
        return self.ca.cert_pem.bytes().decode()

    def __enter__(self) -> Self:
        """Return it, started; it is gone at the end."""
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start it, and return when it serves clients."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.recipe.prefix, *self._java, "kafka.Kafka", str(self._folder / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not _answers(self.recipe.host, self.plain_port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the broker did not start:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut it down in order; its data stay."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self) -> str:
        """Return the last that it said."""
        return self._log.read_text(errors="replace")[-4000:]

    @property
    def _log(self) -> Path:
        return self._folder / "broker.log"

    def _write(self) -> None:
        (self._folder / "log4j2.properties").write_text(_LOGGING)
        lines = [f"{key}={value}" for key, value in self._settings().items()]
        (self._folder / "server.properties").write_text("\n".join(lines) + "\n")

    def _settings(self) -> dict[str, str]:
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INSIDE",
            "listeners": f"CLIENT://{self.address},INSIDE://{self.plain_address},"
            f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"CLIENT://{self.recipe.advertised or self.address},"
            f"INSIDE://{self.plain_address}",
            "listener.security.protocol.map": f"CLIENT:{self.recipe.security},"
            "INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
            "num.network.threads": "2",
            "num.io.threads": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
        }
        return settings | self._sasl() | self._tls() | dict(self.recipe.settings)

    def _sasl(self) -> dict[str, str]:
        if not self.recipe.security.startswith("SASL"):
            return {}
        users = " ".join(f'user_{name}="{password}"' for name, password in self.recipe.users.items())
        settings = {
            "sasl.enabled.mechanisms": ",".join(self.recipe.mechanisms),
            "listener.name.client.plain.sasl.jaas.config": f"{_PLAIN} required {users};",
        }
        for size in ("256", "512"):
            settings[f"listener.name.client.scram-sha-{size}.sasl.jaas.config"] = f"{_SCRAM} required;"
        return settings

    def _tls(self) -> dict[str, str]:
        if not self.recipe.security.endswith("SSL"):
            return {}
        certificate = self.ca.issue_cert(*self.recipe.names)
        key = _pkcs8(certificate.private_key_pem.bytes())
        chain = [blob.bytes() for blob in certificate.cert_chain_pems]
        (self._folder / "broker.pem").write_bytes(key + b"".join(chain))
        (self._folder / "ca.pem").write_bytes(self.ca.cert_pem.bytes())
        return {
            "listener.name.client.ssl.keystore.type": "PEM",
            "listener.name.client.ssl.keystore.location": str(self._folder / "broker.pem"),
            "listener.name.client.ssl.truststore.type": "PEM",
            "listener.name.client.ssl.truststore.location": str(self._folder / "ca.pem"),
            "listener.name.client.ssl.client.auth": "required" if self.recipe.wants_certificate else "none",
        }

    def _format(self) -> None:
        # not as an argument of its own: an id may begin with a dash
        cluster = f"--cluster-id={urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b'=').decode()}"
        command = [*self._java, "kafka.tools.StorageTool", "format", cluster]
        command += ["-c", str(self._folder / "server.properties")]
        for name, password in self.recipe.users.items():
            for size in ("256", "512"):
                command += ["--add-scram", f"SCRAM-SHA-{size}=[name={name},password={password}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the broker's folder could not be made:\n{done.stdout}{done.stderr}")


def _pkcs8(pem: bytes) -> bytes:
    """Return a key in the only form that Kafka reads."""
    key = serialization.load_pem_private_key(pem, None)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in socks]


def _answers(host: str, port: int) -> bool:
    """Return whether a broker behind the port answers the first request of a client."""
    try:
        with socket.create_connection((host, port), timeout=1.0) as sock:
            sock.sendall(_API_VERSIONS)
            return len(sock.recv(4)) == 4
    except OSError:
        return False


@functools.cache
def _parts(java: str, maven: str) -> tuple[str, Path]:
    return java, jars(maven)


@contextlib.contextmanager
def broker(config: pytest.Config, folder: Path, recipe: Recipe | None = None) -> Iterator[Broker]:
    """Return a broker that runs; skip the test, or fail it under --require-all, without Java or Maven."""
    java = require(config, "java", hint=HINT)
    maven = require(config, "mvn", hint=HINT)
    with Broker(*_parts(java, maven), folder, recipe or Recipe()) as running:
        yield running


def main() -> None:
    """Fetch the jars."""
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        sys.exit(f"Kafka needs Java and Maven: {HINT}")
    print(jars(maven))


if __name__ == "__main__":
    main()
