"""Each way in which Kafka can be unfit has a message of its own, provoked here by its cause.

Each cause is there for the checks themselves, and for a whole session that must end before any load.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import trustme

from pytest_metersphere.dist.kafka.brokers import read_access
from pytest_metersphere.dist.kafka.dialling import connect
from pytest_metersphere.dist.kafka.preflight import SENTENCE, check_kafka, check_text
from pytest_metersphere.dist.kafka.topics import settings_for
from pytest_metersphere.dist.wire import Check, KafkaAccess
from pytest_metersphere.settings import KafkaSettings, Secret
from tests.fakes import listeners
from tests.fakes.nodes import free_port
from tests.kafka.broker import Broker, Recipe
from tests.kafka.conftest import Start
from tests.kafka.rules import allow, make_topic
from tests.plugin.remote import remote_node
from tests.preflight.messages import assert_told, failure
from tests.preflight.trial import Trial

needs_kafka = pytest.mark.needs_kafka
SECRET = "alices-secret"


class Refusals:
    """What is wrong with a Kafka is found by the checks, and told by a session that ends before any load."""

    def __init__(self, trial: Trial, pool: str, folder: Path) -> None:
        self._trial = trial
        self._pool = pool
        self._folder = folder

    def told(self, cause: str, access: KafkaAccess, *, shown: Mapping[str, str] | None = None) -> Check:
        """Return what is found; the document shows it with the names in `shown` instead of the test's."""
        check = failure(check_kafka(access))
        self._refused(cause, check.text, access, [], shown or {})
        return check

    def found(self, cause: str, access: KafkaAccess) -> None:
        """Check that another way to the same cause, by TLS for example, is found to be the same."""
        assert_told("Kafka", cause, failure(check_kafka(access)).text)

    def told_for_an_hour(self, cause: str, access: KafkaAccess) -> None:
        """The same for a run that holds an hour, and then gives its iterations half a minute."""
        text = failure(check_kafka(access, longest_run=3630.0)).text
        self._refused(cause, text, access, ["--ms-hold=1h"], {})

    def told_of_texts(self, cause: str, text: str, servers: str, variables: Mapping[str, str]) -> None:
        """The same for what is found before anything is connected."""
        message = self._trial.refuses(self._pool, f"--ms-kafka={servers}", env=variables)
        assert message == text
        assert_told("Kafka", cause, message)

    def _refused(
        self, cause: str, text: str, access: KafkaAccess, options: Sequence[str], shown: Mapping[str, str]
    ) -> None:
        servers = ",".join(access.servers)
        env = variables(access, self._folder)
        message = self._trial.refuses(self._pool, f"--ms-kafka={servers}", *options, env=env)
        assert message == text
        for name, instead in shown.items():
            message = message.replace(name, instead)
        assert_told("Kafka", cause, message)


@pytest.fixture(scope="module")
def pool() -> Iterator[str]:
    """Return the option for a pool that is fit: but for Kafka, everything would run."""
    with remote_node() as address:
        yield f"--ms-pool=n1@{address}=9"


@pytest.fixture
def refusals(pool: str, tmp_path: Path) -> Refusals:
    """Return what provokes messages, with a project of the test's own."""
    return Refusals(Trial(tmp_path), pool, tmp_path)


def variables(access: KafkaAccess, folder: Path) -> dict[str, str]:
    """Return the environment variables that say how to reach Kafka so."""
    written = {"SECURITY_PROTOCOL": access.security_protocol, "PREFIX": access.prefix}
    if access.sasl:
        written |= {"SASL_MECHANISM": access.sasl_mechanism}
        written |= {"USERNAME": access.username, "PASSWORD": access.password}
    if access.tls and access.ca:
        (folder / "kafka-ca.pem").write_text(access.ca)
        written["CAFILE"] = str(folder / "kafka-ca.pem")
    return {f"PYTEST_MS_KAFKA_{name}": value for name, value in written.items()}


def to(port: int, **more: str) -> KafkaAccess:
    """Return the way to a port of loopback."""
    return msgspec.convert({"servers": [f"127.0.0.1:{port}"], **more}, KafkaAccess)


def login(broker: Broker, password: str = SECRET, mechanism: str = "PLAIN", **more: str) -> KafkaAccess:
    """Return the way to a broker for a user."""
    more = {"security_protocol": "SASL_PLAINTEXT", "ca": ""} | more
    return to(broker.port, username="alice", password=password, sasl_mechanism=mechanism, **more)


@needs_kafka
def test_a_broker_that_is_well_passes(access: KafkaAccess) -> None:
    """Every step is told, and the topic is made on the way."""
    checks = check_kafka(access, longest_run=60.0)

    place = f"kafka {access.servers[0]}"
    assert all(check.ok for check in checks), checks
    assert [check.name for check in checks] == [
        f"{place} is resolved",
        f"{place} answers as Kafka",
        f"{place} takes the login",
        "kafka advertised listeners",
        f"kafka topic {access.prefix}.results",
        "kafka round trip",
    ]
    assert checks[-2].detail == "made, with 6 partitions and 1 replicas of each"


@needs_kafka
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_over_tls_passes(secret_broker: Broker, mechanism: str) -> None:
    """Each mechanism takes the user to the end of the checks."""
    access = login(secret_broker, mechanism=mechanism, security_protocol="SASL_SSL", ca=secret_broker.ca_pem)

    assert all(check.ok for check in check_kafka(access))


@needs_kafka
def test_a_certificate_of_the_client_passes(certificate_broker: Broker, tmp_path: Path) -> None:
    """Files that the variables name are enough for a broker that wants a certificate."""
    certificate = certificate_broker.ca.issue_cert("client")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    (tmp_path / "ca.pem").write_text(certificate_broker.ca_pem)
    settings = KafkaSettings(
        text=certificate_broker.address,
        source="--ms-kafka",
        security_protocol="SSL",
        cafile=str(tmp_path / "ca.pem"),
        certfile=str(tmp_path / "client.pem"),
    )

    assert all(check.ok for check in check_kafka(read_access(settings)))


@needs_kafka
def test_one_server_that_is_well_is_enough(access: KafkaAccess) -> None:
    """A bootstrap server that is down is told, and excused by another."""
    both = msgspec.structs.replace(access, servers=(f"127.0.0.1:{free_port()}", *access.servers))

    checks = check_kafka(both)

    assert all(check.ok for check in checks)
    assert [check for check in checks if "not well, but others are" in check.detail]


def test_all_servers_down_are_all_told() -> None:
    """Without a server that is well, what is wrong with each of them is told."""
    checks = check_kafka(KafkaAccess(servers=tuple(f"127.0.0.1:{free_port()}" for _ in range(2))))

    assert len([check for check in checks if not check.ok]) == 2


@pytest.mark.parametrize(
    ("cause", "settings"),
    [
        ("`--ms-kafka=kafka`", {"text": "kafka"}),
        ("`--ms-kafka=kafka:port`", {"text": "kafka:port"}),
        ("`--ms-kafka=http://kafka:9092`", {"text": "http://kafka:9092"}),
        ("`PYTEST_MS_KAFKA_SECURITY_PROTOCOL=TLS`", {"security_protocol": "TLS"}),
        ("a mechanism that is not known", {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-1"}),
    ],
)
def test_texts_that_are_not_understood(refusals: Refusals, cause: str, settings: dict[str, str]) -> None:
    """What was written is checked first, and nothing is connected."""
    given = {"username": "alice", "password": "geheim"} if "security_protocol" in settings else {}
    given |= {"text": "kafka:9092", **settings}
    env = {f"PYTEST_MS_KAFKA_{name.upper()}": value for name, value in given.items() if name != "text"}
    password = Secret(given.pop("password")) if "password" in given else None
    check, access = check_text(KafkaSettings(**given, source="--ms-kafka", password=password))

    assert access is None
    assert not check.ok
    assert "geheim" not in check.text
    refusals.told_of_texts(cause, check.text, given["text"], env)


def test_an_unknown_host(refusals: Refusals) -> None:
    """A name that nobody knows is told as that."""
    refusals.told("a host name that DNS does not know", KafkaAccess(servers=("kafka.invalid:9092",)))


def test_a_port_where_nothing_listens(refusals: Refusals) -> None:
    """A refused connection is told as that."""
    refusals.told("nothing listens on the port", to(free_port()))


def test_a_port_behind_a_firewall(refusals: Refusals) -> None:
    """A connection that gets no answer at all is told as dropped."""
    with listeners.dropping_port() as port:
        refusals.told("a firewall drops the packets", to(port))


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_port_that_never_answers(refusals: Refusals, protocol: str) -> None:
    """A port that takes connections and keeps silent is told as that, with TLS or without."""
    with listeners.listener(listeners.keeps_silent) as port:
        tell = refusals.told if protocol == "PLAINTEXT" else refusals.found
        tell("the port takes connections and never answers", to(port, security_protocol=protocol))


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_an_ssh_server(refusals: Refusals, protocol: str) -> None:
    """An ssh server is known by its greeting."""
    with listeners.listener(listeners.greets_as_ssh) as port:
        tell = refusals.told if protocol == "PLAINTEXT" else refusals.found
        tell("an ssh server listens on the port", to(port, security_protocol=protocol))


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_web_server(refusals: Refusals, protocol: str) -> None:
    """A web server is known by its answer to a request for a page."""
    with listeners.http_server() as port:
        tell = refusals.told if protocol == "PLAINTEXT" else refusals.found
        tell("a web server listens on the port", to(port, security_protocol=protocol))


@contextlib.contextmanager
def _https() -> Iterator[tuple[int, str]]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with listeners.http_server(context) as port:
        yield port, authority.cert_pem.bytes().decode()


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_web_server_with_tls(refusals: Refusals, protocol: str) -> None:
    """It is known behind TLS, too, and not taken for a broker with TLS."""
    with _https() as (port, ca):
        refusals.found("a web server listens on the port", to(port, security_protocol=protocol, ca=ca))


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
@pytest.mark.parametrize(
    ("cause", "answer"),
    [
        ("something else listens on the port", b"220 mail.example.org\r\n"),
        ("something answers with nonsense that looks like a length", b"\0\0\0\x08\0\0\0\x01\0\0"),
    ],
)
def test_another_server(refusals: Refusals, protocol: str, cause: str, answer: bytes) -> None:
    """Its first words are in the message."""
    with listeners.listener(listeners.says(answer)) as port:
        access = to(port, security_protocol=protocol)
        if protocol == "PLAINTEXT":
            refusals.told(cause, access)
        elif b"mail" in answer:
            refusals.found(cause, access)
        else:
            failure(check_kafka(access))


def test_a_port_that_hangs_up(refusals: Refusals) -> None:
    """Whoever takes a connection only to end it is no broker."""
    with listeners.listener(listeners.hangs_up) as port:
        refusals.told("the port takes connections and ends them", to(port))


def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    """A length of two gigabytes is not believed."""
    with listeners.listener(listeners.says(b"\x7f\xff\xff\xff")) as port:
        check = failure(check_kafka(to(port)))

    assert "not Kafka" in check.detail


@needs_kafka
def test_tls_that_is_expected(refusals: Refusals, tls_broker: Broker) -> None:
    """A broker with TLS is told from a stranger when the client comes without."""
    refusals.told("the broker wants TLS, the client speaks without", to(tls_broker.port))


@needs_kafka
@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_tls_that_is_not_expected(refusals: Refusals, login_broker: Broker, protocol: str) -> None:
    """A broker without TLS is told from a stranger when the client comes with it."""
    access = login(login_broker, security_protocol=protocol)

    refusals.told("the broker speaks without TLS, the client wants it", access)


@needs_kafka
def test_a_certificate_of_an_unknown_authority(refusals: Refusals, tls_broker: Broker) -> None:
    """A certificate that the client cannot check is refused, with the reason."""
    stranger = trustme.CA().cert_pem.bytes().decode()
    refusals.told(
        "the broker's certificate is from an authority that the client does not trust",
        to(tls_broker.port, security_protocol="SSL", ca=stranger),
    )


@needs_kafka
def test_a_certificate_for_another_name(start: Start) -> None:
    """The name under which the broker was found must be in its certificate."""
    broker = start(Recipe(security="SSL", names=("kafka.example.org",)))
    check = failure(check_kafka(to(broker.port, security_protocol="SSL", ca=broker.ca_pem)))

    assert "IP address mismatch" in check.text


@needs_kafka
def test_a_certificate_that_the_broker_wants(refusals: Refusals, certificate_broker: Broker) -> None:
    """A broker that asks for a certificate is told from one that is broken."""
    access = to(certificate_broker.port, security_protocol="SSL", ca=certificate_broker.ca_pem)

    refusals.told("the broker wants a certificate of its clients", access)


@needs_kafka
@pytest.mark.parametrize("cause", ["a wrong password, PLAIN", "a wrong password, SCRAM-SHA-256"])
def test_a_wrong_password(refusals: Refusals, login_broker: Broker, cause: str) -> None:
    """A refused login is told with the broker's words, and without the password."""
    check = refusals.told(cause, login(login_broker, "geheim", cause.rpartition(" ")[2]))

    assert "geheim" not in check.text


@needs_kafka
def test_a_mechanism_that_is_switched_off(refusals: Refusals, login_broker: Broker) -> None:
    """The mechanisms that the broker takes are listed."""
    refusals.told("a mechanism that the broker does not take", login(login_broker, mechanism="SCRAM-SHA-512"))


@needs_kafka
def test_a_login_that_is_expected(refusals: Refusals, login_broker: Broker) -> None:
    """A broker that hangs up on whoever has not logged in is told from a stranger."""
    refusals.told("the broker wants a login, the client has none", to(login_broker.port))


@needs_kafka
def test_a_login_that_is_not_expected(refusals: Refusals, login_broker: Broker) -> None:
    """A port where nobody logs in says so."""
    access = msgspec.structs.replace(login(login_broker), servers=(login_broker.plain_address,))

    refusals.told("the client logs in where nobody does", access)


@needs_kafka
def test_a_controller_of_kafka(refusals: Refusals, own_broker: Broker) -> None:
    """The port by which the brokers keep their metadata is told from a broker's."""
    refusals.told("the port is that of a KRaft controller", to(own_broker.controller_port))


@needs_kafka
def test_an_advertised_listener_that_cannot_be_reached(refusals: Refusals, start: Start) -> None:
    """A broker that sends its clients on to nowhere is told, with that address."""
    advertised = f"127.0.0.1:{free_port()}"
    broker = start(Recipe(advertised=advertised))
    cause = "the broker's advertised listener cannot be reached"
    refusals.told(cause, to(broker.port), shown={advertised: "inside:9092"})


@needs_kafka
def test_a_topic_that_cannot_be_made(refusals: Refusals, strict_broker: Broker) -> None:
    """A user who may not make topics is told which, and how to make it."""
    access = login(strict_broker, prefix="nobody-allows-this")
    refusals.told("the user may not make the topic", access, shown={access.prefix: "ms-load"})


@needs_kafka
def test_a_topic_that_may_be_read_only(refusals: Refusals, strict_broker: Broker) -> None:
    """A topic that is there, and that the user may not write to, fails the round trip."""
    make_topic(strict_broker.plain_address, "read-only.results")
    allow(strict_broker.plain_address, "alice", "read-only.results", "READ", "DESCRIBE")
    access = login(strict_broker, prefix="read-only")
    check = refusals.told("the user may not write to the topic", access, shown={access.prefix: "ms-load"})

    assert check.name == "kafka round trip"


@needs_kafka
@pytest.mark.parametrize(
    ("cause", "settings"),
    [
        ("the topic's retention is shorter than the run", {"retention.ms": "1800000"}),
        ("the topic keeps the time of the sender", {"message.timestamp.type": "CreateTime"}),
        ("the topic takes small messages only", {"max.message.bytes": "20000"}),
        ("the topic is compacted", {"cleanup.policy": "compact"}),
        ("the topic is packed so that it cannot be read", {"compression.type": "zstd"}),
        ("the topic wants more replicas than there are", {"min.insync.replicas": "2"}),
    ],
)
def test_topic_settings_that_would_lose_data(
    refusals: Refusals, access: KafkaAccess, cause: str, settings: dict[str, str]
) -> None:
    """A topic that is there already is left alone, and refused when frames would be lost."""
    make_topic(access.servers[0], access.results_topic, settings_for(0.0) | settings)

    refusals.told_for_an_hour(cause, access)


@needs_kafka
def test_no_check_leaves_a_connection(access: KafkaAccess) -> None:
    """After a preflight, passed or failed, no thread of it is left."""
    before = set(threading.enumerate())
    check_kafka(access)
    check_kafka(to(free_port()))

    assert set(threading.enumerate()) <= before


def test_the_sentence_is_metersphere_s() -> None:
    """Users of MeterSphere search for these words."""
    assert SENTENCE == "Kafka \u4e0d\u53ef\u7528\uff0c\u8bf7\u68c0\u67e5\u914d\u7f6e"


def test_a_connection_is_tried_at_every_address() -> None:
    """A host with several addresses is well if one of them is."""
    with listeners.listener(listeners.keeps_silent) as port:
        sock = connect("here", [("127.0.0.1", free_port()), ("127.0.0.1", port)])
        sock.close()
