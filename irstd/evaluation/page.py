"""A page of HTML that needs nothing but itself: style and pictures are inside."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

STYLE = """
body { font-family: system-ui, sans-serif; color: #1b1f24; background: #fff; line-height: 1.45;
       max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 0.9rem; margin: 0.5rem 0 1.5rem; }
th, td { border: 1px solid #c8ccd0; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
th { background: #eef1f4; }
figure { margin: 1rem 0; }
figcaption { font-size: 0.85rem; color: #57606a; }
img { max-width: 100%; height: auto; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 1rem; }
""".strip()


def page(title: str, sections: Sequence[str]) -> str:
    """A whole page from parts that are HTML already."""
    body = "\n".join(sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what stands below it, HTML already."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{chr(10).join(parts)}\n</section>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def links(targets: Sequence[tuple[str, str]]) -> str:
    """A list of links.

    Args:
        targets: text and address; with an empty address the text stands alone.
    """
    items = (
        f'<li><a href="{escape(address)}">{escape(text)}</a></li>'
        if address
        else f"<li>{escape(text)}</li>"
        for text, address in targets
    )
    return f"<ul>{''.join(items)}</ul>"


def picture(png: bytes, caption: str) -> str:
    """A PNG inside the page."""
    data = b64encode(png).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def grid(pictures: Sequence[str]) -> str:
    """Pictures side by side where there is room."""
    return f'<div class="grid">{"".join(pictures)}</div>'
