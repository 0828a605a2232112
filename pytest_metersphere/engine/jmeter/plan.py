"""A JMeter test plan: what it asks for, and each node's share of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from pytest_metersphere.engine.jmeter import gate
from pytest_metersphere.engine.jmeter.data import (
    CSV,
    DataSets,
    Read,
    move_references,
    references,
    refuse_row_functions,
    writes_files,
)
from pytest_metersphere.engine.jmeter.document import Element, JmxError, new_element, read_xml, write_xml
from pytest_metersphere.engine.jmeter.groups import (
    ONCE_A_NODE,
    Curve,
    Span,
    ThreadGroup,
    longest,
    loop_once,
    main_group,
)
from pytest_metersphere.engine.jmeter.lasting import Lasting, lasting_of
from pytest_metersphere.engine.jmeter.limits import Scope, divide_limit, shares_one_schedule
from pytest_metersphere.engine.jmeter.refusals import (
    refuse_assertions_of_a_transaction,
    refuse_property_in_place,
    refuse_unknown,
)
from pytest_metersphere.engine.jmeter.share import Share
from pytest_metersphere.engine.jmeter.values import (
    Names,
    children,
    enabled,
    is_true,
    kind_of,
    pairs,
    prop,
    set_prop,
    text_of,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Divided:
    """What one JMeter is to run.

    Attributes:
        plan: the test plan.
        files: content of its own files by name, relative to the plan's folder.
        helpers: names of the thread groups whose threads are no users: set-up and tear-down.
        lasting: how long its threads run, None where that is not known.
        gated: it waits at a `gate` in its folder before its test begins.
    """

    plan: bytes
    files: Mapping[str, bytes]
    helpers: tuple[str, ...]
    lasting: Lasting | None = None
    gated: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """An element that may run.

    Attributes:
        group: the main thread group that it is or is in, by its place in the order; None outside of them.
        helps: it is a set-up or tear-down thread group, or in one.
        below: the hashTree of what is below it, None without one.
    """

    element: Element
    group: int | None
    helps: bool = False
    below: Element | None = None


class JmxPlan:
    """A test plan that was read and understood.

    Attributes:
        threads: threads of its main thread groups, by itself.
    """

    def __init__(
        self, data: bytes, properties: Mapping[str, str] | None = None, hosts: Mapping[str, str] | None = None
    ) -> None:
        """Read a JMX file.

        Args:
            data: its content.
            properties: JMeter properties that it is started with.
            hosts: addresses by host name, in place of what DNS says.

        Raises:
            JmxError: it is no test plan, has nothing to run, or holds what cannot be divided.
        """
        self._data = data
        self._properties = properties or {}
        self._hosts = dict(hosts or {})
        self._tree = self._read()
        self.threads = sum(group.threads for group in self._tree.groups)
        _check(self._tree, self._properties, with_hosts=bool(self._hosts))

    def _read(self) -> _Tree:
        return _Tree(read_xml(self._data), self._properties)

    def span(self) -> Span:
        """Return how long it takes by itself (JmxError when it never ends)."""
        return longest([group.span() for group in self._tree.groups])

    def files(self) -> list[str]:
        """Return the names of the files that it reads, relative to its folder.

        Raises:
            JmxError: a CSV data set's name is not known before the plan runs, or one cannot be on the nodes.
        """
        tree = self._tree
        found = [ref.name for element in tree.elements for ref in references(element, tree.names)]
        return list(dict.fromkeys(found))

    def transactions(self) -> list[str]:
        """Return the names of its Transaction Controllers; what only the running plan knows is in `${…}`."""
        tree = self._tree
        return [
            tree.names.resolved(place.element.get("testname", ""))
            for place in tree.places
            if kind_of(place.element) == "TransactionController"
        ]

    def elements(self) -> Iterator[Element]:
        """Yield every element that may run, in order."""
        return (place.element for place in self._tree.places)

    def top_level(self) -> Iterator[Element]:
        """Yield the elements that are switched on directly below the test plan, in order."""
        return (element for element, _ in pairs(self._tree.top) if enabled(element))

    def resolved(self, text: str) -> str:
        """Return a text of the plan with known variables and properties in place."""
        return self._tree.names.resolved(text)

    def moved(self, moved: Callable[[str], str]) -> bytes:
        """Return the plan with its files elsewhere: `moved` returns where, by the names of `files`."""
        tree = self._read()
        for element in tree.elements:
            move_references(element, tree.names, moved)
        return write_xml(tree.root)

    def divided(self, share: Share, curve: Curve | None, read: Read) -> Divided:
        """Return what a node with a share of the users runs.

        Users are divided over the main thread groups in proportion to their own threads, of which
        each node has its share; `curve` takes the place of the groups' own ramps and durations.

        Raises:
            JmxError: something cannot be divided; names element and line.
        """
        tree = self._read()
        if not share.alone:
            _refuse_one_schedule(tree)
            refuse_row_functions(tree.test_plan, tree.names)
        for group, own in zip(tree.groups, tree.shares(share), strict=True):
            group.give(own, curve)
        sets = DataSets(read, tree.names)
        for element, scope in tree.scopes(share):
            divide_limit(element, scope)
            if element.tag == CSV:
                sets.divide(element, scope.own)
            if not share.alone:
                refuse_row_functions(element, tree.names)
        gated = gate.is_needed(tree.elements)
        if gated:
            tree.top[:0] = gate.gate_elements()
        finished = self._finished(tree, sets.files)
        return dataclasses.replace(finished, lasting=tree.lasting(share, curve), gated=gated)

    def once(self) -> Divided:
        """Return the plan with one thread and one iteration in each thread group, whatever it asks for."""
        tree = self._read()
        for group in tree.groups:
            group.run_once()
        for place in tree.places:
            kind = kind_of(place.element)
            if kind in ONCE_A_NODE:
                ThreadGroup(place.element, tree.names).run_once()
            elif kind == "LoopController":
                loop_once(place.element, tree.names)
            elif kind == "SyncTimer":
                # there is one thread, which would wait for the others
                set_prop(place.element, "intProp", "groupSize", "1")
        return self._finished(tree, {})

    def _finished(self, tree: _Tree, files: Mapping[str, bytes]) -> Divided:
        for place in tree.places:
            if writes_files(place.element):
                # it would write a file on the node, and cost time for each sample
                place.element.set("enabled", "false")
            elif kind_of(place.element) == "TransactionController":
                # otherwise the samples in it would not be told one by one
                set_prop(place.element, "boolProp", "TransactionController.parent", "false")
        if self._hosts:
            tree.top[:0] = [_dns(self._hosts), new_element("hashTree")]
        helpers = [
            tree.names.resolved(place.element.get("testname", ""))
            for place in tree.places
            if kind_of(place.element) in ONCE_A_NODE
        ]
        return Divided(write_xml(tree.root), dict(files), tuple(helpers))


class _Tree:
    """The elements of a test plan, to be looked at or changed.

    Attributes:
        test_plan: the element TestPlan.
        top: the hashTree with what it holds.
        places: the elements that may run.
        elements: the test plan itself and those.
        groups: the enabled main thread groups.
    """

    def __init__(self, root: Element, properties: Mapping[str, str]) -> None:
        self.root = root
        self.test_plan, self.top = plan_of(root)
        self.names = Names(_variables(self.test_plan, self.top), properties)
        self.places = list(_places(self.top))
        self.elements = [self.test_plan, *(place.element for place in self.places)]
        self.groups = [main_group(place.element, self.names) for place in self.places if _is_main(place)]

    def shares(self, share: Share) -> list[Share]:
        """Return a node's share of each main thread group."""
        return share.groups([group.threads for group in self.groups])

    def lasting(self, share: Share, curve: Curve | None) -> Lasting | None:
        """Return how long the threads of a node run in the divided plan, by its own times or on a curve."""
        places = [place for place in self.places if not place.helps]
        groups = [main_group(each.element, self.names) for each in self.groups if enabled(each.element)]
        elements = [place.element for place in places]
        if curve is not None:
            # its rates then end before their time, which is no end of the load
            elements = [element for element in elements if kind_of(element) != "VariableThroughputTimer"]
        return lasting_of(elements, groups, self.names, share.users)

    def scopes(self, share: Share) -> Iterator[tuple[Element, Scope]]:
        """Yield what runs on a node, each with whom it is for; helping groups stay as they are."""
        shares = self.shares(share)
        for place in self.places:
            if place.helps:
                continue
            if place.group is None:
                own = shares[0] if len(shares) == 1 else share
                yield place.element, Scope(share, own, len(shares), self.names)
            elif shares[place.group].users:
                yield place.element, Scope(share, shares[place.group], 1, self.names)


def _check(tree: _Tree, properties: Mapping[str, str], *, with_hosts: bool) -> None:
    test_plan = tree.test_plan
    if not tree.groups:
        raise JmxError(f"{test_plan.title}: it has no enabled thread group, so it would run nothing")
    if not sum(group.threads for group in tree.groups):
        raise JmxError(f"{tree.groups[0].element.title}: its thread groups have no threads")
    if len(tree.groups) > 1 and is_true(test_plan, "TestPlan.serialize_threadgroups", tree.names):
        raise JmxError(
            f"{test_plan.title}: its thread groups run one after the other, which no number of users "
            "describes; switch that off, or keep one thread group a plan"
        )
    _refuse_same_names(tree)
    for place in tree.places:
        refuse_unknown(place.element)
        refuse_property_in_place(place.element, properties)
        refuse_assertions_of_a_transaction(place.element, place.below, tree.names)
        if with_hosts and place.element.tag == "DNSCacheManager":
            raise JmxError(
                f"{place.element.title}: hosts= puts one of its own into the plan; write the hosts into "
                "this one and leave hosts= out"
            )


def _refuse_same_names(tree: _Tree) -> None:
    """Refuse a set-up or tear-down group whose threads cannot be told from users (JmxError)."""
    names = {tree.names.resolved(group.element.get("testname", "")) for group in tree.groups}
    for place in tree.places:
        if kind_of(place.element) in ONCE_A_NODE:
            name = tree.names.resolved(place.element.get("testname", ""))
            if name in names:
                raise JmxError(
                    f"{place.element.title}: a main thread group has the same name, so that the "
                    "threads of the two cannot be told apart; rename one of them"
                )


def _refuse_one_schedule(tree: _Tree) -> None:
    """Refuse timers of one schedule in several groups, of which the nodes have different parts (JmxError)."""
    places = [
        place for place in tree.places if not place.helps and shares_one_schedule(place.element, tree.names)
    ]
    if len({place.group for place in places}) > 1:
        raise JmxError(
            f'{places[-1].element.title}: all timers of "all active threads (shared)" have one schedule, and '
            "these stand in several thread groups, of which the nodes have different parts; let each be for "
            '"all active threads in current thread group (shared)"'
        )


def plan_of(root: Element) -> tuple[Element, Element]:
    """Return the TestPlan of a file and the hashTree with what it holds."""
    top = next(child for child in children(root) if child.tag == "hashTree")
    for element, tree in pairs(top):
        if element.tag == "TestPlan" and tree is not None:
            return element, tree
    raise JmxError(f"line {root.line}: the test plan is empty")


def _places(tree: Element) -> Iterator[_Place]:
    """Yield every element below the plan that may run, in order."""
    number = 0
    has_modules = any(kind_of(element) == "ModuleController" and enabled(element) for element in _all(tree))
    for element, below in pairs(tree):
        on = enabled(element)
        main = on and _is_group(element) and kind_of(element) not in ONCE_A_NODE
        place = _Place(element, number if main else None, kind_of(element) in ONCE_A_NODE, below)
        number += main
        if on:
            yield place
        if below is not None and (on or has_modules):
            # a Module Controller runs what stands elsewhere, switched off as a rule
            yield from _below(below, place, everything=has_modules)


def _below(tree: Element, top: _Place, *, everything: bool) -> Iterator[_Place]:
    for element, below in pairs(tree):
        if enabled(element) or everything:
            yield _Place(element, top.group, top.helps, below)
            if below is not None:
                yield from _below(below, top, everything=everything)


def _all(tree: Element, *, only_enabled: bool = False) -> Iterator[Element]:
    for element, below in pairs(tree):
        if only_enabled and not enabled(element):
            continue
        yield element
        if below is not None:
            yield from _all(below, only_enabled=only_enabled)


def _is_group(element: Element) -> bool:
    return "ThreadGroup" in kind_of(element)


def _is_main(place: _Place) -> bool:
    return place.group is not None and _is_group(place.element)


def _variables(test_plan: Element, tree: Element) -> dict[str, str]:
    """Return the plan's user defined variables, its own first, then those of elements wherever they stand.

    JMeter reads all of them, in their order, before any thread group starts.
    """
    found: dict[str, str] = {}
    own = prop(test_plan, "TestPlan.user_defined_variables")
    tables = [own] if own is not None else []
    tables += [element for element in _all(tree, only_enabled=True) if element.tag == "Arguments"]
    for table in tables:
        rows = prop(table, "Arguments.arguments")
        for row in () if rows is None else children(rows):
            found[text_of(row, "Argument.name")] = text_of(row, "Argument.value")
    return found


def _dns(hosts: Mapping[str, str]) -> Element:
    """Return a DNS Cache Manager that knows some hosts and asks the system for the others."""
    manager = new_element(
        "DNSCacheManager",
        guiclass="DNSCachePanel",
        testclass="DNSCacheManager",
        testname="hosts of the load scenario",
        enabled="true",
    )
    table = new_element("collectionProp", name="DNSCacheManager.hosts")
    for name, address in hosts.items():
        row = new_element("elementProp", name=name, elementType="StaticHost")
        row.append(new_element("stringProp", name, name="StaticHost.Name"))
        row.append(new_element("stringProp", address, name="StaticHost.Address"))
        table.append(row)
    manager.append(new_element("collectionProp", name="DNSCacheManager.servers"))
    manager.append(table)
    for name in ("clearEachIteration", "isCustomResolver"):
        manager.append(
            new_element(
                "boolProp", "true" if name == "isCustomResolver" else "false", name=f"DNSCacheManager.{name}"
            )
        )
    return manager
