"""Each load generator's own account of a run is read as it means it.

The files in `outputs` are what they wrote when every fourth answer of the server had status 500.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.compare.rivals.aiohttp_bare import AiohttpBare
from benchmarks.compare.rivals.artillery import Artillery
from benchmarks.compare.rivals.autocannon import Autocannon
from benchmarks.compare.rivals.base import Load, Rival
from benchmarks.compare.rivals.jmeter import Jmeter, plan
from benchmarks.compare.rivals.k6 import GrafanaK6
from benchmarks.compare.rivals.locust import Locust
from benchmarks.compare.rivals.ours import FORMS, Ours, knows_rates, write_project
from benchmarks.compare.rivals.vegeta import Vegeta
from benchmarks.compare.rivals.wrk import Wrk

_OUTPUTS = Path(__file__).with_name("outputs")
_URL = "http://127.0.0.1:8000/"


@pytest.mark.parametrize(
    ("rival", "file", "requests", "failures", "p50", "p99"),
    [
        (Wrk(), "wrk.txt", 92, 23, 0.04397, 0.05761),
        (GrafanaK6(), "k6.json", 92, 23, 0.0439153, 0.0511565),
        (Vegeta(), "vegeta.json", 93, 24, 0.0471541, 0.0537951),
        (Locust("FastHttpUser"), "locust.json", 4, 1, 0.16, 0.17),
        (Jmeter(), "jmeter.csv", 38, 10, 0.044, 0.134),
        (Artillery(), "artillery.json", 60, 15, 0.006, 0.0258),
        (Autocannon(), "autocannon.json", 88, 22, 0.044, 0.099),
        (AiohttpBare(), "aiohttp.json", 92, 23, 0.0442036, 0.0539616),
        (Ours("async def"), "results.json", 89, 23, 0.047103, 0.05367),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_it_wrote_is_read(
    rival: Rival, file: str, requests: int, failures: int, p50: float, p99: float
) -> None:
    """Requests, failures and response times in seconds are those that the load generator means."""
    report = rival.parse((_OUTPUTS / file).read_text())

    assert (requests, failures) == (report.requests, report.failures)
    assert report.p50 == pytest.approx(p50, rel=1e-5)
    assert report.p99 == pytest.approx(p99, rel=1e-5)


_ALL: tuple[Rival, ...] = (
    Wrk(),
    GrafanaK6(),
    Vegeta(),
    Locust("HttpUser"),
    Jmeter(),
    Artillery(),
    Autocannon(),
    AiohttpBare(),
    Ours("async def"),
)


@pytest.mark.parametrize("rival", _ALL, ids=lambda rival: rival.name)
@pytest.mark.parametrize("text", ["", "Killed\n", "{}", "[]"])
def test_what_is_no_result_is_not_read(rival: Rival, text: str) -> None:
    """A load generator that died leaves something else; that is an error, never zero requests."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        rival.parse(text)


def test_our_own_verdict_stands_beside_the_figures() -> None:
    """A run of this engine that did not pass says why."""
    report = Ours("async def").parse((_OUTPUTS / "results.json").read_text())

    assert report.note.startswith("failed: 23 of 89 iterations failed")


def test_a_run_that_passed_needs_no_note() -> None:
    """Only what is not as it should be is remarked on."""
    document = json.loads((_OUTPUTS / "results.json").read_text())
    document["scenarios"][0]["verdict"] = "passed"

    assert Ours("async def").parse(json.dumps(document)).note == ""


@pytest.mark.parametrize(
    ("rival", "load"),
    [
        (Wrk(), Load(url=_URL, users=1, seconds=1, rate=10)),
        (Wrk(), Load(url=_URL, users=1, seconds=1, think=1.0)),
        (Vegeta(), Load(url=_URL, users=1, seconds=1, think=1.0)),
        (Autocannon(), Load(url=_URL, users=1, seconds=1, think=1.0)),
        (Artillery(), Load(url=_URL, users=1, seconds=1, think=1.0)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_it_cannot_do_is_refused(rival: Rival, load: Load) -> None:
    """A load generator that would send another load than the one asked for says so."""
    assert rival.refusal(load)


@pytest.mark.parametrize("rival", _ALL, ids=lambda rival: rival.name)
def test_a_closed_load_names_url_and_users(rival: Rival, tmp_path: Path) -> None:
    """Its command, or a file that it wrote, holds the URL, the users and the seconds."""
    load = Load(url=_URL, users=123, seconds=4)

    command = rival.command(load, tmp_path)
    told = " ".join(command.argv) + "".join(path.read_text() for path in tmp_path.iterdir())

    assert rival.refusal(load) == ""
    assert "127.0.0.1" in told
    assert "8000" in told
    assert "123" in told


def test_k6_keeps_a_rate_by_arrivals(tmp_path: Path) -> None:
    """At a fixed rate k6 runs in its open model."""
    GrafanaK6().command(Load(url=_URL, users=100, seconds=5, rate=2000), tmp_path)
    script = (tmp_path / "script.js").read_text()

    assert '"executor": "constant-arrival-rate"' in script
    assert '"rate": 2000' in script


def test_locust_users_share_the_rate(tmp_path: Path) -> None:
    """At a fixed rate each of Locust's users has its part of it."""
    Locust("FastHttpUser").command(Load(url=_URL, users=100, seconds=5, rate=2000), tmp_path)

    assert "constant_throughput(20.0)" in (tmp_path / "locustfile.py").read_text()


@pytest.mark.parametrize(
    ("load", "pause"),
    [
        (Load(url=_URL, users=7, seconds=5), None),
        (Load(url=_URL, users=7, seconds=5, rate=100), "ConstantThroughputTimer"),
        (Load(url=_URL, users=7, seconds=5, think=0.25), "TestAction"),
    ],
)
def test_jmeters_plan(load: Load, pause: str | None) -> None:
    """The plan is well-formed and holds threads, seconds, the server and at most one way to pause."""
    root = ET.fromstring(plan(load))  # noqa: S314 - it reads what this project wrote
    values = {one.get("name"): one.text for one in root.iter() if one.get("name")}
    pauses = [one.tag for one in root.iter() if one.get("testname") == "pause"]

    assert (values["ThreadGroup.num_threads"], values["ThreadGroup.duration"]) == ("7", "5")
    assert (values["HTTPSampler.domain"], values["HTTPSampler.port"]) == ("127.0.0.1", "8000")
    assert pauses == ([pause] if pause else [])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "load",
    [
        Load(url=_URL, users=7, seconds=5),
        Load(url=_URL, users=7, seconds=5, think=0.25, ramp=2),
        Load(url=_URL, users=7, seconds=5, rate=100, answers_in=0.005),
    ],
    ids=["closed", "thinking", "rate"],
)
def test_our_project_is_collected(pytester: pytest.Pytester, form: str, load: Load) -> None:
    """What is measured is a scenario that this version of the plugin accepts."""
    write_project(pytester.path, form, load, open_model=knows_rates())

    found = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio")

    assert found.ret == 0
    found.stdout.fnmatch_lines(["test_load.py::test_get"])


def test_users_that_pause_keep_the_rate(tmp_path: Path) -> None:
    """Without an open model, answer and pause together make a user's share of the rate."""
    load = Load(url=_URL, users=100, seconds=5, rate=2000, answers_in=0.005)

    write_project(tmp_path, "def", load, open_model=False)

    assert "think='45.0ms'" in (tmp_path / "test_load.py").read_text()


def test_the_open_model_is_used_where_it_is_known(tmp_path: Path) -> None:
    """With `rate=` in the mark, arrivals keep the rate and nobody pauses."""
    load = Load(url=_URL, users=100, seconds=5, rate=2000)

    write_project(tmp_path, "async def", load, open_model=True)
    text = (tmp_path / "test_load.py").read_text()

    assert "rate='2000/s', max_users=100, hold='5s'" in text
    assert "think" not in text
