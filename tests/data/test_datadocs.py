import re
from html.parser import HTMLParser

import pytest

from irstd.data.datadocs import make_offline, offline_page
from irstd.data.verdict import judge
from tests.validation_table import LIMITS, clean_table

PAGE = """<!DOCTYPE html><html><head><title>Old</title>
<link rel="stylesheet" href="https://cdn.example/a.css"><link href="//cdn.example/b.css"/>
<style>.a { background: url('https://cdn.example/logo.png'); }</style>
<script src="https://cdn.example/x.js"></script></head>
<body onload=""><p>a &lt; b &#35; c</p><script>if (1 < 2) { document.write("<p>bad</p>"); }</script>
<img src="https://cdn.example/pixel.gif"/><img src="x.png">
<a href="https://example.org">out</a><a href="#here">in</a><br/><i class="fas fa-times"></i>
<footer><p>buy <b>more</b></p></footer><p>end</p></body></html>"""


class Loads(HTMLParser):
    """Collects whatever a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.style = tag == "style"
        if tag in {"script", "link", "iframe", "object", "embed", "img"}:
            self.found.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "data", "poster", "srcset"} and not (value or "").startswith(
                "#"
            ):
                self.found.append(f"{tag} {name}={value}")
            if name == "style":
                self.found += _urls(value or "")

    def handle_data(self, data: str) -> None:
        if self.style:
            self.found += _urls(data) + re.findall("@import.*", data)
        else:
            self.text.append(data)


def _urls(css: str) -> list[str]:
    return [
        url for url in re.findall(r"url\(\s*['\"]?([^'\")]+)", css) if not url.startswith("data:")
    ]


def _look(page: str) -> Loads:
    loads = Loads()
    loads.feed(page)
    return loads


def test_the_checker_sees_what_a_page_loads() -> None:
    assert len(_look(PAGE).found) >= 8


def test_a_page_made_offline_keeps_its_text_and_loads_nothing() -> None:
    page = make_offline(PAGE, "New & old")
    assert _look(page).found == []
    assert "<title>New &amp; old</title>" in page
    assert "<p>a &lt; b &#35; c</p>" in page
    assert "<a>out</a>" in page
    assert '<a href="#here">in</a><br/>' in page
    assert page.startswith("<!DOCTYPE html>")
    assert page.endswith("<p>end</p></body></html>")
    for gone in ("Old", "<p>bad", "buy", "pixel.gif", "cdn.example"):
        assert gone not in page
    assert "Bootstrap v4.3.1" in page


@pytest.fixture(scope="module")
def failed_page() -> str:
    table = clean_table()
    table.loc[4, "std"] = 0.0
    table["mean_drift"] = 9.5
    outcomes, result = judge(table, LIMITS)
    failures = [str(outcome) for outcome in outcomes if not outcome.success]
    return offline_page(result, "Validation of made", failures)


def test_data_docs_load_nothing(failed_page: str) -> None:
    assert _look(failed_page).found == []
    assert len(failed_page) < 400_000


def test_data_docs_show_every_expectation_and_name_failed_rows(failed_page: str) -> None:
    text = " ".join(_look(failed_page).text)
    for key in type(LIMITS.severity).model_fields:
        assert f"{key} ({getattr(LIMITS.severity, key)}): " in text
    assert "not_constant: no image is constant: violated by 1: image_4 (std 0.0)" in text
    assert "9.5" in text
    assert failed_page.count("fa-times") >= 2


def test_a_clean_page_has_no_banner() -> None:
    _, result = judge(clean_table(), LIMITS)
    page = offline_page(result, "Validation of made", [])
    assert "alert-danger" not in page.split("<body>")[1]
    assert "Failed" not in "".join(_look(page.split("<body>")[1]).text).replace("Failed Only", "")
