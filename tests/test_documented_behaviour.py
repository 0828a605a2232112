"""Whatever docs/options.md lists is shown by a behaviour test; the rules stand in `evidence`."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from docs.generate import PAGE
from tests.evidence import missing

TESTS = Path(__file__).parent
LISTED = """\
## Options of pytest

| option | variable | ini key | |
| --- | --- | --- | --- |
| `--ms-rate=R` | `PYTEST_MS_RATE` | `ms_rate` | How fast, `a\\|b` |

## Ini keys without an option

| ini key | variable | |
| --- | --- | --- |
| `ms_files` | | Files |

## Variables without an option

| variable | |
| --- | --- |
| `PYTEST_MS_KEY` | A key |

## The mark load_scenario

| keyword | example | |
| --- | --- | --- |
| `users` | `users=3` | Users |

## The mark threshold

| metric | value | |
| --- | --- | --- |
| `p95` | a duration | Percentile |
| `rps` | a rate | Speed |

## Load-scoped fixtures

| scope | |
| --- | --- |
| `user` | Once a user |

## The virtual user

| attribute | |
| --- | --- |
| `vu.id` | The number |
| `await vu.sleep(seconds)` | Pause |

## The command pytest-metersphere

### pytest-metersphere look

| option | |
| --- | --- |
| `-w`, `--wide WIDTH` | How wide |
"""
ABSENT = [
    "--ms-rate: no test in tests/plugin/test_option_ms_rate.py gives it",
    "PYTEST_MS_RATE: no test in tests/plugin/test_option_ms_rate.py sets it",
    "ms_rate: no test in tests/plugin/test_option_ms_rate.py sets it",
    "ms_files: no test beyond tests/unit sets it",
    "PYTEST_MS_KEY: no test beyond tests/unit sets it",
    "users (The mark load_scenario): no test runs a scenario with it under a pool",
    "p95 (The mark threshold): no test runs a scenario with it under a pool",
    "rps (The mark threshold): no test runs a scenario with it under a pool",
    "user (Load-scoped fixtures): no test runs a scenario with it under a pool",
    "vu.id (The virtual user): no test runs a scenario with it under a pool",
    "vu.sleep (The virtual user): no test runs a scenario with it under a pool",
    "look: no test in test_look.py or test_look_command.py gives the command",
    "look -w: no test in test_look.py or test_look_command.py gives it",
]
OPTION = """
    def test_rate(project, monkeypatch):
        project.write("pytest.ini", "[pytest]\\nms_rate = 3")
        monkeypatch.setenv("PYTEST_MS_RATE", "4")
        project.run("--ms-rate=5")
"""
SHOP = '''
    SHOP = """
        import pytest
        import pytest_metersphere

        @pytest_metersphere.fixture(scope="user")
        def basket(vu): return vu.id

        @pytest.mark.load_scenario(users=2)
        @pytest.mark.threshold("GET *: p99 < 1s")
        @pytest.mark.threshold("rps > 1/s")
        async def test_cart(vu, basket):
            await vu.sleep(1)
    """

    @pytest.fixture
    def done(project):
        project.write("test_shop.py", SHOP)
        return project.run({options}, env={{"PYTEST_MS_KEY": "x"}})

    def test_load(done, other):
        assert done
'''
COMMAND = """
    INI = "[pytest]\\nms_files = a"

    def test_look():
        run("look", "--wide=3", ini=INI)
"""


def write(folder: Path, **sources: str) -> Path:
    """Write modules of tests into a folder, and return it."""
    folder.mkdir(exist_ok=True)
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return folder


def test_everything_that_is_listed_is_shown() -> None:
    """Every option, variable, ini key, keyword, metric, scope, attribute of vu, command and its options."""
    assert missing(PAGE.read_text(encoding="utf-8"), TESTS) == []


def test_without_tests_everything_is_missing(tmp_path: Path) -> None:
    """Each by its name, with what would show it."""
    assert missing(LISTED, tmp_path) == ABSENT


def test_with_a_test_for_each_nothing_is(tmp_path: Path) -> None:
    """A scenario counts for the test whose fixture writes and runs it."""
    shop = SHOP.format(options='"--ms-pool=local"')
    folder = write(tmp_path, test_option_ms_rate=OPTION, test_shop=shop, test_look_command=COMMAND)

    assert missing(LISTED, folder) == []


@pytest.mark.parametrize("options", ['"-q"', '"--ms-pool=local", "--ms-plan"'], ids=["functional", "plan"])
def test_a_scenario_that_does_not_run_as_load_shows_nothing(tmp_path: Path, options: str) -> None:
    """Neither one that runs once, nor one that is planned only."""
    shop = SHOP.format(options=options)
    folder = write(tmp_path, test_option_ms_rate=OPTION, test_shop=shop, test_look=COMMAND)

    assert missing(LISTED, folder) == ABSENT[5:11]


MARKED = '"@pytest.mark.load_scenario(users=2)\\ndef test_x(vu): pass"'
RUN = 'run("--ms-pool=local")'


@pytest.mark.parametrize(
    "source",
    [
        f"# @pytest.mark.load_scenario(users=2)\ndef test_load(run): {RUN}",
        f'def test_load(run):\n    """users, load_scenario(users=2)."""\n    {RUN}',
        'def test_load(run): run("--ms-pool=local", "load_scenario(users=2): unknown", "users")',
        'def test_load(run): run("--ms-pool=local", "def test_x(vu): pass  # load_scenario(users=2)")',
        f"SHOP = {MARKED}\ndef test_load(run): {RUN}",
        f'def check(run): run("--ms-pool=local", {MARKED})',
    ],
    ids=["comment", "docstring", "message", "comment inside", "unused source", "no test"],
)
def test_a_keyword_must_be_in_a_source_that_a_test_uses(tmp_path: Path, source: str) -> None:
    """To be named somewhere is not enough."""
    assert ABSENT[5] in missing(LISTED, write(tmp_path, test_shop=source))


def test_tests_of_single_parts_do_not_count_for_variables(tmp_path: Path) -> None:
    """What a variable does is seen in a session or in a command."""
    source = 'def test_key(monkeypatch): monkeypatch.setenv("PYTEST_MS_KEY", "x")'
    write(tmp_path / "unit", test_key=source)
    assert ABSENT[4] in missing(LISTED, tmp_path)
    write(tmp_path, test_key=source)
    assert ABSENT[4] not in missing(LISTED, tmp_path)


def test_a_test_of_an_option_stands_in_its_file(tmp_path: Path) -> None:
    """Elsewhere it is not found by those who look for it."""
    assert missing(LISTED, write(tmp_path, test_other=OPTION))[:3] == ABSENT[:3]


def test_a_page_without_its_tables_is_no_clean_page(tmp_path: Path) -> None:
    """A heading that changes would otherwise end the check in silence."""
    with pytest.raises(LookupError, match="no table below '## The mark threshold'"):
        missing(LISTED.replace("## The mark threshold", "## Thresholds"), tmp_path)
