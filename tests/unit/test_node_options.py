"""What is set about nodes: their token, their certificates, and what happens when one is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_metersphere.settings import Secret
from tests.unit.test_options import Session


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a session with an empty ini file, apart from options for the surrounding one."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Session(pytester)


def written(folder: Path, name: str, text: str = "content") -> Path:
    """Return a file of a text."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_lost_node_ends_the_load_unless_told_otherwise(session: Session) -> None:
    """Option, variable and ini value say `continue`, in this order."""
    assert session.settings().on_node_loss == "fail"
    session.ini("ms_on_node_loss = continue")
    assert session.settings().on_node_loss == "continue"
    assert session.settings(PYTEST_MS_ON_NODE_LOSS="fail").on_node_loss == "fail"
    given = session.settings("--ms-on-node-loss=continue", PYTEST_MS_ON_NODE_LOSS="fail")
    assert given.on_node_loss == "continue"


@pytest.mark.parametrize(
    ("text", "hint"), [("rebalance", ""), ("", ""), ("continu", "; did you mean 'continue'?")]
)
def test_another_behaviour_on_node_loss_is_unknown(session: Session, text: str, hint: str) -> None:
    """What a later version may bring is not accepted today."""
    assert session.complaint(f"--ms-on-node-loss={text}") == (
        f"--ms-on-node-loss: {text!r} is not one of fail, continue; write for example fail{hint}"
    )


def test_the_token_may_come_from_a_file(session: Session) -> None:
    """Blanks and line breaks around it do not count, and the variable with the token itself wins."""
    file = str(written(session.path, "token", "  from-a-file\n"))

    assert session.settings(PYTEST_MS_TOKEN_FILE=file).token == Secret("from-a-file")
    both = session.settings(PYTEST_MS_TOKEN_FILE=file, PYTEST_MS_TOKEN="from-the-variable")
    assert both.token == Secret("from-the-variable")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe\x00", "something binary"),
        (b"two words", "letters, digits and ASCII signs"),
    ],
    ids=["missing", "empty", "blank", "binary", "two words"],
)
def test_a_token_file_that_holds_no_token_is_told_without_its_content(
    session: Session, content: bytes | None, words: str
) -> None:
    """The variable is named, and what is wrong with the file."""
    file = session.path / "token"
    if content is not None:
        file.write_bytes(content)
    text = session.complaint(PYTEST_MS_TOKEN_FILE=str(file))

    assert text.startswith("PYTEST_MS_TOKEN_FILE: ")
    assert words in text
    assert "two words" not in text


def test_the_nodes_certificates_are_a_file(session: Session) -> None:
    """Relative to the working folder in a variable, to the ini file in an ini value; the variable wins."""
    ini, variable = written(session.path, "ini.pem"), written(session.path / "certs", "variable.pem")
    session.ini("ms_node_cafile = ini.pem")

    assert session.settings().node_cafile == str(ini)
    assert session.settings().node_cafile_source == "ini ms_node_cafile"
    set_otherwise = session.settings(PYTEST_MS_NODE_CAFILE="certs/variable.pem")
    assert set_otherwise.node_cafile == str(variable)
    assert set_otherwise.node_cafile_source == "PYTEST_MS_NODE_CAFILE"


def test_without_a_file_of_certificates_nodes_speak_plain_http(session: Session) -> None:
    """An empty variable counts as absent."""
    settings = session.settings(PYTEST_MS_NODE_CAFILE=" ")

    assert (settings.node_cafile, settings.node_cafile_source) == (None, "")


@pytest.mark.parametrize("path", ["missing.pem", "."])
def test_a_missing_file_of_certificates_is_told(session: Session, path: str) -> None:
    """A path that is no file is an error before anything is sent."""
    assert session.complaint(PYTEST_MS_NODE_CAFILE=path).startswith(
        f"PYTEST_MS_NODE_CAFILE: there is no file {path!r}, write for example"
    )
    session.ini(f"ms_node_cafile = {path}")
    assert session.complaint().startswith(f"ini ms_node_cafile: there is no file {path!r}")
