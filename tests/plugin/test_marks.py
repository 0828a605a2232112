"""Marks: every mistake in them is a collection error with place and remedy; good ones are inherited."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Inner, Listener
from tests.plugin.plans import tables
from tests.plugin.projects import Project, mentions

PLAN = ["--ms-pool=local=99", "--ms-plan"]


def collection_errors(inner: Inner, *args: str) -> str:
    """Run a session that must end with a collection error; return all of its output."""
    result = inner.run(*args)
    text = result.stdout.str() + result.stderr.str()

    assert result.ret == pytest.ExitCode.INTERRUPTED, text
    assert "= ERRORS =" in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return text


def error_of(inner: Inner, *lines: str, args: tuple[str, ...] = ()) -> str:
    """Return the collection error of a test with these marks, which stand from line 4 on."""
    source = "\n".join(["import pytest", "", "", *lines, "def test_cart(vu): pass"])
    inner.pytester.makepyfile(test_shop=source)
    text = collection_errors(inner, *args)
    assert "ERROR collecting test_shop.py" in text
    return text


@pytest.mark.parametrize(
    ("mark", "pieces"),
    [
        ("user=5", ["load_scenario(user=5)", "no keyword 'user'", "did you mean 'users'?"]),
        ("hodl='5s'", ["load_scenario(hodl='5s')", "did you mean 'hold'?"]),
        ("warm_up='5s'", ["did you mean 'warmup'?"]),
        ("rate='fast'", ["load_scenario(rate='fast'): 'fast' is not a rate", 'correct: rate="200/s"']),
        ("rate='5/s', users=2", ["load_scenario(rate=…, users=…)", "leave users out", "max_users="]),
        ("max_users=2", ["load_scenario(max_users=…)", "there is none", "correct: rate="]),
        ("think='1s', pacing='2s'", ["load_scenario(think=…, pacing=…)", "leave one out"]),
        ("users=0", ["load_scenario(users=0): 0 is not a whole number", "correct: users=20"]),
        ("users='20'", ["load_scenario(users='20')", "correct: users=20"]),
        ("hold='10'", ["'10' is not a duration", 'add a unit, for example "10s"', 'correct: hold="30s"']),
        ("ramp='fast'", ["'fast' is not a duration", 'correct: ramp="10s"']),
        ("think='3s-1s'", ["the shortest pause 3s is longer than the longest 1s"]),
        ("hold='0s'", ["the load lasts 0 s"]),
        ("hold='5s', warmup='5s'", ["nothing is left to measure"]),
        ("stages=[]", ["is not a list of stages", 'correct: stages=[("30s", 500)']),
        ("stages=[('5s', 5)], users=5", ["stages are the whole curve", "leave users out"]),
        ("20", ["it takes keywords only", "load_scenario(users=20)"]),
    ],
)
@pytest.mark.parametrize("args", [(), ("--ms-pool=local",)], ids=["functional", "pool"])
def test_a_mistake_in_a_scenario_is_a_collection_error(
    inner: Inner, mark: str, pieces: list[str], args: tuple[str, ...]
) -> None:
    """Exit code 2, the test's file and line, what is wrong, and what is right."""
    text = error_of(inner, f"@pytest.mark.load_scenario({mark})", args=args)

    assert mentions(text, "test_shop.py:4: load_scenario(", *pieces)


@pytest.mark.parametrize(
    ("mark", "pieces"),
    [
        ("'p95 < 300'", ["'300' has no unit, add one: 300ms", "\n  p95 < 300\n        ^^^\n"]),
        ("'eror_rate < 1%'", ["did you mean 'error_rate'?", "A correct example: "]),
        ("'p95'", ["the comparison is missing"]),
        ("'avg < 1s', 'max < 2s'", ["one text is expected, not 2"]),
        ("", ["threshold(): one text is expected, not 0"]),
        ("95", ["threshold(95): a text is expected"]),
        ("'p95 < 1s', abort=True", ["there is no keyword 'abort'"]),
        ("'p95 < 1s', each=True", ["there is no keyword 'each'"]),
    ],
)
def test_a_mistake_in_a_threshold_is_a_collection_error(inner: Inner, mark: str, pieces: list[str]) -> None:
    """With the place of the test, and the piece of the text marked."""
    text = error_of(inner, "@pytest.mark.load_scenario", f"@pytest.mark.threshold({mark})")

    assert mentions(text, "test_shop.py:4: ", *pieces)


def test_a_threshold_without_a_scenario_is_a_collection_error(inner: Inner) -> None:
    """It would never be judged."""
    text = error_of(inner, "@pytest.mark.threshold('p95 < 1s')")

    assert "test_shop.py:4: a threshold mark needs @pytest.mark.load_scenario on the same test" in text


def test_all_mistakes_of_a_module_are_told_at_once(inner: Inner) -> None:
    """Each once, whatever the number of parameter sets; other modules are collected all the same."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario(user=5)
        @pytest.mark.parametrize("n", range(3))
        def test_one(vu, n): pass

        @pytest.mark.load_scenario(hold=True)
        def test_two(vu): pass
        """,
        test_shelf="""
        import pytest

        class TestShelf:
            @pytest.mark.threshold("p95 < 1s")
            def test_three(self): pass
        """,
        test_fine="def test_it(): pass",
    )

    text = collection_errors(inner)

    for place in ("test_shop.py:3: ", "test_shop.py:7: ", "test_shelf.py:4: "):
        assert text.count(f"\n{place}") == 1
    assert "collected 1 item / 2 errors" in text


def test_marks_of_module_and_class_are_inherited(inner: Inner) -> None:
    """Inner keywords win, the others stay; thresholds add up."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        pytestmark = pytest.mark.load_scenario(users=7, ramp="1s", hold="5s")

        def test_module(vu): pass

        @pytest.mark.load_scenario(users=8)
        class TestClass:
            def test_class(self, vu): pass

            @pytest.mark.load_scenario(hold="9s")
            def test_method(self, vu): pass

            class TestInner:
                @pytest.mark.load_scenario(stages=[("2s", 3)])
                def test_inner(self, vu): pass
        """
    )

    found = tables(inner.run(*PLAN))

    assert {nodeid.rpartition("::")[2]: (plan.peak[0], plan.times[-1]) for nodeid, plan in found.items()} == {
        "test_module": (7, 6.0),
        "test_class": (8, 6.0),
        "test_method": (8, 10.0),
        "test_inner": (3, 2.0),
    }


def test_a_mistake_in_an_inherited_mark_is_told_at_the_test(inner: Inner) -> None:
    """For the module's mark, the first line of each test is named."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        pytestmark = pytest.mark.load_scenario(users=-1)

        def test_module(vu): pass
        """
    )

    assert "test_shop.py:5: load_scenario(users=-1): " in collection_errors(inner)


UNITTEST = """
    import unittest
    import pytest

    class TestOld(unittest.TestCase):
        def setUp(self):
            self.ready = True

        @pytest.mark.load_scenario(users=2)
        def test_old(self):
            assert self.ready

        def test_other(self):
            pass
"""


def test_a_unittest_class_cannot_run_under_a_pool(inner: Inner) -> None:
    """It is a collection error that says what to write instead."""
    inner.pytester.makepyfile(test_old=UNITTEST)

    text = collection_errors(inner, "--ms-pool=local")

    assert "test_old.py:8: a unittest.TestCase cannot run under a pool; write a plain class" in text


def test_a_unittest_class_is_fine_without_a_pool(inner: Inner) -> None:
    """It is an ordinary test then."""
    inner.pytester.makepyfile(test_old=UNITTEST)

    inner.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("name", "decorator"),
    [
        ("setup_method", ""),
        ("teardown_method", ""),
        ("setup_class", "@classmethod"),
        ("teardown_class", "@classmethod"),
    ],
)
def test_xunit_methods_cannot_run_under_a_pool(inner: Inner, name: str, decorator: str) -> None:
    """They would run on the controller, not where the load runs; without a pool they run as ever."""
    inner.pytester.makepyfile(
        test_shop=f"""
        import pytest

        class TestCart:
            {decorator}
            def {name}(self): open("ran", "w").close()

            @pytest.mark.load_scenario(users=2)
            def test_cart(self, vu): pass
        """
    )

    text = collection_errors(inner, "--ms-pool=local")

    assert mentions(text, f"test_shop.py:7: TestCart.{name} would not run where the load runs")
    assert '@pytest_metersphere.fixture(scope="user")' in text
    assert not (inner.pytester.path / "ran").exists()
    inner.run().assert_outcomes(passed=1)
    assert (inner.pytester.path / "ran").exists()


def test_xunit_methods_of_classes_without_scenarios_are_nobodys_business(
    inner: Inner, listener: Listener
) -> None:
    """Under a pool, ordinary classes run as ever."""
    inner.pytester.makepyfile(
        """
        class TestOrdinary:
            def setup_method(self): self.ready = True

            def test_it(self): assert self.ready
        """
    )

    inner.run(f"--ms-pool={listener.address}=9").assert_outcomes(passed=1)


def test_an_async_generator_is_no_scenario(inner: Inner) -> None:
    """It would never run to its end."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario
        async def test_cart(vu):
            yield
        """
    )

    assert "test_shop.py:3: a load scenario is a def or async def without yield" in collection_errors(inner)


def test_a_generator_is_no_scenario(inner: Inner) -> None:
    """pytest itself refuses it, or else we do."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest

        @pytest.mark.load_scenario
        def test_cart(vu):
            yield
        """
    )

    assert "yield" in collection_errors(inner)


def test_a_doctest_is_no_scenario(inner: Inner) -> None:
    """Only functions can be called again and again; what else bears the mark is named."""
    inner.pytester.makepyfile(
        test_shop='''
        """
        >>> 1
        1
        """
        import pytest

        pytestmark = pytest.mark.load_scenario
        '''
    )

    text = collection_errors(inner, "--doctest-modules")

    assert "load_scenario belongs on a test function, and test_shop.py::test_shop is none" in text


FIXTURES = """
    import pytest
    import pytest_metersphere

    @pytest_metersphere.fixture(scope="user")
    def account(vu): return vu.id
"""


@pytest.mark.parametrize(
    ("fixture", "pieces"),
    [
        (
            "@pytest.fixture\ndef broken(vu): pass",
            ["fixture 'broken' asks for 'vu', which exists only where the load runs"],
        ),
        (
            "@pytest.fixture\ndef broken(account): pass",
            ["fixture 'broken' asks for 'account', which exists only where the load runs"],
        ),
        (
            "@pytest_metersphere.fixture(scope='worker')\ndef broken(vu): pass",
            ["fixture 'broken' has scope \"worker\" and asks for 'vu'", 'declare it with scope="user"'],
        ),
        (
            "@pytest_metersphere.fixture(scope='worker')\ndef broken(account): pass",
            ["fixture 'broken' has scope \"worker\" and asks for 'account'"],
        ),
    ],
)
def test_a_fixture_that_asks_for_what_is_not_there_is_a_collection_error(
    inner: Inner, fixture: str, pieces: list[str]
) -> None:
    """Before anything runs, and with what to do."""
    inner.pytester.makeconftest(f"{FIXTURES}".replace("\n    ", "\n") + fixture)

    text = error_of(inner, "@pytest.mark.load_scenario", "@pytest.mark.usefixtures('broken')")

    assert mentions(text, "test_shop.py:4: ", *pieces)


def test_a_load_scoped_fixture_has_one_of_two_scopes(inner: Inner) -> None:
    """pytest's own scopes are for pytest's own fixtures."""
    inner.pytester.makepyfile(
        test_shop="""
        import pytest_metersphere

        @pytest_metersphere.fixture(scope="session")
        def account(): pass
        """
    )

    result = inner.run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(['*fixture(scope=\'session\'): the scope is "user" or "worker"*'])


LATE = """
    import pytest

    def pytest_collection_modifyitems(items):
        for item in items:
            item.add_marker(pytest.mark.load_scenario({}))
            item.add_marker(pytest.mark.threshold("p95 < 1s"))
"""


def test_marks_that_a_conftest_adds_later_count(inner: Inner) -> None:
    """A project may mark its tests by their names, or by what it likes."""
    inner.pytester.makeconftest(LATE.format("users=3, hold='2s'"))
    inner.pytester.makepyfile(test_shop="async def test_cart(vu): assert vu.id == 1")

    inner.run().assert_outcomes(passed=1)
    assert tables(inner.run(*PLAN))["test_shop.py::test_cart"].peak == (3, [3])


@pytest.mark.parametrize("args", [(), ("--ms-pool=local",)], ids=["functional", "pool"])
def test_a_mistake_in_marks_that_a_conftest_adds_ends_the_session(
    inner: Inner, args: tuple[str, ...]
) -> None:
    """They come too late for a collection error; the message is the same, the exit code 4."""
    inner.pytester.makeconftest(LATE.format("user=3"))
    inner.pytester.makepyfile(test_shop="def test_cart(): pass")

    assert mentions(inner.refuses(*args), "test_shop.py:1: load_scenario(user=3): ", "did you mean 'users'?")


def test_a_mistake_in_late_marks_under_xdist_fails_the_test(project: Project) -> None:
    """xdist's workers cannot end a session, and an internal error would help nobody."""
    project.write("conftest.py", LATE.format("user=3"))
    project.write("test_shop.py", "def test_cart(): pass")

    done = project.run("-n", "2", plugins=["xdist"])

    assert done.code == 1, done.text
    assert done.counts == {"failed": 1}
    assert "test_shop.py:1: load_scenario(user=3): there is no keyword 'user'" in done.out
    assert "INTERNALERROR" not in done.out


def test_a_mistake_under_xdist_is_a_collection_error(project: Project) -> None:
    """The workers tell it as they tell every error of collection."""
    project.write(
        "test_shop.py", "import pytest\n\n@pytest.mark.load_scenario(user=3)\ndef test_cart(vu): pass"
    )

    done = project.run("-n", "2", plugins=["xdist"])

    assert done.code != 0
    assert "test_shop.py:3: load_scenario(user=3): there is no keyword 'user'" in done.out
    assert "INTERNALERROR" not in done.out


def test_the_marks_are_declared(scenario: Inner) -> None:
    """`--strict-markers` knows them, and `--markers` says what they are for."""
    scenario.run("--strict-markers").assert_outcomes(passed=1)
    scenario.run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.load_scenario(users=10, *", "@pytest.mark.threshold(text): *'p95 < 1s'*"]
    )


def test_one_can_select_by_the_mark(scenario: Inner) -> None:
    """`-m load_scenario` is every scenario and nothing else."""
    scenario.pytester.makepyfile(test_ordinary="def test_it(): pass")

    scenario.run("-m", "load_scenario").assert_outcomes(passed=1, deselected=1)
