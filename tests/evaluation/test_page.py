import re
from html.parser import HTMLParser

import pytest

from irstd.evaluation import page


class Reader(HTMLParser):
    """Collects tags and checks that they are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def html() -> str:
    parts = [
        page.section("A & B", page.paragraph("1 < 2"), page.links([("x", "a b"), ("y", "")])),
        page.grid([page.picture(b"png", 'say "cheese"')]),
    ]
    return page.page("<title>", parts)


def test_tags_are_closed_and_text_is_escaped(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    assert "<h1>&lt;title&gt;</h1>" in html
    assert "<h2>A &amp; B</h2>" in html
    assert "1 &lt; 2" in html


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    sources = [attributes["src"] for _, attributes in reader.tags if "src" in attributes]
    assert sources == ["data:image/png;base64,cG5n"]
    assert not re.search(r"https?:|<script|<link", html)


def test_a_link_without_address_is_text(html: str) -> None:
    assert '<li><a href="a b">x</a></li><li>y</li>' in html
