"""A small shop to put load on: one process, everything in memory.

    python examples/shop_server.py --port 8080

It counts the HTTP requests that it serves (`GET /stats` tells, and is not counted itself), so that a load
test's own count can be compared with what the server has really seen.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import json
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclasses.dataclass(frozen=True, slots=True)
class Product:
    """Something to buy; the price is in cents."""

    id: int
    name: str
    price: int


CATALOGUE = {
    number: Product(number, name, 250 + 40 * number)
    for number, name in enumerate(
        [
            "black tea",
            "green tea",
            "mint tea",
            "espresso",
            "filter coffee",
            "cocoa",
            "honey",
            "cane sugar",
            "oat biscuits",
            "ginger biscuits",
            "teapot",
            "tea strainer",
        ],
        start=1,
    )
}


class Shop:
    """The shop's state: carts by user, and what has been counted."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all carts and counts."""
        self.carts: dict[str, Counter[int]] = {}
        self.orders = 0
        self.requests = 0

    def search(self, text: str) -> list[Product]:
        """Return the products whose name holds the text."""
        return [product for product in CATALOGUE.values() if text in product.name]

    def put(self, user: str, product: int, quantity: int) -> None:
        """Put a product into a user's cart."""
        self.carts.setdefault(user, Counter())[product] += quantity

    def cart(self, user: str) -> dict[str, Any]:
        """Return what is in a user's cart, and its total in cents."""
        content = [(CATALOGUE[number], quantity) for number, quantity in self.carts.get(user, {}).items()]
        items = [{"product": each.id, "name": each.name, "quantity": quantity} for each, quantity in content]
        total = sum(each.price * quantity for each, quantity in content)
        return {"user": user, "items": items, "total": total}

    def order(self, user: str) -> dict[str, Any]:
        """Turn a user's cart into an order with a receipt, and empty it."""
        cart = self.cart(user)
        self.carts.pop(user, None)
        self.orders += 1
        return {"id": self.orders, **cart, "receipt": receipt(self.orders, cart["total"])}


def receipt(order: int, total: int) -> str:
    """Return the checksum by which a customer can tell that an order is the shop's."""
    return hashlib.sha256(f"order {order}: {total} cents".encode()).hexdigest()


SHOP = web.AppKey("shop", Shop)
routes = web.RouteTableDef()


@routes.get("/")
async def front_page(_request: web.Request) -> web.Response:
    """Send the visitor on to the products."""
    raise web.HTTPFound("/products")


@routes.get("/products")
async def products(request: web.Request) -> web.Response:
    """List the products; `?q=tea` those whose name holds a text."""
    found = request.app[SHOP].search(request.query.get("q", ""))
    return web.json_response({"products": [dataclasses.asdict(product) for product in found]})


@routes.get(r"/products/{id:\d+}")
async def product_page(request: web.Request) -> web.Response:
    """Show one product."""
    return web.json_response(dataclasses.asdict(_known(int(request.match_info["id"]))))


@routes.get("/cart/{user}")
async def show_cart(request: web.Request) -> web.Response:
    """Show a user's cart; nobody's is empty."""
    return web.json_response(request.app[SHOP].cart(request.match_info["user"]))


@routes.delete("/cart/{user}")
async def clear_cart(request: web.Request) -> web.Response:
    """Empty a user's cart."""
    request.app[SHOP].carts.pop(request.match_info["user"], None)
    return web.Response(status=204)


@routes.post("/cart/{user}/items")
async def add_item(request: web.Request) -> web.Response:
    """Put something into a user's cart: `{"product": 3, "quantity": 2}`."""
    wanted = await _json(request)
    product, quantity = wanted.get("product"), wanted.get("quantity", 1)
    if type(product) is not int or type(quantity) is not int or quantity < 1:
        raise _refusal(web.HTTPBadRequest, 'expected {"product": NUMBER, "quantity": 1 OR MORE}')
    user = request.match_info["user"]
    request.app[SHOP].put(user, _known(product).id, quantity)
    return web.json_response(request.app[SHOP].cart(user), status=201)


@routes.post("/cart/{user}/checkout")
async def checkout(request: web.Request) -> web.Response:
    """Order what is in a user's cart."""
    shop, user = request.app[SHOP], request.match_info["user"]
    if not shop.cart(user)["items"]:
        raise _refusal(web.HTTPConflict, f"the cart of {user} is empty")
    return web.json_response(shop.order(user), status=201)


@routes.get("/stats")
async def stats(request: web.Request) -> web.Response:
    """Tell how many requests were served, this kind excepted, and how many orders there are."""
    shop = request.app[SHOP]
    return web.json_response({"requests": shop.requests, "orders": shop.orders})


@routes.post("/reset")
async def reset(request: web.Request) -> web.Response:
    """Forget all carts and counts; this request is not counted either."""
    request.app[SHOP].reset()
    return web.Response(status=204)


@web.middleware
async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count every request, whatever its answer."""
    if request.path not in {"/stats", "/reset"}:
        request.app[SHOP].requests += 1
    return await handler(request)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _refusal(web.HTTPBadRequest, "the body is not a JSON object")
    return body


def _known(number: int) -> Product:
    if number not in CATALOGUE:
        raise _refusal(web.HTTPNotFound, f"there is no product {number}")
    return CATALOGUE[number]


def _refusal(kind: type[web.HTTPException], message: str) -> web.HTTPException:
    return kind(text=json.dumps({"error": message}), content_type="application/json")


def application() -> web.Application:
    """Return the shop as an aiohttp application with fresh state."""
    app = web.Application(middlewares=[count])
    app[SHOP] = Shop()
    app.add_routes(routes)
    return app


async def serve(host: str, port: int, announce: Path | None, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; the URL is printed, or written to the file `announce`."""
    runner = web.AppRunner(application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        _tell(f"http://{host}:{runner.addresses[0][1]}", announce)
        await stop.wait()
    finally:
        await runner.cleanup()


def _tell(url: str, announce: Path | None) -> None:
    if announce is None:
        print(url, flush=True)
        return
    draft = announce.with_suffix(".draft")
    draft.write_text(url)
    draft.replace(announce)


async def _serve_as_told(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    if args.until_stdin_closes:
        loop = asyncio.get_running_loop()

        def watch() -> None:
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=watch, daemon=True).start()
    await serve(args.host, args.port, args.announce, stop)


def main() -> None:
    """Parse the command line and serve until Ctrl-C, SIGTERM, or the end of stdin when asked so."""
    parser = argparse.ArgumentParser(description="A small shop to put load on.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--announce", type=Path, metavar="FILE", help="write the URL here once it answers")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when stdin ends: no parent, no server"
    )
    try:
        asyncio.run(_serve_as_told(parser.parse_args()))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
