"""What a node answers MeterSphere's servers, and all others who reach its port, where no Docker is."""

from __future__ import annotations

import gzip
import ipaddress
import json
import re
import socket

import pytest

from pytest_metersphere.dist.metersphere.rest import StockApi
from pytest_metersphere.dist.node.config import DockerConfig, MeterSphereConfig
from pytest_metersphere.dist.node.metersphere_api.api import is_among
from pytest_metersphere.errors import NodeError
from tests.fakes.nodes import TOKEN, NodeThread, config
from tests.metersphere_api.conftest import answering
from tests.metersphere_api.server import JSON, NODE, SCRIPT, FailedError, Server

START = "/jmeter/container/start"
PATHS = [START, "/jmeter/container/stop/shop", "/jmeter/container/log/shop", "/jmeter/task/status/shop"]
GOOD = {"image": "jmeter:1", "env": {"TEST_ID": "shop", "BOOTSTRAP_SERVERS": ""}}
NO_DOCKER = "Docker does not answer on unix://"


def refusal(node: NodeThread, body: bytes, **headers: str) -> str:
    """Return the message that a start request is answered with."""
    with pytest.raises(FailedError) as error:
        Server(node.address).ask("POST", START, body, JSON | headers)
    return str(error.value)


def test_a_server_saves_its_pool(dockerless: NodeThread) -> None:
    """It asks for the status, which says nothing of Docker."""
    assert Server(dockerless.address).ask("GET", "/status") == "OK"


def test_docker_that_is_down_is_told(dockerless: NodeThread) -> None:
    """In words, with what to do; the stock one has a Java exception there."""
    server = Server(dockerless.address)
    assert refusal(dockerless, json.dumps(GOOD).encode()).startswith(NO_DOCKER)
    with pytest.raises(FailedError, match=f"{NO_DOCKER}.*systemctl start docker"):
        server.status("shop")
    assert server.stop("shop") == "OK"
    assert server.log("shop") == ""


def test_our_own_client_of_stock_nodes_understands_it(dockerless: NodeThread) -> None:
    """It finds the status, and passes on what is said of Docker."""
    api = StockApi("n1", dockerless.url)
    api.status()
    with pytest.raises(NodeError, match=NO_DOCKER):
        api.containers()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", r"Required request body is missing"),
        (b"  \n", r"Required request body is missing"),
        (b"{", r"JSON parse error: "),
        (b"\xff\xfe\x00", r"JSON parse error: "),
        (b"[]", r"JSON parse error: Expected `object`, got `array`"),
        (b"null", r"JSON parse error: "),
        (b'"text"', r"JSON parse error: "),
        (b"[" * 100_000, r"JSON parse error: "),
        (b'{"x":' * 100_000, r"JSON parse error: "),
        (b"{}", r"image: '' is no name of an image"),
        (b'{"image": 7}', r"JSON parse error: Expected `str`, got `int` - at `\$.image`"),
        (b'{"image": "jmeter 1"}', r"image: 'jmeter 1' is no name of an image"),
        (b'{"image": "jmeter:1\\n"}', r"image: 'jmeter:1\\n' is no name of an image"),
        (b'{"image": "jmeter:1"}', r"env is missing"),
        (b'{"image": "jmeter:1", "env": null}', r"env is missing"),
        (b'{"image": "jmeter:1", "env": []}', r"JSON parse error: Expected `object \| null`, got `array`"),
        (b'{"image": "jmeter:1", "env": {"A": {}}}', r"JSON parse error: env 'A' must be a text"),
        (b'{"image": "jmeter:1", "env": {"A": []}}', r"JSON parse error: env 'A' must be a text"),
        (b'{"image": "jmeter:1", "env": {"A": "\\ud800"}}', r"JSON parse error: "),
        (b'{"image": "jmeter:1", "env": {}}', r"TEST_ID is missing or empty"),
        (b'{"image": "jmeter:1", "env": {"TEST_ID": null}}', r"TEST_ID is missing or empty"),
    ],
)
def test_bodies_that_make_no_sense(dockerless: NodeThread, body: bytes, message: str) -> None:
    """Each is told what is wrong with it, and nothing happens."""
    assert re.match(message, refusal(dockerless, body))


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"TEST_ID": ""}, "TEST_ID is missing or empty"),
        ({"TEST_ID": "a/b"}, "Invalid container name ('a/b'): only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        ({"TEST_ID": "../../etc"}, "Invalid container name"),
        ({"TEST_ID": "a\nb"}, r"Invalid container name ('a\nb')"),
        ({"TEST_ID": "shop\n"}, r"Invalid container name ('shop\n')"),
        ({"TEST_ID": "-shop"}, "Invalid container name"),
        ({"TEST_ID": "s"}, "Invalid container name"),
        ({"TEST_ID": "sh öp"}, "Invalid container name"),
        ({"TEST_ID": "x" * 201}, "Invalid container name"),
        ({"TEST_ID": "x" * 100_000}, "Invalid container name"),
        ({"TEST_ID": "pytest-metersphere-1-0"}, "names of our own containers"),
        ({"": "x"}, "env: '' is no name of a variable"),
        ({"A=B": "x"}, "env: 'A=B' is no name of a variable"),
        ({"A\0": "x"}, r"env: 'A\x00' is no name of a variable"),
        ({"A": "x\0y"}, "env 'A': there is a zero byte in it"),
        ({"A": "x" * 140_000}, "env 'A' has 140,003 bytes with its name, and Linux takes 131,072"),
        ({"REPORT_ID": "two words"}, "REPORT_ID: 'two words' is no id"),
        ({"REPORT_ID": "r-1\nr-2 none 0 x"}, r"REPORT_ID: 'r-1\nr-2 none 0 x' is no id"),
        ({"LOG_TOPIC": "no/topic"}, "LOG_TOPIC: 'no/topic' is no name of a Kafka topic"),
        (
            {"BOOTSTRAP_SERVERS": "kafka"},
            "Failed to connect to Kafka: BOOTSTRAP_SERVERS: 'kafka' has no port",
        ),
        ({"BOOTSTRAP_SERVERS": "kafka:x"}, "Failed to connect to Kafka: BOOTSTRAP_SERVERS: 'kafka:x'"),
        (
            {"BOOTSTRAP_SERVERS": ",".join(f"k{number}:9092" for number in range(17))},
            "Failed to connect to Kafka: BOOTSTRAP_SERVERS has 17 brokers",
        ),
    ],
)
def test_variables_that_cannot_be(dockerless: NodeThread, env: dict[str, str], message: str) -> None:
    """Each is named, with what is wrong with it."""
    body = {"image": "jmeter:1", "env": {"TEST_ID": "shop", "BOOTSTRAP_SERVERS": ""} | env}

    assert message in refusal(dockerless, json.dumps(body).encode())


def test_without_the_list_of_brokers(dockerless: NodeThread) -> None:
    """Forgotten it is an error, as it always was; empty it is not."""
    body = json.dumps({"image": "jmeter:1", "env": {"TEST_ID": "shop"}}).encode()

    assert refusal(dockerless, body).startswith("Failed to connect to Kafka: BOOTSTRAP_SERVERS is missing")


def test_one_broker_that_takes_connections_is_enough(dockerless: NodeThread) -> None:
    """Another one of the list may be down; the stock node-controller stops at the first such."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        servers = f" 127.0.0.1:1, PLAINTEXT://127.0.0.1:{broker.getsockname()[1]} ,"
        env = GOOD["env"] | {"BOOTSTRAP_SERVERS": servers}  # type: ignore[operator]

        assert refusal(dockerless, json.dumps(GOOD | {"env": env}).encode()).startswith(NO_DOCKER)


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/octet-stream"],
)
def test_another_kind_of_body(dockerless: NodeThread, kind: str) -> None:
    """Such a one a web page could send without asking."""
    message = refusal(dockerless, json.dumps(GOOD).encode(), **{"Content-Type": kind})

    assert message == f"Content type '{kind}' not supported: it must be application/json"


def test_a_body_that_is_too_large(dockerless: NodeThread) -> None:
    """Its size is measured, packed ones after unpacking."""
    bomb = gzip.compress(json.dumps(GOOD | {"x": "y" * (4 << 20)}).encode())

    assert refusal(dockerless, b"x" * (2 << 20)) == "the body is larger than 1 MiB"
    assert refusal(dockerless, bomb, **{"Content-Encoding": "gzip"}) == "the body is larger than 1 MiB"


def test_a_body_that_is_packed_badly(dockerless: NodeThread, caplog: pytest.LogCaptureFixture) -> None:
    """That is told as well, and leaves no traceback."""
    message = refusal(dockerless, b"no gzip", **{"Content-Encoding": "gzip"})

    assert message.startswith("the body cannot be read: ")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "name",
    ["a%2Fb", "a/b", "a%0Ab", "%00", "^", "$", "^$", ".*", "%5E.%2A%24", "a%20b", "%FF%FE", "x" * 5000],
)
@pytest.mark.parametrize("path", [path.removesuffix("shop") for path in PATHS[1:]])
def test_names_that_no_container_has(dockerless: NodeThread, path: str, name: str) -> None:
    """They mean no container, least of all several."""
    with pytest.raises(FailedError, match="Invalid container name"):
        Server(dockerless.address).ask("GET", path + name)


def test_a_path_that_means_several(dockerless: NodeThread) -> None:
    """The beginning of names is good for being told of them, not for a stop or a log."""
    server = Server(dockerless.address)
    with pytest.raises(FailedError, match=NO_DOCKER):
        server.status("^ms-load-")
    with pytest.raises(FailedError, match="Invalid container name"):
        server.stop("^ms-load-")
    with pytest.raises(FailedError, match="Invalid container name"):
        server.log("^ms-load-")


@pytest.mark.parametrize("path", PATHS)
def test_another_method(dockerless: NodeThread, path: str) -> None:
    """It is told in the words of a stock node-controller."""
    for method in ("GET", "PUT", "DELETE", "PATCH") if path == START else ("POST", "PUT", "DELETE"):
        with pytest.raises(FailedError, match=f"Request method '{method}' not supported"):
            Server(dockerless.address).ask(method, path)


@pytest.mark.parametrize(
    "path",
    [
        "/jmeter/",
        "/jmeter/status",
        "/jmeter/getJvmInfo",
        "/jmeter/api/run",
        "/jmeter/container/",
        "/jmeter/container/stop/",
        "/jmeter/container/start/shop",
        "/jmeter/../v1/node",
        "/jmeter/%2e%2e/v1/node",
    ],
)
def test_other_paths(dockerless: NodeThread, path: str) -> None:
    """Those for API tests are unknown, as they are no load; so is what tries to get at our own API."""
    status, text = dockerless.request("GET", path)

    assert status == 404
    assert json.loads(text)["error"] == "Not Found"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
    ids=["origin", "shown by a page", "rebound name"],
)
def test_web_pages_get_nothing(
    dockerless: NodeThread, path: str, headers: dict[str, str], status: int
) -> None:
    """Neither by a script, nor by an image whose address is that of a stop, nor by a name of their own."""
    method = "POST" if path == START else "GET"

    assert dockerless.request(method, path, json.dumps(GOOD).encode(), JSON | headers)[0] == status


def test_our_own_api_wants_its_token_all_the_same(dockerless: NodeThread) -> None:
    """What is open is MeterSphere's API alone."""
    assert dockerless.request("GET", "/v1/node")[0] == 401
    assert dockerless.request("POST", "/v1/slices")[0] == 401
    assert dockerless.request("GET", "/v1/node", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


@pytest.mark.parametrize("path", PATHS)
def test_without_the_option_nothing_is_open(
    path: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node answers MeterSphere's servers only when it was told to."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with NodeThread(config(docker=DockerConfig(node=NODE, image=SCRIPT))) as node:
        assert node.request("GET", path)[0] == 401
        assert node.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})[0] == 404


@pytest.mark.parametrize(
    ("networks", "status"),
    [(["127.0.0.1"], 200), (["10.0.0.0/8", "127.0.0.0/8"], 200), (["10.0.0.0/8"], 403), (["::1"], 403)],
)
def test_who_may_ask_is_limited_by_address(
    networks: list[str], status: int, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are told which option keeps them out."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    allowed = tuple(map(ipaddress.ip_network, networks))
    with NodeThread(answering(metersphere=MeterSphereConfig(allowed=allowed))) as node:
        found, text = node.request("GET", "/jmeter/container/log/shop")
        envelope = json.loads(text)

    assert found == status
    assert envelope["success"] is (status == 200)
    assert status == 200 or "--metersphere-allow" in envelope["message"]


@pytest.mark.parametrize(
    ("address", "among"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("fd00::1", False),
        (None, False),
    ],
)
def test_an_address_that_comes_over_ipv6(address: str | None, *, among: bool) -> None:
    """One of IPv4 is still in its network; one that is not known is in none."""
    assert is_among(address, (ipaddress.ip_network("10.0.0.0/8"),)) is among
