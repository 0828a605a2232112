"""The Action's steps, executed as GitHub executes them, on real projects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.action.runner import Job, StepResult
from tests.fakes.sessions import wait_until
from tests.plugin.remote import TOKEN, remote_node

_SCENARIO = """
import pytest


@pytest.mark.load_scenario(users=4, hold="1s", think="0.02s")
async def test_cart(vu):
    with vu.sample("step"):
        await vu.sleep(0.001)
"""
_LINE = 5
_INJECTED = """$(touch pwned) `touch pwned` ; touch pwned "'"' && touch pwned\n::error::spoofed\n{}"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Return a job whose workspace holds a project, with one scenario, in the folder `backend`."""
    workspace = tmp_path / "work space"
    project = workspace / "backend"
    project.mkdir(parents=True)
    (project / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (project / "test_shop.py").write_text(_SCENARIO.lstrip())
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_metersphere.plugin"}
    return Job(workspace, env=env)


def _last(job: Job) -> StepResult:
    return job.results[-1]


def _document(job: Job, outputs: dict[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((job.workspace / outputs["json-path"]).read_text())
    return document


def test_a_load_that_passes(job: Job) -> None:
    """The step passes; outputs and summary say what the reports say, and no annotation is shown."""
    outputs, code = job.use_action({"tests": "backend", "pool": "local=4", "report-dir": "out put/load"})

    assert code == 0, _last(job).log
    assert outputs["outcome"] == "passed"
    assert outputs["exit-code"] == "0"
    assert outputs["report-path"] == "out put/load/report.html"
    assert outputs["junit-path"] == "out put/load/junit.xml"
    assert (job.workspace / outputs["report-path"]).is_file()
    assert (job.workspace / outputs["junit-path"]).is_file()
    scenario = _document(job, outputs)["scenarios"][0]
    assert float(outputs["p95"]) == pytest.approx(scenario["response"]["p95"], rel=1e-5)
    assert outputs["error-rate"] == "0"
    assert _last(job).summary == (job.workspace / "out put/load/summary.md").read_text()
    assert _last(job).annotations == []


def test_a_broken_threshold(job: Job) -> None:
    """The step fails with pytest's code, and the finding stands at the test's file and line."""
    outputs, code = job.use_action(
        {
            "tests": "'backend/test_shop.py::test_cart'",
            "args": "-p no:cacheprovider --ms-ramp=0.1s",
            "pool": "local=4",
            "users": "2",
            "hold": "500ms",
            "thresholds": "step: p95 < 1us\n\n p95 < 10s\n",
        }
    )

    assert (code, outputs["outcome"], outputs["exit-code"]) == (1, "failed", "1"), _last(job).log
    (annotation,) = _last(job).annotations
    assert (annotation["level"], annotation["file"]) == ("error", "backend/test_shop.py")
    assert annotation["title"] == "test_cart: failed"
    assert "step: p95 < 1us" in annotation["message"]
    assert (job.workspace / "backend/test_shop.py").read_text().splitlines()[int(annotation["line"]) - 1] in (
        '@pytest.mark.load_scenario(users=4, hold="1s", think="0.02s")',
        "async def test_cart(vu):",
    )
    assert _last(job).summary.startswith("### ❌ Load test failed")


def test_a_broken_threshold_can_be_tolerated(job: Job) -> None:
    """With `fail-on: errors` the step passes, the outcome still says failed, and a warning is shown."""
    outputs, code = job.use_action(
        {"pool": "local=4", "hold": "500ms", "thresholds": "p95 < 1us", "fail-on": "errors"}
    )

    assert (code, outputs["outcome"], outputs["exit-code"]) == (0, "failed", "1"), _last(job).log
    assert [each["level"] for each in _last(job).annotations] == ["warning"]


def test_outputs_decide_about_later_steps(job: Job) -> None:
    """Conditions of later steps see outcome and numbers; after a failed step only those run that ask to."""
    asked = "echo ran >"
    job.run(
        [
            {
                "id": "load",
                "uses": "./",
                "with": {"tests": "backend", "pool": "local=4", "hold": "500ms", "fail-on": "never"},
                "env": {"PYTEST_MS_THRESHOLD": "p95 < 1us"},
            },
            {"if": "steps.load.outputs.outcome == 'failed'", "run": f"{asked} failed"},
            {"if": "steps.load.outputs.p95 > 0 && steps.load.outputs.p95 < 5", "run": f"{asked} slow"},
            {"if": "steps.load.outputs.error-rate > 0", "run": f"{asked} errors"},
            {"if": "steps.load.outputs.exit-code != '0'", "run": f"{asked} code; exit 3"},
            {"run": f"{asked} after"},
            {
                "if": "failure()",
                "env": {"REPORT": "${{ steps.load.outputs.report-path }}"},
                "run": 'cp "$REPORT" shown',
            },
        ]
    )

    left = {path.name for path in job.workspace.iterdir()} - {"backend", "ms-report"}
    assert left == {"failed", "slow", "code", "shown"}, _last(job).log
    assert job.failed


@pytest.mark.parametrize(
    "name", ["tests", "args", "pool", "kafka", "users", "hold", "thresholds", "report-dir", "fail-on"]
)
def test_text_in_an_input_stays_text(job: Job, name: str) -> None:
    """Nothing that an input holds is executed or taken for a command of GitHub."""
    inputs = {"tests": "backend", "pool": "local=4", "hold": "500ms", name: _INJECTED}
    outputs, _ = job.use_action(inputs)

    assert not list(job.workspace.rglob("pwned"))
    assert outputs["outcome"] in ("error", "passed"), _last(job).log
    assert all("spoofed" not in each["title"] for each in _last(job).annotations)
    assert [each for each in _last(job).annotations if each["message"].startswith("spoofed")] == []


def test_a_bad_value_is_told_where_it_was_written(job: Job) -> None:
    """pytest does not begin: code 4, outcome error, its one message in annotation and summary."""
    outputs, code = job.use_action({"tests": "backend", "pool": "local=4", "users": "many"})

    assert (code, outputs["exit-code"], outputs["outcome"]) == (4, "4", "error")
    (annotation,) = _last(job).annotations
    assert annotation["title"] == "pytest did not begin"
    assert annotation["message"].startswith("--ms-users: 'many' is not a number of users")
    assert annotation["message"] in _last(job).summary
    assert [outputs[name] for name in ("report-path", "junit-path", "json-path", "p95", "error-rate")] == [
        ""
    ] * 5


def test_a_pool_that_does_not_answer(job: Job, unused_tcp_port: int) -> None:
    """A failed preflight shows its advice, and leaves no report of an earlier step as this one's."""
    job.use_action({"tests": "backend", "pool": "local=4", "hold": "500ms"})
    outputs, code = job.use_action(
        {"tests": "backend", "pool": f"127.0.0.1:{unused_tcp_port}"}, {"PYTEST_MS_TOKEN": "not-to-be-seen"}
    )

    assert (code, outputs["outcome"], outputs["json-path"]) == (4, "error", "")
    assert f"127.0.0.1:{unused_tcp_port}" in _last(job).annotations[0]["message"]
    assert "not-to-be-seen" not in _last(job).log + _last(job).summary


def test_without_a_pool_a_warning_says_that_nothing_was_loaded(job: Job) -> None:
    """The scenarios pass as functional tests; nobody takes that for a load test."""
    outputs, code = job.use_action({"tests": "backend"})

    assert (code, outputs["outcome"], outputs["p95"]) == (0, "passed", ""), _last(job).log
    assert [(each["level"], each["title"]) for each in _last(job).annotations] == [("warning", "No load")]
    assert "No load scenario was run as load" in _last(job).summary


def test_what_else_did_not_pass_is_told_too(job: Job) -> None:
    """Failed tests, errors of fixtures and a mistake in a mark: each at its place, with its message."""
    (job.workspace / "backend/test_other.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef broken():\n    raise ValueError('no such thing')\n\n\n"
        "def test_plain():\n    print('::error::spoofed')\n    assert 'queued' == 'paid'\n\n\n"
        "def test_setup(broken):\n    pass\n"
    )
    outputs, code = job.use_action({"tests": "backend", "args": "-s"})

    assert (code, outputs["outcome"]) == (1, "error"), _last(job).log
    setup, plain = _last(job).annotations
    assert (setup["title"], setup["message"]) == ("test_setup: error in setup", "ValueError: no such thing")
    assert plain["message"].startswith("AssertionError: assert 'queued' == 'paid'")
    assert (plain["file"], plain["line"]) == ("backend/test_other.py", "9")
    assert "- `test_other.py::test_plain` (call)" in _last(job).summary

    (job.workspace / "backend/test_other.py").write_text(
        "import pytest\n\n\n@pytest.mark.load_scenario(user=4)\nasync def test_typo(vu):\n    pass\n"
    )
    outputs, code = job.use_action({"tests": "backend"})

    assert (code, outputs["outcome"]) == (2, "error"), _last(job).log
    (annotation,) = _last(job).annotations
    assert annotation["message"].startswith("test_other.py:4: load_scenario(user=4)")
    assert (annotation["file"], annotation["line"]) == ("backend/test_other.py", "4")


def test_a_cancelled_job_stops_the_load(job: Job) -> None:
    """GitHub signals the step's process: the nodes are free before it kills, the reports say aborted."""
    beat = job.workspace / "beat"
    scenario = f"{_SCENARIO}    import pathlib\n    pathlib.Path({str(beat)!r}).touch()\n"
    (job.workspace / "backend/test_shop.py").write_text(scenario)
    with remote_node("--capacity=8") as address:
        inputs = {"tests": "backend", "pool": address, "hold": "60s"}

        def cancel(process: subprocess.Popen[str]) -> None:
            wait_until(beat.exists, "the load runs")
            assert _users(address) == 4
            os.kill(process.pid, signal.SIGINT)
            wait_until(lambda: _users(address) == 0, "the load has ended", patience=7.5)

        outputs, code = job.use_action(inputs, {"PYTEST_MS_TOKEN": TOKEN}, cancel)

    assert (code, outputs["outcome"]) == (2, "aborted"), _last(job).log
    assert _document(job, outputs)["scenarios"][0]["verdict"] == "aborted"
    assert _last(job).summary.startswith("### ⏹️ Load test aborted")
    assert [each["title"] for each in _last(job).annotations] == ["test_cart: aborted"]


def _users(address: str) -> int:
    """Return how many users the slices of a node hold."""
    request = urllib.request.Request(
        f"http://{address}/v1/node", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        told = json.loads(answer.read())
    return int(told["capacity"] - told["free"])
