"""Test plans divided over nodes: nothing lost, nothing doubled, and a clear word where that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.jmeter.document import JmxError, read_xml, write_xml
from pytest_metersphere.engine.jmeter.groups import Curve
from pytest_metersphere.engine.jmeter.plan import Divided, JmxPlan
from pytest_metersphere.engine.jmeter.rows import records, rows_of
from pytest_metersphere.engine.jmeter.share import Share, apportioned
from pytest_metersphere.engine.jmeter.source import shares_of
from tests.jmeter import plans
from tests.jmeter.plans import csv, element, http, plan, text, threads, ultimate

SLICES = st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any)
WEIGHTS = st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any)
ROW = st.text(st.characters(exclude_characters='\r\n",', exclude_categories=["Cs"]), min_size=1, max_size=8)


def nothing(name: str) -> bytes:
    """Stand for a plan without files."""
    raise AssertionError(name)


def divided(source: str, slices: Sequence[int], curve: Curve | None = None, **files: bytes) -> list[Divided]:
    """Return what each node with users runs."""
    known = JmxPlan(source.encode())
    return [
        known.divided(share, curve, lambda name: files[name.replace(".", "_")]) for share in shares_of(slices)
    ]


def values(part: Divided, name: str) -> list[str]:
    """Return the properties of a name in the enabled elements of a divided plan."""
    root = ET.fromstring(part.plan)  # noqa: S314 - our own
    off = {below for each in root.iter() if each.get("enabled") == "false" for below in each.iter()}
    return [each.text or "" for each in root.iter() if each.get("name") == name and each not in off]


def numbers(part: Divided, name: str) -> list[float]:
    """Return these properties as numbers."""
    return [float(value) for value in values(part, name)]


@given(count=st.integers(0, 500), weights=WEIGHTS)
def test_apportioned(count: int, weights: list[int]) -> None:
    """Parts add up, none is below its whole proportion, and none falls when there is one more to divide."""
    parts = apportioned(count, weights)

    assert sum(parts) == count
    assert all(part >= count * weight // sum(weights) for part, weight in zip(parts, weights, strict=True))
    assert all(more >= part for more, part in zip(apportioned(count + 1, weights), parts, strict=True))
    assert apportioned(sum(weights), weights) == weights


@given(slices=SLICES, weights=WEIGHTS, count=st.integers(0, 1000))
def test_shares(slices: list[int], weights: list[int], count: int) -> None:
    """The nodes' parts of groups and of things in a row add up, and each node has its planned users."""
    shares = shares_of(slices)
    groups = [share.groups(weights) for share in shares]

    assert [sum(group.users for group in of_node) for of_node in groups] == [n for n in slices if n]
    assert [sum(column) for column in zip(*([g.users for g in node] for node in groups), strict=True)] == (
        apportioned(sum(slices), weights)
    )
    assert [share.begin_of(count) for share in shares] == [0, *(s.end_of(count) for s in shares[:-1])]
    assert shares[-1].end_of(count) == count


@given(slices=SLICES, counts=WEIGHTS)
def test_thread_groups(slices: list[int], counts: list[int]) -> None:
    """Each node's thread groups have its users, and over the nodes each group has its part of them."""
    source = plan(*(threads(http("/"), name=f"group {n}", count=c) for n, c in enumerate(counts)))

    parts = divided(source, slices)

    assert [sum(numbers(part, "ThreadGroup.num_threads")) for part in parts] == [n for n in slices if n]


@given(slices=SLICES, rows=st.lists(ROW, min_size=40, max_size=90), header=st.booleans())
def test_rows(slices: list[int], rows: list[str], header: bool) -> None:  # noqa: FBT001 - hypothesis draws it
    """The rows of a CSV file are on one node each, in order, and the header is on all."""
    lines = [f'"{row}\n{number}",{number}\n' for number, row in enumerate(rows)]
    data = "".join((["name,id\n"] if header else []) + lines).encode()
    found: list[str] = []
    for share in shares_of(slices):
        part, count = rows_of(data, share, header=header, quoted=True)
        kept = [record.decode() for record in records(part, quoted=True)]
        assert kept[:1] == ["name,id\n"] or not header
        assert len(kept) - header == count
        found += kept[header:]

    assert found == lines


def test_no_users_no_rows() -> None:
    """A node without users has no rows, not all of them."""
    assert rows_of(b"1\n2\n", Share(users=0, before=3, total=3), header=False, quoted=False) == (b"", 0)


@pytest.mark.parametrize(
    ("data", "quoted", "wanted"),
    [
        (b'a,"b\nc"\nd\n', True, [b'a,"b\nc"\n', b"d\n"]),
        (b'a,"b\nc"\nd\n', False, [b'a,"b\n', b'c"\n', b"d\n"]),
        (b"a\r\n\r\nb", True, [b"a\r\n", b"b"]),
        (b"a\rb\r", True, [b"a\r", b"b\r"]),
        (b"\xef\xbb\xbfa\n", True, [b"a\n"]),
        (b'"a""\n",1\n2\n', True, [b'"a""\n",1\n', b"2\n"]),
        (b"", True, []),
    ],
    ids=["quoted", "not quoted", "CRLF and blank", "CR", "BOM", "doubled quotes", "empty"],
)
def test_records(data: bytes, quoted: bool, wanted: list[bytes]) -> None:  # noqa: FBT001 - a column
    """Records end where their file says so."""
    assert records(data, quoted=quoted) == wanted


def test_curve() -> None:
    """Given a curve, every group follows it, whatever it had; those of plugins become JMeter's own."""
    source = plan(
        threads(http("/"), count=2, loops=3, ramp=7),
        ultimate(http("/"), rows=[(2, 0, 5, 5, 0)]),
        plans.concurrency(http("/"), target=2),
    )

    (part,) = divided(source, [12], Curve(ramp=2.0, hold=10.0))

    assert values(part, "ThreadGroup.num_threads") == ["4", "4", "4"]
    assert values(part, "ThreadGroup.ramp_time") == ["2", "2", "2"]
    assert values(part, "ThreadGroup.duration") == ["12", "12", "12"]
    assert values(part, "LoopController.loops") == ["-1", "-1", "-1"]
    assert b"Ultimate" not in part.plan
    assert b"blazemeter" not in part.plan.replace(b"VirtualUserController", b"")


@given(slices=SLICES, rows=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_rows_of_threads(slices: list[int], rows: list[int]) -> None:
    """A node has only those rows of an Ultimate Thread Group that have threads there."""
    source = plan(ultimate(http("/"), rows=[(count, 10 * n, 0, 10, 0) for n, count in enumerate(rows)]))

    for part, share in zip(divided(source, slices), shares_of(slices), strict=True):
        (table,) = ET.fromstring(part.plan).iterfind(".//*[@name='ultimatethreadgroupdata']")  # noqa: S314
        counts = [int(row[0].text or "") for row in table]
        assert all(counts)
        assert sum(counts) == share.users


@pytest.mark.parametrize("mode", [1, 3])
def test_constant_throughput(mode: int) -> None:
    """A limit over all threads is divided by users."""
    source = plan(plans.constant_throughput(120.0, mode), threads(http("/"), count=4))

    assert [numbers(part, "throughput") for part in divided(source, [2, 1, 1])] == [[60.0], [30.0], [30.0]]


def test_throughput_of_each_thread() -> None:
    """A limit for each thread by itself stays what it is."""
    source = plan(plans.constant_throughput(120.0, 0), threads(http("/"), count=4))

    assert all(b"<value>120.0</value>" in part.plan for part in divided(source, [3, 1]))


def test_throughput_of_groups() -> None:
    """A limit over the threads of one group is divided by that group's users on the node."""
    limited = threads(plans.constant_throughput(60.0, 2), http("/a"), count=1)
    source = plan(limited, threads(http("/b"), count=3))

    first, second = divided(source, [2, 2])

    assert numbers(first, "throughput") + numbers(second, "throughput") == [60.0]


def test_throughput_of_all_who_come_by() -> None:
    """A limit over all threads that stands in a group is divided by that group's users."""
    limited = threads(plans.constant_throughput(600.0, 3), http("/a"), count=1)
    source = plan(limited, threads(http("/b"), count=7))

    first, second = divided(source, [4, 4])

    assert numbers(first, "throughput") + numbers(second, "throughput") == [600.0]


def test_shaping() -> None:
    """Every rate of a Throughput Shaping Timer is divided, and no time."""
    source = plan(
        plans.shaping([(10, 40, 60), ("${RATE}", 40, 5)]),
        threads(http("/"), count=4),
        variables={"RATE": "20"},
    )

    first, second = divided(source, [3, 1])

    assert [numbers(first, "10"), numbers(second, "10")] == [[7.5], [2.5]]
    assert numbers(first, "40") == [30.0, 30.0]
    assert [values(part, "60") for part in (first, second)] == [["60"], ["60"]]


def test_precise_throughput() -> None:
    """A Precise Throughput Timer's rate is divided by the users of its group."""
    timer = element("PreciseThroughputTimer", "exact", text("throughput", "${__P(rate,90)}"))
    source = plan(threads(timer, http("/"), count=3))

    assert [numbers(part, "throughput") for part in divided(source, [2, 1])] == [[60.0], [30.0]]


def test_counters_take_turns() -> None:
    """A counter of the whole plan never gives one number on two nodes."""
    counter = element("CounterConfig", "id", text("CounterConfig.start", 5), text("CounterConfig.incr", 2))
    parts = divided(plan(counter, threads(http("/"), count=3)), [1, 0, 1, 1])
    starts = [numbers(part, "CounterConfig.start")[0] for part in parts]
    steps = [numbers(part, "CounterConfig.incr")[0] for part in parts]

    given_out = sorted(start + n * step for start, step in zip(starts, steps, strict=True) for n in range(5))

    assert given_out == [5 + 2 * n for n in range(15)]


def test_total_executions() -> None:
    """The total of a Throughput Controller is divided exactly."""
    controller = element(
        "ThroughputController",
        "some",
        '<intProp name="ThroughputController.style">0</intProp>',
        '<intProp name="ThroughputController.maxThroughput">7</intProp>',
    )
    parts = divided(plan(threads(controller, http("/"), count=3)), [1, 1, 1])

    assert sum(numbers(part, "ThroughputController.maxThroughput")[0] for part in parts) == 7


def test_csv_in_a_group() -> None:
    """A data set within a group is divided by that group's users, and only where it has some."""
    source = plan(threads(csv("a.csv", names="id"), http("/"), count=1), threads(http("/"), count=1))

    first, second = divided(source, [1, 1], a_csv=b"1\n2\n3\n")

    assert sorted([*first.files.values(), *second.files.values()]) == [b"1\n2\n3\n"] or first.files == {}


def test_csv_of_each_thread_stays_whole() -> None:
    """A file that each thread reads by itself from its begin is divided by nobody."""
    parts = divided(plan(csv("a.csv", mode="thread"), threads(http("/"), count=2)), [1, 1])

    assert [part.files for part in parts] == [{}, {}]


def test_set_up_stays_as_it_is() -> None:
    """Set-up and tear-down groups run on every node with all their threads, rows and rates."""
    below = (csv("a.csv"), plans.constant_throughput(60), http("/"))
    setup = threads(*below, name="prepare", tag="SetupThreadGroup", count=3)
    parts = divided(plan(setup, threads(http("/"), count=2)), [1, 1])

    assert [values(part, "ThreadGroup.num_threads") for part in parts] == [["3", "1"], ["3", "1"]]
    assert [values(part, "filename") for part in parts] == [["a.csv"], ["a.csv"]]
    assert [part.helpers for part in parts] == [("prepare",), ("prepare",)]


def test_modules() -> None:
    """What a Module Controller may run is divided, though it is switched off where it stands."""
    fragment = element("TestFragmentController", "parts", below=csv("a.csv", names="id"), enabled=False)
    module = threads(element("ModuleController", "use"), count=2)

    with_module = divided(plan(fragment, module), [1, 1], a_csv=b"1\n2\n")
    without = divided(plan(fragment, threads(http("/"), count=2)), [1, 1])

    assert [list(part.files.values()) for part in with_module] == [[b"1\n"], [b"2\n"]]
    assert [part.files for part in without] == [{}, {}]


LISTENERS = (
    "ResultCollector",
    "ResultSaver",
    "kg.apc.jmeter.vizualizers.CorrectedResultCollector",
    "kg.apc.jmeter.perfmon.PerfMonCollector",
    "kg.apc.jmeter.jmxmon.JMXMonCollector",
    "kg.apc.jmeter.dbmon.DbMonCollector",
    "kg.apc.jmeter.reporters.FlexibleFileWriter",
)


def test_transactions_and_listeners() -> None:
    """Samples within a transaction are told one by one, and listeners that write files are switched off."""
    listeners = [element(kind, "writes", text("filename", "out.jtl")) for kind in LISTENERS]
    source = plan(threads(plans.transaction("buy", http("/"), parent=True), *listeners))

    (part,) = divided(source, [1])

    assert values(part, "TransactionController.parent") == ["false"]
    assert values(part, "filename") == []
    assert JmxPlan(source.encode()).files() == []


def test_assertions_below_a_transaction() -> None:
    """An assertion stays where the samples of a transaction are made one by one, or below one of these."""
    check = element("DurationAssertion", "slow")
    by_itself = plan(threads(plans.transaction("buy", check, http("/"))))
    deeper = plan(threads(plans.transaction("buy", http("/", check), parent=True)))

    assert [b"DurationAssertion" in divided(each, [1])[0].plan for each in (by_itself, deeper)] == [
        True,
        True,
    ]


def test_files() -> None:
    """All files are known that elements and functions of the plan read."""
    upload = element(
        "HTTPSamplerProxy", "up", f'<elementProp name="x">{text("File.path", "img/a.png")}</elementProp>'
    )
    script = element("JSR223Sampler", "run", text("filename", "${DIR}/run.groovy"))
    body = http("/${__FileToString(body.json,UTF-8,)}")
    source = plan(csv("users.csv"), threads(upload, script, body), variables={"DIR": "scripts"})

    assert JmxPlan(source.encode()).files() == ["users.csv", "img/a.png", "scripts/run.groovy", "body.json"]


def test_files_of_other_elements() -> None:
    """The files are known of the test plan itself, with its libraries, of assertions and of JMS samplers."""
    script = element("BeanShellAssertion", "check", text("BeanShellAssertion.filename", "check.bsh"))
    schema = element("XMLSchemaAssertion", "xsd", text("xmlschema_assertion_filename", "shop.xsd"))
    sends = element("PublisherSampler", "send", text("jms.input_file", "message.xml"))
    says = element(
        "PublisherSampler",
        "say",
        text("jms.input_file", "old.xml"),
        text("jms.config_choice", "jms_use_text"),
    )
    source = plan(
        threads(http("/", script, schema), sends, says), variables={"BODY": "${__FileToString(a.json,,)}"}
    ).replace("</TestPlan>", text("TestPlan.user_define_classpath", "lib/a.jar,lib/b.jar") + "</TestPlan>")
    known = JmxPlan(source.encode())

    wanted = ["a.json", "lib/a.jar", "lib/b.jar", "check.bsh", "shop.xsd", "message.xml"]
    assert known.files() == wanted
    moved = JmxPlan(known.moved(lambda name: f"there/{name}"))
    assert moved.files() == [f"there/{name}" for name in wanted]


def test_names_of_files() -> None:
    """A file's name may hold variables of the plan; one that only the running plan knows stays as it is."""
    upload = element("HTTPSamplerProxy", "up", text("File.path", "${photo}"))
    bodies = [
        http("/${__FileToString(${DIR}/${__P(name,a)}.json,,)}"),
        http("/${__FileToString(${photo},,)}"),
    ]
    listed = element("HTTPSamplerProxy", "next", text("File.path", "${__StringFromFile(all.txt)}"))
    source = plan(csv("a.csv", names="photo"), threads(upload, *bodies, listed), variables={"DIR": "data"})
    known = JmxPlan(source.encode())

    assert known.files() == ["a.csv", "data/a.json", "all.txt"]
    moved = known.moved(lambda name: f"there/{name}").decode()
    assert "${__FileToString(there/data/a.json,,)}" in moved
    assert ">${photo}<" in moved
    assert ">${__StringFromFile(there/all.txt)}<" in moved
    assert "${__FileToString(${photo},,)}" in moved


def test_variables_anywhere() -> None:
    """User defined variables count wherever they are switched on, and the last one of a name."""
    on = [user_defined("N", value) for value in ("20", "50")]
    off = element("GenericController", "off", below=user_defined("N", "90"), enabled=False)
    source = plan(
        on[0], threads(on[1], http("/"), count="${N}"), threads(off, count=1), variables={"N": "10"}
    )

    assert JmxPlan(source.encode()).threads == 51


def user_defined(name: str, value: str) -> str:
    """Return a User Defined Variables element with one of them."""
    cells = text("Argument.name", name) + text("Argument.value", value)
    row = f'<elementProp name="{name}">{cells}</elementProp>'
    return element(
        "Arguments", "variables", f'<collectionProp name="Arguments.arguments">{row}</collectionProp>'
    )


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("load_profile", plan(plans.shaping([(100, 100, 60)]), threads(http("/")))),
        ("threads_schedule", plan(ultimate(http("/"), rows=[(2, 0, 0, 3, 0)]))),
    ],
)
def test_properties_in_place_of_rows(name: str, source: str) -> None:
    """A property that would take the place of a table that is divided is refused."""
    with pytest.raises(JmxError, match=f"the JMeter property {name} would take the place of its rows"):
        JmxPlan(source.encode(), {name: "x"})


def test_once() -> None:
    """Run once, threads do not wait for others that are not there, and loops without an end run once."""
    meet = element("SyncTimer", "meet", '<intProp name="groupSize">10</intProp>')
    endless = element("LoopController", "endless", text("LoopController.loops", -1), below=http("/"))
    counted = element("LoopController", "counted", text("LoopController.loops", 3), below=http("/"))
    source = plan(meet, threads(endless, counted, count=10, loops=-1, duration=60))

    once = JmxPlan(source.encode()).once()

    assert values(once, "groupSize") == ["1"]
    assert values(once, "LoopController.loops") == ["1", "1", "3"]


LASTING = {
    "a time": ([threads(http("/"), loops=-1, duration=60)], (60.0, 0.0)),
    "the last of several": (
        [threads(http("/"), loops=-1, duration=n) for n in (60, 90)] + [threads(http("/"), loops=3)],
        (90.0, 0.0),
    ),
    "rows of threads": ([ultimate(http("/"), rows=[(1, 5, 5, 60, 9), (1, 0, 5, 20, 9)])], (70.0, 0.0)),
    "a target": ([plans.concurrency(http("/"), target=2, ramp=5, hold=60)], (65.0, 0.0)),
    "pauses": (
        [
            threads(
                plans.pause(2000),
                element("UniformRandomTimer", "any", text("RandomTimer.range", 3000)),
                http("/"),
                loops=-1,
                duration=60,
            )
        ],
        (60.0, 5.0),
    ),
    "a rate": (
        [threads(plans.constant_throughput(60), http("/"), count=4, loops=-1, duration=60)],
        (60.0, 4.0),
    ),
    "rates for a time": (
        [plans.shaping([(1, 9, 20), (9, 9, 10)]), threads(http("/"), loops=-1, duration=60)],
        (30.0, 0.0),
    ),
    "loops": ([threads(http("/"), loops=3, duration=60)], None),
    "steps": ([plans.stepping(http("/"), count=4, step=4)], None),
    "rows that end": (
        [csv("a.csv", names="id", recycle=False), threads(http("/"), loops=-1, duration=60)],
        None,
    ),
    "a script": ([threads(element("JSR223Timer", "any"), http("/"), loops=-1, duration=60)], None),
    "a thread that stops itself": (
        [
            threads(
                element("TestAction", "stop", '<intProp name="ActionProcessor.action">0</intProp>'),
                loops=-1,
                duration=60,
            )
        ],
        None,
    ),
    "a rate at run time": (
        [threads(plans.constant_throughput("${r}", 0), http("/"), loops=-1, duration=60)],
        None,
    ),
}


@pytest.mark.parametrize(("elements", "wanted"), LASTING.values(), ids=LASTING)
def test_lasting(elements: list[str], wanted: tuple[float, float] | None) -> None:
    """How long the threads run for certain is known where nothing but time ends them."""
    (part,) = divided(plan(*elements), [4], a_csv=b"1\n2\n")

    assert (part.lasting and (part.lasting.end, part.lasting.pause)) == wanted


def test_lasting_on_a_curve() -> None:
    """On a curve threads run for its time, on each node, and no other rates shorten that."""
    source = plan(plans.shaping([(1, 9, 20)]), threads(http("/"), loops=5, count=4))

    parts = divided(source, [3, 1], Curve(ramp=5.0, hold=60.0))
    (counted,) = divided(source, [4], Curve(ramp=5.0, hold=60.0, iterations=5))

    assert [part.lasting and part.lasting.end for part in parts] == [65.0, 65.0]
    assert counted.lasting is None


def test_numbers_of_each_thread() -> None:
    """A function that counts for each thread by itself is let be, and so is a Counter with enough numbers."""
    counter = element("CounterConfig", "id", text("CounterConfig.start", 1), text("CounterConfig.end", 3))
    source = plan(counter, threads(http("/${__counter(TRUE,)}"), count=4))

    assert [numbers(part, "CounterConfig.start") for part in divided(source, [2, 1, 1])] == [
        [1.0],
        [2.0],
        [3.0],
    ]


def test_own_load() -> None:
    """What a plan asks for by itself is known: threads, ramp, and how long it takes or loops."""
    timed = JmxPlan(
        plan(threads(count="${N}", ramp=3, duration=20, loops=-1), variables={"N": "${__P(n,6)}"}).encode()
    )
    looped = JmxPlan(plan(threads(count=2, loops=5)).encode(), {"n": "1"})

    assert (timed.threads, timed.span().ramp, timed.span().end) == (6, 3.0, 20.0)
    assert (looped.span().end, looped.span().loops) == (None, 5)


GROUP = threads(http("/"), count=4)
OPEN_MODEL = element("org.apache.jmeter.threads.openmodel.OpenModelThreadGroup", "open")
REFUSED = {
    "another thread group": (plan(GROUP, OPEN_MODEL), "OpenModelThreadGroup 'open' (line "),
    "another timer": (plan(element("org.example.WaveTimer", "wave"), GROUP), "WaveTimer 'wave' (line "),
    "another data set": (
        plan(element("com.blazemeter.jmeter.RandomCSVDataSetConfig", "any"), GROUP),
        "'any' (line ",
    ),
    "an include": (
        plan(threads(element("IncludeController", "more"), count=4)),
        "put its content into the plan",
    ),
    "rendezvous": (
        plan(threads(element("SyncTimer", "meet", text("groupSize", 3)), count=4)),
        "within one JMeter",
    ),
    "lock": (plan(threads(element("CriticalSectionController", "lock"), count=4)), "within one JMeter"),
    "one after the other": (plan(GROUP, GROUP, serialize=True), "one after the other"),
    "threads at run time": (plan(threads(count="${__groovy(2+2)}")), "no number before the plan runs"),
    "no threads": (plan(threads(count=0)), "no threads"),
    "no group": (plan(threads(enabled=False)), "no enabled thread group"),
    "rate at run time": (plan(plans.constant_throughput("${rate}"), GROUP), "throughput is '${rate}'"),
    "rate of several groups": (
        plan(plans.constant_throughput(60, 2), GROUP, GROUP),
        "move it into the thread groups",
    ),
    "one schedule in several groups": (
        plan(*(threads(plans.constant_throughput(60, 3), http("/"), count=2) for _ in range(2))),
        "have one schedule",
    ),
    "few rows": (plan(csv("a.csv", names="id"), GROUP), "fewer rows than nodes"),
    "wide encoding": (plan(csv("a.csv").replace("UTF-8", "UTF-16"), GROUP), "save it in UTF-8"),
    "absolute file": (plan(csv("/opt/a.csv"), GROUP), "does not exist on the nodes"),
    "file at run time": (plan(csv("${__UUID}.csv"), GROUP), "not known before the plan runs"),
    "rows by a function": (plan(threads(http("/${__StringFromFile(a.csv)}"), count=4)), "use a CSV Data Set"),
    "numbers by a function": (plan(threads(http("/${__counter(FALSE,)}"), count=4)), "use a Counter"),
    "rows for a variable": (
        plan(GROUP, variables={"ID": "${__CSVRead(a.csv,0)}"}),
        "use a CSV Data Set",
    ),
    "few numbers": (
        plan(element("CounterConfig", "id", text("CounterConfig.end", 1)), GROUP),
        "fewer numbers than the 3 nodes",
    ),
    "assertion of a transaction": (
        plan(threads(plans.transaction("buy", element("DurationAssertion", "slow"), http("/"), parent=True))),
        "'slow' (line ",
    ),
    "two groups of a name": (
        plan(threads(http("/"), tag="SetupThreadGroup"), GROUP),
        "rename one of them",
    ),
    "steps that do not divide": (plan(plans.stepping(http("/"), count=4, step=1)), "have no whole part"),
}


@pytest.mark.parametrize(("source", "wanted"), REFUSED.values(), ids=REFUSED)
def test_refused(source: str, wanted: str) -> None:
    """What cannot be divided is refused with the element and its line, never run in some other way."""
    with pytest.raises(JmxError) as refused:
        divided(source, [2, 1, 1], a_csv=b"1\n2\n")

    assert wanted in str(refused.value)
    assert "(line " in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "rendezvous",
        "lock",
        "rate of several groups",
        "one schedule in several groups",
        "rows by a function",
        "rows for a variable",
        "numbers by a function",
        "few numbers",
        "few rows",
    ],
)
def test_fine_on_one_node(name: str) -> None:
    """What works within one JMeter is let be where there is only one."""
    assert divided(REFUSED[name][0], [0, 8], a_csv=b"1\n")[0].files == {}


def test_endless_plan() -> None:
    """A plan that nothing ends is refused when it is to keep its own curve."""
    with pytest.raises(JmxError, match="loop for ever and nothing ends them"):
        JmxPlan(plan(threads(loops=-1)).encode()).span()


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", "this is no XML"),
        (b"<a>", "line 1: this is no XML"),
        (b"\n<a/>", "line 2: this is no JMeter test plan"),
        (b"<jmeterTestPlan/>", "this is no JMeter test plan"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "remove the DOCTYPE"),
        (b"<a>" * 1000, "deeper"),
        (b"\xff\xfe\x00", "this is no XML"),
        (b'<?xml version="1.0" encoding="x-none"?><a/>', "this is no XML"),
        (b"<a/>" + b" " * (20 << 20), "too large"),
    ],
    ids=["empty", "cut", "other", "bare", "entity", "deep", "binary", "encoding", "large"],
)
def test_not_a_plan(data: bytes, wanted: str) -> None:
    """A file that is no test plan, or a hostile one, is refused in one sentence."""
    with pytest.raises(JmxError, match=wanted):
        JmxPlan(data)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\r\n\t"), max_size=20)


@given(content=TEXT, attribute=TEXT)
def test_written_as_read(content: str, attribute: str) -> None:
    """Texts and attributes mean the same after reading and writing, line breaks of every kind included."""
    source = plan(threads())
    root = read_xml(source.encode())
    root.set("note", attribute)
    next(root.iter("stringProp")).text = content

    again = read_xml(write_xml(root))

    assert again.get("note") == attribute
    assert (next(again.iter("stringProp")).text or "") == content
