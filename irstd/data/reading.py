"""The images of the chosen source, ready to be prepared one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irstd.config import DataParams
from irstd.data.background_list import read_backgrounds, with_backgrounds
from irstd.data.faults import FaultLog, read_images
from irstd.data.generated import generate
from irstd.data.layouts import open_contents
from irstd.data.listing import choose, read_split
from irstd.data.sources import RawImage, find_source
from irstd.data.store import PreparedData
from irstd.data.synthesis import synthesise
from irstd.errors import DataError


@dataclass(frozen=True)
class Reading:
    """A source, opened.

    Attributes:
        images: to be consumed once; may raise at the end, see `read_images`.
        total: number of images listed, faulty ones included.
        log: fills while `images` is consumed.
        complete: no image was left aside by `data.limit` or by the split.
        unlisted: pairs in the source's folder that the split does not name.
        differences: how the split lists differ from what was published, in words.
    """

    images: Iterator[RawImage]
    total: int
    log: FaultLog
    complete: bool = True
    unlisted: int = 0
    differences: tuple[str, ...] = ()


def open_source(
    raw: Path, params: DataParams, seed: int, material: PreparedData | None = None
) -> Reading:
    """Open the source that the parameters name.

    Args:
        raw: folder of the source's files; unused by those that are made.
        params: the group `data`.
        seed: for the images that are made, the validation part and the choice under `data.limit`.
        material: prepared images that `synthesis` is made of, if any.

    Raises:
        DataError: the folder or a split list is missing or faulty, or its `backgrounds.csv` is.
    """
    log = FaultLog(params.fault_policy)
    if params.source == "generated":
        images = generate(params.generated, seed, params.limit)
        return Reading(images, _at_most(params.generated.images, params.limit), log)
    if params.source == "synthesis":
        images = synthesise(params.synthesis, seed, material, params.limit)
        return Reading(images, _at_most(params.synthesis.images, params.limit), log)
    return _open_files(raw, params, seed, log)


def _at_most(images: int, limit: int | None) -> int:
    return images if limit is None else min(images, limit)


def _open_files(raw: Path, params: DataParams, seed: int, log: FaultLog) -> Reading:
    source = find_source(params.source)
    if not raw.is_dir():
        raise DataError(
            f"{raw}: expected the files of {source.title}; get the published folder, "
            f"then run `irstd data add {params.source} PATH`"
        )
    contents = open_contents(raw)
    listing = read_split(contents, source, params.split, params.val_fraction, seed)
    for fault in listing.repeated:
        log.add(fault, "listed once")
    for fault in listing.missing:
        log.add(fault)
    items = choose(listing.items, params.limit, seed)
    images = read_images(contents, items, log, params.mask_threshold)
    return Reading(
        images=with_backgrounds(images, read_backgrounds(contents)),
        total=len(items) + len(listing.missing),
        log=log,
        complete=len(items) == source.n_images,
        unlisted=len(contents.entries) - len(listing.items),
        differences=listing.differences,
    )
