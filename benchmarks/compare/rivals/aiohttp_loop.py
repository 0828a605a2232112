"""A program that needs aiohttp and uvloop: users in a loop, and nothing of what a load tool does beside.

    python aiohttp_loop.py URL USERS SECONDS RATE THINK

Prints requests, failures, p50 and p99 (seconds) as JSON.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time

import aiohttp
import uvloop


async def user(
    session: aiohttp.ClientSession, url: str, end: float, think: float, period: float
) -> list[float]:
    """Send until the end, and return the response times; one below 0 is that of a failed request."""
    times = []
    due = time.perf_counter()
    while time.perf_counter() < end:
        begin = time.perf_counter()
        async with session.get(url) as answer:
            await answer.read()
        taken = time.perf_counter() - begin
        times.append(taken if answer.status < 400 else -taken)
        if period:
            due += period
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        elif think:
            await asyncio.sleep(think)
    return times


async def load(url: str, users: int, seconds: float, rate: float, think: float) -> list[float]:
    """Return the response times of all users, in order."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    period = users / rate if rate else 0.0
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        end = time.perf_counter() + seconds
        running = []
        for _ in range(users):
            running.append(asyncio.create_task(user(session, url, end, think, period)))
            # users with a rate begin one after the other over their first period
            await asyncio.sleep(period / users)
        return sorted(one for times in await asyncio.gather(*running) for one in times)


def main() -> None:
    """Run the load and print what it came to."""
    url, users, seconds, rate, think = sys.argv[1:]
    times = uvloop.run(load(url, int(users), float(seconds), float(rate), float(think)))
    failures = sum(one < 0 for one in times)
    kept = sorted(abs(one) for one in times)
    print(
        json.dumps(
            {
                "requests": len(kept),
                "failures": failures,
                "p50": kept[len(kept) // 2],
                "p99": kept[int(len(kept) * 0.99)],
            }
        )
    )


if __name__ == "__main__":
    main()
