"""Load on node-controllers that run already: over IPv6, TLS, with tokens from files, behind one DNS name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.stock import StockController
from tests.plugin.conftest import Inner
from tests.plugin.projects import Project, mentions
from tests.plugin.remote import TOKEN, remote_node

SCENARIO = """
    import pytest

    @pytest.mark.load_scenario(users=3, iterations=2, hold="5s")
    async def test_cart(vu):
        with vu.sample("look"):
            await vu.sleep(0.01)
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """Return a project with one scenario of three users and two iterations each."""
    project.write("test_cart.py", SCENARIO)
    return project


def test_a_node_on_ipv6_carries_load(shop: Project, request: pytest.FixtureRequest) -> None:
    """Its address stands in brackets, in the pool and in the reports."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        if request.config.getoption("--require-all"):
            pytest.fail("needs IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0", pytrace=False)
        pytest.skip("needs IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0")
    with remote_node(host="::1") as address:
        done = shop.run(f"--ms-pool={address}=10", env={"PYTEST_MS_TOKEN": TOKEN})

    assert done.code == 0, done.text
    result = done.scenario("test_cart")
    assert (result.verdict, result.totals.iterations) == ("passed", 6)
    assert [node.name for node in result.nodes] == [address]


def test_two_nodes_over_tls_with_a_token_from_a_file(shop: Project, tmp_path: Path) -> None:
    """Both sides read the token from a file; the controller knows the authority from its ini file."""
    authority = Authority(tmp_path)
    cert, key = authority.certificate("127.0.0.1")
    token = tmp_path / "token"
    token.write_text("a-token-in-a-file\n")
    options = (f"--tls-cert={cert}", f"--tls-key={key}", f"--token-file={token}")
    shop.write("pytest.ini", f"[pytest]\nms_node_cafile = {authority.cafile}")
    env = {"PYTEST_MS_TOKEN_FILE": str(token)}
    with remote_node(*options, token="") as first, remote_node(token="", env=env) as plain:
        with remote_node(*options[:2], token="", env=env) as second:
            done = shop.run(f"--ms-pool={first}=2,{second}=2", env=env)
        refused = shop.run(f"--ms-pool={plain}=5", env=env)

    assert done.code == 0, done.text
    assert [node.users for node in done.scenario("test_cart").nodes] == [2, 1]
    assert "a-token-in-a-file" not in done.text + done.summary + done.page.text
    assert refused.code == 4
    assert mentions(refused.text, f"https://{plain} does not speak TLS", "--tls-cert")


def test_a_dns_name_is_a_node_for_each_address(shop: Project) -> None:
    """The only address of this name has a node; its report calls it by the name and a number."""
    with remote_node() as address:
        port = address.rpartition(":")[2]
        done = shop.run(f"--ms-pool=dns+localhost:{port}=10", env={"PYTEST_MS_TOKEN": TOKEN})
        planned = shop.run(f"--ms-pool=dns+localhost:{port}=10", "--ms-plan")

    assert done.code == 0, done.text
    assert [node.name for node in done.scenario("test_cart").nodes] == ["localhost-1"]
    assert planned.code == 0
    assert mentions(planned.out, "localhost-1", "capacity")


def test_a_dns_name_that_means_nothing_ends_before_any_load(shop: Project) -> None:
    """Exit code 4 and the name, with --ms-plan, too."""
    for options in ([], ["--ms-plan"]):
        done = shop.run("--ms-pool=dns+nodes..invalid:1=5", *options)
        assert done.code == 4
    done = shop.run("--ms-pool=dns+nowhere.invalid:1=5")

    assert done.code == 4
    assert mentions(done.text, "pool node dns+nowhere.invalid:1: the name 'nowhere.invalid'")


def test_packages_of_the_project_must_be_on_the_node(shop: Project, tmp_path: Path) -> None:
    """A package that only the controller has is named before any load, with what to type."""
    site = tmp_path / "site"
    (site / "ms_only_here-1.5.dist-info").mkdir(parents=True)
    (site / "ms_only_here-1.5.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ms-only-here\nVersion: 1.5\n"
    )
    (site / "ms_only_here-1.5.dist-info" / "RECORD").write_text("ms_only_here.py,,\n")
    (site / "ms_only_here.py").write_text("")
    shop.write("test_cart.py", f"    import ms_only_here\n{SCENARIO}")
    with remote_node() as address:
        done = shop.run(
            f"--ms-pool=far@{address}=10", env={"PYTEST_MS_TOKEN": TOKEN, "PYTHONPATH": str(site)}
        )

    assert done.code == 4, done.text
    assert mentions(done.text, "node far: ", "ms-only-here 1.5 is missing", "pip install ms-only-here==1.5")
    assert not done.reports.exists() or not (done.reports / "results.json").exists()


def test_a_stock_node_controller_needs_more(scenario: Inner) -> None:
    """What is missing is said, all of it; nothing is started on it, and pytest ends with 4."""
    with StockController() as stock:
        message = scenario.refuses(f"--ms-pool=far@{stock.address}")

    assert message.startswith(f"node far: a stock MeterSphere node-controller listens on {stock.url}, ")
    assert mentions(message, "far=1000", "--ms-kafka", "ms_runner_image")
    assert {asked.partition(" ")[0] for asked in stock.asked} == {"GET"}


def test_a_file_that_holds_no_certificates_ends_before_any_load(
    scenario: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable and the file are named."""
    scenario.pytester.makefile(".pem", ca="no certificate")
    monkeypatch.setenv("PYTEST_MS_NODE_CAFILE", "ca.pem")
    message = scenario.refuses("--ms-pool=far@127.0.0.1:1=9")

    assert message.startswith("PYTEST_MS_NODE_CAFILE: ")
    assert "ca.pem' holds no certificates in PEM form" in message
