"""An HTML page read back with the standard library's parser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "br", "hr", "img", "input", "circle", "path", "rect", "line"})


class Element:
    """An element with its attributes, its place, and the text and elements inside."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: Element | None = None) -> None:
        """Make an element without content."""
        self.tag = tag
        self.attributes = attributes
        self.parent = parent
        self.content: list[Element | str] = []

    @property
    def classes(self) -> list[str]:
        """Return its classes."""
        return self.attributes.get("class", "").split()

    @property
    def text(self) -> str:
        """Return all text inside."""
        return "".join(each if isinstance(each, str) else each.text for each in self.content)

    def all(self, tag: str = "", class_name: str = "") -> Iterator[Element]:
        """Yield the elements inside with a tag and a class, in the order of the page."""
        for each in self.content:
            if isinstance(each, str):
                continue
            if tag in ("", each.tag) and (not class_name or class_name in each.classes):
                yield each
            yield from each.all(tag, class_name)

    def one(self, tag: str = "", class_name: str = "") -> Element:
        """Return the only such element inside."""
        (found,) = self.all(tag, class_name)
        return found


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.place = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        doubled = [name for name, times in Counter(name for name, _ in attrs).items() if times > 1]
        assert not doubled, f"<{tag}> has {doubled} twice"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.place)
        self.place.content.append(element)
        if tag not in _VOID:
            self.place = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self.place.tag == tag, f"</{tag}> closes <{self.place.tag}>"
        assert self.place.parent is not None
        self.place = self.place.parent

    def handle_data(self, data: str) -> None:
        self.place.content.append(data)


def read_page(text: str) -> Element:
    """Return the page's root; elements that are not closed, or closed out of order, fail the test."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder.place is builder.root, f"<{builder.place.tag}> is never closed"
    return builder.root
