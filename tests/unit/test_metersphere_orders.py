"""What MeterSphere's servers ask to be started, as it is read from bodies of any kind."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import unquote

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pytest_metersphere.dist.metersphere.names import container_name, exactly, ours
from pytest_metersphere.dist.node.metersphere_api.declined import Declined
from pytest_metersphere.dist.node.metersphere_api.names import matching, new_name, users_of, whole_name
from pytest_metersphere.dist.node.metersphere_api.order import Order, order_from, read_order

NAME = "7f3a0c52-0b1e-4a8f-9f3d-0c8f4f1f2a11"
LETTERS = "abcXYZ0189_.-"
NAMES = st.text(LETTERS, min_size=1, max_size=30).map(lambda tail: f"a{tail}")
TEXTS = st.text(max_size=50).map(lambda text: text.replace("\0", ""))
VARIABLES = TEXTS.map(lambda text: text.replace("=", "")).filter(bool)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
KNOWN = ["image", "env", "TEST_ID", "BOOTSTRAP_SERVERS", "LOG_TOPIC", "REPORT_ID", "registry"]


def order(**env: object) -> Order:
    """Return what a body with these variables asks for, beside those that it must have."""
    known = {"TEST_ID": NAME, "BOOTSTRAP_SERVERS": ""}
    return read_order(json.dumps({"image": "jmeter:1", "env": known | env}).encode())


def test_what_a_server_of_today_sends() -> None:
    """The environment of a MeterSphere server is passed on as it is, in its order."""
    env = {
        "TEST_ID": NAME,
        "REPORT_ID": "r-1",
        "RESOURCE_INDEX": "0",
        "RATIO": "0.50,0.50",
        "METERSPHERE_URL": "http://10.0.0.2:8081",
        "BOOTSTRAP_SERVERS": "10.0.0.2:9092,10.0.0.3:9092",
        "LOG_TOPIC": "JMETER_LOGS",
        "THREAD_NUM": "0",
        "HEAP": "-Xms1g -Xmx1g -XX:MaxMetaspaceSize=256m",
    }
    found = read_order(
        json.dumps({"image": "registry.example:5000/jmeter-master:5.4.1", "env": env}).encode()
    )

    assert found.name == NAME
    assert found.image == "registry.example:5000/jmeter-master:5.4.1"
    assert found.env == tuple(f"{name}={value}" for name, value in env.items())
    assert found.servers == ("10.0.0.2:9092", "10.0.0.3:9092")
    assert (found.report, found.topic, found.users) == ("r-1", "JMETER_LOGS", None)


def test_what_is_not_named_has_a_default() -> None:
    """The topic of logs that MeterSphere's installer makes; no report, no broker."""
    found = order(LOG_TOPIC="")

    assert (found.topic, found.report, found.servers) == ("JMETER_LOGS", "", ())


def test_numbers_and_words_become_text() -> None:
    """As they are written; what is null is left out, and the image's own value holds."""
    env = f'{{"TEST_ID": "{NAME}", "BOOTSTRAP_SERVERS": "", "A": 1.50, "B": true, "C": null}}'
    body = f'{{"image": "a:1", "env": {env}}}'

    assert read_order(body.encode()).env[2:] == ("A=1.50", "B=true")


def test_a_login_to_a_registry_is_passed_over() -> None:
    """Nothing is pulled, so there is nobody to tell it."""
    body = {"image": "a:1", "registry": 7, "username": [], "env": {"TEST_ID": NAME, "BOOTSTRAP_SERVERS": ""}}

    assert read_order(json.dumps(body).encode()).env == (f"TEST_ID={NAME}", "BOOTSTRAP_SERVERS=")


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        (",", ()),
        (" , ", ()),
        ("k:9092,", ("k:9092",)),
        ("k:9092, l:9093", ("k:9092", "l:9093")),
        ("PLAINTEXT://k:9092", ("k:9092",)),
        ("[fd00::5]:9092", ("[fd00::5]:9092",)),
    ],
)
def test_lists_of_brokers(text: str, servers: tuple[str, ...]) -> None:
    """Those upon which a stock node-controller stumbles are among them: blanks, schemes, IPv6."""
    assert order(BOOTSTRAP_SERVERS=text).servers == servers


@given(st.dictionaries(VARIABLES, TEXTS, max_size=8))
def test_variables_arrive_as_they_are(env: dict[str, str]) -> None:
    """Whatever is in them."""
    env = {name: value for name, value in env.items() if name not in KNOWN}
    found = order(**env)

    assert found.env == tuple(
        f"{name}={value}" for name, value in ({"TEST_ID": NAME, "BOOTSTRAP_SERVERS": ""} | env).items()
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_an_order_or_declined(body: bytes) -> None:
    """Nothing else ever happens."""
    with contextlib.suppress(Declined):
        assert read_order(body).name


@given(st.dictionaries(st.sampled_from(KNOWN), JSON | st.dictionaries(st.sampled_from(KNOWN), JSON)))
def test_any_json_is_an_order_or_declined(body: object) -> None:
    """With the known keys too, of any type."""
    with contextlib.suppress(Declined):
        assert read_order(json.dumps(body).encode()).name


@given(NAMES)
def test_a_name_means_itself_only(name: str) -> None:
    """Written plainly or between anchors, and never a longer or shorter one."""
    for text in (name, f"^{name}$"):
        assert whole_name(text) == name
        assert matching(text)(name)
        assert not matching(text)(f"{name}1")
        assert not matching(text)(f"x{name}")
        assert not matching(text)(name[:-1])
    assert matching(f"^{name}")(f"{name}1")
    assert not matching(f"^{name}")(f"x{name}")


@given(st.text(max_size=30))
def test_any_text_is_a_name_or_declined(text: str) -> None:
    """What is taken is what Docker takes."""
    for read in (new_name, whole_name, matching):
        try:
            found = read(text)
        except Declined:
            continue
        if isinstance(found, str):
            assert all(letter.isascii() and (letter.isalnum() or letter in "_.-") for letter in found)


def test_the_names_of_our_runners_say_their_users() -> None:
    """Others say nothing; what our own client of stock nodes asks for is understood."""
    name = container_name("0123456789abcdef-7", 250)

    assert users_of(name) == 250
    assert users_of(NAME) is None
    assert whole_name(unquote(exactly(name))) == name
    assert matching(unquote(ours()))(name)
    assert not matching(unquote(ours()))(NAME)


def test_an_order_is_found_again_in_its_container() -> None:
    """By its environment, to which Docker has added that of the image; a strange one is no obstacle."""
    given_env = order(REPORT_ID="r-1", BOOTSTRAP_SERVERS="k:9092", LOG_TOPIC="logs")
    found = order_from(NAME, "jmeter:1", ["PATH=/bin", *given_env.env, "NOTHING"])

    assert (found.name, found.report, found.topic, found.servers) == (NAME, "r-1", "logs", ("k:9092",))
    strange = order_from("x", "jmeter:1", ["REPORT_ID=two words"])
    assert (strange.name, strange.report, strange.servers) == ("x", "", ())
