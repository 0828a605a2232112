"""What was set for a session, as `options` resolves it; names and defaults that others need, too."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_metersphere.units import RateOverride, UsersOverride

Preflight = Literal["auto", "always", "off"]
OnNodeLoss = Literal["fail", "continue"]

TOKEN_VARIABLE = "PYTEST_MS_TOKEN"
TOKEN_FILE_VARIABLE = "PYTEST_MS_TOKEN_FILE"
NODE_CAFILE_KEY = "ms_node_cafile"
DEFAULT_REPORT_DIR = "ms-report"
DEFAULT_KAFKA_PREFIX = "ms-load"
RUNNER_IMAGE_KEY = "ms_runner_image"
JMETER_IMAGE_KEY = "ms_jmeter_image"
DEFAULT_METRICS_TOPIC = "JMETER_METRICS"
DEFAULT_LOG_TOPIC = "JMETER_LOGS"
JMETER_HOME_VARIABLE = "PYTEST_MS_JMETER_HOME"
"""The variable that names JMeter's folder, the one with bin/ApacheJMeter.jar in it."""


class Secret:
    """A text that never shows itself: not in a repr, a log, a report or a traceback's locals."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        """Return stars, however long the text is."""
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        """Return whether the other one is a secret with the same text."""
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        """Return the hash of the text."""
        return hash(self._text)


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach Kafka, as written; `dist.kafka.brokers` understands it.

    Attributes:
        text: the bootstrap servers.
        source: where they were written, `--ms-kafka`, `PYTEST_MS_KAFKA` or `ini ms_kafka`.
        prefix: what the topics' names begin with.
        prefix_source: where that was written, empty for the default.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; empty when not set, as all below.
        sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
        username: with SASL, the user.
        password: with SASL, the user's password.
        cafile: with TLS, file of the certificates to trust instead of the system's.
        certfile: with TLS, file of the certificate that this client shows.
        keyfile: file of its key, when it is not in `certfile`.
    """

    text: str
    source: str
    prefix: str = DEFAULT_KAFKA_PREFIX
    prefix_source: str = ""
    security_protocol: str = ""
    sasl_mechanism: str = ""
    username: str = ""
    password: Secret | None = None
    cafile: str = ""
    certfile: str = ""
    keyfile: str = ""


class StockJMeterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What was set for test plans in the JMeter image of stock MeterSphere nodes.

    Attributes:
        image: the image with its tag, empty when they run in the runner image.
        heap: Java's options for its heap, empty for the image's own.
        callback_host: where nodes call pytest, empty for the address that leads to each node.
        callback_port: the port on which they do, 0 for any that is free.
        metrics_topic: Kafka topic for rows.
        log_topic: Kafka topic for logs.
    """

    image: str = ""
    heap: str = ""
    callback_host: str = ""
    callback_port: int = 0
    metrics_topic: str = DEFAULT_METRICS_TOPIC
    log_topic: str = DEFAULT_LOG_TOPIC


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was set for this session.

    Attributes:
        pool_text: the pool as written, None for functional mode; `dist.pool` parses it.
        pool_source: where the pool was written, `--ms-pool`, `PYTEST_MS_POOL` or `ini ms_pool`.
        pools: the lines of ini `ms_pools`, as written.
        report_dir: absolute folder; an option, a variable and the default are relative to the folder
            pytest was started in, an ini value to the folder of the ini file.
        users: another number of users, None to keep each scenario's; of those with an arrival rate, how
            many may run at once.
        rate: another arrival rate for scenarios that have one, None to keep each scenario's.
        hold: seconds at the peak, None to keep each scenario's.
        ramp: seconds to the peak, None to keep each scenario's.
        thresholds: texts of the thresholds for all scenarios, first those of the command line.
        threshold_sources: where each of them was written, in the same order.
        preflight: when to check the nodes.
        plan: print the plan and exit.
        bundle: patterns of further files for the nodes.
        rootdir: pytest's rootdir, absolute.
        token: what our node-controllers ask for, None when the environment has none.
        on_node_loss: whether the load of the others ends with a lost node.
        node_cafile: absolute path of the certificates by which nodes that are not local prove who they
            are, over TLS; None for plain HTTP.
        node_cafile_source: where it was written, `PYTEST_MS_NODE_CAFILE` or `ini ms_node_cafile`.
        kafka: how to reach Kafka, None when results are pulled from the nodes.
        runner_image: image with its tag that stock MeterSphere nodes are to run, empty without one.
        jmeter: what was set for test plans on stock nodes.
    """

    pool_text: str | None
    pool_source: str
    pools: tuple[str, ...]
    report_dir: str
    users: UsersOverride | None
    rate: RateOverride | None = None
    hold: float | None
    ramp: float | None
    thresholds: tuple[str, ...]
    threshold_sources: tuple[str, ...]
    preflight: Preflight
    plan: bool
    bundle: tuple[str, ...]
    rootdir: str
    token: Secret | None
    on_node_loss: OnNodeLoss = "fail"
    node_cafile: str | None = None
    node_cafile_source: str = ""
    kafka: KafkaSettings | None
    runner_image: str = ""
    jmeter: StockJMeterSettings = StockJMeterSettings()
