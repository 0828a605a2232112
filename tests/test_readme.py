"""Both READMEs say the same, and what they list is what the code and the Action have."""

from __future__ import annotations

import pytest

from pytest_metersphere.ci.command import OUTPUTS
from pytest_metersphere.ci.inputs import PREFIX, Inputs
from pytest_metersphere.options import _DECLARATIONS
from pytest_metersphere.scenario.keywords import KEYWORDS
from pytest_metersphere.thresholds import grammar
from tests.action.runner import read_action
from tests.readme import CHINESE, ENGLISH, ROOT, Readme

_BOTH = pytest.mark.parametrize("readme", [Readme(ENGLISH), Readme(CHINESE)], ids=["en", "zh"])
_NOT_FOR_PYTEST = {"python-version", "install"}


def test_the_same_code() -> None:
    """What is typed does not depend on the language."""
    assert Readme(CHINESE).blocks == Readme(ENGLISH).blocks
    assert len(Readme(ENGLISH).blocks) > 10


def test_the_same_structure() -> None:
    """The same sections, tables, and names in the tables, in the same order."""
    english, chinese = Readme(ENGLISH), Readme(CHINESE)

    assert chinese.levels == english.levels
    assert [len(table) for table in chinese.tables] == [len(table) for table in english.tables]
    assert _codes(chinese) == _codes(english)
    own = {"README.md", "README.zh-CN.md"}
    assert chinese.links - own == english.links - own


def _codes(readme: Readme) -> list[list[list[str]]]:
    """Return, of each row of each table, the parts between backticks; the words around them may move."""
    return [[sorted("|".join(row).split("`")[1::2]) for row in table] for table in readme.tables]


def test_chinese_is_chinese() -> None:
    """No paragraph was left in English."""
    prose = [part for part in Readme(CHINESE).prose.split("\n\n") if len(part) > 60]
    english = [part for part in prose if not any("\u4e00" <= sign <= "\u9fff" for sign in part)]

    assert english == []


@_BOTH
def test_options_are_those_of_the_code(readme: Readme) -> None:
    """Every option stands in the table of options, with its metavar, and no other one."""
    listed = {name for name in readme.names("--ms-plan") if name.startswith("--")}

    assert listed == {
        f"{each.flag}={each.metavar.replace('...', '…')}" if each.metavar else each.flag
        for each in _DECLARATIONS
    }


@_BOTH
def test_inputs_are_those_of_the_action(readme: Readme) -> None:
    """README, action.yml and the code that reads the inputs know the same names."""
    inputs = set(read_action()["inputs"])

    assert readme.names("tests", "fail-on") == inputs
    assert inputs - _NOT_FOR_PYTEST == {name.replace("_", "-") for name in Inputs.__struct_fields__}


@_BOTH
def test_outputs_are_those_of_the_action(readme: Readme) -> None:
    """README, action.yml and the code that sets the outputs know the same names."""
    assert readme.names("outcome") == set(read_action()["outputs"]) == set(OUTPUTS)


def test_the_action_hands_over_every_input_by_a_variable() -> None:
    """Each input that is for pytest has its variable, and no script holds an expression."""
    steps = {step["name"]: step for step in read_action()["runs"]["steps"]}
    env = steps["Run the load tests"]["env"]
    handed = {
        name: env[PREFIX + name.upper().replace("-", "_")]
        for name in set(read_action()["inputs"]) - _NOT_FOR_PYTEST
    }

    assert handed == {name: f"${{{{ inputs.{name} }}}}" for name in handed}
    assert all("${{" not in step.get("run", "") for step in steps.values())


def test_the_action_sets_every_output() -> None:
    """Each output is what the step that runs pytest sets under the same name."""
    outputs = read_action()["outputs"]

    assert {name: said["value"] for name, said in outputs.items()} == {
        name: f"${{{{ steps.run.outputs.{name} }}}}" for name in outputs
    }


@_BOTH
def test_metrics_are_those_of_the_grammar(readme: Readme) -> None:
    """Every metric of thresholds is named."""
    assert all(f"`{metric}`" in readme.text for metric in grammar._UNITS)


def test_keywords_are_those_of_the_mark() -> None:
    """Every keyword of `load_scenario` stands in an example or beside it."""
    text = Readme(ENGLISH).text

    assert [keyword for keyword in KEYWORDS if f"{keyword}=" not in text] == []


@_BOTH
def test_links_lead_somewhere(readme: Readme) -> None:
    """Every link into the repository has its file."""
    inside = {link.partition("#")[0] for link in readme.links if "://" not in link}

    assert {link for link in inside if not (ROOT / link).exists()} == set()


def test_the_first_five_minutes_are_the_readmes() -> None:
    """What was typed there is what the README prints, and it ended with a verdict."""
    page = (ROOT / "docs" / "first-five-minutes.md").read_text()
    blocks = [block.text for block in Readme(ENGLISH).blocks]
    scenario = next(text for text in blocks if text.startswith("import pytest\n"))
    commands = next(text for text in blocks if text.startswith("pytest test_load.py")).splitlines()

    assert f"```python\n{scenario}```" in page
    assert [f"```console\n$ {command}\n" in page for command in commands] == [True, True]
    assert "\nPASSED  test_load.py::test_front_page: users 20," in page
