"""What is known of this machine: sockets and their owners from /proc, last words without secrets."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.kafka.survey import Backlog, Copies, backlogs, default_retention, holdings
from pytest_metersphere.inspection import containers, machine
from pytest_metersphere.inspection.containers import host_status
from pytest_metersphere.inspection.redaction import without_secrets
from tests.fakes.docker_engine import ENDLESS, fake_engine

linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc, which Linux has")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder for sockets, whose names may not be long; every user may enter it."""
    with tempfile.TemporaryDirectory(prefix="ms-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Take root's rights from this process, and everybody's to the socket."""
    (folder / "docker.sock").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@linux
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_socket_and_whose_it_is(address: str) -> None:
    """Found by its port, with this process as its owner."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip("needs IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0")
    with server:
        port = server.getsockname()[1]
        (found,) = [each for each in machine.listeners() or () if each.port == port]
        owner = machine.owner(found)

    assert (found.address, found.serves(address)) == (address, True)
    assert owner is not None
    assert owner.pid == os.getpid()


def test_which_addresses_are_this_machines() -> None:
    """Loopback is, one that is set aside for documentation is not."""
    assert machine.is_here(("127.0.0.1", 9092))
    assert not machine.is_here(("192.0.2.1", 9092))


def test_where_there_is_no_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known, and nothing is wrong."""
    monkeypatch.setattr(machine, "PROC", tmp_path / "none")

    assert machine.listeners() is None
    assert machine.brokers() == {}
    assert machine.owner(machine.Listener("127.0.0.1", 1, 1)) is None


@given(st.text(max_size=200))
def test_whatever_the_kernel_writes_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Lines that make no sense are no sockets."""
    folder = tmp_path_factory.mktemp("proc")
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(
        f"head\n{text}\n 0: zz:0016 0:0 0A 1 2 3 4 5 6 7\n", "utf-8", "replace"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "PROC", folder)
        assert machine.listeners() == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password=geheim", "password=***"),
        (
            'sasl.jaas.config=x username="u" password="ge heim";',
            'sasl.jaas.config=x username="u" password=***;',
        ),
        ("MYSQL_ROOT_PASSWORD: geheim", "MYSQL_ROOT_PASSWORD: ***"),
        ("jdbc:mysql://root:geheim@mysql:3306/db", "jdbc:mysql://root:***@mysql:3306/db"),
        ("Authorization: Bearer geheim-geheim", "Authorization: Bearer ***"),
        ("GET /?token=geheim&page=1", "GET /?token=***&page=1"),
        ('{"secretKey": "geheim", "id": 1}', '{"secretKey": ***, "id": 1}'),
        ("ssl.keystore.password = geheim", "ssl.keystore.password = ***"),
        ("redis-server --requirepass geheim --port 1", "redis-server --requirepass *** --port 1"),
        ("curl --api-token geheim", "curl --api-token ***"),
    ],
)
def test_secrets_in_the_words_of_strangers(line: str, shown: str) -> None:
    """What is called a password, key or token is not shown."""
    assert without_secrets(line) == shown
    assert "heim" not in without_secrets(line)


@pytest.mark.parametrize(
    "line",
    ["[2026-11-23 20:15:00] INFO started (kafka.server.KafkaServer)", "3 tokens left", "http://a:80/b"],
)
def test_other_words_stay(line: str) -> None:
    """As they are."""
    assert without_secrets(line) == line


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (
            "unix:///nowhere/docker.sock",
            "no Docker Engine answers on unix:///nowhere/docker.sock (No such file or directory); if it is",
        ),
        ("tcp://10.0.0.5:2375", "DOCKER_HOST=tcp://10.0.0.5:2375 is no Docker Engine of this machine"),
    ],
)
def test_a_machine_without_docker(host: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says so in one line."""
    monkeypatch.setenv("DOCKER_HOST", host)
    found = host_status()

    assert (found.docker, found.containers) == (None, [])
    assert found.detail.startswith(words)
    assert "\n" not in found.detail


def test_an_engine_that_does_not_run(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is there, and nobody behind it: there are no containers, and it is to be started."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(short_folder / "docker.sock"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_folder}/docker.sock")
    found = host_status()

    assert (found.docker, found.unseen) == (None, False)
    assert found.detail.endswith("(Connection refused); if it is installed: systemctl start docker")


def test_a_user_who_may_not_ask_docker(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told how to be one who may; that there are no containers is not said."""
    with fake_engine(short_folder, {}) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        with as_nobody(short_folder):
            found = host_status()

    assert (found.docker, found.unseen, found.ok) == (None, True, False)
    assert found.detail == (
        f"this user may not ask Docker on {host}: use sudo, or: sudo usermod -aG docker $USER"
    )


def test_what_was_found_before_docker_lost_itself(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that never ends is not waited for; the containers before it are told of."""
    monkeypatch.setattr(containers, "LOOK_LIMIT", 2.0)
    with fake_engine(short_folder, {"kafka": "started", ENDLESS: "", "zookeeper": "later"}) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        found = host_status()

    assert found.detail == f"the Docker Engine on {host} did not come to the end of its answers within 2 s"
    assert [(each.name, each.log) for each in found.containers] == [("kafka", ["started"])]
    assert (found.docker, found.unseen, found.ok) == ("28.0", True, False)


@pytest.mark.timeout(60)
def test_a_line_without_end(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its beginning is looked through for secrets, as looking through all of it would take hours."""
    endless = "password=geheim " + "token" * 400_000
    with fake_engine(short_folder, {"kafka": f"{endless}\nlast"}) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        (kafka,) = host_status().containers

    assert kafka.log[0].startswith("password=*** tokentoken")
    assert [len(line) for line in kafka.log] == [300, 4]


def test_a_secret_whose_end_is_cut_off() -> None:
    """It is one still."""
    assert without_secrets('password="ge heim') == "password=***"


def test_what_a_broker_holds() -> None:
    """Its topics, its copies, and those that are not complete."""
    copies = [
        Copies("a", frozenset({1, 2}), frozenset({1, 2})),
        Copies("a", frozenset({1, 2}), frozenset({1})),
        Copies("b", frozenset({2, 3}), frozenset({2, 3})),
    ]

    assert [holdings(broker, copies) for broker in (1, 2, 3, 4)] == [
        (1, 2, 0),
        (2, 3, 1),
        (1, 1, 0),
        (0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"log.retention.hours": "64"}, 64 * 3_600_000),
        ({"log.retention.ms": "60000", "log.retention.hours": "64"}, 60_000),
        ({"log.retention.ms": "None", "log.retention.minutes": "2"}, 120_000),
        ({"log.retention.ms": "-1"}, -1),
        ({"log.retention.ms": "soon"}, None),
        ({}, None),
    ],
)
def test_for_how_long_a_broker_keeps_records(settings: Mapping[str, str], kept: int | None) -> None:
    """By the setting that comes first."""
    assert default_retention(settings) == kept


_PLACE = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3))


@given(
    st.dictionaries(st.sampled_from(["x", "y", "z"]), st.dictionaries(_PLACE, st.integers(-1, 20))),
    st.dictionaries(_PLACE, st.integers(0, 20)),
)
def test_who_is_furthest_behind(
    read: Mapping[str, Mapping[tuple[str, int], int]], ends: Mapping[tuple[str, int], int]
) -> None:
    """No group has more to read of a topic than the one that is named, and it has as much as is said."""

    def left(group: str, topic: str) -> int:
        places = [place for place, offset in read[group].items() if place[0] == topic and offset >= 0]
        return sum(max(0, ends[place] - read[group][place]) for place in places if place in ends)

    for topic, found in backlogs(read, ends).items():
        assert found == Backlog(found.group, left(found.group, topic))
        assert found.records == max(left(group, topic) for group in read)
