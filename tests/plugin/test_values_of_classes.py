"""Values of the project's own classes reach the nodes, and those that cannot are an error of the setup."""

from __future__ import annotations

import pytest

from tests.plugin.projects import Project, mentions

MODELS = """
    import dataclasses, decimal, enum, uuid

    class Size(enum.Enum):
        LARGE = "large"

    @dataclasses.dataclass(frozen=True)
    class Item:
        name: str
        price: decimal.Decimal
        size: Size
"""
TEST = """
    import dataclasses, decimal, uuid
    import pytest
    from shop.models import Item, Size

    @dataclasses.dataclass
    class Order:
        id: uuid.UUID
        items: list[Item]

    @pytest.fixture
    def order():
        return Order(uuid.UUID(int=5), [Item("book", decimal.Decimal("9.90"), Size.LARGE)])

    @pytest.mark.load_scenario(users=2, iterations=1, hold="5s")
    @pytest.mark.parametrize("size", list(Size))
    async def test_order(vu, order, size):
        with vu.sample("look"):
            assert type(order) is Order
            assert order == Order(uuid.UUID(int=5), [Item("book", decimal.Decimal("9.90"), Size.LARGE)])
            assert order.items[0].size is size
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_a_dataclass_of_the_project_arrives_on_every_node(project: Project, mode: str) -> None:
    """Classes of a package and of the test module itself are the same ones where the load runs."""
    project.write("shop/__init__.py", "")
    project.write("shop/models.py", MODELS)
    project.write("conftest.py", "")
    project.write("test_order.py", TEST)
    done = project.run("--ms-pool=local=1+1", f"--import-mode={mode}", "-o", "pythonpath=.")

    assert done.code == 0, done.text
    result = done.scenario("test_order[Size.LARGE]")
    assert (result.verdict, result.totals.iterations, result.totals.failed_iterations) == ("passed", 2, 0)


def test_a_class_that_is_made_in_a_fixture_is_an_error_of_the_setup(project: Project) -> None:
    """No node could import it; the error names the fixture and what to do."""
    project.write(
        "test_order.py",
        """
        import dataclasses
        import pytest

        @pytest.fixture
        def order():
            @dataclasses.dataclass
            class Order:
                id: int
            return Order(5)

        @pytest.mark.load_scenario(users=2, iterations=1, hold="5s")
        async def test_order(vu, order):
            pass
        """,
    )
    done = project.run("--ms-pool=local=2")

    assert done.code == 1
    assert mentions(
        done.text, "fixture 'order': ", "is defined inside a function; define it at the top of a module"
    )
    assert done.counts == {"error": 1}
