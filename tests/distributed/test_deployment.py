"""What docs/node-controllers.md and the files in deploy/ tell operators still holds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import pytest

from pytest_metersphere.dist.bundle import MAX_BUNDLE, MAX_FILES
from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.kafka.topics import PARTITIONS, REPLICAS, settings_for
from pytest_metersphere.dist.node.config import (
    DEFAULT_MAX_SLICES,
    DEFAULT_PORT,
    DEFAULT_USERS_PER_CORE,
    NodeConfig,
)
from pytest_metersphere.dist.node.containers import TREE
from pytest_metersphere.dist.node.controller import KEEP
from pytest_metersphere.dist.node.docker import NODE_LABEL, SLICE_LABEL, USER
from pytest_metersphere.dist.run import LEASE, RENEWED_EVERY
from pytest_metersphere.dist.wire import SaslMechanism, SecurityProtocol
from pytest_metersphere.settings import KafkaSettings
from pytest_metersphere.units import format_size
from tests.fakes.nodes import TOKEN
from tests.parts import lack, require

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "node-controllers.md").read_text(encoding="utf-8")
UNIT = ROOT / "deploy" / "pytest-metersphere-node.service"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
COMMAND = (sys.executable, "-m", "pytest_metersphere", "node")
BOOKWORM = 252
"""The version of systemd-analyze whose judgement the page quotes."""


def unit_values(key: str) -> list[str]:
    """Return what the unit says for a key, in order."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def instruction(name: str) -> str:
    """Return what the Dockerfile's last instruction of a name says."""
    found: list[str] = re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)
    return found[-1]


def table(*titles: str) -> dict[str, list[str]]:
    """Return the other cells of the page's table with these titles, by the first cell."""
    head = "\\|".join(rf" *{re.escape(title)} *" for title in titles)
    found = re.search(rf"^\|{head}\|\n\|[-| ]*\|\n((?:\|.*\|\n)+)", PAGE, re.MULTILINE)
    assert found, f"the page has no table {titles}"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
    return {row[0]: row[1:] for row in rows}


def names_in(text: str) -> set[str]:
    """Return what stands in code quotes."""
    return set(re.findall(r"`([^`]+)`", text))


@contextlib.contextmanager
def running_node(
    arguments: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run the command's `node` with arguments and yield the port that it listens on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--announce=json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=kept | {"TMPDIR": str(folder)} | dict(variables or {}),
    )
    with process:
        try:
            assert process.stdout is not None
            port: int = json.loads(process.stdout.readline())["port"]
            yield port
        finally:
            process.terminate()


def test_systemd_has_no_complaint_about_the_unit(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Every section, key and value is understood."""
    analyze = require(pytestconfig, "systemd-analyze", hint="apt-get install systemd")
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    copy.write_text(text.replace("/opt/pytest-metersphere/bin/pytest-metersphere", "/bin/true"))
    command = [analyze, "--man=no", "verify", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]

    assert (done.returncode, said) == (0, [])


def test_the_unit_is_as_well_protected_as_the_page_says(pytestconfig: pytest.Config) -> None:
    """What systemd-analyze calls its exposure is about the number on the page, or lower."""
    analyze = require(pytestconfig, "systemd-analyze", hint="apt-get install systemd")
    version = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.split()[1].partition(".")[0]) < BOOKWORM:
        lack(pytestconfig, f"systemd-analyze of version {BOOKWORM}, whose judgement the page quotes")
    command = [analyze, "security", "--offline=yes", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    exposure = re.search(r"exposure level for \S+: (\d+\.\d)", done.stdout)
    claimed = re.search(r"`systemd-analyze security` gives the unit (\d+\.\d)", PAGE)

    assert exposure
    assert claimed
    # versions differ a little in what they ask for
    assert float(exposure[1]) < float(claimed[1]) + 0.5


def test_the_unit_starts_a_node(tmp_path: Path) -> None:
    """The command of the unit, its token in the credentials' folder, runs a node that takes that token."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (line,) = unit_values("ExecStart")
    line = line.replace("$NODE_OPTIONS", "--port 0 --name load-1 --capacity 4000")
    program, node, *arguments = shlex.split(line.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)))
    with (
        running_node(arguments, tmp_path) as port,
        NodeClient("n", f"http://127.0.0.1:{port}", TOKEN) as client,
    ):
        info = client.info()

    assert (program, node) == ("/opt/pytest-metersphere/bin/pytest-metersphere", "node")
    assert (info.name, info.capacity) == ("load-1", 4000)
    assert unit_values("LoadCredential") == ["token:/etc/pytest-metersphere/token"]


def test_a_bad_option_is_what_the_unit_does_not_try_again(tmp_path: Path) -> None:
    """A node that cannot be started as it is asked to ends with the unit's exit code for that."""
    done = subprocess.run([*COMMAND, "--nonsense"], capture_output=True, check=False, cwd=ROOT)

    assert unit_values("RestartPreventExitStatus") == [str(done.returncode)]


def test_the_image_starts_a_node_that_its_health_check_finds_well(tmp_path: Path) -> None:
    """What the image runs is a node, and its health check tells a node that answers from one that is gone."""
    check = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    run = json.loads(instruction("ENTRYPOINT")) + json.loads(instruction("CMD"))
    with running_node([*run[2:], "--port=0"], tmp_path, {"PYTEST_MS_TOKEN": TOKEN}) as port:
        program = check[-1].replace(f", {DEFAULT_PORT},", f", {port},")
        command = [sys.executable, *check[1:-1], program]
        well = subprocess.run(command, capture_output=True, check=False)
    gone = subprocess.run(command, capture_output=True, check=False)

    assert run[:2] == ["pytest-metersphere", "node"]
    assert check[0] == "python3"
    assert program != check[-1]
    assert (well.returncode, gone.returncode) == (0, 1)
    assert instruction("EXPOSE") == str(DEFAULT_PORT)


def test_the_page_points_at_files_that_are_there() -> None:
    """Links, and paths of this repository in commands, lead somewhere."""
    links = set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE))
    paths = set(re.findall(r"(?<![\w/])(?:deploy|benchmarks|docs)/[\w./-]*\w", PAGE))
    missing = [link for link in links if not (ROOT / "docs" / link).is_file()]
    missing += [path for path in paths if not (ROOT / path).is_file()]

    assert {"deploy/Dockerfile", f"deploy/{UNIT.name}"} <= paths
    assert missing == []


def test_page_unit_and_image_agree_about_paths_and_users() -> None:
    """What the page tells operators to write, the unit and the image read."""
    (user,) = unit_values("User")
    (environment,) = unit_values("EnvironmentFile")
    uid = instruction("USER").partition(":")[0]

    assert f"useradd --system --no-create-home --shell /usr/sbin/nologin {user}\n" in PAGE
    assert f" > {environment.removeprefix('-')}\n" in PAGE
    assert "python3 -m venv /opt/pytest-metersphere\n" in PAGE
    assert f"user {uid}," in PAGE
    assert f"install -m 400 -o {uid} " in PAGE
    assert f"`runAsUser: {uid}`" in PAGE
    assert f"LimitNOFILE={unit_values('LimitNOFILE')[0]}" in PAGE
    assert set(re.findall(r"nofile[=:] ?(\d+)", PAGE)) == set(unit_values("LimitNOFILE"))


def test_the_page_lists_the_options_of_the_command() -> None:
    """Every option of `node` has its row, and no row is about an option that is gone."""
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    options = set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE)) - {"--help"}
    rows = table("option", "")
    about_containers = table("with `--launcher=docker`", "")

    assert {option for row in [*rows, *about_containers] for option in names_in(row)} == options
    assert not {*rows} & {*about_containers}
    assert rows["`--port`"][0].endswith(f"`{DEFAULT_PORT}`")
    assert rows["`--max-slices`"][0].endswith(f"`{DEFAULT_MAX_SLICES}`")
    assert f"{DEFAULT_USERS_PER_CORE:,} for each worker" in rows["`--capacity`"][0]


def test_the_page_knows_who_slices_in_containers_are() -> None:
    """The user of the code, of the image and of the page is the same, and so are the labels and folders."""
    recipe = (ROOT / "deploy" / "runner.Dockerfile").read_text(encoding="utf-8")

    assert f"\nUSER {USER}\n" in recipe
    assert f"user and group {USER.partition(':')[0]}," in PAGE
    assert f"`{NODE_LABEL}` (the node's `name@host:port`)" in PAGE
    assert f"`{SLICE_LABEL}`" in PAGE
    assert f"the bundle in `{TREE}`" in PAGE


def test_the_page_knows_how_the_topic_is_made() -> None:
    """Settings, partitions and replicas on the page are those that a session asks Kafka for."""
    rows = table("setting", "value", "why")

    assert {name.strip("`"): cells[0].strip("`") for name, cells in rows.items()} == settings_for(0.0)
    assert f"with {PARTITIONS} partitions, with {REPLICAS} replicas" in PAGE


def test_the_page_lists_the_variables_for_kafka() -> None:
    """Every variable that a session reads has its row, with all the values that it may have."""
    others = {"text", "source", "prefix", "prefix_source"}
    read = {f"PYTEST_MS_KAFKA_{name.upper()}" for name in {*KafkaSettings.__struct_fields__} - others}
    rows = table("variable", "")
    protocols = names_in(rows["`PYTEST_MS_KAFKA_SECURITY_PROTOCOL`"][0])
    mechanisms = names_in(rows["`PYTEST_MS_KAFKA_SASL_MECHANISM`"][0])

    assert {name for row in rows for name in names_in(row)} == read
    assert protocols == set(get_args(SecurityProtocol))
    assert mechanisms == set(get_args(SaslMechanism)) - {""}


def test_the_page_knows_what_a_node_keeps_and_for_how_long() -> None:
    """Limits and times on the page are those of the code."""
    plain = NodeConfig(name="n", token=TOKEN, capacity=1, workers=1)
    facts = [
        f"at most {format_size(MAX_BUNDLE).replace('.0', '')} and {MAX_FILES:,} files a slice",
        f"at most {format_size(plain.spool_limit).replace('.0', '')} a slice",
        f"the last {format_size(plain.log_limit).replace('.0', '')} at most a slice",
        f"ends after {LEASE:g} s (the lease, which a controller renews every {RENEWED_EVERY:g} s)",
        f"goes {KEEP / 60:g} minutes after that",
    ]

    assert [fact for fact in facts if fact not in PAGE] == []
