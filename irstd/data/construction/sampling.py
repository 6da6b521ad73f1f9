"""Which images of a source enter the data set that is built: samples of sequences, no near ones."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64
from tqdm import tqdm

from irstd.data.construction.near import NearImages, similarity
from irstd.data.construction.ssim import SIDE_PX
from irstd.data.pixels import Grey, to_unit

SIMPLE, COMPLEX = "simple", "complex"

CANNY_LOW, CANNY_HIGH = 50, 100
"""Thresholds of Canny's gradient on 8-bit grey values, for the share of edge pixels."""

CLOSEST = 8
"""Kept images, the likeliest ones, of which the most similar one is named."""

PAIRS = 200
"""Pairs of images whose mean similarity is measured."""


class Near(NamedTuple):
    """The kept image that another one nearly equals.

    Attributes:
        position: of the kept image.
        ssim: of both.
        limit: that it exceeds.
    """

    position: int
    ssim: float
    limit: float


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
    images: Sequence[Grey],
    near: NearImages,
    kinds: Sequence[str],
    thresholds: Mapping[str, float],
) -> list[Near | None]:
    """Drop each image that nearly equals one kept before it (ISPANet, section III).

    Args:
        images: (H, W) each.
        near: the same, summarised.
        kinds: background of each, see `background_kind`.
        thresholds: for each kind the SSIM with a kept image above which one is dropped.

    Returns:
        For each image the most similar of the first `CLOSEST` kept ones that it nearly equals,
        None if it is kept.
    """
    limits = [thresholds[kind] for kind in kinds]
    chosen: list[Near | None] = []
    found = tqdm(near.distinct(limits, CLOSEST), "build: compare", len(kinds), unit="image")
    for position, others in enumerate(found):
        partners = [
            Near(other, similarity(images[position], images[other]), limits[position])
            for other in others
        ]
        chosen.append(max(partners, key=lambda partner: partner.ssim, default=None))
    return chosen


def mean_similarity(
    images: Sequence[Grey],
    among: Bool[np.ndarray, " n"],
    pairs: int = PAIRS,
    seed: int = 0,
) -> float:
    """Mean SSIM of a sample of pairs of different images (ISPANet, section III, gives such means).

    A pair is the first two of a random order, so samples among all and among most images share
    most pairs.

    Args:
        images: (H, W) each; those too small for a window of SSIM are left out.
        among: whether each image counts.
        pairs: how many are drawn.
        seed: of the orders.

    Returns:
        In [-1, 1]; NaN without two images.
    """
    present = among & np.array([min(image.shape) >= SIDE_PX for image in images], dtype=bool)
    if np.count_nonzero(present) < 2:
        return float("nan")
    rng = np.random.default_rng(seed)
    orders = (rng.permutation(len(images)) for _ in range(pairs))
    drawn = (order[present[order]][:2].tolist() for order in orders)
    return float(np.mean([similarity(images[i], images[j]) for i, j in drawn]))
