"""The shop of the examples: load tests are only worth something against a server that is right itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

_SERVER = Path(__file__).resolve().parents[1] / "examples" / "shop_server.py"


class Customer:
    """Sends requests and returns (status, JSON or None)."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        with contextlib.closing(http.client.HTTPConnection(self._address, timeout=10)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else None


def _started(*options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(_SERVER), *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _wait_for(file: Path) -> str:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, "the server does not announce itself"
        time.sleep(0.01)
    return file.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the server as the examples do; it ends when its stdin does."""
    announced = tmp_path_factory.mktemp("shop") / "url"
    with _started("--port", "0", "--announce", str(announced), "--until-stdin-closes"):
        yield _wait_for(announced)


@pytest.fixture
def customer(server: str) -> Customer:
    """Return a customer of a shop that remembers nothing."""
    customer = Customer(server)
    assert customer.ask("POST", "/reset") == (204, None)
    return customer


def test_the_front_page_leads_to_the_products(customer: Customer) -> None:
    """The front page redirects, and the list shows every product as its own page does."""
    assert customer.ask("GET", "/") == (302, None)

    status, page = customer.ask("GET", "/products")

    assert status == 200
    assert len(page["products"]) == 12
    for product in page["products"]:
        assert customer.ask("GET", f"/products/{product['id']}") == (200, product)


def test_search_finds_by_part_of_the_name(customer: Customer) -> None:
    """A search lists the products whose name holds the text, and nothing else."""
    _, page = customer.ask("GET", "/products?q=biscuits")

    assert [product["name"] for product in page["products"]] == ["oat biscuits", "ginger biscuits"]
    assert customer.ask("GET", "/products?q=petrol") == (200, {"products": []})


def test_a_cart_adds_up_until_it_is_ordered(customer: Customer) -> None:
    """What a user puts into the cart is summed up, ordered once, and then gone."""
    customer.ask("POST", "/cart/7/items", {"product": 1, "quantity": 2})
    status, cart = customer.ask("POST", "/cart/7/items", {"product": 2})

    assert status == 201
    assert cart["total"] == 2 * 290 + 330
    assert customer.ask("GET", "/cart/7") == (200, cart)
    status, order = customer.ask("POST", "/cart/7/checkout")
    assert (status, order["total"], order["items"]) == (201, cart["total"], cart["items"])
    assert customer.ask("POST", "/cart/7/checkout")[0] == 409


def test_every_user_has_a_cart_of_their_own(customer: Customer) -> None:
    """One user's cart, and emptying it, is nothing to another."""
    customer.ask("POST", "/cart/1/items", {"product": 3})
    customer.ask("POST", "/cart/2/items", {"product": 4})

    assert customer.ask("DELETE", "/cart/1") == (204, None)

    assert customer.ask("GET", "/cart/1")[1]["items"] == []
    assert [item["product"] for item in customer.ask("GET", "/cart/2")[1]["items"]] == [4]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"product": 99}, 404),
        ({"product": "1"}, 400),
        ({"product": 1, "quantity": 0}, 400),
        ({}, 400),
        ([1], 400),
    ],
)
def test_what_cannot_be_put_into_a_cart_is_refused(customer: Customer, body: object, status: int) -> None:
    """An unknown product or a body of another form changes nothing and says why."""
    answered, reason = customer.ask("POST", "/cart/1/items", body)

    assert answered == status
    assert reason["error"]
    assert customer.ask("GET", "/cart/1")[1]["items"] == []


def test_every_request_is_counted_but_those_about_the_count(customer: Customer) -> None:
    """Redirects and refusals count as requests; asking for the count does not."""
    for path in ("/", "/products", "/products/99", "/nowhere"):
        customer.ask("GET", path)
    customer.ask("POST", "/cart/1/items", {"product": 1})
    customer.ask("POST", "/cart/1/checkout")

    assert customer.ask("GET", "/stats") == (200, {"requests": 6, "orders": 1})
    assert customer.ask("GET", "/stats") == (200, {"requests": 6, "orders": 1})


def test_the_server_ends_with_its_parent(tmp_path: Path) -> None:
    """A server that was told so ends, with exit code 0, when its stdin does."""
    with _started("--announce", str(tmp_path / "url"), "--until-stdin-closes") as process:
        _wait_for(tmp_path / "url")
        assert process.poll() is None

        process.communicate(timeout=20)

        assert process.returncode == 0


def test_without_a_place_to_announce_the_url_is_printed() -> None:
    """Started by hand, the server prints where it is."""
    with _started() as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        answer = Customer(url).ask("GET", "/stats")
        process.terminate()

    assert answer == (200, {"requests": 0, "orders": 0})
