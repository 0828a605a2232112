"""What users can set: options, environment variables and ini values, resolved once into Settings.

An option `--ms-report-dir` has the ini key `ms_report_dir` and the variable `PYTEST_MS_REPORT_DIR`;
the option wins over the variable, the variable over the ini value, that over the default. An empty
variable or ini value counts as absent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec
import pytest

from pytest_metersphere.errors import ConfigError, did_you_mean
from pytest_metersphere.settings import (
    DEFAULT_KAFKA_PREFIX,
    DEFAULT_LOG_TOPIC,
    DEFAULT_METRICS_TOPIC,
    DEFAULT_REPORT_DIR,
    JMETER_IMAGE_KEY,
    NODE_CAFILE_KEY,
    RUNNER_IMAGE_KEY,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
    KafkaSettings,
    OnNodeLoss,
    Preflight,
    Secret,
    Settings,
    StockJMeterSettings,
)
from pytest_metersphere.units import (
    parse_duration,
    parse_rate_override,
    parse_users,
)

Value = TypeVar("Value")


class _Declaration(msgspec.Struct, frozen=True):
    """One option; `ini` says whether it has an ini key and a variable of the same name."""

    flag: str
    metavar: str
    help: str
    action: Literal["store", "append", "store_true"] = "store"
    ini: bool = True


_DECLARATIONS = (
    _Declaration(
        "--ms-pool",
        "NAME-or-SPEC",
        "Run load scenarios on this pool: a name from ini ms_pools, or nodes as local, local=400+200 or "
        "10.0.0.11=4000,10.0.0.12:9000=2000. Without it, or with none, they run once as functional tests",
    ),
    _Declaration(
        "--ms-kafka",
        "HOST:PORT,...",
        "Kafka's bootstrap servers: results come over Kafka. Without it, or with none, they are pulled from "
        "the nodes. How to log in is set by PYTEST_MS_KAFKA_* variables",
    ),
    _Declaration("--ms-report-dir", "DIR", f"Folder of the load reports (default: {DEFAULT_REPORT_DIR})"),
    _Declaration("--ms-users", "N", "Users of every selected scenario, for example 50, or 50%% to scale"),
    _Declaration(
        "--ms-rate",
        "R",
        "Arrival rate of every selected scenario that has one, for example 50/s, or 50%% to scale",
    ),
    _Declaration("--ms-hold", "T", "How long every selected scenario holds its peak, for example 10s"),
    _Declaration("--ms-ramp", "T", "How long every selected scenario takes to its peak, for example 5s"),
    _Declaration(
        "--ms-threshold",
        "EXPR",
        "Threshold for every selected scenario, for example 'p95 < 300ms'; may be given several times",
        action="append",
        ini=False,
    ),
    _Declaration(
        "--ms-preflight",
        "auto|always|off",
        "When to check the pool before any test: auto (the default) if a load scenario is selected",
    ),
    _Declaration(
        "--ms-on-node-loss",
        "fail|continue",
        "When a node is lost: fail (the default) ends the load on all others, continue lets them go on to "
        "the end. The run is invalid either way",
    ),
    _Declaration(
        "--ms-callback",
        "HOST[:PORT]",
        "Where stock MeterSphere nodes call pytest when they run a test plan in the JMeter image (default: "
        "the address that leads to each node, and a free port)",
    ),
    _Declaration(
        "--ms-plan",
        "",
        "Print who gets how many users over time, and exit without contacting a node",
        action="store_true",
        ini=False,
    ),
)
_INI_TEXTS = {
    "ms_kafka_prefix": "What the names of the Kafka topics begin with (default: ms-load)",
    RUNNER_IMAGE_KEY: "The image, with its tag, that stock MeterSphere node-controllers run scenarios in",
    JMETER_IMAGE_KEY: "The image, with its tag, that they run test plans in: the jmeter-master of your "
    "MeterSphere; without it the runner image, which must have JMeter then",
    "ms_jmeter_heap": "Java's options for the heap in that image, for example -Xms1g -Xmx4g (default: the "
    "image's own)",
    "ms_metrics_topic": f"Kafka topic for the rows of that image (default: {DEFAULT_METRICS_TOPIC})",
    "ms_log_topic": f"Kafka topic for its log (default: {DEFAULT_LOG_TOPIC})",
}
_KAFKA_LOGIN = {
    "security_protocol": "PLAINTEXT (the default), SSL, SASL_PLAINTEXT or SASL_SSL",
    "sasl_mechanism": "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, for SASL",
    "username": "The user, for SASL",
    "cafile": "File of the certificates (PEM) to trust instead of the system's, for TLS",
    "certfile": "File of the certificate (PEM) that this client shows, for TLS",
    "keyfile": "File of that certificate's key (PEM), when the key is not in the same file",
}
_SECRETS = {
    TOKEN_VARIABLE: "The token of the nodes: the same where they run and where pytest runs",
    TOKEN_FILE_VARIABLE: "File that holds the token, when PYTEST_MS_TOKEN is not set",
    "PYTEST_MS_KAFKA_PASSWORD": "The user's password at Kafka, for SASL",
}
_JMETER_HOME_TEXT = (
    "JMeter's folder, for `jmx` scenarios: where nodes run, and without a pool here; else the program "
    "jmeter on the path leads there"
)
_NODE_CAFILE_TEXT = "File of the certificates that nodes must show: with it, pools are spoken to over TLS"
_LINELISTS = {
    "ms_pools": "Pools of nodes, one a line: perf: 10.0.0.11=4000 10.0.0.12:9000=2000",
    "ms_thresholds": "Thresholds for every load scenario, one a line: p95 < 300ms",
    "ms_bundle": "Patterns of further files that load scenarios need on the nodes, relative to the rootdir",
}


_JMETER_IMAGE = "registry.cn-qingdao.aliyuncs.com/metersphere/jmeter-master:5.5-ms7-jdk17"
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")
_CALLBACK = re.compile(
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?))"
    r"(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
_LAST_PORT = 65535
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class _Written(msgspec.Struct, frozen=True):
    """A text and where it was written."""

    text: str
    source: str


def add_options(parser: pytest.Parser) -> None:
    """Declare the options in group "metersphere", and the ini keys."""
    group = parser.getgroup("metersphere", "distributed load testing")
    for option in _DECLARATIONS:
        switch = option.action == "store_true"
        details: dict[str, Any] = {} if switch else {"metavar": option.metavar}
        group.addoption(option.flag, action=option.action, default=None, help=option.help, **details)
        if option.ini:
            parser.addini(_key(option.flag), f"Default of {option.flag}", type="string", default=None)
    for key, text in _INI_TEXTS.items():
        parser.addini(key, text, type="string", default=None)
    parser.addini(NODE_CAFILE_KEY, _NODE_CAFILE_TEXT, type="string", default=None)
    for key, text in _LINELISTS.items():
        parser.addini(key, text, type="linelist", default=[])


def resolve(config: pytest.Config, environ: Mapping[str, str]) -> Settings:
    """Return what option, variable, ini value and default come to.

    Args:
        config: pytest's, after its options are parsed.
        environ: the environment, `os.environ`.

    Raises:
        ConfigError: a value that is not understood; the message names where it was written.
    """
    pool = _pool(config, environ)
    plan = bool(config.getoption("ms_plan"))
    if plan and pool is None:
        raise ConfigError(
            "--ms-plan needs a pool, and there is none; add for example --ms-pool=local=400+200"
        )
    thresholds = list(_thresholds(config, environ))
    node_cafile = _node_cafile(config, environ)
    return Settings(
        pool_text=pool.text if pool else None,
        pool_source=pool.source if pool else "",
        pools=_lines(config, "ms_pools"),
        report_dir=_report_dir(config, environ),
        users=_parsed(config, environ, "--ms-users", parse_users),
        rate=_parsed(config, environ, "--ms-rate", parse_rate_override),
        hold=_parsed(config, environ, "--ms-hold", parse_duration),
        ramp=_parsed(config, environ, "--ms-ramp", parse_duration),
        thresholds=tuple(threshold.text for threshold in thresholds),
        threshold_sources=tuple(threshold.source for threshold in thresholds),
        preflight=_parsed(config, environ, "--ms-preflight", _preflight) or "auto",
        plan=plan,
        bundle=_lines(config, "ms_bundle"),
        rootdir=str(config.rootpath),
        token=_token(environ),
        on_node_loss=_parsed(config, environ, "--ms-on-node-loss", _on_node_loss) or "fail",
        node_cafile=node_cafile.text if node_cafile else None,
        node_cafile_source=node_cafile.source if node_cafile else "",
        kafka=_kafka(config, environ),
        runner_image=_image(config, environ, RUNNER_IMAGE_KEY, "pytest-metersphere-runner:0.1.0"),
        jmeter=_stock_jmeter(config, environ),
    )


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _variable(flag: str) -> str:
    return f"PYTEST_{_key(flag).upper()}"


def _written(config: pytest.Config, environ: Mapping[str, str], flag: str) -> _Written | None:
    option = config.getoption(_key(flag))
    if option is not None:
        return _Written(str(option).strip(), flag)
    return _written_below(config, environ, _key(flag))


def _written_below(config: pytest.Config, environ: Mapping[str, str], key: str) -> _Written | None:
    """Return what the variable or the ini value of a key says."""
    name = f"PYTEST_{key.upper()}"
    variable = environ.get(name, "").strip()
    if variable:
        return _Written(variable, name)
    ini = _ini(config, key, str)
    return _Written(ini.strip(), f"ini {key}") if ini and ini.strip() else None


def _ini(config: pytest.Config, key: str, kind: type[Value]) -> Value | None:
    """Return an ini value; pytest's complaint about a native TOML value of another type is ours."""
    example = f'{key} = "…"' if kind is str else f'{key} = ["…", "…"]'
    try:
        value = config.getini(key)
    except (TypeError, pytest.UsageError) as error:
        raise ConfigError(f"ini {key}: {error}; write {example}") from None
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"ini {key}: {value!r} is of the wrong type; write {example}")
    return value


def _lines(config: pytest.Config, key: str) -> tuple[str, ...]:
    lines: list[object] | None = _ini(config, key, list)
    return tuple(line for line in (str(entry).strip() for entry in lines or []) if line)


def _parsed(
    config: pytest.Config, environ: Mapping[str, str], flag: str, parse: Callable[[str], Value]
) -> Value | None:
    written = _written(config, environ, flag)
    if written is None:
        return None
    try:
        return parse(written.text)
    except ConfigError as error:
        raise ConfigError(f"{written.source}: {error}") from None


def _pool(config: pytest.Config, environ: Mapping[str, str]) -> _Written | None:
    written = _written(config, environ, "--ms-pool")
    return None if written is None or written.text in ("", "none") else written


def _kafka(config: pytest.Config, environ: Mapping[str, str]) -> KafkaSettings | None:
    servers = _written(config, environ, "--ms-kafka")
    if servers is None or servers.text in ("", "none"):
        return None
    prefix = _written_below(config, environ, "ms_kafka_prefix") or _Written(DEFAULT_KAFKA_PREFIX, "")
    password = environ.get("PYTEST_MS_KAFKA_PASSWORD", "")
    return KafkaSettings(
        text=servers.text,
        source=servers.source,
        prefix=prefix.text,
        prefix_source=prefix.source,
        password=Secret(password) if password else None,
        **{name: environ.get(f"PYTEST_MS_KAFKA_{name.upper()}", "").strip() for name in _KAFKA_LOGIN},
    )


def _image(config: pytest.Config, environ: Mapping[str, str], key: str, example: str) -> str:
    """Return an image for stock nodes; these compare the text with their list of names and tags."""
    written = _written_below(config, environ, key)
    if written is None:
        return ""
    if not _IMAGE.fullmatch(written.text):
        raise ConfigError(
            f"{written.source}: {written.text!r} is not an image with its tag, as `docker images` lists it on"
            f" the nodes; write for example {example}"
        )
    return written.text


def _stock_jmeter(config: pytest.Config, environ: Mapping[str, str]) -> StockJMeterSettings:
    host, port = _parsed(config, environ, "--ms-callback", _callback) or ("", 0)
    heap = _written_below(config, environ, "ms_jmeter_heap")
    return StockJMeterSettings(
        image=_image(config, environ, JMETER_IMAGE_KEY, _JMETER_IMAGE),
        heap=heap.text if heap else "",
        callback_host=host,
        callback_port=port,
        metrics_topic=_topic(config, environ, "ms_metrics_topic", DEFAULT_METRICS_TOPIC),
        log_topic=_topic(config, environ, "ms_log_topic", DEFAULT_LOG_TOPIC),
    )


def _topic(config: pytest.Config, environ: Mapping[str, str], key: str, default: str) -> str:
    written = _written_below(config, environ, key) or _Written(default, "")
    if not _TOPIC.fullmatch(written.text) or written.text in (".", ".."):
        raise ConfigError(
            f"{written.source}: {written.text!r} is no name of a topic: letters, digits, '.', '_' and '-' are"
            f" allowed, 200 at most; write for example {default}"
        )
    return written.text


def _callback(text: str) -> tuple[str, int]:
    """Return host and port of a text such as `10.0.0.5:18081`, `10.0.0.5` or `[fd00::5]:18081`."""
    found = _CALLBACK.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if found is None or port > _LAST_PORT:
        raise ConfigError(f"{text!r} is no HOST or HOST:PORT; write for example 10.0.0.5:18081")
    return found["bracketed"] or found["host"], port


def _preflight(text: str) -> Preflight:
    choice: Preflight = _choice(text, get_args(Preflight))
    return choice


def _on_node_loss(text: str) -> OnNodeLoss:
    choice: OnNodeLoss = _choice(text, get_args(OnNodeLoss))
    return choice


def _choice(text: str, choices: tuple[Any, ...]) -> Any:
    """Return the one of the choices, the first of which is the default, that the text is."""
    if text in choices:
        return text
    hint = did_you_mean(text, choices)
    raise ConfigError(f"{text!r} is not one of {', '.join(choices)}; write for example {choices[0]}{hint}")


def _node_cafile(config: pytest.Config, environ: Mapping[str, str]) -> _Written | None:
    """Return the absolute path of the nodes' certificates, and where it was written."""
    source = f"PYTEST_{NODE_CAFILE_KEY.upper()}"
    text, base = environ.get(source, "").strip(), config.invocation_params.dir
    if not text:
        text, source = (_ini(config, NODE_CAFILE_KEY, str) or "").strip(), f"ini {NODE_CAFILE_KEY}"
        base = config.inipath.parent if config.inipath else config.rootpath
    if not text:
        return None
    path = base / Path(text).expanduser()
    if not path.is_file():
        raise ConfigError(f"{source}: there is no file {text!r}, write for example /etc/ms/nodes-ca.pem")
    return _Written(os.path.normpath(path), source)


def _report_dir(config: pytest.Config, environ: Mapping[str, str]) -> str:
    written = _written(config, environ, "--ms-report-dir") or _Written(DEFAULT_REPORT_DIR, "--ms-report-dir")
    if not written.text:
        raise ConfigError(f"{written.source}: the folder's name is empty, write for example ms-report")
    base = config.invocation_params.dir
    if written.source.startswith("ini "):
        base = config.inipath.parent if config.inipath else config.rootpath
    folder = base / Path(written.text).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{written.source}: {written.text!r} is not a folder, write for example ms-report")
    return os.path.normpath(folder)


def _thresholds(config: pytest.Config, environ: Mapping[str, str]) -> Iterator[_Written]:
    given: list[str] | None = config.getoption("ms_threshold")
    if given is not None:
        source, texts = "--ms-threshold", [text.strip() for text in given]
    else:
        source = _variable("--ms-threshold")
        texts = [line.strip() for line in environ.get(source, "").splitlines() if line.strip()]
    if "" in texts:
        raise ConfigError(f"{source}: the threshold is empty, write for example 'p95 < 300ms'")
    yield from (_Written(text, source) for text in texts)
    yield from (_Written(text, "ini ms_thresholds") for text in _lines(config, "ms_thresholds"))


def _token(environ: Mapping[str, str]) -> Secret | None:
    """Return the token of the variable, else that of the file which the other variable names."""
    source, text = TOKEN_VARIABLE, environ.get(TOKEN_VARIABLE, "").strip()
    file = environ.get(TOKEN_FILE_VARIABLE, "").strip()
    if not text and file:
        source, text = TOKEN_FILE_VARIABLE, _token_in(file)
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{source}: a token is of letters, digits and ASCII signs without spaces")
    return Secret(text)


def _token_in(file: str) -> str:
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{TOKEN_FILE_VARIABLE}: {file!r} holds no token, but something binary") from None
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{TOKEN_FILE_VARIABLE}: {file!r} cannot be read: {reason}") from None
    if not text:
        raise ConfigError(f"{TOKEN_FILE_VARIABLE}: {file!r} is empty, write the nodes' token into it")
    return text
