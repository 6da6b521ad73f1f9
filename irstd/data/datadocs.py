"""The Data Docs page of Great Expectations, made readable without a network.

The page that Great Expectations renders asks six servers for style sheets, scripts, icons and a
logo. Here these elements are dropped, Bootstrap's style sheet (`assets/`, MIT licence) is put into
the page, collapsed parts are shown and icons become words.
"""

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

_DROPPED_WHOLE = frozenset({"script", "style", "footer", "title"})
_DROPPED_TAGS = frozenset({"link", "img"})  # they have no content and no end tag
_STYLE = """
.ge-section { clear: both; margin-bottom: 30px; padding-bottom: 20px; }
.sticky { position: sticky; top: 20px; }
.show-scrollbars { overflow: auto; max-height: 80vh; }
nav.navbar.sticky-top, .sticky > .card.mb-3 { display: none; }
.collapse:not(.show) { display: block; }
i.fas { font-style: normal; font-weight: bold; }
i.fa-check-circle::before { content: "\\2714  passed"; }
i.fa-times::before { content: "\\2718  failed"; }
i.fa-exclamation-triangle::before { content: "\\26A0  error"; }
"""


def offline_page(result: dict[str, Any], title: str, failures: Sequence[str]) -> str:
    """Render a validation result as one HTML file that loads nothing.

    Args:
        result: the result of Great Expectations, see `irstd.data.verdict.judge`.
        title: title of the page.
        failures: what failed, in words; listed first, since Data Docs name no rows.
    """
    from great_expectations.core.expectation_validation_result import (
        expectationSuiteValidationResultSchema,
    )
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    loaded = expectationSuiteValidationResultSchema.load(result)
    view: Any = DefaultJinjaPageView()
    page = make_offline(view.render(ValidationResultsPageRenderer().render(loaded)), title)
    items = "".join(f"<li>{escape(failure)}</li>" for failure in failures)
    banner = f'<div class="alert alert-danger m-3">Failed:<ul>{items}</ul></div>' if items else ""
    return page.replace("<body>", f"<body>\n<h1 class='m-3'>{escape(title)}</h1>{banner}", 1)


def make_offline(page: str, title: str) -> str:
    """Drop whatever a page would load, and put the style sheets in.

    Args:
        page: HTML.
        title: replaces the page's title.
    """
    bootstrap = files("irstd.data").joinpath("assets", "bootstrap-4.3.1.min.css")
    style = bootstrap.read_text(encoding="utf-8") + _STYLE
    head = f"<title>{escape(title)}</title>\n<style>{style}</style>\n"
    filtered = _Filter()
    filtered.feed(page)
    filtered.close()
    return "".join(filtered.kept).replace("</head>", f"{head}</head>", 1)


class _Filter(HTMLParser):
    """Copies HTML without elements that load or act, and without links to other files."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self._inside: list[str] = []  # dropped elements that are open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED_WHOLE:
            self._inside.append(tag)
        elif tag not in _DROPPED_TAGS:
            outward = tag == "a" and not (dict(attributes).get("href") or "").startswith("#")
            self._keep("<a>" if outward else self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in _DROPPED_WHOLE | _DROPPED_TAGS:
            self._keep(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()
        else:
            self._keep(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._keep(data)

    def handle_entityref(self, name: str) -> None:
        self._keep(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._keep(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self._keep(f"<!{decl}>")

    def _keep(self, text: str) -> None:
        if not self._inside:
            self.kept.append(text)
