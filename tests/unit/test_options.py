"""Options, environment and ini: who wins, what each means, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_metersphere.errors import ConfigError
from pytest_metersphere.options import add_options, resolve
from pytest_metersphere.settings import KafkaSettings, Secret, Settings
from pytest_metersphere.units import RateOverride, UsersOverride

native_toml = pytest.mark.skipif(pytest.version_tuple < (9,), reason="native TOML came with pytest 9")


class Declarations:
    """A plugin that does nothing but declare the options."""

    @staticmethod
    def pytest_addoption(parser: pytest.Parser) -> None:
        add_options(parser)


class Session:
    """Resolves what a user typed, exported and wrote into an ini file."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.plugins = [Declarations()]
        self.ini()

    def ini(self, *lines: str) -> None:
        self.pytester.makefile(".ini", pytest="\n".join(["[pytest]", *lines]))

    def config(self, *args: str) -> pytest.Config:
        return self.pytester.parseconfig("-p", "no:metersphere", *args)

    def settings(self, *args: str, **environ: str) -> Settings:
        return resolve(self.config(*args), environ)

    def complaint(self, *args: str, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.settings(*args, **environ)
        return str(caught.value)


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a session with an empty ini file, apart from options for the surrounding one."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Session(pytester)


def test_nothing_set_is_functional_mode_with_defaults(session: Session) -> None:
    """Without any text there is no pool and every scenario keeps what it asks for."""
    assert session.settings() == Settings(
        pool_text=None,
        pool_source="",
        pools=(),
        report_dir=str(session.path / "ms-report"),
        users=None,
        hold=None,
        ramp=None,
        thresholds=(),
        threshold_sources=(),
        preflight="auto",
        plan=False,
        bundle=(),
        rootdir=str(session.path),
        token=None,
        kafka=None,
    )


def test_every_option_arrives(session: Session) -> None:
    """All of them on one command line."""
    settings = session.settings(
        "--ms-pool=local=400+200",
        "--ms-report-dir=out",
        "--ms-users=50%",
        "--ms-rate=30/m",
        "--ms-hold=10s",
        "--ms-ramp=500ms",
        "--ms-threshold=p95 < 1s",
        "--ms-threshold=avg < 1s",
        "--ms-preflight=always",
        "--ms-plan",
        PYTEST_MS_TOKEN="abc",
    )

    assert (settings.pool_text, settings.pool_source) == ("local=400+200", "--ms-pool")
    assert settings.report_dir == str(session.path / "out")
    assert (settings.users, settings.hold, settings.ramp) == (UsersOverride(factor=0.5), 10.0, 0.5)
    assert settings.rate == RateOverride(rate=0.5)
    assert settings.thresholds == ("p95 < 1s", "avg < 1s")
    assert settings.threshold_sources == ("--ms-threshold",) * 2
    assert (settings.preflight, settings.plan) == ("always", True)
    assert settings.token == Secret("abc")


def test_every_variable_arrives(session: Session) -> None:
    """The environment can say all but --ms-plan."""
    settings = session.settings(
        PYTEST_MS_POOL="perf",
        PYTEST_MS_REPORT_DIR="out",
        PYTEST_MS_USERS="5",
        PYTEST_MS_RATE="50%",
        PYTEST_MS_HOLD="10s",
        PYTEST_MS_RAMP="1s",
        PYTEST_MS_THRESHOLD="p95 < 1s\n\n avg < 1s\n",
        PYTEST_MS_PREFLIGHT="off",
    )

    assert (settings.pool_text, settings.pool_source) == ("perf", "PYTEST_MS_POOL")
    assert settings.report_dir == str(session.path / "out")
    assert (settings.users, settings.hold, settings.ramp) == (UsersOverride(count=5), 10.0, 1.0)
    assert settings.rate == RateOverride(factor=0.5)
    assert settings.thresholds == ("p95 < 1s", "avg < 1s")
    assert settings.threshold_sources == ("PYTEST_MS_THRESHOLD",) * 2
    assert settings.preflight == "off"


def test_every_ini_value_arrives(session: Session) -> None:
    """The names are those of the options with underscores, and three lists."""
    session.ini(
        "ms_pool = perf",
        "ms_pools =",
        "    perf: a=1 b=2",
        "    edge: c",
        "ms_report_dir = out",
        "ms_users = 5",
        "ms_rate = 50%",
        "ms_hold = 10s",
        "ms_ramp = 1s",
        "ms_thresholds =",
        "    p95 < 1s",
        "    cart: avg < 1s",
        "ms_preflight = off",
        "ms_bundle = data/*.csv",
    )

    settings = session.settings()

    assert (settings.pool_text, settings.pool_source) == ("perf", "ini ms_pool")
    assert settings.pools == ("perf: a=1 b=2", "edge: c")
    assert settings.report_dir == str(session.path / "out")
    assert (settings.users, settings.hold, settings.ramp) == (UsersOverride(count=5), 10.0, 1.0)
    assert settings.rate == RateOverride(factor=0.5)
    assert settings.thresholds == ("p95 < 1s", "cart: avg < 1s")
    assert settings.threshold_sources == ("ini ms_thresholds",) * 2
    assert settings.preflight == "off"
    assert settings.bundle == ("data/*.csv",)


@pytest.mark.parametrize(
    ("args", "environ", "users"),
    [
        (["--ms-users=1"], {"PYTEST_MS_USERS": "2"}, 1),
        ([], {"PYTEST_MS_USERS": "2"}, 2),
        ([], {"PYTEST_MS_USERS": " "}, 3),
        ([], {}, 3),
    ],
)
def test_option_beats_variable_beats_ini(
    session: Session, args: list[str], environ: dict[str, str], users: int
) -> None:
    """An empty variable, as CI systems like to set them, counts as absent."""
    session.ini("ms_users = 3")

    assert session.settings(*args, **environ).users == UsersOverride(count=users)


def test_an_empty_ini_value_counts_as_absent(session: Session) -> None:
    """A key without a value is no mistake."""
    session.ini("ms_users =", "ms_pool =", "ms_preflight =")

    settings = session.settings()

    assert (settings.users, settings.pool_text, settings.preflight) == (None, None, "auto")


@pytest.mark.parametrize("arg", ["--ms-pool=none", "--ms-pool="])
def test_none_or_an_empty_option_switches_a_pool_off(session: Session, arg: str) -> None:
    """What the ini file and the environment say does not matter then."""
    session.ini("ms_pool = perf")

    settings = session.settings(arg, PYTEST_MS_POOL="other")

    assert (settings.pool_text, settings.pool_source) == (None, "")


def test_none_in_the_environment_switches_the_inis_pool_off(session: Session) -> None:
    """The word works wherever a pool can be written."""
    session.ini("ms_pool = perf")

    assert session.settings(PYTEST_MS_POOL="none").pool_text is None


def test_thresholds_add_up(session: Session) -> None:
    """The ini file's come after those of the command line, or else of the environment."""
    session.ini("ms_thresholds =", "    c < 1")
    environ = {"PYTEST_MS_THRESHOLD": "b < 1"}

    both = session.settings("--ms-threshold=a < 1", **environ)
    variable = session.settings(**environ)

    assert both.thresholds == ("a < 1", "c < 1")
    assert both.threshold_sources == ("--ms-threshold", "ini ms_thresholds")
    assert variable.thresholds == ("b < 1", "c < 1")


@pytest.mark.parametrize(
    ("args", "environ", "message"),
    [
        (
            ["--ms-users=many"],
            {},
            "--ms-users: 'many' is not a number of users, write for example 50, or 50%",
        ),
        (["--ms-users="], {}, "--ms-users: '' is not a number of users"),
        ([], {"PYTEST_MS_USERS": "0"}, "PYTEST_MS_USERS: '0' is not a number of users"),
        (["--ms-hold=30"], {}, "--ms-hold: '30' is not a duration; add a unit, for example \"30s\""),
        (["--ms-hold=soon"], {}, "--ms-hold: 'soon' is not a duration, write for example 30s"),
        ([], {"PYTEST_MS_RAMP": "-1s"}, "PYTEST_MS_RAMP: '-1s' is not a duration, write for example 30s"),
        (["--ms-threshold="], {}, "--ms-threshold: the threshold is empty, write for example 'p95 < 300ms'"),
        (
            ["--ms-preflight=alway"],
            {},
            "--ms-preflight: 'alway' is not one of auto, always, off; write for example auto; did you",
        ),
        (
            ["--ms-report-dir="],
            {},
            "--ms-report-dir: the folder's name is empty, write for example ms-report",
        ),
        (
            ["--ms-report-dir=pytest.ini"],
            {},
            "--ms-report-dir: 'pytest.ini' is not a folder, write for example",
        ),
        (
            ["--ms-plan"],
            {},
            "--ms-plan needs a pool, and there is none; add for example --ms-pool=local=400+200",
        ),
        (["--ms-plan", "--ms-pool=none"], {}, "--ms-plan needs a pool"),
    ],
)
def test_a_bad_value_is_told_with_where_it_was_written(
    session: Session, args: list[str], environ: dict[str, str], message: str
) -> None:
    """The message names the option or variable, the value, and an example."""
    assert session.complaint(*args, **environ).startswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ms_users = x", "ini ms_users: 'x' is not a number of users"),
        ("ms_hold = 10", "ini ms_hold: '10' is not a duration; add a unit"),
        ("ms_ramp = x", "ini ms_ramp: 'x' is not a duration"),
        ("ms_preflight = never", "ini ms_preflight: 'never' is not one of auto, always, off"),
        ("ms_report_dir = pytest.ini", "ini ms_report_dir: 'pytest.ini' is not a folder"),
    ],
)
def test_a_bad_ini_value_is_told_with_its_key(session: Session, line: str, message: str) -> None:
    """So nobody looks for it on the command line."""
    session.ini(line)

    assert session.complaint().startswith(message)


@native_toml
@pytest.mark.parametrize(
    ("toml", "key", "example"),
    [
        ("ms_users = 50", "ms_users", 'write ms_users = "…"'),
        ("ms_preflight = true", "ms_preflight", 'write ms_preflight = "…"'),
        ('ms_thresholds = "p95 < 1s"', "ms_thresholds", 'write ms_thresholds = ["…", "…"]'),
        ('ms_pools = {perf = "a"}', "ms_pools", 'write ms_pools = ["…", "…"]'),
    ],
)
def test_a_native_toml_value_of_another_type_is_told(
    session: Session, toml: str, key: str, example: str
) -> None:
    """Values in native TOML have types: the message shows how the value is written."""
    session.path.joinpath("pytest.ini").unlink()
    session.pytester.makepyprojecttoml(f"[tool.pytest]\n{toml}\n")

    message = session.complaint()

    assert message.startswith(f"ini {key}: ")
    assert message.endswith(example)


@native_toml
def test_native_toml_texts_are_understood(session: Session) -> None:
    """Scalars are texts, lists are lists of texts."""
    session.path.joinpath("pytest.ini").unlink()
    session.pytester.makepyprojecttoml(
        '[tool.pytest]\nms_users = "50%"\nms_pools = ["perf: a=1"]\nms_thresholds = ["p95 < 1s"]\n'
    )

    settings = session.settings()

    assert settings.users == UsersOverride(factor=0.5)
    assert (settings.pools, settings.thresholds) == (("perf: a=1",), ("p95 < 1s",))


def test_the_report_folder_of_an_option_is_relative_to_the_working_folder(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One from an ini file is relative to that file, as pytest's own paths are."""
    session.ini("ms_report_dir = out/../from_ini")
    folder = session.pytester.mkdir("inner")
    monkeypatch.chdir(folder)

    assert session.settings("--ms-report-dir=here").report_dir == str(folder / "here")
    assert session.settings("--ms-report-dir=/abs/x").report_dir == str(Path("/abs/x"))
    assert session.settings(PYTEST_MS_REPORT_DIR="there").report_dir == str(folder / "there")
    assert session.settings().report_dir == str(session.path / "from_ini")


def test_a_report_folder_may_exist_already(session: Session) -> None:
    """It is the usual case from the second run on."""
    session.pytester.mkdir("ms-report")

    assert session.settings().report_dir == str(session.path / "ms-report")


@pytest.mark.parametrize("arg", ["--ms-baseline=results.json"])
def test_an_option_of_a_later_version_is_unknown(session: Session, arg: str) -> None:
    """Nothing is accepted in silence."""
    with pytest.raises(pytest.UsageError, match="unrecognized arguments"):
        session.config(arg)


def test_help_lists_every_option_in_a_group_of_its_own(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The percent sign survives argparse's formatting."""
    monkeypatch.setenv("COLUMNS", "300")
    args = ("-p", "no:metersphere", "-p", "no:asyncio", "--help")

    text = session.pytester.runpytest_inprocess(*args, plugins=[Declarations()]).stdout.str()

    assert "distributed load testing" in text
    flags = ("pool", "report-dir", "users", "hold", "ramp", "threshold", "preflight", "plan")
    assert [flag for flag in flags if f"--ms-{flag}" not in text] == []
    assert "or 50% to scale" in text


@pytest.mark.parametrize("token", ["with space", "naïve", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_told_without_showing_it(session: Session, token: str) -> None:
    """The message names the variable only."""
    message = session.complaint(PYTEST_MS_TOKEN=token)

    assert message.startswith("PYTEST_MS_TOKEN: ")
    assert token not in message


def test_a_secret_shows_itself_to_nobody_who_does_not_ask(session: Session) -> None:
    """Neither alone nor in the settings, in no way of making a text."""
    settings = session.settings(PYTEST_MS_TOKEN=" hunter2 ")
    secret = settings.token

    assert secret is not None
    assert secret.reveal() == "hunter2"
    for text in (repr(settings), str(settings), repr(secret), str(secret), f"{secret}", f"{secret!r}"):
        assert "hunter2" not in text


def test_settings_do_not_change(session: Session) -> None:
    """They are resolved once."""
    with pytest.raises(AttributeError):
        session.settings().plan = True  # type: ignore[misc]


def test_secrets_are_equal_by_their_text() -> None:
    """So settings can be compared."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_kafka_comes_with_its_variables(session: Session) -> None:
    """The servers may stand in any of the three places, secrets only in the environment."""
    session.ini("ms_kafka = ini:9092", "ms_kafka_prefix = ours")
    variables = {
        "PYTEST_MS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "PYTEST_MS_KAFKA_SASL_MECHANISM": "PLAIN",
        "PYTEST_MS_KAFKA_USERNAME": "alice",
        "PYTEST_MS_KAFKA_PASSWORD": " with spaces ",
        "PYTEST_MS_KAFKA_CAFILE": "ca.pem",
        "PYTEST_MS_KAFKA_CERTFILE": "cert.pem",
        "PYTEST_MS_KAFKA_KEYFILE": "key.pem",
    }
    assert session.settings(**variables).kafka == KafkaSettings(
        text="ini:9092",
        source="ini ms_kafka",
        prefix="ours",
        prefix_source="ini ms_kafka_prefix",
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        username="alice",
        password=Secret(" with spaces "),
        cafile="ca.pem",
        certfile="cert.pem",
        keyfile="key.pem",
    )


@pytest.mark.parametrize(
    ("args", "environ", "servers", "source"),
    [
        ((), {}, "ini:9092", "ini ms_kafka"),
        ((), {"PYTEST_MS_KAFKA": "env:9092"}, "env:9092", "PYTEST_MS_KAFKA"),
        (("--ms-kafka=cli:9092",), {"PYTEST_MS_KAFKA": "env:9092"}, "cli:9092", "--ms-kafka"),
    ],
)
def test_who_names_the_brokers(
    session: Session, args: tuple[str, ...], environ: dict[str, str], servers: str, source: str
) -> None:
    """The option wins over the variable, the variable over the ini value."""
    session.ini("ms_kafka = ini:9092")
    kafka = session.settings(*args, **environ).kafka

    assert kafka is not None
    assert (kafka.text, kafka.source, kafka.prefix) == (servers, source, "ms-load")


@pytest.mark.parametrize("text", ["none", ""])
def test_kafka_is_switched_off(session: Session, text: str) -> None:
    """`none`, or nothing, on the command line undoes an ini default."""
    session.ini("ms_kafka = ini:9092")

    assert session.settings(f"--ms-kafka={text}").kafka is None


def test_the_variable_of_the_prefix_wins_over_the_ini_value(session: Session) -> None:
    """As with any other setting."""
    session.ini("ms_kafka_prefix = ini")
    kafka = session.settings("--ms-kafka=a:1", PYTEST_MS_KAFKA_PREFIX="env").kafka

    assert kafka is not None
    assert (kafka.prefix, kafka.prefix_source) == ("env", "PYTEST_MS_KAFKA_PREFIX")


def test_settings_show_no_password_of_kafka(session: Session) -> None:
    """A repr of all settings, in a log or a traceback, holds no secret."""
    assert "geheim" not in repr(session.settings("--ms-kafka=a:1", PYTEST_MS_KAFKA_PASSWORD="geheim"))


def test_the_variable_of_the_image_wins_over_the_ini_value(session: Session) -> None:
    """As with everything that has both; without either there is none."""
    image = "registry.example:5000/ours/runner:1.0"
    assert session.settings().runner_image == ""
    session.ini(f"ms_runner_image = {image}")

    assert session.settings().runner_image == image
    assert session.settings(PYTEST_MS_RUNNER_IMAGE="runner:env").runner_image == "runner:env"


@pytest.mark.parametrize(
    "image", ["runner", "host:5000/runner", "runner:1@sha256:00", "Runner:1", "runner:", ":1"]
)
def test_an_image_without_its_tag(session: Session, image: str) -> None:
    """A port is none, and a digest is not compared."""
    complaint = session.complaint(PYTEST_MS_RUNNER_IMAGE=image)

    assert complaint.startswith(f"PYTEST_MS_RUNNER_IMAGE: {image!r} is not an image with its tag")
