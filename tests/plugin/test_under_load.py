"""Under a pool: what becomes of a scenario, with the same words and numbers about it everywhere."""

from __future__ import annotations

import html
from xml.etree import ElementTree as ET

import pytest

from pytest_metersphere.reports.document import Verdict
from pytest_metersphere.reports.figures import totals_figures
from tests.plugin.projects import REPORTS, Done, Project, mentions
from tests.plugin.servers import SERVER

pytestmark = pytest.mark.timeout(120)
VERDICTS = """
    import pytest

    short = pytest.mark.load_scenario(users=3, iterations=2, graceful_stop="2s")
    threshold = pytest.mark.threshold

    @short
    @threshold("GET /cart: p95 < 30s")
    @threshold("error_rate < 1%")
    @threshold("iteration_error_rate < 1%")
    @threshold("requests == 6")
    @threshold("iterations >= 6")
    async def test_passes(vu, base_url):
        reply = await vu.http.get(f"{base_url}/cart")
        assert reply.json()["status"] == "queued"

    @short
    async def test_asserts(vu, base_url):
        reply = await vu.http.get(f"{base_url}/cart")
        assert reply.json()["status"] == "paid"

    @short
    def test_plain_asserts(vu, base_url):
        reply = vu.http.get(f"{base_url}/cart")
        assert reply.json()["status"] == "paid"

    @short
    async def test_status(vu, base_url):
        await vu.http.get(f"{base_url}/cart?status=503")

    @short
    async def test_refused(vu):
        await vu.http.get("http://127.0.0.1:1/cart")

    @short
    async def test_skips(vu):
        pytest.skip("the shop is closed")

    @short
    async def test_fails(vu):
        with vu.sample("step"):
            pass
        pytest.fail("on purpose")

    @short
    async def test_no_samples(vu):
        await vu.sleep(0.001)

    @short
    @threshold("GET /checkout: p95 < 1s")
    @threshold("GET /crat: p95 < 1s")
    async def test_label(vu, base_url):
        await vu.http.get(f"{base_url}/cart")
        with vu.sample("pay"):
            pass

    @short
    @threshold("requests > 100")
    @threshold("GET /cart: error_rate < 50%")
    async def test_broken(vu, base_url):
        await vu.http.get(f"{base_url}/cart")

    def test_ordinary():
        pass

    def test_ordinary_failure():
        assert 1 == 2
"""
EXPECTED: dict[str, Verdict] = {
    "test_passes": "passed",
    "test_asserts": "failed",
    "test_plain_asserts": "failed",
    "test_status": "failed",
    "test_refused": "failed",
    "test_skips": "error",
    "test_fails": "failed",
    "test_no_samples": "error",
    "test_label": "error",
    "test_broken": "failed",
}
EVERY_SCENARIO = pytest.mark.parametrize("name", EXPECTED)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session with a scenario for each thing that can befall one, on two nodes."""
    project = Project(tmp_path_factory.mktemp("verdicts"))
    project.write("conftest.py", SERVER)
    project.write("test_shop.py", VERDICTS)
    return project.run("--ms-pool=local=3+2", "-v", "-rfE", "--junitxml=pytest.xml")


@EVERY_SCENARIO
def test_the_verdict_is_a_word_and_a_category_of_pytest(done: Done, name: str) -> None:
    """A failed load is FAILED; one that could not be judged is ERROR, in the list and the short summary."""
    word = EXPECTED[name].upper()
    section = done.out.partition(f"test_shop.py::{name} ")[2].partition("test_shop.py::")[0]
    short = done.out.partition("short test summary info")[2]

    assert [line.split()[0] for line in section.splitlines() if "%]" in line] == [word]
    assert [line.split()[0] for line in short.splitlines() if f"::{name} " in line] == (
        [] if word == "PASSED" else [word]
    )


def test_the_last_line_counts_errors_apart_from_failures(done: Done) -> None:
    """Ordinary tests are counted among them; exit code 1."""
    assert done.counts == {"failed": 7, "passed": 2, "error": 3}
    assert done.code == 1


def test_the_verdicts_are_in_the_results(done: Done) -> None:
    """In the order in which the scenarios ran; ordinary tests are none of them."""
    assert {scenario.name: scenario.verdict for scenario in done.document.scenarios} == EXPECTED


@EVERY_SCENARIO
def test_each_finding_is_the_same_sentence_everywhere(done: Done, name: str) -> None:
    """In the failure, in the summary section, and in all four reports."""
    scenario = done.scenario(name)
    assert bool(scenario.findings) == (scenario.verdict != "passed")
    for finding in scenario.findings:
        failure = _section(done.out, name)
        assert finding in failure.splitlines()
        assert f"  {finding}" in done.out.splitlines()
        assert finding in [each.text.strip() for each in done.article(name).all("li")]
        assert finding in html.unescape(done.summary)
        assert finding in _words(done.suite(name))


@EVERY_SCENARIO
def test_each_number_is_the_same_everywhere(done: Done, name: str) -> None:
    """Totals have the same name and the same digits in terminal, JUnit, HTML and Markdown."""
    scenario = done.scenario(name)
    figures = totals_figures(scenario.totals)

    line = done.line(f"{scenario.verdict.upper()}  {scenario.nodeid}: ")
    assert line.endswith(", ".join(f"{figure.name} {figure.text}" for figure in figures[:8]))
    for figure in figures:
        assert f"{figure.name}: {figure.text}" in _words(done.suite(name)).splitlines()
        assert f"| {figure.name} | {figure.text} |" in done.summary
        assert done.tiles(name)[figure.name] == figure.text


@EVERY_SCENARIO
def test_junit_is_never_green_when_the_verdict_is_not(done: Done, name: str) -> None:
    """A failure or an error per suite that did not pass, none in one that did."""
    suite = done.suite(name)
    bad = [*suite.iter("failure"), *suite.iter("error")]

    assert bool(bad) == (EXPECTED[name] != "passed")
    if EXPECTED[name] == "error":
        assert list(suite.iter("error"))


def test_pytests_own_junit_is_not_green_either(done: Done) -> None:
    """The verdict is a property of each case there; pytest knows no errors during the call."""
    root = ET.parse(done.folder / "pytest.xml").getroot()  # noqa: S314 - pytest's own file
    cases = {case.get("name"): case for case in root.iter("testcase")}

    for name, verdict in EXPECTED.items():
        properties = {each.get("name"): each.get("value") for each in cases[name].iter("property")}
        assert properties["ms_verdict"] == verdict
        assert int(properties["ms_requests"] or "") == done.scenario(name).totals.requests
        assert (cases[name].find("failure") is None) == (verdict == "passed")


def test_a_passed_run_counts_what_was_asked_for(done: Done) -> None:
    """Three users, two iterations each, on two nodes in proportion, and nothing lost."""
    scenario = done.scenario("test_passes")

    assert (scenario.totals.users_max, scenario.totals.iterations, scenario.totals.requests) == (3, 6, 6)
    assert [(entry.node, entry.capacity, entry.users) for entry in scenario.plan] == [
        ("local-1", 3, 2),
        ("local-2", 2, 1),
    ]
    assert [(node.users, node.requests, node.status) for node in scenario.nodes] == [
        (2, 4, "ended"),
        (1, 2, "ended"),
    ]
    assert [each.state for each in scenario.thresholds] == ["passed"] * 5
    assert scenario.ledger.sent == scenario.ledger.received > 0
    assert (scenario.ledger.lost, scenario.ledger.duplicates, scenario.ledger.rejected) == (0, 0, 0)
    assert (scenario.file, scenario.nodeid) == ("test_shop.py", "test_shop.py::test_passes")


def test_the_server_counted_what_the_ledgers_say(done: Done) -> None:
    """Every exchange of every scenario, to the unit."""
    served = int((done.folder / "served").read_text())

    assert served == sum(scenario.ledger.exchanges for scenario in done.document.scenarios) == 6 * 6


def test_asserts_fail_a_run_of_good_answers(done: Done) -> None:
    """Not one failed request, and still never green; the introspection of the nodes is shown."""
    for name in ("test_asserts", "test_plain_asserts"):
        totals = done.scenario(name).totals
        assert (totals.requests, totals.failures, totals.iterations, totals.failed_iterations) == (6, 0, 6, 6)
        (finding,) = done.scenario(name).findings
        assert mentions(
            finding, "6 of 6 iterations failed and no threshold allows any", "assert 'queued' == 'paid'"
        )
        (error,) = done.scenario(name).errors
        assert (error.kind, error.count) == ("assert", 6)
        assert 'assert reply.json()["status"] == "paid"' in error.exemplars[0]


def test_a_server_that_answers_badly_is_told_by_status(done: Done) -> None:
    """Failed samples are counted as such, and each fails its iteration."""
    scenario = done.scenario("test_status")

    assert (scenario.totals.failures, scenario.totals.failed_by_sample) == (6, 6)
    (finding,) = scenario.findings
    assert '6 x 503 Service Unavailable in "GET /cart"' in finding
    assert [(error.label, error.kind) for error in scenario.errors] == [("GET /cart", "status")]


def test_a_server_that_refuses_connections_is_never_green(done: Done) -> None:
    """What it never saw is no exchange."""
    scenario = done.scenario("test_refused")

    (finding,) = scenario.findings
    assert "6 x connection refused by 127.0.0.1:1" in finding
    assert (scenario.totals.requests, scenario.totals.failures, scenario.ledger.exchanges) == (6, 6, 0)


def test_skipping_everything_is_an_error(done: Done) -> None:
    """With the reason of the skip; nothing was measured."""
    (finding,) = done.scenario("test_skips").findings

    assert mentions(finding, "all 6 iterations were skipped", "the shop is closed")
    assert done.scenario("test_skips").totals.failed_iterations == 0


def test_pytest_fail_is_a_failed_iteration(done: Done) -> None:
    """Its user goes on with the next one."""
    (finding,) = done.scenario("test_fails").findings

    assert mentions(finding, "6 of 6 iterations failed", "6 x on purpose")


def test_timing_nothing_is_an_error(done: Done) -> None:
    """The message says what to time."""
    (finding,) = done.scenario("test_no_samples").findings

    assert mentions(finding, "no samples: 6 iterations timed nothing", "vu.sample(label)")


def test_a_label_that_never_came_is_an_error_that_lists_those_that_did(done: Done) -> None:
    """For each threshold, with the nearest one."""
    first, second = done.scenario("test_label").findings

    assert first.startswith("threshold not judged: GET /checkout: p95 < 1s: ")
    assert mentions(second, 'label "GET /crat" never came', '"GET /cart", "pay"', "did you mean 'GET /cart'?")


def test_a_broken_threshold_shows_expression_observed_value_and_limit(done: Done) -> None:
    """The kept one beside it is no finding."""
    assert done.scenario("test_broken").findings == [
        "threshold broken: requests > 100: requests 6, limit > 100"
    ]


def test_no_traceback_of_ours_is_shown(done: Done) -> None:
    """Words, tables, and where the scenario failed; ordinary failures have their ordinary traceback."""
    assert "pytest_metersphere/" not in done.out
    assert "Traceback" not in done.text
    assert ">       assert 1 == 2" in done.out
    assert done.err == ""


def test_the_reports_are_named_at_the_end(done: Done) -> None:
    """All four, and they are there; git is told to look away."""
    for name in REPORTS:
        assert str(done.reports / name) in done.out
        assert (done.reports / name).stat().st_size > 0
    assert (done.reports / ".gitignore").read_text() == "*\n"


EXCUSES = """
    import pytest

    short = pytest.mark.load_scenario(users=3, iterations=2)
    threshold = pytest.mark.threshold

    @short
    @threshold("iteration_error_rate <= 100%")
    async def test_by_rate(vu):
        with vu.sample("step"):
            assert vu.id == 0

    @short
    @threshold("failed_iterations <= 6")
    async def test_by_count(vu):
        with vu.sample("step"):
            pass
        raise LookupError("out of tea")

    @short
    @threshold("error_rate <= 100%")
    async def test_samples_by_error_rate(vu, base_url):
        await vu.http.get(f"{base_url}/cart?status=500")

    @short
    @threshold("error_rate <= 100%")
    async def test_asserts_by_error_rate(vu, base_url):
        reply = await vu.http.get(f"{base_url}/cart")
        assert reply.text == ""

    @short
    @threshold("error_rate <= 100%")
    async def test_asserts_in_samples_by_error_rate(vu):
        with vu.sample("step"):
            assert vu.id == 0

    @short
    @threshold("GET /cart: error_rate <= 100%")
    async def test_labelled(vu, base_url):
        await vu.http.get(f"{base_url}/cart?status=500")

    @short
    @threshold("failed_iterations >= 1")
    async def test_lower_bound(vu, base_url):
        await vu.http.get(f"{base_url}/cart?status=500")

    @short
    @threshold("iteration_error_rate < 50%")
    async def test_too_many(vu, base_url):
        await vu.http.get(f"{base_url}/cart?status=500")

    @short
    @threshold("failed_iterations <= 6")
    @threshold("requests > 100")
    async def test_excused_and_broken(vu, base_url):
        await vu.http.get(f"{base_url}/cart?status=500")

    @short
    async def test_some_skip(vu):
        if vu.id == 2:
            pytest.skip("nothing to do")
        with vu.sample("step"):
            pass

    @short
    async def test_caught(vu, base_url):
        with pytest.raises(Exception, match="500"):
            await vu.http.get(f"{base_url}/cart?status=500")
"""


@pytest.fixture(scope="module")
def excuses(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session of scenarios with failed iterations and thresholds that excuse them, or do not."""
    project = Project(tmp_path_factory.mktemp("excuses"))
    project.write("conftest.py", SERVER)
    project.write("test_shop.py", EXCUSES)
    return project.run("--ms-pool=local=9", "-q")


@pytest.mark.parametrize("name", ["test_by_rate", "test_by_count", "test_samples_by_error_rate"])
def test_a_threshold_may_say_how_many_iterations_fail(excuses: Done, name: str) -> None:
    """Of all of them, or, with an unlabelled error_rate, of those that ended by a failed sample."""
    scenario = excuses.scenario(name)

    assert (scenario.verdict, scenario.totals.failed_iterations, scenario.findings) == ("passed", 6, [])
    assert not list(excuses.suite(name).iter("failure"))
    assert "a threshold says how many may" in _words(excuses.suite(name))


@pytest.mark.parametrize("name", ["test_asserts_by_error_rate", "test_asserts_in_samples_by_error_rate"])
def test_error_rate_never_covers_assertions(excuses: Done, name: str) -> None:
    """A wrong answer is not a slow one."""
    scenario = excuses.scenario(name)

    assert scenario.verdict == "failed"
    assert "which error_rate does not cover" in scenario.findings[0]


@pytest.mark.parametrize("name", ["test_labelled", "test_lower_bound"])
def test_other_thresholds_excuse_nothing(excuses: Done, name: str) -> None:
    """They are kept, and the failed iterations are a finding all the same."""
    scenario = excuses.scenario(name)

    assert [each.state for each in scenario.thresholds] == ["passed"]
    assert scenario.verdict == "failed"
    assert "6 of 6 iterations failed and no threshold allows any" in scenario.findings[0]


def test_too_many_break_the_threshold_that_excuses(excuses: Done) -> None:
    """It is the only finding then."""
    assert excuses.scenario("test_too_many").findings == [
        "threshold broken: iteration_error_rate < 50%: iteration_error_rate 100%, limit < 50%"
    ]


def test_excused_iterations_are_no_failure_beside_another_one(excuses: Done) -> None:
    """In JUnit, the broken threshold is the only failure."""
    assert excuses.scenario("test_excused_and_broken").findings == [
        "threshold broken: requests > 100: requests 6, limit > 100"
    ]
    (failure,) = excuses.suite("test_excused_and_broken").iter("failure")
    assert failure.get("message") == "requests 6, limit > 100"


def test_some_skipped_iterations_are_shown_and_no_failure(excuses: Done) -> None:
    """With their reason."""
    scenario = excuses.scenario("test_some_skip")

    assert (scenario.verdict, scenario.totals.skipped_iterations) == ("passed", 2)
    assert [(error.kind, error.message, error.count) for error in scenario.errors] == [
        ("skipped", "nothing to do", 2)
    ]


def test_a_failed_sample_that_the_scenario_catches_fails_no_iteration(excuses: Done) -> None:
    """The sample is counted as failed, though."""
    totals = excuses.scenario("test_caught").totals

    assert excuses.scenario("test_caught").verdict == "passed"
    assert (totals.failures, totals.failed_iterations) == (6, 0)


def test_quiet_output_is_dots_and_the_summary(excuses: Done) -> None:
    """`-q` shows no progress; a failed load is an F."""
    assert excuses.out.startswith("...FFFFFF..")
    assert " users  " not in excuses.out.partition("= FAILURES =")[0]
    assert excuses.counts == {"failed": 6, "passed": 5}


def test_exit_within_a_scenario_aborts_the_session(project: Project) -> None:
    """Exit code 2; what was measured is reported as aborted, and nothing else runs."""
    project.write(
        "test_shop.py",
        """
        import pytest

        @pytest.mark.load_scenario(users=4, hold="20s", graceful_stop="1s", think="20ms")
        async def test_exit(vu):
            with vu.sample("step"):
                pass
            if vu.iteration == 3:
                pytest.exit("the shop burns down")

        @pytest.mark.load_scenario(users=4, hold="20s")
        async def test_never(vu): pass
        """,
    )

    done = project.run("--ms-pool=local=9")

    assert done.code == 2, done.text
    assert "!! _pytest.outcomes.Exit: aborted: the shop burns down !!" in done.out
    (scenario,) = done.document.scenarios
    assert (scenario.name, scenario.verdict) == ("test_exit", "aborted")
    assert scenario.findings[0] == "aborted: the shop burns down"
    assert scenario.totals.requests > 0
    for text in (done.page.text, done.summary, _words(done.suite("test_exit"))):
        assert "aborted: the shop burns down" in text
    assert "Traceback" not in done.text


TRAVELLERS = """
    import pytest
    import pytest_metersphere

    class Connection:
        pass

    @pytest.fixture
    def connection(): return Connection()

    @pytest.fixture
    def settings(): return {"shop": [1, {"connection": Connection()}]}

    @pytest_metersphere.fixture(scope="user")
    def account(vu, connection): return 1

    pytestmark = pytest.mark.load_scenario(users=2, iterations=1)

    async def step(vu, base_url):
        await vu.http.get(f"{base_url}/cart")

    async def test_object(vu, base_url, connection): await step(vu, base_url)
    async def test_inside(vu, base_url, settings): await step(vu, base_url)
    async def test_behind(vu, base_url, account): await step(vu, base_url)
    async def test_builtin(vu, base_url, monkeypatch): await step(vu, base_url)
    async def test_fine(vu, base_url, tmp_path):
        assert tmp_path.is_absolute()
        await step(vu, base_url)
"""


@pytest.fixture(scope="module")
def travellers(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a session in which the values of some fixtures cannot travel."""
    project = Project(tmp_path_factory.mktemp("travellers"))
    project.write("conftest.py", SERVER)
    project.write("test_shop.py", TRAVELLERS)
    return project.run("--ms-pool=local=9")


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("test_object", ["fixture 'connection': test_shop.Connection cannot travel"]),
        (
            "test_inside",
            ["fixture 'settings': test_shop.Connection (at ['shop'][1]['connection']) cannot travel"],
        ),
        ("test_behind", ["fixture 'connection': test_shop.Connection cannot travel"]),
        ("test_builtin", ["fixture 'monkeypatch': _pytest.monkeypatch.MonkeyPatch cannot travel"]),
    ],
)
def test_a_value_that_cannot_travel_is_an_error_of_the_setup(
    travellers: Done, name: str, pieces: list[str]
) -> None:
    """It names the fixture, the place, what can travel, and what to do."""
    section = travellers.out.partition(f" ERROR at setup of {name} ")[2].partition(" ERROR at ")[0]

    assert mentions(
        section, *pieces, "what can: None, bool, int", '@pytest_metersphere.fixture(scope="user")'
    )


def test_no_load_is_sent_for_values_that_cannot_travel(travellers: Done) -> None:
    """Others run; exit code 1."""
    assert travellers.counts == {"passed": 1, "error": 4}
    assert travellers.code == 1
    assert [scenario.name for scenario in travellers.document.scenarios] == ["test_fine"]
    assert (travellers.folder / "served").read_text() == "2"
    assert "Traceback" not in travellers.text


def test_the_first_failure_ends_a_session_with_x(project: Project) -> None:
    """`-x` counts an error of the setup too; the rest runs no load, and there is nothing to report."""
    project.write("conftest.py", SERVER)
    project.write("test_shop.py", TRAVELLERS)

    done = project.run("--ms-pool=local=9", "-x", "-k", "object or fine")

    assert done.code == 1
    assert done.counts == {"error": 1, "deselected": 3}, done.text
    assert not (done.reports / "results.json").exists()
    assert "reports:" not in done.out
    assert (done.folder / "served").read_text() == "0"


def _section(text: str, name: str) -> str:
    """Return what stands under the headline of a failed test."""
    for headline in (f"_ ERROR at call of {name} _", f"_ {name} _"):
        _, found, rest = text.partition(headline)
        if found:
            return rest.partition("\n____")[0]
    raise AssertionError(f"no failure of {name} in {text}")


def _words(suite: ET.Element) -> str:
    """Return all text of a suite, messages included."""
    messages = [each.get("message", "") for tag in ("failure", "error") for each in suite.iter(tag)]
    return "\n".join([*suite.itertext(), *messages])
