"""--ms-pool: which nodes carry the load, how mistakes are told, and when no node is asked anything."""

from __future__ import annotations

import pytest

from tests.fakes.nodes import TOKEN, NodeThread, config
from tests.plugin.conftest import Inner, Listener
from tests.plugin.projects import mentions

native_toml = pytest.mark.skipif(pytest.version_tuple < (9,), reason="native TOML came with pytest 9")


def planned_nodes(result: pytest.RunResult) -> list[str]:
    """Return the columns of the plan's head behind time and users: the nodes."""
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    heads = [line.split() for line in result.outlines if line.split()[:2] == ["time", "users"]]
    assert heads
    return heads[0][2:]


def test_a_pool_is_named(scenario: Inner) -> None:
    """A name stands for the nodes that ini ms_pools lists under it."""
    scenario.pytester.makeini(
        """
        [pytest]
        ms_pools =
            small: 10.0.0.9=1
            perf: big@10.0.0.11=4000 10.0.0.12:9000=2000
        """
    )

    result = scenario.run("--ms-pool=perf", "--ms-plan")

    assert planned_nodes(result) == ["big", "10.0.0.12:9000"]
    result.stdout.fnmatch_lines(
        ["metersphere: pool perf (big, 10.0.0.12:9000); results are pulled*over HTTP"]
    )


def test_a_pool_is_spelled_out(scenario: Inner) -> None:
    """Whatever has a port or a capacity is a node; the port is 8082 unless said otherwise."""
    result = scenario.run("--ms-pool=10.0.0.11=4000,[fd00::1]:9000=5,x@10.0.0.13:1234=7", "--ms-plan")

    assert planned_nodes(result) == ["10.0.0.11:8082", "[fd00::1]:9000", "x"]


@pytest.mark.parametrize(
    ("text", "nodes"), [("local", ["local-1"]), ("local=4+4+2", ["local-1", "local-2", "local-3"])]
)
def test_a_pool_is_local(scenario: Inner, text: str, nodes: list[str]) -> None:
    """One node on this machine, or as many as there are capacities."""
    assert planned_nodes(scenario.run(f"--ms-pool={text}", "--ms-plan")) == nodes


def test_a_long_pool_is_cut_in_the_header(scenario: Inner) -> None:
    """The header stays one line, however many nodes there are."""
    result = scenario.run("--ms-pool=local=1+1+1+1+1+1+1", "--ms-plan")

    result.stdout.fnmatch_lines(["metersphere: pool * (local-1, local-2, *local-5 and 2 more); *"])


def test_the_environment_names_a_pool(scenario: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTEST_MS_POOL stands where no option does, and an option wins over it."""
    monkeypatch.setenv("PYTEST_MS_POOL", "local=5+5")

    assert planned_nodes(scenario.run("--ms-plan")) == ["local-1", "local-2"]
    assert planned_nodes(scenario.run("--ms-plan", "--ms-pool=local=9")) == ["local-1"]


def test_the_ini_file_names_a_pool(scenario: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ini ms_pool is the last of the three that is looked at."""
    scenario.pytester.makeini("[pytest]\nms_pool = local=5+5+5")

    assert len(planned_nodes(scenario.run("--ms-plan"))) == 3
    monkeypatch.setenv("PYTEST_MS_POOL", "local=5+5")
    assert len(planned_nodes(scenario.run("--ms-plan"))) == 2


@native_toml
def test_native_toml_names_a_pool(scenario: Inner) -> None:
    """The typed table [tool.pytest] of pytest 9 works like the ini file."""
    (scenario.pytester.path / "tox.ini").unlink()
    scenario.pytester.makepyprojecttoml(
        """
        [tool.pytest]
        ms_pool = "perf"
        ms_pools = ["perf: a@10.0.0.11=4000 b@10.0.0.12=2000"]
        """
    )

    assert planned_nodes(scenario.run("--ms-plan")) == ["a", "b"]


@native_toml
@pytest.mark.parametrize("line", ["ms_pool = 5", 'ms_pool = ["local"]', 'ms_pools = "perf: 10.0.0.11=4000"'])
def test_native_toml_of_another_type_is_refused(scenario: Inner, line: str) -> None:
    """A value of the wrong type is told with its key and a correct one, not with a TypeError."""
    (scenario.pytester.path / "tox.ini").unlink()
    scenario.pytester.makepyprojecttoml(f"[tool.pytest]\n{line}")

    assert mentions(scenario.refuses(), f"ini {line.partition(' ')[0]}: ", "write ms_pool")


@pytest.mark.parametrize("off", ["none", ""])
def test_none_switches_the_pool_of_the_ini_file_off(scenario: Inner, off: str) -> None:
    """The scenario then runs once, as an ordinary test, and no header speaks of a pool."""
    scenario.pytester.makeini("[pytest]\nms_pool = 10.0.0.11=4000")

    result = scenario.run(f"--ms-pool={off}")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("metersphere:*")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("perf", ["there is no pool 'perf'", "known: shop, local, none", "ms_pools"]),
        ("shopp", ["there is no pool 'shopp'", "did you mean 'shop'?"]),
        ("10.0.0.11", ["there is no pool '10.0.0.11'", "10.0.0.11=4000"]),
        ("10.0.0.11=", ["'10.0.0.11='", "'' is not a capacity", "10.0.0.11=4000"]),
        ("10.0.0.11=4k", ["'10.0.0.11=4k'", "'4k' is not a capacity", "10.0.0.11=4000"]),
        ("10.0.0.11:0=4", ["'10.0.0.11:0=4'", "'0' is not a port", "10.0.0.11:8082"]),
        ("10.0.0.11=1,10.0.0.11=2", ["the node 10.0.0.11:8082 is there twice"]),
        ("local=0", ["'local=0'", "'0' is not a capacity", "local=400+400+200"]),
        ("local=4++2", ["'local=4++2'", "'' is not a capacity"]),
        ("local:9000=4", ["'local:9000=4'", "local nodes have neither name nor port"]),
        ("http://10.0.0.11:8082", ["a node has no scheme", "10.0.0.11:8082=4000"]),
        ("=4000", ["'=4000'", "the host is missing"]),
    ],
)
def test_a_bad_pool_is_one_message_before_anything_runs(
    scenario: Inner, text: str, pieces: list[str]
) -> None:
    """It names the option, the piece and a correct example; the exit code is 4."""
    scenario.pytester.makeini("[pytest]\nms_pools = shop: 10.0.0.1=4")

    message = scenario.refuses(f"--ms-pool={text}")

    assert message.startswith("--ms-pool: ")
    assert mentions(message, *pieces)


def test_a_bad_pool_in_the_environment_names_the_variable(
    scenario: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user reads where the text comes from."""
    monkeypatch.setenv("PYTEST_MS_POOL", "local=many")

    assert scenario.refuses().startswith("PYTEST_MS_POOL: 'local=many'")


@pytest.mark.parametrize(
    ("lines", "piece"),
    [
        ("ms_pool = perf\nms_pools = perf 10.0.0.11=4", "ini ms_pools: 'perf 10.0.0.11=4' is not a pool"),
        ("ms_pool = perf\nms_pools = perf: 10.0.0.11=x", "ini ms_pools, pool perf: '10.0.0.11=x'"),
        ("ms_pool = perf\nms_pools = local: 10.0.0.11=4", "takes 'local'"),
        ("ms_pool = perf", "ini ms_pool: there is no pool 'perf'"),
    ],
)
def test_a_bad_pool_in_the_ini_file_names_the_key(scenario: Inner, lines: str, piece: str) -> None:
    """Whether the pool or the list of pools is at fault."""
    scenario.pytester.makeini(f"[pytest]\n{lines}")

    assert piece in scenario.refuses()


def test_an_unreachable_node_ends_the_session_before_any_test(scenario: Inner, nobody: str) -> None:
    """The hint of the first failed check is the message; ordinary tests do not run either."""
    scenario.pytester.makepyfile(test_ordinary="def test_it(): open('ran', 'w').close()")

    message = scenario.refuses(f"--ms-pool=far@{nobody}=100")

    assert message.startswith(
        f"node far: http://{nobody} refused the connection: start `pytest-metersphere node`"
    )
    assert not (scenario.pytester.path / "ran").exists()


def test_a_node_that_wants_another_token_ends_the_session(
    scenario: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable that holds the token, never the token."""
    monkeypatch.setenv("PYTEST_MS_TOKEN", "quite-wrong")
    with NodeThread(config()) as node:
        message = scenario.refuses(f"--ms-pool=far@127.0.0.1:{node.port}")

    assert mentions(message, "node far: ", "does not accept the token: set PYTEST_MS_TOKEN")
    assert "quite-wrong" not in message


def test_more_users_than_capacity_end_the_session_with_the_numbers(
    scenario: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario, users, capacity and what each node has free; what a node declares bounds what it reports."""
    monkeypatch.setenv("PYTEST_MS_TOKEN", TOKEN)
    with NodeThread(config(capacity=3)) as node, NodeThread(config(capacity=100)) as other:
        message = scenario.refuses(f"--ms-pool=a@127.0.0.1:{node.port},b@127.0.0.1:{other.port}=1")

    assert message.startswith("test_shop.py::test_cart: ")
    assert mentions(message, "5 users", "4", "(a 3, b 1)")


def test_more_users_than_a_local_pool_carries_end_the_session(scenario: Inner) -> None:
    """The same for node-controllers of our own, which are gone afterwards."""
    message = scenario.refuses("--ms-pool=local=2+2")

    assert mentions(message, "test_shop.py::test_cart: ", "5 users", "(local-1 2, local-2 2)")
    assert not (scenario.pytester.path / "ms-report" / "results.json").exists()


@pytest.mark.parametrize(
    "option",
    ["--collect-only", "--setup-plan", "--setup-only", "--fixtures", "--help", "--markers", "--version"],
)
def test_what_runs_no_test_contacts_no_node(scenario: Inner, listener: Listener, option: str) -> None:
    """Nothing is sent, no report folder is made."""
    result = scenario.run(f"--ms-pool={listener.address}=100", option)

    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    assert not listener.called
    assert not (scenario.pytester.path / "ms-report").exists()


@pytest.mark.parametrize(
    ("option", "piece"),
    [
        ("--help", "distributed load testing:"),
        ("--markers", "@pytest.mark.load_scenario("),
        ("--fixtures", "vu -- "),
        ("--fixtures-per-test", "vu -- "),
        ("--version", "pytest "),
    ],
)
def test_who_asks_for_information_gets_it_with_a_broken_pool(
    scenario: Inner, option: str, piece: str
) -> None:
    """The mistake may be why they ask."""
    result = scenario.run("--ms-pool=local=many", option)

    assert result.ret == 0
    assert piece in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("selection", [["-k", "ordinary"], ["-m", "not load_scenario"], ["test_ordinary.py"]])
def test_without_a_selected_scenario_no_node_is_started(
    scenario: Inner, listener: Listener, selection: list[str]
) -> None:
    """Ordinary tests run as ever; deselected scenarios need no pool."""
    scenario.pytester.makepyfile(test_ordinary="def test_ordinary(): pass")

    result = scenario.run(f"--ms-pool={listener.address}=100", *selection)

    assert result.ret == 0
    assert result.parseoutcomes()["passed"] == 1
    assert not listener.called
    assert not (scenario.pytester.path / "ms-report").exists()


def test_a_collection_error_keeps_the_nodes_out(scenario: Inner, listener: Listener) -> None:
    """Nothing will run, so nothing is asked."""
    scenario.pytester.makepyfile(test_broken="import nothing_of_that_name")

    result = scenario.run(f"--ms-pool={listener.address}=100")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not listener.called


def test_without_any_test_no_node_is_asked(inner: Inner, listener: Listener) -> None:
    """An empty project ends as it does without the plugin."""
    assert inner.run(f"--ms-pool={listener.address}=100").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert not listener.called


@pytest.mark.parametrize("option", ["--ms-baseline=a.json"])
def test_an_option_of_a_later_version_is_unknown(scenario: Inner, option: str) -> None:
    """Nothing is accepted in silence."""
    result = scenario.run("--ms-pool=local", option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*unrecognized arguments: {option}"])
