"""The examples do what the README says they do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[1]


class Examples:
    """Runs pytest on the examples as a user would, with reports and statistics in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.reports = folder / "reports"
        self._stats = folder / "stats.json"

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "examples", "-p", "no:asyncio", "-p", "no:cacheprovider"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            [*command, f"--ms-report-dir={self.reports}", *options],
            cwd=_ROOT,
            env=kept | {"SHOP_STATS_FILE": str(self._stats)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def served(self) -> int:
        """Return how many requests the shop has counted."""
        return int(json.loads(self._stats.read_text())["requests"])

    @property
    def scenarios(self) -> list[dict[str, Any]]:
        """Return the scenarios of results.json."""
        found: list[dict[str, Any]] = json.loads((self.reports / "results.json").read_text())["scenarios"]
        return found


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    """Return the examples, not yet run."""
    return Examples(tmp_path)


def test_without_a_pool_they_are_functional_tests(examples: Examples) -> None:
    """Each scenario runs once, passes, and leaves no load report."""
    done = examples.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    # two exchanges for the front page and one for a product, four for buying, one for searching
    assert examples.served == 3 + 4 + 1
    assert not examples.reports.exists()


def test_the_plan_of_the_readme(examples: Examples) -> None:
    """Ten thousand users on 4000, 4000 and 2000 are divided exactly so, and no server is started."""
    done = examples.run("--ms-pool=local=4000+4000+2000", "--ms-users=10000", "--ms-plan")

    assert done.returncode == 0, done.stdout + done.stderr
    peaks = [line.split()[-4:] for line in done.stdout.splitlines() if "10000" in line]
    assert peaks.count(["10000", "4000", "4000", "2000"]) >= 3, done.stdout
    with pytest.raises(FileNotFoundError):
        _ = examples.served


def test_under_load_the_reports_count_what_the_server_counted(examples: Examples) -> None:
    """On three nodes the users are divided as planned, and no exchange is lost, added or forgotten."""
    done = examples.run("--ms-pool=local=4+4+2", "--ms-users=10", "--ms-ramp=1s", "--ms-hold=3s")

    assert done.returncode == 0, done.stdout + done.stderr
    scenarios = examples.scenarios
    assert {scenario["name"]: scenario["verdict"] for scenario in scenarios} == {
        "test_browse": "passed",
        "test_checkout": "passed",
        "test_search": "passed",
    }
    for scenario in scenarios:
        ledger = scenario["ledger"]
        assert [node["users"] for node in scenario["nodes"]] == [4, 4, 2]
        assert (ledger["lost"], ledger["duplicates"], ledger["rejected"]) == (0, 0, 0)
        assert ledger["sent"] == ledger["received"] > 0
    assert sum(scenario["ledger"]["exchanges"] for scenario in scenarios) == examples.served
    for report in ("report.html", "junit.xml", "summary.md"):
        assert str(examples.reports / report) in done.stdout
        assert (examples.reports / report).stat().st_size > 0
