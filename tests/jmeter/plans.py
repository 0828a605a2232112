"""Test plans as JMeter saves them, put together from pieces."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr


def plan(*elements: str, serialize: bool = False, variables: dict[str, str] | None = None) -> str:
    """Return a JMX file with these elements directly below its test plan."""
    rows = "".join(
        f'<elementProp name={quoteattr(name)} elementType="Argument">'
        f'<stringProp name="Argument.name">{escape(name)}</stringProp>'
        f'<stringProp name="Argument.value">{escape(value)}</stringProp></elementProp>'
        for name, value in (variables or {}).items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<jmeterTestPlan version="1.2" properties="5.0" jmeter="5.6.3">
  <hashTree>
    <TestPlan guiclass="TestPlanGui" testclass="TestPlan" testname="Shop">
      <boolProp name="TestPlan.serialize_threadgroups">{str(serialize).lower()}</boolProp>
      <elementProp name="TestPlan.user_defined_variables" elementType="Arguments">
        <collectionProp name="Arguments.arguments">{rows}</collectionProp>
      </elementProp>
    </TestPlan>
    <hashTree>
{chr(10).join(elements)}
    </hashTree>
  </hashTree>
</jmeterTestPlan>
"""


def element(tag: str, name: str, *properties: str, below: str = "", enabled: bool = True) -> str:
    """Return an element with its properties and the hashTree of what is below it."""
    kind = tag.rpartition(".")[2]
    return (
        f'<{tag} guiclass="{kind}Gui" testclass="{tag}" testname={quoteattr(name)} '
        f'enabled="{str(enabled).lower()}">\n{chr(10).join(properties)}\n</{tag}>\n<hashTree>{below}</hashTree>'
    )


def text(name: str, value: object) -> str:
    """Return a property that holds a text."""
    return f'<stringProp name="{name}">{escape(str(value))}</stringProp>'


def flag(name: str, value: bool) -> str:  # noqa: FBT001 - as JMeter's boolProp
    """Return a property that is on or off."""
    return f'<boolProp name="{name}">{str(value).lower()}</boolProp>'


def loop(count: object) -> str:
    """Return the loop of a thread group."""
    return (
        '<elementProp name="ThreadGroup.main_controller" elementType="LoopController" '
        'guiclass="LoopControlPanel" testclass="LoopController">'
        f"{flag('LoopController.continue_forever', False)}{text('LoopController.loops', count)}</elementProp>"
    )


def threads(
    *below: str,
    name: str = "Buyers",
    count: object = 1,
    loops: object = 1,
    ramp: object = 0,
    duration: object = "",
    tag: str = "ThreadGroup",
    enabled: bool = True,
) -> str:
    """Return a thread group of JMeter's own."""
    return element(
        tag,
        name,
        text("ThreadGroup.num_threads", count),
        text("ThreadGroup.ramp_time", ramp),
        flag("ThreadGroup.scheduler", bool(duration)),
        text("ThreadGroup.duration", duration),
        text("ThreadGroup.delay", ""),
        text("ThreadGroup.on_sample_error", "continue"),
        loop(loops),
        below="\n".join(below),
        enabled=enabled,
    )


def concurrency(*below: str, target: object, ramp: object = 0, hold: object = 2, unit: str = "S") -> str:
    """Return a Concurrency Thread Group."""
    return element(
        "com.blazemeter.jmeter.threads.concurrency.ConcurrencyThreadGroup",
        "Crowd",
        '<elementProp name="ThreadGroup.main_controller" '
        'elementType="com.blazemeter.jmeter.control.VirtualUserController"/>',
        text("ThreadGroup.on_sample_error", "continue"),
        text("TargetLevel", target),
        text("RampUp", ramp),
        text("Steps", 1),
        text("Hold", hold),
        text("Iterations", ""),
        text("LogFilename", ""),
        text("Unit", unit),
        below="\n".join(below),
    )


def ultimate(*below: str, rows: list[tuple[int, int, int, int, int]]) -> str:
    """Return an Ultimate Thread Group of rows of threads, delay, startup, hold and shutdown."""
    cells = "".join(
        f'<collectionProp name="{number}">'
        + "".join(text(str(cell), cell) for cell in row)
        + "</collectionProp>"
        for number, row in enumerate(rows)
    )
    return element(
        "kg.apc.jmeter.threads.UltimateThreadGroup",
        "Waves",
        f'<collectionProp name="ultimatethreadgroupdata">{cells}</collectionProp>',
        loop(-1),
        text("ThreadGroup.on_sample_error", "continue"),
        below="\n".join(below),
    )


def stepping(*below: str, count: int, step: int, period: int = 1, flight: int = 2) -> str:
    """Return a Stepping Thread Group."""
    return element(
        "kg.apc.jmeter.threads.SteppingThreadGroup",
        "Steps",
        text("ThreadGroup.on_sample_error", "continue"),
        text("ThreadGroup.num_threads", count),
        text("Threads initial delay", 0),
        text("Start users count", step),
        text("Start users count burst", 0),
        text("Start users period", period),
        text("Stop users count", count),
        text("Stop users period", 1),
        text("flighttime", flight),
        text("rampUp", 0),
        loop(-1),
        below="\n".join(below),
    )


def http(
    path: str, *below: str, name: str = "", port: object = "${__P(port)}", host: str = "127.0.0.1"
) -> str:
    """Return an HTTP request."""
    return element(
        "HTTPSamplerProxy",
        name or f"GET {path.partition('?')[0]}",
        text("HTTPSampler.domain", host),
        text("HTTPSampler.port", port),
        text("HTTPSampler.protocol", "http"),
        text("HTTPSampler.path", path),
        text("HTTPSampler.method", "GET"),
        flag("HTTPSampler.follow_redirects", True),
        flag("HTTPSampler.use_keepalive", True),
        '<elementProp name="HTTPsampler.Arguments" elementType="Arguments">'
        '<collectionProp name="Arguments.arguments"/></elementProp>',
        below="\n".join(below),
    )


def sleep(milliseconds: int, name: str = "sleep") -> str:
    """Return a sampler that asks nobody and takes so long."""
    given = {"SleepTime": str(milliseconds), "SleepMask": "0x0"}
    rows = "".join(
        f'<elementProp name="{key}" elementType="Argument">{text("Argument.name", key)}'
        f"{text('Argument.value', value)}</elementProp>"
        for key, value in given.items()
    )
    return element(
        "JavaSampler",
        name,
        text("classname", "org.apache.jmeter.protocol.java.test.SleepTest"),
        '<elementProp name="arguments" elementType="Arguments">'
        f'<collectionProp name="Arguments.arguments">{rows}</collectionProp></elementProp>',
    )


def says(wanted: str) -> str:
    """Return an assertion that the answer holds a text."""
    return element(
        "ResponseAssertion",
        "says",
        f'<collectionProp name="Asserion.test_strings">{text("1", wanted)}</collectionProp>',
        text("Assertion.custom_message", ""),
        text("Assertion.test_field", "Assertion.response_data"),
        flag("Assertion.assume_success", False),
        '<intProp name="Assertion.test_type">16</intProp>',
    )


def pause(milliseconds: int) -> str:
    """Return a timer that waits before every sample."""
    return element("ConstantTimer", "pause", text("ConstantTimer.delay", milliseconds))


def transaction(name: str, *below: str, parent: bool = False) -> str:
    """Return a Transaction Controller."""
    return element(
        "TransactionController",
        name,
        flag("TransactionController.parent", parent),
        flag("TransactionController.includeTimers", False),
        below="\n".join(below),
    )


def csv(file: str, *, names: str = "", mode: str = "all", recycle: bool = True, quoted: bool = True) -> str:
    """Return a CSV data set."""
    return element(
        "CSVDataSet",
        "rows",
        text("delimiter", ","),
        text("fileEncoding", "UTF-8"),
        text("filename", file),
        flag("ignoreFirstLine", False),
        flag("quotedData", quoted),
        flag("recycle", recycle),
        text("shareMode", f"shareMode.{mode}"),
        flag("stopThread", not recycle),
        text("variableNames", names),
    )


def constant_throughput(per_minute: object, mode: int = 1) -> str:
    """Return a Constant Throughput Timer, with a number as JMeter saves it."""
    return element(
        "ConstantThroughputTimer",
        "rate",
        f'<intProp name="calcMode">{mode}</intProp>',
        f"<doubleProp><name>throughput</name><value>{per_minute}</value><savedValue>0.0</savedValue></doubleProp>",
    )


def precise_throughput(per_second: float) -> str:
    """Return a Precise Throughput Timer, as JMeter saves it."""
    return element(
        "PreciseThroughputTimer",
        "exact",
        f"<doubleProp><name>throughput</name><value>{per_second}</value><savedValue>0.0</savedValue></doubleProp>",
        '<intProp name="throughputPeriod">1</intProp><longProp name="duration">60</longProp>',
        '<intProp name="batchSize">1</intProp><intProp name="batchThreadDelay">0</intProp>',
        '<intProp name="exactLimit">10000</intProp><longProp name="randomSeed">1</longProp>',
        "<doubleProp><name>allowedThroughputSurplus</name><value>1.0</value>"
        "<savedValue>0.0</savedValue></doubleProp>",
    )


def shaping(rows: list[tuple[object, object, object]]) -> str:
    """Return a Throughput Shaping Timer of rows of start, end and duration."""
    cells = "".join(
        f'<collectionProp name="{number}">{"".join(text(str(cell), cell) for cell in row)}</collectionProp>'
        for number, row in enumerate(rows)
    )
    return element(
        "kg.apc.jmeter.timers.VariableThroughputTimer",
        "shape",
        f'<collectionProp name="load_profile">{cells}</collectionProp>',
    )
