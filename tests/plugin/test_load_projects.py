"""Projects as users lay them out: whatever pytest collects here runs as load where the load runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_metersphere.errors import TravelError
from pytest_metersphere.selection import check_addresses
from tests.plugin.projects import OURS, Done, Project, mentions

pytestmark = pytest.mark.timeout(120)
ROOT_CONFTEST = """
    import os
    import pathlib

    import pytest
    import pytest_metersphere

    def pytest_xdist_setupnodes(config, specs):
        "A hook of a plugin that no node loads."

    @pytest.fixture(autouse=True)
    def on_the_controller(monkeypatch):
        monkeypatch.setenv("ONLY_ON_THE_CONTROLLER", "yes")

    @pytest.fixture(scope="session")
    def shop(): return {"name": "tea", "opened": (1999, 5)}

    @pytest.fixture(params=[10, 20], ids=["ten", "twenty"])
    def price(request): return request.param * 2

    @pytest_metersphere.fixture(scope="worker")
    def stock(shop):
        yield [shop["name"]]

    @pytest_metersphere.fixture(scope="user")
    def basket(): return ["root"]
"""
SHOP_CONFTEST = """
    import asyncio

    import pytest
    import pytest_metersphere

    @pytest_metersphere.fixture(scope="user")
    async def basket(vu, basket, stock):
        yield [*basket, "shop", vu.id]
        with vu.sample("leave"):
            await asyncio.sleep(0)
"""
SHOP_TESTS = """
    import datetime
    import json
    import operator
    import os
    import pathlib

    import pytest
    import pytest_metersphere
    from .steps import DATA, buy
    from ..common import greeting

    HERE = pathlib.Path(__file__).parent
    pytestmark = pytest.mark.load_scenario(users=4, iterations=2)

    async def it_imports_its_neighbours(vu):
        with vu.sample("step"):
            assert buy(vu.id) == f"tea for {vu.id}"
            assert greeting() == "welcome"
            assert DATA == {"sorts": ["green", "black"]}
            words = (HERE.parent.parent / "words" / "de" / "words.txt").read_text()
            assert words.split() == ["Tee", "Tasse"]

    async def it_leaves_autouse_fixtures_on_the_controller(vu):
        with vu.sample("step"):
            assert "ONLY_ON_THE_CONTROLLER" not in os.environ

    @pytest.mark.parametrize(
        "kind",
        ["tea", None, 3.5, {"a": (1, {2})}, b"raw", datetime.date(2026, 5, 1), pathlib.PurePosixPath("a/b")],
        ids=["text", "none", "float", "nested", "bytes", "date", "path"],
    )
    async def it_takes_parameters(vu, kind, request_of_kind):
        with vu.sample(f"{kind!r}"):
            assert kind == request_of_kind

    @pytest.fixture
    def request_of_kind(kind): return kind

    @pytest.mark.parametrize("vat", [7, 19])
    @pytest.mark.parametrize("count", [operator.add, lambda a, b: a * b], ids=["add", "times"])
    def it_takes_parameters_that_stay(vu, count, vat):
        with vu.sample("step"):
            assert count(vat, 2) in (vat + 2, vat * 2)
            assert (count(vat, 2) == vat + 2) == (count is operator.add)

    async def it_takes_parametrized_fixtures(vu, price):
        with vu.sample("step"):
            assert price in (20, 40)

    async def it_overrides_fixtures(vu, basket, shop):
        with vu.sample("step"):
            assert basket == ["root", "shop", vu.id]
            assert shop == {"name": "tea", "opened": (1999, 5)}

    def it_shares_worker_fixtures(vu, stock):
        with vu.sample("step"):
            stock.append(vu.id)
            assert stock[0] == "tea" and stock[-1:] != ["tea"]

    async def it_knows_itself(vu):
        with vu.sample(f"user {vu.id} on {vu.node}"):
            seen = getattr(vu.state, "seen", 0)
            assert vu.iteration == seen
            vu.state.seen = seen + 1

    class BoxOfTea:
        owner = None

        @pytest.fixture
        def label(self): return "green"

        @pytest_metersphere.fixture(scope="user")
        async def lid(self, vu, label):
            yield self, label, vu.id

        @pytest.mark.parametrize("spoons", [1, 2])
        async def it_is_one_for_each_user(self, vu, lid, spoons):
            with vu.sample("step"):
                assert lid == (self, "green", vu.id)
                assert self.owner in (None, vu.id) and spoons in (1, 2)
                self.owner = vu.id

        def it_has_plain_methods(self, vu, lid):
            with vu.sample("step"):
                assert lid == (self, "green", vu.id)

        @staticmethod
        async def it_may_be_static(vu):
            with vu.sample("step"):
                pass

        @classmethod
        def it_may_be_of_the_class(cls, vu):
            with vu.sample("step"):
                assert cls is BoxOfTea

        class Inner:
            async def it_is_found(self, vu):
                with vu.sample("step"):
                    pass
"""


def _lay_out(project: Project) -> None:
    project.write(
        "pytest.ini",
        "[pytest]\nfilterwarnings = error\npython_files = check_*.py\npython_functions = it_*\n"
        "python_classes = Box* Inner\nms_bundle = words/**/*.txt",
    )
    project.write("conftest.py", ROOT_CONFTEST)
    project.write("words/de/words.txt", "Tee Tasse")
    project.write("checks/__init__.py", "")
    project.write("checks/common.py", "def greeting(): return 'welcome'")
    project.write("checks/shop/__init__.py", "")
    project.write("checks/shop/conftest.py", SHOP_CONFTEST)
    project.write("checks/shop/data.json", '{"sorts": ["green", "black"]}')
    project.write(
        "checks/shop/steps.py",
        """
        import json
        import pathlib

        DATA = json.loads(pathlib.Path(__file__).with_name("data.json").read_text())

        def buy(user): return f"tea for {user}"
        """,
    )
    project.write("checks/shop/check_shop.py", SHOP_TESTS)


SCENARIOS = {
    "it_imports_its_neighbours": 8,
    "it_leaves_autouse_fixtures_on_the_controller": 8,
    **{
        f"it_takes_parameters[{kind}]": 8
        for kind in ("text", "none", "float", "nested", "bytes", "date", "path")
    },
    **{f"it_takes_parameters_that_stay[{kind}]": 8 for kind in ("add-7", "add-19", "times-7", "times-19")},
    "it_takes_parametrized_fixtures[ten]": 8,
    "it_takes_parametrized_fixtures[twenty]": 8,
    "it_overrides_fixtures": 12,
    "it_shares_worker_fixtures": 8,
    "it_knows_itself": 8,
    "it_is_one_for_each_user[1]": 8,
    "it_is_one_for_each_user[2]": 8,
    "it_has_plain_methods": 8,
    "it_may_be_static": 8,
    "it_may_be_of_the_class": 8,
    "it_is_found": 8,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session on a package with conftest files, data, parameters and classes; xdist is loaded."""
    project = Project(tmp_path_factory.mktemp("layout") / "tea-shop")
    _lay_out(project)
    return project.run("--ms-pool=local=3+2", "-q", plugins=["xdist.plugin"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_passes(done: Done, name: str) -> None:
    """All assertions inside hold on the nodes, and each sample is counted."""
    scenario = done.scenario(name)

    assert (scenario.verdict, scenario.findings) == ("passed", []), scenario.errors
    assert (scenario.totals.iterations, scenario.totals.requests) == (8, SCENARIOS[name])


def test_nothing_else_is_there(done: Done) -> None:
    """Each parameter set is a scenario of its own."""
    assert {scenario.name for scenario in done.document.scenarios} == set(SCENARIOS)
    assert done.counts == {"passed": len(SCENARIOS)}


def test_users_are_numbered_through_and_live_on_one_node_each(done: Done) -> None:
    """User k lives where the plan says, for all of its iterations."""
    labels = {label.name: label.requests for label in done.scenario("it_knows_itself").labels}

    assert len(labels) == 4
    assert sorted(int(label.split()[1]) for label in labels) == [1, 2, 3, 4]
    assert set(labels.values()) == {2}
    for entry in done.scenario("it_knows_itself").plan:
        assert sum(label.endswith(entry.node) for label in labels) == entry.users > 0


def test_user_fixtures_are_torn_down_where_they_live(done: Done) -> None:
    """Once for each user, and what is timed then is counted."""
    labels = {label.name: label.requests for label in done.scenario("it_overrides_fixtures").labels}

    assert labels == {"step": 8, "leave": 4}


def test_import_mode_importlib(project: Project) -> None:
    """The nodes import as the controller does."""
    _lay_out(project)

    done = project.run(
        "--ms-pool=local=9",
        "-q",
        "--import-mode=importlib",
        "-k",
        "neighbours or that_stay or plain",
        plugins=["xdist.plugin"],
    )

    assert done.counts == {"passed": 6, "deselected": 18}, done.text
    assert {scenario.verdict for scenario in done.document.scenarios} == {"passed"}


def test_a_src_layout(project: Project) -> None:
    """The package that is found through `pythonpath` travels whole; tests below a folder without __init__."""
    project.write(
        "pytest.ini", "[pytest]\nfilterwarnings = error\npythonpath = src\naddopts = --import-mode=importlib"
    )
    project.write("src/teashop/__init__.py", "")
    project.write("src/teashop/client/__init__.py", "from .calls import call")
    project.write("src/teashop/client/calls.py", "from teashop import later\ndef call(): return later.VALUE")
    project.write("src/teashop/later.py", "VALUE = 'tea'")
    project.write("src/teashop/only_on_demand.py", "VALUE = 'milk'")
    project.write("tests/load/conftest.py", "import pytest\n@pytest.fixture\ndef sort(): return 'green'")
    project.write(
        "tests/load/test_shop.py",
        """
        import pytest
        from teashop.client import call

        @pytest.mark.load_scenario(users=2, iterations=2)
        async def test_cart(vu, sort):
            from teashop.only_on_demand import VALUE
            with vu.sample("step"):
                assert (call(), sort, VALUE) == ("tea", "green", "milk")
        """,
    )

    done = project.run("--ms-pool=local=9", "../tests/load", cwd="src")

    assert done.code == 0, done.text
    (folder,) = (project.folder / "src").glob("ms-report")
    assert (folder / "results.json").exists()


PLUGINS = """
    import asyncio

    import pytest

    pytestmark = pytest.mark.load_scenario(users=2, iterations=2)

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(request): return request.param

    @pytest.mark.load_scenario(hold="2s", iterations=1000, think="100ms")
    async def test_unmarked(vu):
        with vu.sample("step"):
            await asyncio.sleep(0)

    @pytest.fixture
    async def token():
        await asyncio.sleep(0)
        return "a token"

    @pytest.mark.asyncio
    async def test_asyncio(vu, token):
        with vu.sample("step"):
            assert token == "a token"

    @pytest.mark.anyio
    async def test_anyio(vu):
        with vu.sample("step"):
            await asyncio.sleep(0)
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session with pytest-asyncio in auto mode, anyio, xdist and a timeout shorter than the load."""
    project = Project(
        tmp_path_factory.mktemp("plugins"),
        "asyncio_mode = auto",
        "asyncio_default_fixture_loop_scope = function",
        "timeout = 1",
    )
    project.write("test_shop.py", PLUGINS)
    project.write("test_ordinary.py", "async def test_ordinary(): pass")
    names = ["pytest_asyncio.plugin", "anyio.pytest_plugin", "xdist.plugin", "pytest_timeout"]
    return project.run("--ms-pool=local=9", "-n", "2", "-v", plugins=names)


@pytest.mark.parametrize("name", ["test_unmarked", "test_asyncio", "test_anyio[asyncio]"])
def test_scenarios_of_async_plugins_run_as_load(plugins: Done, name: str) -> None:
    """Their marks stay on the controller; the nodes load neither plugin."""
    assert plugins.scenario(name).verdict == "passed"
    assert plugins.scenario(name).totals.requests >= 4


def test_the_default_timeout_of_tests_ends_no_load(plugins: Done) -> None:
    """pytest-timeout was told one second, and the load asked for two."""
    scenario = plugins.scenario("test_unmarked")

    assert "timeout: 1.0s" in plugins.out
    assert (scenario.verdict, scenario.profile.duration_s) == ("passed", 2.0)
    assert scenario.totals.duration_s > 1.5


def test_trio_is_refused_before_any_load(plugins: Done) -> None:
    """The parameter set of anyio that asks for it is an error of its setup, with what to do."""
    section = plugins.out.partition("ERROR at setup of test_anyio[trio]")[2]

    assert mentions(section, "load runs on asyncio, not on trio", 'def anyio_backend(): return "asyncio"')
    assert plugins.counts == {"passed": 4, "error": 1}
    assert plugins.code == 1


def test_xdist_is_off_and_the_header_says_so(plugins: Done, done: Done) -> None:
    """The pool is the distribution; whoever did not ask for xdist reads nothing of it."""
    assert plugins.line("metersphere: pool local=9 (local-1); ").endswith(
        "; xdist is off, the pool is the distribution"
    )
    assert "[gw0]" not in plugins.out
    assert "xdist" not in done.out


def test_ordinary_async_tests_run_as_ever(plugins: Done) -> None:
    """Beside scenarios, by the plugin that they belong to."""
    assert "test_ordinary.py::test_ordinary PASSED" in plugins.out


@pytest.fixture
def setup(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], pytest.Function]]:
    """Return a function that collects a test, sets its fixtures up, and returns its item."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.plugins = [OURS]
    items: list[pytest.Function] = []

    def prepare(source: str) -> pytest.Function:
        item = pytester.getitem(source, "test_cart")
        assert isinstance(item, pytest.Function)
        item.session._setupstate.setup(item)
        items.append(item)
        return item

    yield prepare
    for item in items:
        item.session._setupstate.teardown_exact(None)


URLS = """
    import pytest
    import pytest_metersphere

    @pytest.fixture
    def base_url(): return "http://{}/shop"

    @pytest.fixture
    def settings(base_url): return {{"urls": ["https://shop.example", base_url]}}

    @pytest_metersphere.fixture(scope="user")
    def account(settings): pass

    @pytest.mark.load_scenario
    def test_cart(vu, {}): pass
"""


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:80", "0.0.0.0:5000", "127.9.9.9"])
@pytest.mark.parametrize(
    ("asked", "named"), [("base_url", "base_url"), ("settings", "settings"), ("account", "settings")]
)
def test_a_loopback_url_does_not_reach_another_machine(
    setup: Callable[[str], pytest.Function], host: str, asked: str, named: str
) -> None:
    """Wherever it stands in the value, and through load-scoped fixtures; on loopback nodes it is fine."""
    item = setup(URLS.format(host, asked))

    with pytest.raises(TravelError) as caught:
        check_addresses(item, item.funcargs, ["far", "further"])

    assert mentions(str(caught.value), f"fixture {named!r}", f"http://{host}/shop", "node far", "listen on")
    check_addresses(item, item.funcargs, [])


@pytest.mark.parametrize(
    "host", ["shop.example", "10.0.0.5:8000", "localhost.example", "1.127.0.0.1.example"]
)
def test_other_urls_are_fine(setup: Callable[[str], pytest.Function], host: str) -> None:
    """Names that only look alike, too."""
    item = setup(URLS.format(host, "settings"))

    check_addresses(item, item.funcargs, ["far"])


def test_a_project_outside_of_its_rootdir_cannot_travel(project: Project, tmp_path: Path) -> None:
    """The message says which rootdir would do."""
    project.write("test_shop.py", "import pytest\n@pytest.mark.load_scenario\ndef test_cart(vu): pass")
    (tmp_path / "elsewhere").mkdir()

    done = project.run("--ms-pool=local=99", f"--rootdir={tmp_path / 'elsewhere'}")

    assert done.code == 4, done.text
    assert mentions(done.err, "test_shop.py lies outside the rootdir", "--rootdir above it")
    assert "Traceback" not in done.text


def test_a_bundle_pattern_without_a_match_is_refused(project: Project) -> None:
    """A typing error in ms_bundle would otherwise show on the nodes only."""
    project.write("pytest.ini", "[pytest]\nms_bundle = wrods/*.txt")
    project.write("test_shop.py", "import pytest\n@pytest.mark.load_scenario\ndef test_cart(vu): pass")

    done = project.run("--ms-pool=local=99")

    assert done.code == 4, done.text
    assert "ms_bundle: the pattern 'wrods/*.txt' matches no file" in done.err


PYTESTS_OWN_MARKS = """
    import pytest

    pytestmark = pytest.mark.load_scenario(users=2, iterations=1)

    @pytest.mark.skip(reason="not today")
    async def test_skipped(vu): pass

    @pytest.mark.xfail(reason="known")
    async def test_known(vu):
        with vu.sample("step"):
            assert vu.id == 0

    @pytest.mark.xfail(reason="known", strict=True)
    async def test_unexpected(vu):
        with vu.sample("step"):
            pass

    @pytest.mark.parametrize("thing", [object()], ids=[f"id{os.getpid()}"])
    async def test_elsewhere(vu, thing): pass
"""


def test_pytests_own_marks_mean_what_they_always_mean(project: Project) -> None:
    """Skipped before any load; a load that fails as expected is no failure; one that does not, is."""
    project.write("test_shop.py", f"import os{PYTESTS_OWN_MARKS}".replace("\n    ", "\n"))

    done = project.run("--ms-pool=local=9", "-rE")

    assert done.counts == {"failed": 1, "skipped": 1, "xfailed": 1, "error": 1}, done.text
    assert done.scenario("test_known").verdict == "failed"
    assert "XPASS(strict)" in done.out
    assert mentions(
        done.out, "parameter 'thing'", "cannot travel", "give the parameter sets ids that are the same"
    )


def test_what_breaks_on_the_nodes_alone_is_an_error_with_its_reason(project: Project) -> None:
    """A file that was there when pytest collected, and does not travel: the node's own words are shown."""
    project.write("data/prices.txt", "5")
    project.write(
        "test_shop.py",
        """
        import pathlib
        import pytest

        PRICES = (pathlib.Path(__file__).parent / "data" / "prices.txt").read_text()

        @pytest.mark.load_scenario(users=2, iterations=1)
        def test_cart(vu): pass
        """,
    )

    done = project.run("--ms-pool=local=9", "-rE")

    assert done.code == 1, done.text
    assert done.counts == {"error": 1}
    assert mentions(
        done.line("ERROR test_shop.py::test_cart"), "node local-1", "test_shop.py could not be collected here"
    )
    assert "No such file or directory" in done.out
