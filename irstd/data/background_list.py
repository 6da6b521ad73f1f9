"""The kind of background of each image, where the owner of a folder states it in `backgrounds.csv`.

No published data set states it; the file has the header `id,background`, ids as in the index, and
the kinds of the generated scenes. Images that it does not name have no known background.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from irstd.data.backgrounds import BACKGROUNDS
from irstd.data.entries import Contents, normal
from irstd.data.sources import RawImage
from irstd.errors import DataError

BACKGROUNDS_FILE = "backgrounds.csv"
HEADER = ["id", "background"]


def read_backgrounds(contents: Contents) -> dict[str, str]:
    """Kind of background by id; empty without the file.

    Args:
        contents: the folder, with the file beside its images and lists.

    Raises:
        DataError: unreadable, another header or row, an unknown id or kind, or an id that stands in
            it twice.
    """
    tree = contents.tree
    if BACKGROUNDS_FILE not in tree.files:
        return {}
    path = tree.root / BACKGROUNDS_FILE
    try:
        lines = list(csv.reader(io.StringIO(tree.read_text(BACKGROUNDS_FILE)), strict=True))
    except (DataError, csv.Error) as error:
        raise DataError(f"{path}: {error}; expected a CSV file") from error
    if not lines or lines[0] != HEADER:
        found = ",".join(lines[0]) if lines else "an empty file"
        raise DataError(f"{path}: expected the header {','.join(HEADER)}, got {found}")
    known = {*contents.entries, *contents.found.images.values()}
    kinds: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if line:
            _add(kinds, line, known, f"{path}, row {number}")
    return kinds


def with_backgrounds(images: Iterable[RawImage], kinds: Mapping[str, str]) -> Iterator[RawImage]:
    """Pass images on, each with its kind of background."""
    for raw in images:
        yield replace(raw, background=kinds.get(raw.id))


def _add(kinds: dict[str, str], line: list[str], known: set[str], place: str) -> None:
    if len(line) != len(HEADER):
        raise DataError(f"{place}: expected {','.join(HEADER)}, got {','.join(line)}")
    name, kind = normal(line[0].strip()), line[1].strip()
    if name not in known:
        raise DataError(
            f"{place}: expected the id of an image of this folder, got {name!r}; correct or drop it"
        )
    if kind not in BACKGROUNDS:
        raise DataError(
            f"{place}: unknown background {kind!r} of {name}; choose one of: "
            f"{', '.join(BACKGROUNDS)}, or leave the image out of the file"
        )
    if name in kinds:
        raise DataError(f"{place}: {name} stands in the file twice; keep one row")
    kinds[name] = kind
