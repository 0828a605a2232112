"""The elements that are put into a test plan for the stock JMeter image: a listener, and a gate."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pytest_metersphere.engine.jmeter.document import Element, new_element

LISTENER = "io.github.rahulsinghai.jmeter.backendlistener.kafka.KafkaBackendClient"
QUEUE_SIZE = 20_000
"""Samples that wait for the listener; when there are more, JMeter's threads wait."""
OPEN = "shut=false"
"""What the gate is answered at go."""
GATE_PATIENCE = 600
"""Seconds that the gate waits for its answer."""

SHUT = "ms-load gate was not opened"
"""Name of the element by which a JMeter without that answer ends its test; it is in its log then."""

_VARIABLE = "ms_gate_shut"
_STOP_NOW = 2
_WHOLE_TEST = 2


def backend_listener(parameters: Mapping[str, str]) -> list[Element]:
    """Return the listener that sends each sample to Kafka, and its hashTree."""
    table = new_element("collectionProp", name="Arguments.arguments")
    for name, value in parameters.items():
        row = new_element("elementProp", name=name, elementType="Argument")
        row.append(_text("Argument.name", name))
        row.append(_text("Argument.value", value))
        row.append(_text("Argument.metadata", "="))
        table.append(row)
    arguments = new_element(
        "elementProp",
        name="arguments",
        elementType="Arguments",
        guiclass="ArgumentsPanel",
        testclass="Arguments",
        enabled="true",
    )
    arguments.append(table)
    listener = _element("BackendListener", "BackendListenerGui", "rows to Kafka")
    listener.append(arguments)
    listener.append(_text("classname", LISTENER))
    listener.append(_text("QUEUE_SIZE", str(QUEUE_SIZE)))
    return [listener, new_element("hashTree")]


def gate(url: str, label: str) -> list[Element]:
    """Return a set-up thread group that asks a URL, waits for OPEN, and ends the test without it.

    Whatever assertions the plan has, and whether the controller is still there: only that word lets
    JMeter go on to the other thread groups.

    Args:
        url: what is asked.
        label: the request's label, and the group's name.
    """
    group = _element("SetupThreadGroup", "SetupThreadGroupGui", label)
    group.append(_text("ThreadGroup.on_sample_error", "continue"))
    loop = new_element(
        "elementProp",
        name="ThreadGroup.main_controller",
        elementType="LoopController",
        guiclass="LoopControlPanel",
        testclass="LoopController",
        enabled="true",
    )
    loop.append(_flag("LoopController.continue_forever", on=False))
    loop.append(_text("LoopController.loops", "1"))
    group.append(loop)
    group.append(_text("ThreadGroup.num_threads", "1"))
    group.append(_text("ThreadGroup.ramp_time", "0"))
    group.append(_flag("ThreadGroup.scheduler", on=False))
    below = new_element("hashTree")
    below.extend([_request(url, label), _tree(_extractor(), new_element("hashTree"))])
    below.extend([_if_shut(), _tree(_stop_now(), new_element("hashTree"))])
    return [group, below]


def _request(url: str, label: str) -> Element:
    parts = urlsplit(url)
    host = parts.hostname or ""
    sampler = _element("HTTPSamplerProxy", "HttpTestSampleGui", label)
    arguments = new_element("elementProp", name="HTTPsampler.Arguments", elementType="Arguments")
    arguments.append(new_element("collectionProp", name="Arguments.arguments"))
    sampler.append(arguments)
    for name, value in {
        "domain": f"[{host}]" if ":" in host else host,
        "port": str(parts.port or 80),
        "protocol": "http",
        "path": f"{parts.path}?{parts.query}" if parts.query else parts.path,
        "method": "GET",
        "connect_timeout": "10000",
        "response_timeout": str(GATE_PATIENCE * 1000),
    }.items():
        sampler.append(_text(f"HTTPSampler.{name}", value))
    for name in ("follow_redirects", "auto_redirects", "use_keepalive", "image_parser"):
        sampler.append(_flag(f"HTTPSampler.{name}", on=False))
    return sampler


def _extractor() -> Element:
    extractor = _element("RegexExtractor", "RegexExtractorGui", "open?")
    for name, value in {
        "useHeaders": "false",
        "refname": _VARIABLE,
        "regex": OPEN.replace("=", "=(") + ")",
        "template": "$1$",
        "default": "true",
        "match_number": "1",
    }.items():
        extractor.append(_text(f"RegexExtractor.{name}", value))
    return extractor


def _if_shut() -> Element:
    controller = _element("IfController", "IfControllerPanel", "not open")
    controller.append(_text("IfController.condition", f"${{{_VARIABLE}}}"))
    controller.append(_flag("IfController.evaluateAll", on=False))
    controller.append(_flag("IfController.useExpression", on=True))
    return controller


def _stop_now() -> Element:
    action = _element("TestAction", "TestActionGui", SHUT)
    action.append(new_element("intProp", str(_STOP_NOW), name="ActionProcessor.action"))
    action.append(new_element("intProp", str(_WHOLE_TEST), name="ActionProcessor.target"))
    action.append(_text("ActionProcessor.duration", "0"))
    return action


def _element(kind: str, gui: str, name: str) -> Element:
    return new_element(kind, guiclass=gui, testclass=kind, testname=name, enabled="true")


def _tree(*elements: Element) -> Element:
    tree = new_element("hashTree")
    tree.extend(elements)
    return tree


def _text(name: str, value: str) -> Element:
    return new_element("stringProp", value, name=name)


def _flag(name: str, *, on: bool) -> Element:
    return new_element("boolProp", "true" if on else "false", name=name)
