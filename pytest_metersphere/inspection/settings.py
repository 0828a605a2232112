"""The settings that a pytest session would have here, without a session: nothing is collected or loaded."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator

import pytest

from pytest_metersphere.dist.fleet import require_certificates
from pytest_metersphere.dist.kafka.brokers import read_access
from pytest_metersphere.dist.pool import Pool, parse_pool, parse_pools
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.options import add_options, resolve
from pytest_metersphere.settings import Settings, StockJMeterSettings

_OPTIONS = {"ms_pool": "--ms-pool", "ms_kafka": "--ms-kafka"}
_OURSELVES = ("metersphere", "pytest_metersphere.plugin")
_QUIETLY = (
    "--disable-plugin-autoload",
    "--noconftest",
    "--capture=no",
    "-p",
    "no:warnings",
    "--override-ini=required_plugins=",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What to look at, beside this machine.

    Attributes:
        pool: the nodes, as they were written.
        kafka: how to reach Kafka.
        token: what the nodes ask for.
        cafile: file of the certificates that vouch for the nodes, None for plain HTTP.
        runner_image: image that stock nodes are to run, empty without one.
        jmeter: what was set for test plans on them.
    """

    pool: Pool | None
    kafka: KafkaAccess | None
    token: str = dataclasses.field(repr=False, default="")
    cafile: str | None = None
    runner_image: str = ""
    jmeter: StockJMeterSettings = dataclasses.field(default_factory=StockJMeterSettings)

    @property
    def empty(self) -> bool:
        """Return whether there is neither pool nor Kafka."""
        return self.pool is None and self.kafka is None

    @property
    def secrets(self) -> list[str]:
        """Return what must not be shown."""
        return [text for text in (self.token, self.kafka.password if self.kafka else "") if text]


def read_target(options: list[str]) -> Target:
    """Return what options, variables and ini values say of the pool and of Kafka.

    Args:
        options: any of pytest's `-c FILE`, `--rootdir=DIR`, `--ms-pool=…` and `--ms-kafka=…`.

    Raises:
        ConfigError: something is not understood.
    """
    settings = read_settings(options)
    mistakes: list[str] = []
    with _noted(mistakes):
        if settings.node_cafile:
            require_certificates(settings.node_cafile, settings.node_cafile_source)
    pool = kafka = None
    with _noted(mistakes):
        pool = _pool(settings)
    with _noted(mistakes):
        kafka = read_access(settings.kafka) if settings.kafka else None
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    token = settings.token.reveal() if settings.token else ""
    return Target(pool, kafka, token, settings.node_cafile, settings.runner_image, settings.jmeter)


def read_settings(options: list[str]) -> Settings:
    """Return what pytest's own search for ini files, and its reading of them, come to.

    Neither plugins nor conftest files are loaded, but for plugins that options or PYTEST_PLUGINS name; of
    the options in `addopts` and PYTEST_ADDOPTS only the two about the pool and Kafka count.

    Raises:
        ConfigError: something is not understood; the text is pytest's, or names where it was written.
    """
    reader = _Reader()
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = pytest.main([*_QUIETLY, *options], plugins=[reader])
    except Exception as error:  # noqa: BLE001 - it says so for what it expects only, and plugins are strangers
        raise ConfigError(f"pytest cannot read its settings: {error}") from None
    if reader.mistake is not None:
        raise reader.mistake
    if reader.settings is None:
        raise ConfigError(_words(said.getvalue()) or f"pytest ended with exit code {int(code)}")
    return reader.settings


class _Reader:
    """A plugin that takes the settings and ends the session before it begins."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.mistake: ConfigError | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(
        self, early_config: pytest.Config, parser: pytest.Parser, args: list[str]
    ) -> None:
        """Leave only our options: those of plugins that are not loaded would be mistakes."""
        if not any(early_config.pluginmanager.has_plugin(name) for name in _OURSELVES):
            add_options(parser)
        known = vars(parser.parse_known_args(args))
        args[:] = [f"{flag}={known[key]}" for key, flag in _OPTIONS.items() if known[key] is not None]

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Take the settings; whatever is returned, no session begins."""
        try:
            self.settings = resolve(config, os.environ)
        except ConfigError as mistake:
            self.mistake = mistake
        return 0


@contextlib.contextmanager
def _noted(mistakes: list[str]) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        mistakes.append(str(error))


def _pool(settings: Settings) -> Pool | None:
    if settings.pool_text is None:
        return None
    return parse_pool(settings.pool_text, parse_pools(settings.pools), source=settings.pool_source)


def _words(said: str) -> str:
    """Return what pytest has to complain about, in one line and without its usage."""
    text = " ".join(said.split())
    usage, error, words = text.partition(": error: ")
    return words if error and "usage: " in usage else text.removeprefix("ERROR: ")
