"""Drift: does a new batch of images differ from the one a network was trained on, and in what?

Each figure of an image is compared by the two-sample test of Kolmogorov and Smirnov; its texture, a
vector, by the energy distance (G. Szekely, M. Rizzo, "Energy statistics: a class of statistics
based on distances", Journal of Statistical Planning and Inference 143(8), 2013) and permutations.
The p-values are adjusted for their number by Benjamini and Yekutieli ("The control of the false
discovery rate in multiple testing under dependency", Annals of Statistics 29(4), 2001), whatever
they have to do with each other: of two batches from one distribution at most the stated share is
called changed.

The tests take images for independent. So a sequence, or a video, counts with one frame, and the
targets of an image with their median.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from numpy.random import Generator
from scipy import stats
from scipy.spatial.distance import cdist

from irstd.config.drift import DriftParams
from irstd.data.descriptors import noise_std, texture
from irstd.data.pixels import Grey, to_unit
from irstd.data.store import PreparedData

FIGURES: Mapping[str, str] = {
    "intensity": "mean grey, of full scale",
    "contrast": "standard deviation of grey, of full scale",
    "noise": "standard deviation of the noise, of full scale",
    "image_size": "pixels of the image",
    "target_count": "targets of the image",
    "target_size": "median area of its targets in pixels",
    "scr": "median signal-to-clutter ratio of its targets",
}
TEXTURE = "texture"
MEANINGS: Mapping[str, str] = {
    **FIGURES,
    TEXTURE: "power by spatial frequency and direction",
}
"""What is compared."""

UNREADABLE = "unreadable"
UNREADABLE_SHARE = 0.1
"""Of a batch; more is called changed without a test: files that were trained on can all be read."""

BATCH = 256
"""Permutations that are judged at once."""

Verdict = Literal["drift", "no_drift", "undecided"]


@dataclass(frozen=True)
class Measured:
    """The figures of a batch.

    Attributes:
        figures: one row per image, columns `FIGURES`; NaN where undefined or unknown.
        textures: (N, D), see `irstd.data.descriptors.texture`.
    """

    figures: pd.DataFrame
    textures: Float64[np.ndarray, "n d"]


@dataclass(frozen=True)
class Comparison:
    """One test.

    Attributes:
        name: key of `MEANINGS`.
        n_reference: images of the reference that have this figure.
        n_new: those of the new batch.
        reference: median there; NaN for the texture.
        new: median in the new batch.
        distance: largest distance of the distribution functions (Kolmogorov-Smirnov); of the
            texture: share of the energy between the batches, both in [0, 1]. NaN if not tested.
        p: p-value of this test alone; NaN if not tested.
        p_adjusted: p-value after adjustment; changed if it is below the false-alarm rate.
        changed: whether the batches differ in it.
    """

    name: str
    n_reference: int
    n_new: int
    reference: float
    new: float
    distance: float
    p: float
    p_adjusted: float = math.nan
    changed: bool = False


def independent_rows(data: PreparedData, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """Those rows that are single images or the first frame of a sequence."""
    return np.array(
        [row for row in rows if data.sequence_of(int(row)).rows[0] == row], dtype=np.int64
    )


def sample(items: Sequence[int], most: int, rng: Generator) -> list[int]:
    """At most so many of the items, in their order."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.sort(rng.choice(len(items), most, replace=False))]


def measure_prepared(data: PreparedData, rows: Iterable[int]) -> Measured:
    """Measure prepared images, whose targets are known."""
    chosen = list(rows)
    index = data.index.iloc[chosen]
    targets = pd.DataFrame(
        {
            "target_count": index["n_targets"].to_numpy(np.float64),
            "target_size": [_median(areas) for areas in index["target_areas"]],
            "scr": [_median(ratios) for ratios in index["scr"]],
        }
    )
    measured = measure_images(data.image(row) for row in chosen)
    return Measured(measured.figures.assign(**targets), measured.textures)


def measure_images(images: Iterable[Grey]) -> Measured:
    """Measure images without labels: figures of targets are NaN.

    Args:
        images: (H, W) each, uint8 or uint16, at least one.
    """
    figures, textures = [], []
    for image in images:
        unit = to_unit(image)
        figures.append((unit.mean(), unit.std(), noise_std(unit), float(unit.size)))
        textures.append(texture(unit))
    names = list(FIGURES)
    table = pd.DataFrame(figures, columns=names[:4], dtype=np.float64).reindex(columns=names)
    return Measured(table, np.stack(textures))


def compare(
    reference: Measured, new: Measured, params: DriftParams, seed: int
) -> tuple[Comparison, ...]:
    """Test everything that both batches have.

    Args:
        reference: figures of the training part.
        new: figures of the new batch.
        params: the group `drift`.
        seed: of the permutations.

    Returns:
        One comparison for each of `MEANINGS`; figures that fewer than `least_images` of either
        batch have are not tested.
    """
    found = [
        _compare_figure(name, reference.figures[name], new.figures[name], params.least_images)
        for name in FIGURES
    ]
    found.append(_compare_textures(reference.textures, new.textures, params, seed))
    p_values = np.array([item.p for item in found])
    tested = np.isfinite(p_values)
    adjusted = np.full(len(found), np.nan)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(p_values[tested], method="by")
    return tuple(
        replace(item, p_adjusted=float(p), changed=bool(p < params.false_alarm_rate))
        for item, p in zip(found, adjusted, strict=True)
    )


def too_many_unreadable(unreadable: int, images: int, params: DriftParams) -> bool:
    """Whether the share of unreadable files is a change in itself: above `UNREADABLE_SHARE`.

    Args:
        unreadable: files of the new batch that could not be read.
        images: those that could.
        params: the group `drift`; fewer than `least_images` files decide nothing.
    """
    files = unreadable + images
    return files >= params.least_images and unreadable > UNREADABLE_SHARE * files


def verdict(comparisons: Sequence[Comparison], is_unreadable: bool = False) -> Verdict:
    """Whether anything changed; `undecided` if no figure could be tested.

    Args:
        comparisons: of the figures.
        is_unreadable: see `too_many_unreadable`.
    """
    if is_unreadable or any(item.changed for item in comparisons):
        return "drift"
    return "undecided" if all(math.isnan(item.p) for item in comparisons) else "no_drift"


def _compare_figure(
    name: str, reference: "pd.Series[float]", new: "pd.Series[float]", least: int
) -> Comparison:
    ours, theirs = (values.dropna().to_numpy() for values in (reference, new))
    distance, p = math.nan, math.nan
    if min(len(ours), len(theirs)) >= least:
        test = stats.ks_2samp(ours, theirs)
        distance, p = float(test.statistic), float(test.pvalue)
    medians = _median(ours), _median(theirs)
    return Comparison(name, len(ours), len(theirs), *medians, distance, p)


def _compare_textures(
    reference: np.ndarray, new: np.ndarray, params: DriftParams, seed: int
) -> Comparison:
    """Each component counts by its spread over both batches, which permutations do not change."""
    n_ours, n_theirs = len(reference), len(new)
    distance, p = math.nan, math.nan
    if min(n_ours, n_theirs) >= params.least_images:
        both = np.concatenate([reference, new])
        both = (both - both.mean(axis=0)) / np.maximum(both.std(axis=0), np.finfo(np.float64).tiny)
        energy = _Energy(cdist(both, both))
        parts = np.arange(n_ours), np.arange(n_ours, n_ours + n_theirs)
        test = stats.permutation_test(
            parts,
            energy,
            vectorized=True,
            n_resamples=_resamples(params.false_alarm_rate),
            batch=BATCH,
            alternative="greater",
            rng=np.random.default_rng(seed),
        )
        distance, p = energy.share(*parts), float(test.pvalue)
    return Comparison(TEXTURE, n_ours, n_theirs, math.nan, math.nan, distance, p)


def _resamples(rate: float) -> int:
    """So many permutations that the texture can be called changed though nothing else is.

    The smallest p-value they can give, 1 / (n + 1), is then half of what the adjustment asks of the
    smallest of m p-values, rate / (m (1 + 1/2 + ... + 1/m)).
    """
    numbers = np.arange(1, len(MEANINGS) + 1)
    return math.ceil(2 * len(MEANINGS) * float((1 / numbers).sum()) / rate)


@dataclass(frozen=True)
class _Energy:
    """Energy distance of two parts of one set of points, 2 E d(x, y) - E d(x, x') - E d(y, y').

    With a weight of 1/n for each of n points of one part, and -1/m for the other, it is minus the
    quadratic form of the weights.

    Attributes:
        distances: (N, N) between the points.
    """

    distances: Float64[np.ndarray, "n n"]

    def __call__(self, first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
        """The distance; `first` and `second` are (..., n) and (..., m) numbers of points."""
        weights = np.zeros((*first.shape[:-1], len(self.distances)))
        np.put_along_axis(weights, first, 1 / first.shape[-1], axis)
        np.put_along_axis(weights, second, -1 / second.shape[-1], axis)
        return np.asarray(-((weights @ self.distances) * weights).sum(axis=axis))

    def share(self, first: np.ndarray, second: np.ndarray) -> float:
        """The distance as a share of 2 E d(x, y), in [0, 1]; 0 if all points are one."""
        between = 2 * float(self.distances[np.ix_(first, second)].mean())
        return float(self(first, second)) / between if between > 0 else 0.0


def _median(values: np.ndarray) -> float:
    """Median of what is defined; NaN if nothing is."""
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[np.isfinite(defined)]
    return float(np.median(defined)) if defined.size else math.nan
