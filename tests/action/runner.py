"""A GitHub runner on this machine: executes a job's steps, and those of our action within them.

`run` steps are executed with GitHub's command line for `shell: bash` and files for outputs and summary.
`uses: actions/setup-python` gives the Python of this environment; our action is `uses: ./`; anything else
is not executed.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.action.expressions import as_text, evaluate, filled, holds

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 110.0


def read_action() -> dict[str, Any]:
    """Return action.yml."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return loaded


@dataclasses.dataclass
class StepResult:
    """What a step did.

    Attributes:
        code: its exit code.
        log: what it printed.
        outputs: by name.
        summary: the Markdown of its summary.
    """

    name: str
    code: int
    log: str
    outputs: dict[str, str]
    summary: str

    @property
    def annotations(self) -> list[dict[str, str]]:
        """Return the annotations as GitHub shows them, each with level, title, file, line, message."""
        return [_annotation(command) for command in _obeyed(self.log) if _annotation(command)]


@dataclasses.dataclass
class Job:
    """A workspace, and what the steps so far have left."""

    workspace: Path
    action_path: Path = ROOT
    python: str = sys.executable
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    results: list[StepResult] = dataclasses.field(default_factory=list)
    failed: bool = False
    skip_install: bool = True

    def run(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Execute the steps of a job."""
        contexts: dict[str, Any] = {"steps": {}, "github": {}, "env": {}}
        for step in steps:
            if not holds(str(step.get("if", "")), contexts, failed=self.failed):
                continue
            if step.get("uses") == "./":
                inputs = {name: filled(str(text), contexts) for name, text in step.get("with", {}).items()}
                env = {name: filled(str(text), contexts) for name, text in step.get("env", {}).items()}
                outputs, code = self.use_action(inputs, env)
            else:
                result = self._run_step(step, contexts)
                outputs, code = result.outputs, result.code
            contexts["steps"][step.get("id", "")] = {"outputs": outputs}
            self.failed = self.failed or code != 0

    def use_action(
        self,
        inputs: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        started: Callable[[subprocess.Popen[str]], None] | None = None,
    ) -> tuple[dict[str, str], int]:
        """Execute our action, and return its outputs and its exit code.

        `started` is called with the process of the step that runs pytest.
        """
        action = read_action()
        unknown = set(inputs) - set(action["inputs"])
        assert not unknown, f"the action has no inputs {unknown}"
        given = {
            name: str(inputs.get(name, said.get("default", ""))) for name, said in action["inputs"].items()
        }
        contexts: dict[str, Any] = {"inputs": given, "steps": {}, "github": {}}
        failed, code = False, 0
        for step in action["runs"]["steps"]:
            if self.skip_install and step["name"].startswith("Install"):
                continue
            if not holds(str(step.get("if", "")), contexts, failed=failed):
                continue
            result = self._action_step(step, contexts, env or {}, started)
            contexts["steps"][step.get("id", "")] = {"outputs": result.outputs}
            failed, code = failed or result.code != 0, code or result.code
        outputs = {name: filled(said["value"], contexts) for name, said in action["outputs"].items()}
        return outputs, code

    def _action_step(
        self,
        step: Mapping[str, Any],
        contexts: Mapping[str, Any],
        env: Mapping[str, str],
        started: Callable[[subprocess.Popen[str]], None] | None,
    ) -> StepResult:
        if "uses" in step:
            assert re.fullmatch(r"actions/setup-python@[0-9a-f]{40}", step["uses"]), step["uses"]
            return StepResult(step["name"], 0, "", {"python-path": self.python}, "")
        assert step["shell"] == "bash", step
        return self._run_step(step, contexts, env, started if step.get("id") == "run" else None)

    def _run_step(
        self,
        step: Mapping[str, Any],
        contexts: Mapping[str, Any],
        env: Mapping[str, str] | None = None,
        started: Callable[[subprocess.Popen[str]], None] | None = None,
    ) -> StepResult:
        name = str(step.get("name", step.get("id", "")))
        files = self.workspace.parent / f"runner-{len(self.results)}"
        files.mkdir()
        paths = {
            kind: files / kind.lower() for kind in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")
        }
        for path in paths.values():
            path.touch()
        script = files / "script.sh"
        # GitHub fills expressions into the script itself: an input that stands there gets executed
        script.write_text(filled(step["run"], contexts) + "\n")
        said = {key: as_text(evaluate_all(text, contexts)) for key, text in step.get("env", {}).items()}
        code, log = self._execute(script, paths, {**self.env, **(env or {}), **said}, started)
        outputs = _read_outputs(paths["GITHUB_OUTPUT"].read_text())
        result = StepResult(name, code, log, outputs, paths["GITHUB_STEP_SUMMARY"].read_text())
        self.results.append(result)
        return result

    def _execute(
        self,
        script: Path,
        paths: Mapping[str, Path],
        env: Mapping[str, str],
        started: Callable[[subprocess.Popen[str]], None] | None,
    ) -> tuple[int, str]:
        foreign = ("PYTEST_", "COV_", "GITHUB_", "CI", "BUILD_NUMBER")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        github = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_ACTION_PATH": str(self.action_path),
            "CI": "true",
            **{kind: str(path) for kind, path in paths.items()},
        }
        scripts = str(Path(self.python).parent)
        path = {"PATH": f"{scripts}{os.pathsep}{kept.get('PATH', '')}"}
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=self.workspace,
            env={**kept, **path, **github, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        watch = threading.Timer(LIMIT, _kill, [process])
        watch.start()
        try:
            if started is not None:
                started(process)
            log, _ = process.communicate()
        finally:
            watch.cancel()
            _kill(process)
        return process.returncode, log


def evaluate_all(text: object, contexts: Mapping[str, Any]) -> Any:
    """Return the value of an `env` or `with` entry."""
    whole = re.fullmatch(r"\$\{\{(.*?)\}\}", str(text))
    return evaluate(whole[1].strip(), contexts) if whole else filled(str(text), contexts)


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _read_outputs(text: str) -> dict[str, str]:
    """Return what a file of outputs says, the last word on each name."""
    outputs: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, sign, end = line.partition("<<")
        if not sign:
            name, _, outputs[name] = line.partition("=")
            continue
        value: list[str] = []
        for inner in lines:
            if inner == end:
                break
            value.append(inner)
        else:
            raise AssertionError(f"the output {name} does not end")
        outputs[name] = "\n".join(value)
    return outputs


def _obeyed(log: str) -> list[str]:
    """Return the workflow commands that the runner obeys: none between stop-commands and its word."""
    commands: list[str] = []
    word = ""
    for line in log.splitlines():
        if word:
            word = "" if line.strip() == f"::{word}::" else word
        elif line.lstrip().startswith("::stop-commands::"):
            word = line.strip().removeprefix("::stop-commands::")
        elif line.lstrip().startswith("::"):
            commands.append(line.strip())
    return commands


def _annotation(command: str) -> dict[str, str]:
    found = re.fullmatch(r"::(error|warning|notice)(?: (.*?))?::(.*)", command)
    if not found:
        return {}
    level, properties, message = found.groups()
    pairs = (part.partition("=")[::2] for part in (properties or "").split(",") if part)
    return {
        "level": level,
        "message": _unescaped(message),
        **{name: _unescaped(value).replace("%3A", ":").replace("%2C", ",") for name, value in pairs},
    }


def _unescaped(text: str) -> str:
    return text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
