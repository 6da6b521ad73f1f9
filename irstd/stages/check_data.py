"""`irstd data check`: name everything that is wrong with a folder of images."""

import json
from dataclasses import asdict
from pathlib import Path

from irstd.data.check import Findings, check_folder

WIDTHS = (24, 44)
"""Columns of the table: id, file; the reason takes the rest."""


def check_data(folder: Path) -> Findings:
    """Check a folder.

    Raises:
        DataError: there is no such folder.
    """
    return check_folder(folder)


def as_json(findings: Findings) -> str:
    """Source, images, faults and warnings as one JSON object; only ASCII, whatever the names."""
    return json.dumps(asdict(findings), indent=2)


def as_text(findings: Findings) -> str:
    """The same as a table to read."""
    rows = [(fault.id, fault.file, fault.reason) for fault in findings.faults]
    lines = [f"{findings.source}: {findings.images} images, {len(rows)} faults"]
    if rows:
        lines += [_row("id", "file", "reason"), *(_row(*row) for row in rows)]
    return "\n".join([*lines, *(f"warning: {_shown(text)}" for text in findings.warnings)])


def _row(*cells: str) -> str:
    *first, last = map(_shown, cells)
    return "  ".join(
        [*(cell.ljust(width) for cell, width in zip(first, WIDTHS, strict=True)), last]
    )


def _shown(text: str) -> str:
    """Text without control characters that a terminal would obey."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
