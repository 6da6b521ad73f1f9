"""Images that occur twice, exactly or nearly, where they must not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import UInt64

from irstd.data.pixels import Grey

_BLOCK = 256  # rows of hashes compared at a time
_SHOWN = 3  # partners named per image


def perceptual_hash(image: Grey) -> int:
    """64-bit hash of the low spatial frequencies (pHash, as imagehash computes it).

    16-bit grey values are scaled to 8 bits first, by their range: the hash is defined on 8 bits.

    Args:
        image: (H, W), uint8 or uint16.
    """
    import imagehash
    from PIL import Image

    grey = np.round(image / 257.0).astype(np.uint8) if image.dtype == np.uint16 else image
    return int(str(imagehash.phash(Image.fromarray(grey))), 16)


def shared_elsewhere(
    values: Sequence[str | None], splits: Sequence[str], ids: Sequence[str]
) -> list[str | None]:
    """For each image, which images of other splits have the same value.

    Args:
        values: one per image (a checksum, a sequence); None is equal to nothing.
        splits: split of each image.
        ids: id of each image.

    Returns:
        Ids of partners in other splits as text, None where there is none.
    """
    table = pd.DataFrame({"value": values, "split": splits, "id": ids}, dtype=object)
    partners: dict[int, list[str]] = {}
    for _, group in table.dropna(subset="value").groupby("value", sort=False):
        if group["split"].nunique() > 1:
            for row, split in group["split"].items():
                partners[int(str(row))] = group.loc[group["split"] != split, "id"].tolist()
    return [name_partners(partners.get(row, [])) for row in range(len(table))]


def near_elsewhere(
    hashes: UInt64[np.ndarray, " n"],
    values: Sequence[str | None],
    splits: Sequence[str],
    ids: Sequence[str],
    bits: int,
) -> list[str | None]:
    """For each image, which images of other splits nearly equal it.

    Args:
        hashes: perceptual hash of each image.
        values: checksum of each image; equal images are `shared_elsewhere`'s and left out here.
        splits: split of each image.
        ids: id of each image.
        bits: largest Hamming distance that counts as nearly equal.

    Returns:
        Ids of partners in other splits as text, None where there is none.
    """
    names, parts, sums = (np.asarray(column, dtype=object) for column in (ids, splits, values))
    found: list[str | None] = []
    for start in range(0, len(hashes), _BLOCK):
        block = slice(start, start + _BLOCK)
        near = np.bitwise_count(hashes[block, None] ^ hashes[None, :]) <= bits
        near &= (parts[block, None] != parts[None, :]) & (sums[block, None] != sums[None, :])
        found += [name_partners(names[row].tolist()) for row in near]
    return found


def name_partners(ids: list[str]) -> str | None:
    """The first few ids as text, and how many there are more; None for none."""
    if not ids:
        return None
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more
