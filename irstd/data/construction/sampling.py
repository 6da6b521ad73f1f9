"""Which images of a source enter the data set that is built: samples of sequences, no near ones."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Int64
from tqdm import tqdm

from irstd.data.construction.near import NearImages
from irstd.data.pixels import Grey, to_unit

SIMPLE, COMPLEX = "simple", "complex"

CANNY_LOW, CANNY_HIGH = 50, 100
"""Thresholds of Canny's gradient on 8-bit grey values, for the share of edge pixels."""


def every_nth(index: pd.DataFrame, step: int) -> Int64[np.ndarray, " k"]:
    """Rows of every nth frame of each sequence, and of all single images (ISPANet, section III).

    Frames are counted within their sequence as they follow each other, gaps in their numbers
    left out; the first one always stays.

    Args:
        index: columns sequence (null for single images) and frame.
        step: 50 for SHR-IRST; 1 keeps all.

    Returns:
        Row positions in the order of the index.
    """
    frames = index[["sequence", "frame"]].reset_index(drop=True)
    ordered = frames.sort_values("frame", kind="stable")
    place = ordered.groupby("sequence").cumcount().reindex(frames.index)
    return np.flatnonzero((frames["sequence"].isna() | (place % step == 0)).to_numpy())


def background_kind(
    image: Grey, background: str | None, simple: tuple[str, ...], edge_share: float
) -> str:
    """Whether the background is simple: given by its name, or estimated by the share of edges.

    Simple is what has clouds and high-voltage lines only (ISPANet, section III); anything else is
    complex.

    Args:
        image: (H, W) grey values.
        background: its kind in the index; None to estimate.
        simple: names of simple backgrounds.
        edge_share: an image without a name is simple up to this share of Canny edge pixels.
    """
    if background is not None:
        return SIMPLE if background in simple else COMPLEX
    pixels = np.round(255.0 * to_unit(image)).astype(np.uint8)
    edges = cv2.Canny(pixels, CANNY_LOW, CANNY_HIGH, L2gradient=True)
    return SIMPLE if np.count_nonzero(edges) <= edge_share * edges.size else COMPLEX


def choose_distinct(
    near: NearImages, kinds: Sequence[str], thresholds: Mapping[str, float]
) -> list[int | None]:
    """Drop each image that nearly equals one kept before it (ISPANet, section III).

    Args:
        near: the images.
        kinds: background of each, see `background_kind`.
        thresholds: for each kind the SSIM with a kept image above which one is dropped.

    Returns:
        For each image the position of the kept one that it nearly equals, None if it is kept.
    """
    kept = np.zeros(len(kinds), dtype=bool)
    partners: list[int | None] = []
    for position, kind in enumerate(tqdm(kinds, desc="build: compare", unit="image")):
        partners.append(next(near.partners(position, thresholds[kind], kept), None))
        kept[position] = partners[-1] is None
    return partners
