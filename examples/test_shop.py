"""Three load scenarios that are ordinary tests as well.

`pytest examples` runs each of them once; `pytest examples --ms-pool=local` puts the shop under load.
"""

from __future__ import annotations

import hashlib

import pytest

from pytest_metersphere import ThreadUser, VirtualUser


@pytest.mark.load_scenario(users=40, ramp="4s", hold="6s", think="2s-4s")
@pytest.mark.threshold("p95 < 500ms")
@pytest.mark.threshold("GET /products/{}: p99 < 1s")
async def test_browse(vu: VirtualUser, base_url: str) -> None:
    """Visitors open the front page, which sends them on to the products, and look at one of these."""
    front_page = await vu.http.get(f"{base_url}/")
    products = front_page.json()["products"]

    chosen = products[vu.id % len(products)]
    page = await vu.http.get(f"{base_url}/products/{chosen['id']}")

    assert page.json() == chosen


@pytest.mark.load_scenario(users=20, ramp="4s", hold="6s", think="2s-4s")
@pytest.mark.threshold("checkout: p95 < 1s")
@pytest.mark.threshold("failed_iterations == 0")
async def test_checkout(vu: VirtualUser, base_url: str, cart: str) -> None:
    """Customers put something into their own cart and order it.

    The transaction times the whole way. The sample times what is not HTTP, and fails with its assertion.
    """
    tea = (await vu.http.get(f"{base_url}/products/1", label="look at the tea")).json()

    with vu.transaction("checkout"):
        await vu.http.post(f"{cart}/items", json={"product": tea["id"], "quantity": 2}, label="add to cart")
        order = (await vu.http.post(f"{cart}/checkout", label="order")).json()

    with vu.sample("verify receipt"):
        signed = f"order {order['id']}: {order['total']} cents"
        assert order["receipt"] == hashlib.sha256(signed.encode()).hexdigest()


@pytest.mark.load_scenario(users=20, ramp="4s", hold="6s", think="1s-3s")
@pytest.mark.threshold("search: p95(service) < 500ms")
@pytest.mark.threshold("error_rate < 1%")
def test_search(vu: ThreadUser, base_url: str) -> None:
    """A plain function gets a thread for each user: no await, and any blocking library will do."""
    answer = vu.http.get(f"{base_url}/products", params={"q": "tea"}, label="search")

    names = {product["name"] for product in answer.json()["products"]}
    assert {"black tea", "green tea", "mint tea"} <= names
