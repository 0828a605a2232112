"""Without a pool a scenario is an ordinary test: once, in process, with an ordinary traceback."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.projects import Project, mentions
from tests.plugin.servers import SERVER

EVERY_RUNNER = pytest.mark.parametrize(
    ("plugins", "args"),
    [
        ([], []),
        (["pytest_asyncio.plugin"], ["-o", "asyncio_mode=strict"]),
        (["pytest_asyncio.plugin"], ["-o", "asyncio_mode=auto"]),
        (["anyio.pytest_plugin"], []),
        (["xdist.plugin"], ["-n", "2"]),
        (
            ["pytest_asyncio.plugin", "anyio.pytest_plugin", "xdist.plugin"],
            ["-n", "2", "-o", "asyncio_mode=auto"],
        ),
    ],
    ids=["alone", "asyncio-strict", "asyncio-auto", "anyio", "xdist", "all-at-once"],
)
ASYNCIO_INI = "asyncio_default_fixture_loop_scope = function"
CONFTEST = """
    import asyncio, pathlib

    import pytest
    import pytest_metersphere

    def note(word):
        with pathlib.Path("notes").open("a") as file:
            file.write(f"{word} ")

    @pytest.fixture(scope="session")
    def url():
        note("+url")
        yield "u"
        note("-url")

    @pytest_metersphere.fixture(scope="worker")
    async def pool(url):
        note("+pool")
        yield f"{url}/pool"
        await asyncio.sleep(0)
        note("-pool")

    @pytest_metersphere.fixture(scope="worker")
    def plain_pool():
        return "plain"

    @pytest_metersphere.fixture(scope="user")
    def plain(pool, plain_pool):
        return f"{pool}/{plain_pool}"

    @pytest_metersphere.fixture(scope="user")
    async def account(vu, plain):
        await asyncio.sleep(0)
        return f"{plain}/{vu.id}"

    @pytest_metersphere.fixture(scope="user")
    async def login(account):
        note("+login")
        yield f"{account}/login"
        await asyncio.sleep(0)
        note("-login")

    @pytest_metersphere.fixture(scope="user", name="cart")
    def the_cart(login, vu):
        note("+cart")
        yield f"{login}/cart"
        assert vu.iteration == 0
        note("-cart")
"""
FIXTURE_TESTS = """
    import pytest
    import pytest_metersphere
    from conftest import note

    pytestmark = pytest.mark.load_scenario(users=50, hold="1h")
    WHOLE = "u/pool/plain/1/login/cart"

    @pytest_metersphere.fixture(scope="user")
    def overridden(): return "outer"

    async def test_async(vu, cart, url):
        note("async")
        assert (cart, url, vu.id, vu.iteration, vu.node) == (WHOLE, "u", 1, 0, "functional")

    def test_plain(vu, cart, url):
        note("plain")
        assert (cart, url, vu.id, vu.iteration, vu.node) == (WHOLE, "u", 1, 0, "functional")

    class TestClass:
        @pytest_metersphere.fixture(scope="user")
        def overridden(self, overridden):
            return self, f"{overridden}+inner"

        @pytest_metersphere.fixture(scope="user")
        async def method(self, overridden):
            yield overridden[1]

        @pytest.mark.parametrize(("kind", "thing"), [("a", object()), ("b", len)], ids=["x", "y"])
        async def test_method(self, vu, method, overridden, kind, thing):
            assert (method, overridden) == ("outer+inner", (self, "outer+inner"))
            assert kind in "ab" and (kind == "a" or thing is len)

        def test_plain_method(self, vu, method, overridden):
            assert (method, overridden) == ("outer+inner", (self, "outer+inner"))
"""


@EVERY_RUNNER
def test_fixtures_are_set_up_once_and_torn_down_in_reverse(
    project: Project, plugins: Sequence[str], args: Sequence[str]
) -> None:
    """Whoever runs the coroutine: `def`, `async def`, yield; both scopes; overriding, and in classes."""
    if "pytest_asyncio.plugin" in plugins:
        project.write("pytest.ini", f"[pytest]\nfilterwarnings = error\n{ASYNCIO_INI}")
    project.write("conftest.py", CONFTEST)
    project.write("test_fixtures.py", FIXTURE_TESTS)

    done = project.run(*args, plugins=plugins)

    assert done.code == 0, done.text
    assert done.counts == {"passed": 5}
    notes = (project.folder / "notes").read_text().split()
    if "-n" not in args:
        once = "+pool +login +cart {} -cart -login -pool"
        assert notes == ["+url", *once.format("async").split(), *once.format("plain").split(), "-url"]
    assert notes.count("+cart") == notes.count("-cart") == 2
    assert not (project.folder / "ms-report").exists()


ASSERTS = """
    import asyncio

    import pytest

    pytestmark = pytest.mark.load_scenario

    @pytest.mark.parametrize("price", [7])
    async def test_coroutine(vu, price):
        basket = {"tea": price}
        await asyncio.sleep(0)
        assert basket == {"tea": 8}  # the line of the coroutine

    def test_plain(vu):
        basket = ["tea", "milk"]
        with vu.sample("check"), vu.transaction("all"):
            assert basket == ["tea", "sugar"]  # the line of the plain one
"""


@EVERY_RUNNER
def test_a_failing_assert_shows_an_ordinary_traceback(
    project: Project, plugins: Sequence[str], args: Sequence[str]
) -> None:
    """The line, pytest's introspection, and nothing of ours."""
    if "pytest_asyncio.plugin" in plugins:
        project.write("pytest.ini", f"[pytest]\nfilterwarnings = error\n{ASYNCIO_INI}")
    project.write("test_shop.py", ASSERTS)

    done = project.run(*args, plugins=plugins)

    assert done.code == 1
    assert done.counts == {"failed": 2}, done.text
    assert mentions(
        done.out,
        '>       assert basket == {"tea": 8}  # the line of the coroutine',
        "E       AssertionError: assert {'tea': 7} == {'tea': 8}",
        '>           assert basket == ["tea", "sugar"]  # the line of the plain one',
        "E           AssertionError: assert ['tea', 'milk'] == ['tea', 'sugar']",
        "test_shop.py:11: AssertionError",
        "test_shop.py:16: AssertionError",
    )
    frames = [line for line in done.out.splitlines() if ".py:" in line and "test_shop.py:" not in line]
    assert frames == []


BROKEN_FIXTURES = """
import pytest_metersphere

@pytest_metersphere.fixture(scope="user")
async def broken():
    raise LookupError("no account is left")

@pytest_metersphere.fixture(scope="user")
def stuck():
    yield
    raise LookupError("the account is stuck")

@pytest_metersphere.fixture(scope="worker")
async def stuck_pool():
    yield
    raise LookupError("the pool is stuck")

@pytest_metersphere.fixture(scope="user")
def twice():
    yield
    yield
"""
USERS_OF_THEM = """
import pytest

pytestmark = pytest.mark.load_scenario

async def test_setup(vu, broken): pass
def test_plain_setup(vu, broken): pass
async def test_teardown(vu, stuck): pass
def test_plain_teardown(vu, stuck): pass
async def test_pool(vu, stuck_pool): pass
def test_plain_pool(vu, stuck_pool): pass
async def test_twice(vu, twice): pass
"""


@pytest.mark.parametrize("home", ["conftest.py", "test_shop.py"])
def test_a_failing_fixture_is_shown_alone(project: Project, home: str) -> None:
    """In set-up and tear-down, for both kinds of scenarios, wherever the fixture stands."""
    project.write("test_shop.py", USERS_OF_THEM)
    project.write(home, BROKEN_FIXTURES + (USERS_OF_THEM if home == "test_shop.py" else ""))

    done = project.run("--tb=short", "-rN")

    assert done.counts == {"failed": 7}, done.text
    frames = [line.partition(":")[0] for line in done.out.splitlines() if ".py:" in line]
    assert frames == [home] * 6
    for message in ("no account is left", "the account is stuck", "the pool is stuck"):
        assert done.out.count(f"E   LookupError: {message}") == 2
    assert "\nfixture twice yields more than once\n" in done.out


def test_a_failing_fixture_under_pytest_asyncio_shows_nothing_of_ours(project: Project) -> None:
    """Its own way to the coroutine is pytest-asyncio's to show."""
    project.write("pytest.ini", f"[pytest]\nfilterwarnings = error\n{ASYNCIO_INI}\nasyncio_mode = auto")
    project.write("conftest.py", BROKEN_FIXTURES)
    project.write("test_shop.py", USERS_OF_THEM)

    done = project.run("--tb=short", "-rN", plugins=["pytest_asyncio.plugin"])

    assert done.counts == {"failed": 7}, done.text
    frames = [line for line in done.out.splitlines() if ".py:" in line]
    assert not [frame for frame in frames if "pytest_metersphere" in frame or "contextlib" in frame]
    assert len([frame for frame in frames if frame.startswith("conftest.py:")]) == 6


HTTP_TESTS = """
    import pytest

    pytestmark = pytest.mark.load_scenario

    async def test_fine(vu, base_url):
        reply = await vu.http.get(f"{base_url}/cart")
        assert (reply.status_code, reply.json()["path"]) == (200, "/cart")

    def test_plain_fine(vu, base_url):
        assert vu.http.post(f"{base_url}/cart", json={"a": 1}).ok

    async def test_expected(vu, base_url):
        assert (await vu.http.get(f"{base_url}/cart?status=404", expect=404)).status_code == 404

    async def test_status(vu, base_url):
        await vu.http.get(f"{base_url}/cart?status=503")

    def test_plain_status(vu, base_url):
        vu.http.get(f"{base_url}/cart?status=404")

    async def test_refused(vu):
        await vu.http.get("http://127.0.0.1:1/")

    def test_plain_refused(vu):
        vu.http.get("http://127.0.0.1:1/")
"""


def test_http_is_real_and_a_bad_status_raises(project: Project) -> None:
    """The failure is told in one line of ours, at the user's own line; nothing of the client is shown."""
    project.write("conftest.py", SERVER)
    project.write("test_shop.py", HTTP_TESTS)

    done = project.run("--tb=short", "-rN")

    assert done.counts == {"failed": 4, "passed": 3}, done.text
    assert "StatusError: GET http://127.0.0.1:" in done.line("E  ", "answered 503")
    assert "StatusError: GET http://127.0.0.1:" in done.line("E  ", "answered 404")
    assert (
        done.out.count("ConnectionFailure: GET http://127.0.0.1:1/: connection refused by 127.0.0.1:1") == 2
    )
    frames = [line.partition(":")[0] for line in done.out.splitlines() if ".py:" in line]
    assert set(frames) == {"test_shop.py"}
    assert "direct cause" not in done.out
    assert (project.folder / "served").read_text() == "5"


OUTCOMES = """
    import pytest

    pytestmark = pytest.mark.load_scenario

    async def test_skip(vu): pytest.skip("not today")
    def test_plain_skip(vu): pytest.skip("not today")
    async def test_fail(vu): pytest.fail("on purpose")
    @pytest.mark.xfail(reason="known")
    async def test_xfail(vu): assert False
    @pytest.mark.skip(reason="by mark")
    async def test_mark_skip(vu): pass
    async def test_without_vu(): pass
    def test_plain_without_vu(tmp_path): assert tmp_path.exists()
    async def test_state(vu):
        vu.state.token = 5
        await vu.sleep(0)
        assert vu.state.token == 5
"""


def test_outcomes_are_those_of_an_ordinary_test(project: Project) -> None:
    """Skips, expected failures and pytest.fail are pytest's own words."""
    project.write("test_shop.py", OUTCOMES)

    done = project.run("-rs")

    assert done.counts == {"passed": 3, "skipped": 3, "failed": 1, "xfailed": 1}, done.text
    assert mentions(done.out, "not today", "by mark", "Failed: on purpose")


def test_pytest_exit_ends_the_session(project: Project) -> None:
    """From within a coroutine, too."""
    project.write(
        "test_shop.py",
        """
        import pytest

        @pytest.mark.load_scenario
        async def test_exit(vu): pytest.exit("enough")

        def test_never(): pass
        """,
    )

    done = project.run()

    assert done.code == 2, done.text
    assert "!! _pytest.outcomes.Exit: enough !!" in done.out
    assert "passed" not in done.out


def test_vu_belongs_to_scenarios(inner: Inner) -> None:
    """An ordinary test that asks for it is told which mark is missing."""
    inner.pytester.makepyfile("def test_it(vu): pass")

    result = inner.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*::test_it: the fixture vu belongs to load scenarios; mark*load_scenario(users=10)"]
    )
    result.stdout.no_fnmatch_line("*plugin.py*")


AUDIT = """
    import json, sys
    import pathlib

    calls = []
    watched = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen"}
    sys.addaudithook(lambda event, args: calls.append(event) if event in watched else None)
    HEAVY = ("aiohttp", "httptools", "uvloop", "requests", "jinja2", "junit_xml", "pytest_metersphere.dist")

    def pytest_unconfigure(config):
        loaded = [name for name in HEAVY if name in sys.modules]
        pathlib.Path(config.rootpath, "seen.json").write_text(json.dumps({"calls": calls, "loaded": loaded}))
"""


def test_no_socket_is_opened_and_nothing_heavy_imported(project: Project) -> None:
    """Scenarios that send nothing leave the interpreter as ordinary tests do; nothing is started either."""
    project.write("conftest.py", AUDIT)
    project.write(
        "test_shop.py",
        """
        import pytest

        pytestmark = pytest.mark.load_scenario

        async def test_async(vu):
            with vu.sample("step"):
                await vu.sleep(0)

        def test_plain(vu):
            with vu.sample("step"):
                vu.sleep(0)
        """,
    )

    done = project.run()

    assert done.counts == {"passed": 2}, done.text
    assert json.loads((project.folder / "seen.json").read_text()) == {"calls": [], "loaded": []}


def test_the_audit_would_notice(project: Project) -> None:
    """The scenario's own request is seen, and so is the client that it needs."""
    project.write("conftest.py", AUDIT)
    project.write(
        "test_shop.py",
        """
        import pytest

        @pytest.mark.load_scenario
        async def test_async(vu):
            with pytest.raises(Exception, match="refused"):
                await vu.http.get("http://127.0.0.1:1/")
        """,
    )

    assert project.run().code == 0
    seen = json.loads((project.folder / "seen.json").read_text())
    assert "socket.connect" in seen["calls"]
    assert seen["loaded"] == ["httptools"]


ANYIO = """
    import pytest

    @pytest.mark.anyio
    @pytest.mark.load_scenario(users=5)
    async def test_cart(vu):
        await vu.sleep(0)
        assert vu.id == 1
"""


def test_anyio_runs_scenarios_on_asyncio(project: Project) -> None:
    """As pytest-asyncio does with its own mark."""
    project.write("test_shop.py", ANYIO)

    done = project.run("-v", "-k", "test_cart[asyncio", plugins=["anyio.pytest_plugin"])

    assert done.counts["passed"] == 1, done.text
    assert done.line("test_cart[asyncio", "PASSED")


def test_another_event_loop_is_refused_in_words(project: Project) -> None:
    """Whatever plugin drives the coroutine, outside of asyncio it would break at the first request."""
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            coroutine = pyfuncitem.obj(vu=pyfuncitem.funcargs["vu"])
            with pytest.raises(StopIteration):
                coroutine.send(None)
            return True
        """,
    )
    project.write("test_shop.py", "import pytest\n@pytest.mark.load_scenario\nasync def test_cart(vu): pass")

    done = project.run()

    assert done.counts == {"failed": 1}, done.text
    assert "this test was started on another event loop (trio?); restrict it" in done.out


def test_asyncio_marks_and_fixtures_work_together(project: Project) -> None:
    """A scenario of pytest-asyncio's own mark may use its fixtures beside ours."""
    project.write("pytest.ini", f"[pytest]\nfilterwarnings = error\n{ASYNCIO_INI}")
    project.write(
        "test_shop.py",
        """
        import asyncio

        import pytest
        import pytest_asyncio
        import pytest_metersphere

        @pytest_asyncio.fixture
        async def ordinary():
            yield asyncio.get_running_loop()

        @pytest_metersphere.fixture(scope="user")
        async def account(vu, ordinary):
            yield asyncio.get_running_loop(), ordinary

        @pytest.mark.asyncio
        @pytest.mark.load_scenario
        async def test_cart(vu, ordinary, account):
            assert ordinary is asyncio.get_running_loop()
            assert account == (ordinary, ordinary)
        """,
    )

    done = project.run(plugins=["pytest_asyncio.plugin"])

    assert done.counts == {"passed": 1}, done.text


def test_load_options_without_a_pool_change_nothing(inner: Inner) -> None:
    """A file of scenarios runs in no time, whatever their curves."""
    inner.pytester.makepyfile(
        """
        import pytest

        calls = []

        @pytest.mark.load_scenario(users=5000, ramp="1h", hold="8h", think="1h", warmup="1h", iterations=9)
        @pytest.mark.threshold("requests > 100000")
        def test_cart(vu):
            calls.append(1)
            assert len(calls) == 1
        """
    )

    result = inner.run("--ms-hold=3h", "--ms-ramp=3h")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*metersphere*")
