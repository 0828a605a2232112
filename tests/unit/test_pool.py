"""Pools as text: what is understood, and how mistakes are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.dist.pool import NodeSpec, Pool, parse_pool, parse_pools
from pytest_metersphere.errors import ConfigError

POOLS = {"perf": "10.0.0.11=4000 big@10.0.0.12:9000=2000", "edge": "web1 web2", "broken": "web1 web1"}


def complaint(text: str) -> str:
    """Return the message that a pool text gets."""
    with pytest.raises(ConfigError) as caught:
        parse_pool(text, POOLS)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        (
            "10.0.0.11=4000",
            NodeSpec(name="10.0.0.11:8082", host="10.0.0.11", port=8082, capacity=4000),
        ),
        ("10.0.0.11:9000", NodeSpec(name="10.0.0.11:9000", host="10.0.0.11", port=9000)),
        ("10.0.0.11:1=1", NodeSpec(name="10.0.0.11:1", host="10.0.0.11", port=1, capacity=1)),
        ("big@load_1.example.org=7", NodeSpec(name="big", host="load_1.example.org", port=8082, capacity=7)),
        ("a@b", NodeSpec(name="a", host="b", port=8082)),
        ("[::1]:9000=100", NodeSpec(name="[::1]:9000", host="::1", port=9000, capacity=100)),
        ("[FD00:0::11]", NodeSpec(name="[fd00::11]:8082", host="fd00::11", port=8082)),
        ("six@[fd00::11]=5", NodeSpec(name="six", host="fd00::11", port=8082, capacity=5)),
        ("localhost=5", NodeSpec(name="localhost:8082", host="localhost", port=8082, capacity=5)),
        (
            "dns+nodes.load.svc:9000=1000",
            NodeSpec(
                name="dns+nodes.load.svc:9000",
                host="nodes.load.svc",
                port=9000,
                capacity=1000,
                every_address=True,
            ),
        ),
        ("k8s@dns+nodes:1", NodeSpec(name="k8s", host="nodes", port=1, every_address=True)),
    ],
)
def test_a_node_is_name_host_port_and_capacity(text: str, node: NodeSpec) -> None:
    """All but the host may be left out."""
    assert parse_pool(text, {}) == Pool(name=text, nodes=(node,))


@pytest.mark.parametrize("text", ["a=1,b=2", "a=1 b=2", " a=1 , b=2, ", "a=1\n\tb=2"])
def test_nodes_are_separated_by_commas_or_space(text: str) -> None:
    """Any mixture of both, in the order listed."""
    pool = parse_pool(text, {})

    assert [(node.host, node.capacity) for node in pool.nodes] == [("a", 1), ("b", 2)]
    assert not pool.is_local


@pytest.mark.parametrize(
    ("text", "capacities"),
    [("local", [None]), ("local=500", [500]), ("local=4000+4000+2000", [4000, 4000, 2000])],
)
def test_local_nodes_are_started_here(text: str, capacities: list[int | None]) -> None:
    """They have loopback, no port yet, and numbered names."""
    pool = parse_pool(text, {})

    assert pool.is_local
    assert [node.capacity for node in pool.nodes] == capacities
    assert [node.name for node in pool.nodes] == [f"local-{n}" for n in range(1, len(capacities) + 1)]
    assert {(node.host, node.port, node.local) for node in pool.nodes} == {("127.0.0.1", 0, True)}


def test_a_pool_may_have_local_and_other_nodes() -> None:
    """Such a pool as a whole is not local."""
    pool = parse_pool("local=400,10.0.0.11=4000", {})

    assert [node.local for node in pool.nodes] == [True, False]
    assert not pool.is_local


def test_a_bare_word_is_the_name_of_a_pool() -> None:
    """Its nodes come from the ini file, where bare words are hosts."""
    perf, edge = parse_pool(" perf ", POOLS), parse_pool("edge", POOLS)

    assert (perf.name, [node.name for node in perf.nodes]) == ("perf", ["10.0.0.11:8082", "big"])
    assert [node.name for node in edge.nodes] == ["web1:8082", "web2:8082"]


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    """The message names the option, the word, and both ways to do it right."""
    text = complaint("pref")

    assert text.startswith("--ms-pool: there is no pool 'pref' (known: perf, edge, broken, local, none)")
    assert "perf: 10.0.0.11=4000 10.0.0.12:9000=2000" in text
    assert "10.0.0.11=4000,10.0.0.12:9000=2000" in text
    assert text.endswith("did you mean 'perf'?")


@pytest.mark.parametrize(
    ("text", "spelled"), [("web1,web2", "web1:8082,web2:8082"), ("local,web1", "local,web1:8082")]
)
def test_several_bare_words_are_told_to_show_that_they_are_nodes(text: str, spelled: str) -> None:
    """The correct text is spelled out."""
    message = complaint(text)

    assert message.startswith(f"--ms-pool: {text!r} is not a pool's name; ")
    assert message.endswith(f"what tells nodes from names is a port or a capacity: {spelled}")


def test_the_source_of_a_text_is_named() -> None:
    """A mistake in a variable is not blamed on the option, nor one in the ini file on either."""
    with pytest.raises(ConfigError, match=r"^PYTEST_MS_POOL: there is no pool 'x'"):
        parse_pool("x", POOLS, source="PYTEST_MS_POOL")
    with pytest.raises(ConfigError, match=r"^ini ms_pools, pool broken: the node web1:8082 is there twice"):
        parse_pool("broken", POOLS, source="PYTEST_MS_POOL")


@pytest.mark.parametrize(
    ("text", "piece", "hint"),
    [
        ("a=1,10.0.0.11=", "'10.0.0.11=': '' is not a capacity", "10.0.0.11=4000"),
        ("a=0", "'a=0': '0' is not a capacity", "10.0.0.11=4000"),
        ("a=-5", "'a=-5': '-5' is not a capacity", "10.0.0.11=4000"),
        ("a=4k", "'a=4k': '4k' is not a capacity", "10.0.0.11=4000"),
        ("a=1.5", "'a=1.5': '1.5' is not a capacity", "10.0.0.11=4000"),
        ("a=4_000", "'a=4_000': '4_000' is not a capacity", "10.0.0.11=4000"),
        ("a=٣", "'a=٣': '٣' is not a capacity", "10.0.0.11=4000"),
        ("a=1000000000", "'a=1000000000': '1000000000' is not a capacity", "from 1 to 999999999"),
        ("a==5", "'a==5': '=5' is not a capacity", "10.0.0.11=4000"),
        ("a=400+200", "'a=400+200': '400+200' is not a capacity", "10.0.0.11=4000"),
        ("a=4,000", "'000': the number 000 is not a host", "without separators: 10.0.0.11=4000"),
        ("=500", "'=500': the host is missing", "10.0.0.11:8082=4000"),
        (":8082", "':8082': the host is missing", "10.0.0.11:8082=4000"),
        ("big@=5", "'big@=5': the host is missing", "10.0.0.11:8082=4000"),
        ("a:0", "'a:0': '0' is not a port (1 to 65535)", "10.0.0.11:8082"),
        ("a:65536=4", "'a:65536=4': '65536' is not a port", "10.0.0.11:8082"),
        ("a:", "'a:': '' is not a port", "10.0.0.11:8082"),
        ("a:http=4", "'a:http=4': 'http' is not a port", "10.0.0.11:8082"),
        ("[::1]9000=4", "'[::1]9000=4': '[::1]9000' is not host and port", "10.0.0.11:8082"),
        ("[::1=4", "'[::1=4': '[::1' is not host and port", "10.0.0.11:8082"),
        ("::1=4", "'::1=4': an IPv6 address stands in brackets", "[fd00::11]:8082=4000"),
        ("[web]:80", "'[web]:80': 'web' is not an IPv6 address", "[fd00::11]:8082=4000"),
        ("http://10.0.0.11:8082", "'http://10.0.0.11:8082': a node has no scheme", "10.0.0.11:8082=4000"),
        ("10.0.0.300=4", "'10.0.0.300=4': '10.0.0.300' is not a host", "10.0.0.11:8082=4000"),
        ("10.0.0=4", "'10.0.0=4': '10.0.0' is not a host", "10.0.0.11:8082=4000"),
        ("-a=4", "'-a=4': '-a' is not a host", "10.0.0.11:8082=4000"),
        ("a..b=4", "'a..b=4': 'a..b' is not a host", "10.0.0.11:8082=4000"),
        ("a/b=4", "'a/b=4': 'a/b' is not a host", "10.0.0.11:8082=4000"),
        (f"{'a' * 64}=4", "is not a host", "10.0.0.11:8082=4000"),
        ("dns+=5", "'dns+=5': the host is missing", "10.0.0.11:8082=4000"),
        ("dns+10.0.0.1=5", "dns+ stands before a name, and 10.0.0.1 is an address", "write it without"),
        ("dns+[::1]:1=5", "dns+ stands before a name, and ::1 is an address", "write it without"),
        ("dns+dns+a=5", "'dns+dns+a=5': 'dns+a' is not a host", "10.0.0.11:8082=4000"),
        ("dns+local=5", "'dns+local=5': local nodes have neither name nor port", "local=400+200"),
        ("dns+a=5,a=6", "the node a:8082 is there twice", "list it once"),
        ("@a=4", "'@a=4': '' is not a node's name", "big@10.0.0.11=4000"),
        ("ä@a=4", "'ä@a=4': 'ä' is not a node's name", "big@10.0.0.11=4000"),
        ("x@y@a=4", "'x@y@a=4': 'x@y' is not a node's name", "big@10.0.0.11=4000"),
        ("local=", "'local=': '' is not a capacity", "local=400+400+200"),
        ("local=0", "'local=0': '0' is not a capacity", "local=500"),
        ("local=400+", "'local=400+': '' is not a capacity", "local=500"),
        ("local=400+x", "'local=400+x': 'x' is not a capacity", "local=500"),
        ("local:8082", "'local:8082': local nodes have neither name nor port", "local=400+200"),
        ("me@local=5", "'me@local=5': local nodes have neither name nor port", "local=400+200"),
        ("Local=5", "'Local=5': local nodes have neither name nor port", "local=400+200"),
        ("local=1,local=2", "local is there twice", "local=400+200"),
        ("a=1,A:8082=2", "the node A:8082 is there twice", "list it once"),
        ("x@a=1,y@a=2", "the node a:8082 is there twice", "list it once"),
        ("x@a=1,x@b=2", "two nodes are named 'x'", "b@10.0.0.11=4000"),
        ("local-1@a=1,local=2", "two nodes are named 'local-1'", "b@10.0.0.11=4000"),
    ],
)
def test_a_mistake_is_told_with_its_piece_and_an_example(text: str, piece: str, hint: str) -> None:
    """One line names the option, the exact piece, and what is right."""
    message = complaint(text)

    assert message.startswith("--ms-pool: ")
    assert piece in message
    assert hint in message
    assert "\n" not in message


def test_a_pool_line_is_a_name_and_its_nodes() -> None:
    """Ports and IPv6 addresses have colons too: the first one ends the name."""
    lines = ["perf: 10.0.0.11:9000=4000 [::1]:1=5", "edge:web1"]

    assert parse_pools(lines) == {"perf": "10.0.0.11:9000=4000 [::1]:1=5", "edge": "web1"}
    assert parse_pools([]) == {}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["perf 10.0.0.11"], "'perf 10.0.0.11' is not a pool, write for example perf: 10.0.0.11=4000"),
        (["perf:"], "'perf:' is not a pool"),
        ([": a=1"], "': a=1' is not a pool"),
        (["10.0.0.11:9000=4"], "'10.0.0.11:9000=4' is not a pool"),
        (["my pool: a=1"], "'my pool: a=1' is not a pool"),
        (["local: a=1"], "'local: a=1' takes 'local', which has a meaning of its own"),
        (["none: a=1"], "'none: a=1' takes 'none', which has a meaning of its own"),
        (["a: x=1", "a: y=1"], "the pool 'a' is there twice, 'x=1' and 'y=1'"),
    ],
)
def test_a_bad_pool_line_is_told_with_the_line(lines: list[str], message: str) -> None:
    """The message names the ini key and the line."""
    with pytest.raises(ConfigError) as caught:
        parse_pools(lines)

    assert str(caught.value).startswith(f"ini ms_pools: {message}")


def test_an_empty_pool_is_an_error() -> None:
    """Separators alone are no nodes."""
    with pytest.raises(ConfigError, match="',' has no node in it, write for example"):
        parse_pool("p", {"p": ","})


@given(st.text("ab1.:@=+-[]/, \n", max_size=20))
def test_any_text_is_a_pool_or_a_config_error(text: str) -> None:
    """No text gets another exception, and what is understood is sound."""
    try:
        pool = parse_pool(text, POOLS)
    except ConfigError:
        return

    assert len({node.name for node in pool.nodes}) == len(pool.nodes) >= 1
    assert all(node.capacity is None or node.capacity > 0 for node in pool.nodes)
    assert all(0 < node.port < 65536 for node in pool.nodes)
