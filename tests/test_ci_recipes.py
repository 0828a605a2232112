"""The recipes of docs/ci.md: what they are said to be, and nothing that the code does not have."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import PAGE
from tests.action.runner import read_action
from tests.evidence import rows
from tests.kafka.broker import HINT, Broker, Recipe, jars
from tests.parts import require
from tests.plugin.projects import Project

TEXT = (Path(__file__).parents[1] / "docs" / "ci.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL))
WORKFLOWS = [name for name in RECIPES if name.startswith(".github/")]
SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, "vendor.github-workflows"),
    ".gitlab-ci.yml": "vendor.gitlab-ci",
    "azure-pipelines.yml": "vendor.azure-pipelines",
}
DIALECT = ("--regex-variant", "nonunicode")  # of Azure's and GitLab's schemas
OURS = "your-org/pytest-metersphere"

SHOP = """
    import pytest

    @pytest.mark.load_scenario(users=2, iterations=3)
    async def test_cart(vu):
        with vu.sample("step"):
            await vu.sleep(0.001)
"""


def read(name: str) -> Any:
    """Return what a recipe comes to."""
    return yaml.safe_load(RECIPES[name])


def steps() -> list[dict[str, Any]]:
    """Return the steps of all workflows."""
    jobs = [job for name in WORKFLOWS for job in read(name)["jobs"].values()]
    return [step for job in jobs for step in job["steps"]]


def listed(head: str) -> set[str]:
    """Return what the table with this heading lists."""
    table = TEXT.split(f"\n| {head} | |\n")[1].split("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(.*?)`", cell)}


def test_every_block_of_yaml_is_a_file() -> None:
    """Each says by its first line which, and has a schema; none is left out of the checks below."""
    assert TEXT.count("```yaml\n") == len(RECIPES)
    assert RECIPES.keys() == SCHEMAS.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_it_keeps_to_the_schema_of_its_system(name: str, tmp_path: Path) -> None:
    """By the schemas that GitHub, GitLab and Azure publish."""
    file = tmp_path / Path(name).name
    file.write_text(RECIPES[name], encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name], *DIALECT]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_inputs_and_outputs_are_those_of_the_action() -> None:
    """The tables list what action.yml has; what recipes give and take is among it."""
    action = read_action()
    assert listed("input") == set(action["inputs"])
    assert listed("output") == set(action["outputs"])
    given = {key for step in steps() if step.get("uses", "").startswith(OURS) for key in step["with"]}
    taken = {
        name for text in RECIPES.values() for name in re.findall(r"steps\.load\.outputs\.([\w-]+)", text)
    }

    assert given <= listed("input")
    assert taken <= listed("output")
    assert {"p95", "outcome"} <= taken


def test_what_others_wrote_is_pinned_to_a_commit() -> None:
    """With the version in a comment; a tag can be moved."""
    foreign = [step["uses"] for step in steps() if "uses" in step and not step["uses"].startswith(OURS)]
    pinned = re.findall(r"uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$", TEXT, flags=re.MULTILINE)

    assert foreign
    assert sorted(pinned) == sorted(foreign)


def test_no_script_holds_an_expression() -> None:
    """Whoever names a branch would write the script; secrets come by the environment only."""
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []
    given = [str(value) for step in steps() for value in step.get("with", {}).values()]
    assert [value for value in given if "secrets." in value] == []


def test_options_and_variables_are_ours() -> None:
    """Each that a recipe uses is one of docs/options.md."""
    page = PAGE.read_text(encoding="utf-8")
    titles = ("## Options of pytest", "## Variables without an option")
    listed_rows = [row for title in titles for row in rows(page, title, 2)]
    known = {name for row in listed_rows for name in (row[0].partition("=")[0], row[1])}
    used = set(re.findall(r"--ms-[a-z-]+|PYTEST_MS_[A-Z_]+", TEXT))

    assert used <= known


class Documented(Broker):
    """A broker by the variables of a service container, on free ports of loopback."""

    variables: Mapping[str, str]

    def _settings(self) -> dict[str, str]:
        # the image makes such names of variables: KAFKA_NODE_ID is node.id
        settings = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): value
            for name, value in self.variables.items()
        }
        self.plain_port = self.port
        here = {"://:": "://127.0.0.1:", "kafka:9092": "localhost:9092"}
        here |= {"9092": str(self.port), "9093": str(self.controller_port)}
        for name, value in settings.items():
            settings[name] = functools.reduce(lambda text, each: text.replace(*each), here.items(), value)
        return settings | {"log.dirs": str(self._folder / "data")}


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [".github/workflows/load-over-kafka.yml", ".gitlab-ci.yml"])
def test_the_service_container_is_a_broker_that_serves(
    name: str, pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started with those variables, by the settings that the image makes of them, it carries a run."""
    recipe = read(name)
    github = name.startswith(".github")
    service = (
        recipe["jobs"]["load"]["services"]["kafka"] if github else recipe["load-over-kafka"]["services"][0]
    )
    java = require(pytestconfig, "java", hint=HINT)
    maven = require(pytestconfig, "mvn", hint=HINT)
    monkeypatch.setattr(Documented, "variables", service["env" if github else "variables"], raising=False)
    (tmp_path / "broker").mkdir()
    project = Project(tmp_path / "project")
    project.write("test_shop.py", SHOP)
    with Documented(java, jars(maven), tmp_path / "broker", Recipe()) as running:
        done = project.run("--ms-pool=local", f"--ms-kafka=localhost:{running.port}")

    assert done.code == 0, done.text
    assert done.scenario("test_cart").ledger.lost == 0
    assert done.document.session.kafka == f"localhost:{running.port}"


def test_every_job_ends_sometime_and_may_little() -> None:
    """A time limit, and read access only."""
    for name in WORKFLOWS:
        workflow = read(name)
        assert workflow["permissions"] == {"contents": "read"}
        assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
