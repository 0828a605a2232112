"""What the stock JMeter image downloads: a zip of a test plan, made ready for it, and all that it reads.

The zip is flat: `<TEST_ID>.jmx`, the JMeter properties, the system properties, hosts, and the files. The
image unpacks it to FOLDER, so that is where the plan finds its files. Two elements are put into the plan:
the listener by which every sample becomes a row on Kafka, and a gate, a set-up thread group whose only
request the controller answers at go. So all JMeters begin at the same moment, whatever Java took to
start; and the row of that request says what time it was on the node's clock then.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from pytest_metersphere.dist.metersphere.elements import backend_listener, gate
from pytest_metersphere.engine.jmeter.document import read_xml, write_xml
from pytest_metersphere.engine.jmeter.plan import Divided, JmxPlan, plan_of
from pytest_metersphere.engine.jmeter.properties import properties_text
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.jmeter.source import divided_for
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.scenario.model import Scenario
from pytest_metersphere.units import format_size

FOLDER = "/test"
"""Where the image keeps what it downloaded."""
MAX_PACKAGE = 50 << 20
"""Bytes of a package at most, the same as of a bundle."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_PROPERTIES = {
    "summariser.name": "ms-summary",
    "summariser.log": "true",
    "summariser.out": "true",
    "summariser.interval": "30",
    "summariser.ignore_transaction_controller_sample_result": "true",
    "sampleresult.timestamp.start": "true",
    "sampleresult.useNanoTime": "true",
    "jmeterengine.force.system.exit": "true",
    "language": "en",
}
"""JMeter properties by which its log holds a summary that rows can be compared with."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reporting:
    """How a JMeter reports what it does.

    Attributes:
        test_id: name of its container, which is that of its plan.
        report_id: is in every row and every line of the log; nobody else's.
        servers: Kafka's bootstrap servers, `host:port`.
        topic: where rows go.
        gate_url: what the gate asks.
        gate_label: label of the gate's row; nobody else's.
    """

    test_id: str
    report_id: str
    servers: tuple[str, ...]
    topic: str
    gate_url: str
    gate_label: str


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """What one JMeter downloads, and how its rows are to be read.

    Attributes:
        content: the zip.
        helpers: names of thread groups whose threads are no users, the gate's among them.
        transactions: names of Transaction Controllers, `${…}` where only the running plan knows.
    """

    content: bytes
    helpers: tuple[str, ...]
    transactions: tuple[str, ...]


def package_for(
    scenario: Scenario, share: Share, root: Path, reporting: Reporting, attached: Sequence[Path] = ()
) -> Package:
    """Return what a stock node with a share of a scenario's test plan downloads.

    Args:
        scenario: its load is a test plan.
        share: the node's share.
        root: the rootdir.
        reporting: how it is to report.
        attached: further files, by their absolute paths; of several of a name the plan's own, or the first.
            Test plans are left out: older images run each that they find.

    Raises:
        ConfigError: the plan cannot be divided, a file cannot be read, or all of them are too much.
    """
    assert scenario.jmx is not None, "only of a scenario with a test plan"
    divided = divided_for(scenario, share, root)
    folder = (root / scenario.jmx.path).parent
    plan = JmxPlan(divided.plan, scenario.jmx.properties)
    names = _flat(plan.files(), reporting.test_id)
    files = {flat: _content(folder, name, divided) for name, flat in names.items()}
    for path in attached:
        taken = path.name in files or path.name in _reserved(reporting.test_id)
        if not taken and path.suffix.lower() != ".jmx":
            files[path.name] = _content(path.parent, path.name, None)
    moved = plan.moved(lambda name: f"{FOLDER}/{names[name]}")
    content = _zipped(reporting, _ready(moved, reporting), scenario.jmx.properties, files)
    if len(content) > MAX_PACKAGE:
        raise ConfigError(
            f"{scenario.jmx.path}: with its files it takes {format_size(len(content))}, at most "
            f"{format_size(MAX_PACKAGE)} are sent to a stock MeterSphere node"
        )
    helpers = (*divided.helpers, reporting.gate_label)
    return Package(content, helpers, tuple(plan.transactions()))


def trial_package(reporting: Reporting) -> Package:
    """Return a package that has nothing but the gate and the listener, to try a node out."""
    return Package(_zipped(reporting, _ready(_EMPTY_PLAN, reporting), {}, {}), (reporting.gate_label,), ())


def _ready(plan: bytes, reporting: Reporting) -> bytes:
    """Return a plan with the gate and the listener in it."""
    root = read_xml(plan)
    _, top = plan_of(root)
    top[:0] = gate(reporting.gate_url, reporting.gate_label)
    top.extend(backend_listener(_listener_parameters(reporting)))
    return write_xml(root)


def _listener_parameters(reporting: Reporting) -> dict[str, str]:
    return {
        "kafka.acks": "1",
        "kafka.bootstrap.servers": ",".join(reporting.servers),
        "kafka.topic": reporting.topic,
        "kafka.sample.filter": "",
        "kafka.fields": "",
        "kafka.test.mode": "info",
        "kafka.parse.all.req.headers": "false",
        "kafka.parse.all.res.headers": "false",
        "kafka.timestamp": "yyyy-MM-dd'T'HH:mm:ss.SSSZZ",
        "kafka.compression.type": "",
        "kafka.ssl.enabled": "false",
        "kafka.ssl.key.password": "",
        "kafka.ssl.keystore.location": "",
        "kafka.ssl.keystore.password": "",
        "kafka.ssl.truststore.location": "",
        "kafka.ssl.truststore.password": "",
        "kafka.ssl.enabled.protocols": "TLSv1.2,TLSv1.1,TLSv1",
        "kafka.ssl.keystore.type": "JKS",
        "kafka.ssl.protocol": "TLS",
        "kafka.ssl.provider": "",
        "kafka.ssl.truststore.type": "",
        "kafka.batch.size": "16384",
        "kafka.client.id": "JMeterKafkaBackendListener",
        "kafka.connections.max.idle.ms": "180000",
        "test.id": reporting.test_id,
        "test.name": "ms-load",
        "test.reportId": reporting.report_id,
    }


def _flat(names: list[str], test_id: str) -> dict[str, str]:
    """Return for each file a name without a folder, none of them twice."""
    taken = _reserved(test_id)
    found: dict[str, str] = {}
    for name in names:
        base = PurePosixPath(name).name
        flat = next(each for each in (base, *(f"{n}-{base}" for n in range(2, 10_000))) if each not in taken)
        taken.add(flat)
        found[name] = flat
    return found


def _reserved(test_id: str) -> set[str]:
    """Return the names of what is no file of the plan's."""
    return {f"{test_id}.jmx", "ms.properties", "sys.properties", "hosts"}


def _content(folder: Path, name: str, divided: Divided | None) -> bytes:
    own = divided.files.get(name) if divided is not None else None
    if own is not None:
        return own
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name!r}, which the test plan reads, cannot be read: {error.strerror}") from None


def _zipped(
    reporting: Reporting, plan: bytes, properties: Mapping[str, str], files: Mapping[str, bytes]
) -> bytes:
    entries = {
        f"{reporting.test_id}.jmx": plan,
        "ms.properties": f"# JMeter properties\n{properties_text({**properties, **_PROPERTIES})}".encode(),
        "sys.properties": b"# system properties\n",
        "hosts": b"",
        **files,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


_EMPTY_PLAN = b"""<?xml version="1.0" encoding="UTF-8"?>
<jmeterTestPlan version="1.2" properties="5.0" jmeter="5.4.1"><hashTree>
<TestPlan guiclass="TestPlanGui" testclass="TestPlan" testname="trial" enabled="true">
<boolProp name="TestPlan.functional_mode">false</boolProp>
<boolProp name="TestPlan.serialize_threadgroups">false</boolProp>
<elementProp name="TestPlan.user_defined_variables" elementType="Arguments">
<collectionProp name="Arguments.arguments"/></elementProp>
</TestPlan><hashTree/></hashTree></jmeterTestPlan>
"""
