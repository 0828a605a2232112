"""What a mark says of a JMeter test plan, checked while tests are collected: nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jmeter.plans import csv, element, http, plan, threads
from tests.plugin.conftest import Inner
from tests.plugin.plans import table

SHOP = plan(threads(http("/"), count=2), threads(http("/"), count=6, ramp=5, duration=20, loops=-1))


def write(inner: Inner, keywords: str, source: str = SHOP, body: str = "def test_shop(): pass") -> None:
    """Make a project with a test plan and a test in a folder of its own."""
    folder = inner.pytester.mkdir("load")
    folder.joinpath("plans").mkdir()
    folder.joinpath("plans", "shop.jmx").write_text(source)
    folder.joinpath("test_shop.py").write_text(
        f"import pytest\n\n@pytest.mark.load_scenario({keywords})\n{body}\n"
    )


def complaint(inner: Inner) -> str:
    """Collect, which must end with one error that names the test's file and line; return it."""
    result = inner.run("--collect-only")
    said = result.stdout.str()

    assert result.ret == pytest.ExitCode.INTERRUPTED, said
    assert "load/test_shop.py:3: " in said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("keywords", "wanted"),
    [
        ('jmx="plans/shop.jmx", think="1s"', "think does not go with jmx"),
        ('jmx="plans/shop.jmx", stages=[("1s", 5)]', "stages does not go with jmx"),
        ('jmx="plans/none.jmx"', "'load/plans/none.jmx' cannot be read"),
        ('jmx="../../shop.jmx"', "lies outside the rootdir"),
        ('jmx="/shop.jmx"', "absolute path"),
        ("jmx=7", "is no path of a file"),
        ('jmx="test_shop.py"', "this is no XML"),
        ('properties={"a": "b"}', "it is for JMeter test plans"),
        ('jmx="plans/shop.jmx", properties=["a"]', "is no dict of texts by name"),
        ('jmx="plans/shop.jmx", properties={"a": None}', "neither a text nor a number"),
        ('jmx="plans/shop.jmx", hosts={"shop.test": "shop"}', "is no IP address"),
        ('jmx="plans/shop.jmx", warmup="1h"', "takes all of the load"),
        ('jmx="plans/shop.jmx", jxm="a"', "there is no keyword 'jxm'"),
    ],
)
def test_keywords(inner: Inner, keywords: str, wanted: str) -> None:
    """A keyword that makes no sense with a test plan, or a value that is none, is a collection error."""
    write(inner, keywords)

    assert wanted in complaint(inner)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            plan(threads(http("/")), element("org.example.WaveThreadGroup", "waves")),
            "WaveThreadGroup 'waves' (line ",
        ),
        (plan(threads(loops=-1)), "loop for ever"),
        (plan(csv("users.csv"), threads(http("/"))), "it reads 'users.csv', and"),
        (plan(csv("../../../users.csv"), threads(http("/"))), "is no file below the rootdir"),
    ],
    ids=["group", "endless", "file", "outside"],
)
def test_plans(inner: Inner, source: str, wanted: str) -> None:
    """A plan that cannot be run as load is a collection error that names plan and element."""
    write(inner, 'jmx="plans/shop.jmx"', source)

    said = complaint(inner)

    assert wanted in said
    assert "load/plans/shop.jmx: " in said


def test_no_virtual_user(inner: Inner) -> None:
    """A test of a test plan has no vu."""
    write(inner, 'jmx="plans/shop.jmx"', body="async def test_shop(vu): pass")

    assert "there is no virtual user" in complaint(inner)


def test_thresholds_over_iterations(inner: Inner) -> None:
    """JMeter does not tell iterations, so a threshold over them is refused."""
    write(inner, 'jmx="plans/shop.jmx")\n@pytest.mark.threshold("iterations > 3"')

    assert "JMeter does not tell iterations" in complaint(inner)


def test_load_result_elsewhere(inner: Inner) -> None:
    """The fixture load_result is for tests of test plans only."""
    inner.pytester.makepyfile("def test_plain(load_result): pass")

    result = inner.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*load_result belongs to tests of JMeter test plans*"])


@pytest.mark.parametrize(
    ("keywords", "args", "users", "lasts"),
    [
        ("", [], 8, 20.0),
        ("users=4", [], 4, 20.0),
        ('hold="1m", ramp="10s"', [], 8, 70.0),
        ("", ["--ms-users=50%", "--ms-hold=3s"], 4, 8.0),
    ],
    ids=["its own", "users", "curve", "options"],
)
def test_load_of_a_plan(inner: Inner, keywords: str, args: list[str], users: int, lasts: float) -> None:
    """Where the mark says nothing, users and time are the plan's own; options override both as ever."""
    write(
        inner,
        f'jmx="plans/shop.jmx", {keywords}',
        plan(
            threads(http("/"), count=2, ramp=5, duration=20, loops=-1),
            threads(http("/"), count=6, ramp=5, duration=20, loops=-1),
        ),
    )

    found = table(inner.run("--ms-pool=local=10+10", "--ms-plan", *args))

    assert found.peak[0] == users
    assert found.times[-1] == pytest.approx(lasts)


def test_functional_without_jmeter(inner: Inner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without JMeter on this machine the functional test fails with what to do."""
    monkeypatch.setenv("PYTEST_MS_JMETER_HOME", str(tmp_path))
    write(inner, 'jmx="plans/shop.jmx"')

    result = inner.run()

    result.assert_outcomes(failed=1)
    assert "Traceback" not in result.stdout.str()
    assert (
        "name the folder that JMeter was unpacked to" in result.stdout.str()
        or "no Java" in result.stdout.str()
    )
