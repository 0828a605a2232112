"""--ms-threshold and ini ms_thresholds: conditions for every selected scenario."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.projects import Done, Project, mentions

SHOP = """
    import pytest

    @pytest.mark.load_scenario(users=2, iterations=3)
    @pytest.mark.threshold("iterations == 6")
    async def test_cart(vu):
        with vu.sample("step"):
            await vu.sleep(0.001)

    @pytest.mark.load_scenario(users=2, iterations=3)
    async def test_bare(vu):
        with vu.sample("step"):
            await vu.sleep(0.001)
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session with two thresholds on the command line, one broken, and a broken one in ini."""
    project = Project(tmp_path_factory.mktemp("thresholds"), "ms_thresholds =", "    iterations > 500")
    project.write("test_shop.py", SHOP)
    return project.run(
        "--ms-pool=local", "--ms-threshold=requests >= 1000", "--ms-threshold=step: p95 < 10s", "-rfE"
    )


def test_a_broken_threshold_is_a_failed_test(done: Done) -> None:
    """Exit code 1, and a line in the short summary."""
    assert done.code == 1, done.text
    assert done.counts == {"failed": 2}
    assert "FAILED test_shop.py::test_cart" in done.line("FAILED", "test_cart", "requests >= 1000")


def test_expression_observed_value_and_limit_are_shown(done: Done) -> None:
    """In one sentence, for each broken one of the option and the ini file."""
    failures = done.out.partition("= FAILURES =")[2]

    assert "threshold broken: requests >= 1000: requests 6, limit >= 1000" in failures
    assert "threshold broken: iterations > 500: iterations 6, limit > 500" in failures


def test_they_are_added_to_those_of_the_scenarios(done: Done) -> None:
    """First the test's own, then the command line's, then the ini file's."""
    of_all = ["requests >= 1000", "step: p95 < 10s", "iterations > 500"]

    assert [each.expr for each in done.scenario("test_cart").thresholds] == ["iterations == 6", *of_all]
    assert [each.expr for each in done.scenario("test_bare").thresholds] == of_all
    assert [each.state for each in done.scenario("test_cart").thresholds] == [
        "passed",
        "failed",
        "passed",
        "failed",
    ]


def test_the_numbers_are_in_the_results(done: Done) -> None:
    """Observed value and limit as numbers, in the unit of the metric."""
    thresholds = {each.expr: each for each in done.scenario("test_bare").thresholds}

    assert (thresholds["requests >= 1000"].observed, thresholds["requests >= 1000"].limit) == (6, 1000)
    assert thresholds["step: p95 < 10s"].limit == 10.0
    assert 0 < (thresholds["step: p95 < 10s"].observed or 0) < 10


def test_each_is_a_case_in_junit(done: Done) -> None:
    """The broken ones are failures, with the same sentence."""
    cases = {case.get("name"): case for case in done.suite("test_bare").iter("testcase")}

    failure = cases["test_bare :: requests >= 1000"].find("failure")
    assert failure is not None
    assert failure.get("message") == "requests 6, limit >= 1000"
    assert cases["test_bare :: step: p95 < 10s"].find("failure") is None


def test_kept_ones_are_shown_too(done: Done) -> None:
    """The summary says what spoke for the scenario."""
    assert done.out.count("step: p95 < 10s") >= 2


def test_a_variable_holds_one_a_line(project: Project) -> None:
    """PYTEST_MS_THRESHOLD stands where no option does; the ini file's are added to it."""
    project.write("pytest.ini", "[pytest]\nms_thresholds = requests > 1")
    project.write("test_shop.py", SHOP)

    done = project.run(
        "--ms-pool=local", "-k", "bare", env={"PYTEST_MS_THRESHOLD": "iterations >= 1\nrequests < 3\n"}
    )

    assert done.code == 1, done.text
    assert [(each.expr, each.state) for each in done.scenario("test_bare").thresholds] == [
        ("iterations >= 1", "passed"),
        ("requests < 3", "failed"),
        ("requests > 1", "passed"),
    ]


BAD = [
    ("p95 < 300", ["'300' has no unit, add one: 300ms"]),
    ("p95 < 1 hour", ["'1 hour' is not a duration", "A correct example: p95 < 300ms"]),
    ("p95 300ms", ["the comparison is missing"]),
    ("p95 =< 300ms", ["did you mean '<='?"]),
    ("eror_rate < 1%", ["unknown metric 'eror_rate'; did you mean 'error_rate'?"]),
    ("error_rate < 1", ["'1'", "error_rate < 1%"]),
    ("step: failed_iterations == 0", ["which have no label"]),
    ("", ["the threshold is empty"]),
]


@pytest.mark.parametrize(("text", "pieces"), BAD)
@pytest.mark.parametrize("pool", [["--ms-pool=local"], []], ids=["pool", "functional"])
def test_a_bad_threshold_is_one_message(
    scenario: Inner, text: str, pieces: list[str], pool: list[str]
) -> None:
    """With the piece marked and a correct example; without a pool as well."""
    message = scenario.refuses(f"--ms-threshold={text}", *pool)

    assert mentions(message, "--ms-threshold: ", *pieces)
    if text:
        assert mentions(message, f"\n  {text}\n", "^", "A correct example: ")


def test_the_first_bad_one_is_told_with_its_source(scenario: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, variable or ini key."""
    scenario.pytester.makeini("[pytest]\nms_thresholds =\n    p95 < 1s\n    p96 > fast")

    assert scenario.refuses("--ms-pool=local").startswith("ini ms_thresholds: bad threshold: ")
    monkeypatch.setenv("PYTEST_MS_THRESHOLD", "p95 < quick")
    assert scenario.refuses("--ms-pool=local").startswith("PYTEST_MS_THRESHOLD: bad threshold: ")


def test_functional_mode_judges_nothing(scenario: Inner) -> None:
    """One iteration proves no percentile."""
    scenario.run("--ms-threshold=requests > 1000").assert_outcomes(passed=1)
