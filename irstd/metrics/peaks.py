"""At which thresholds target-level curves are counted: where the scores of a data set say so."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from irstd.metrics.inputs import Array, check_pair, target_pixels

MAX_PEAKS = 2**16
"""Largest number of peaks kept of a data set: the curves end where it has as many."""

SHARE = 63
"""Largest number of thresholds of each kind; with both ends they are at most 128."""

BEFORE = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=np.uint8)  # neighbours in raster order
AFTER = BEFORE[::-1, ::-1].copy()
AROUND = np.ones((3, 3), dtype=np.uint8)


class PeakScores:
    """The highest local maxima of all score maps, and thresholds between them.

    A component appears where the threshold falls below a local maximum, so a data set has at most
    as many components at a threshold as peaks above it. Only the `MAX_PEAKS` highest are kept:
    memory and time of the curves stay bounded on maps of noise. Neither the order of the images nor
    the way they are divided for `merge` matters.
    """

    def __init__(self) -> None:
        """Start with no image."""
        self._scores, self._near = np.empty(0), np.empty(0, dtype=bool)
        self._is_cut = False

    def update(self, probability: Array, mask: Array) -> None:
        """Add one image or batch, (H, W) or (N, 1, H, W).

        Raises:
            DataError: see `irstd.metrics.inputs.check_pair`.
        """
        check_pair(probability, mask)
        for scores, target in zip(_score_maps(probability), target_pixels(mask), strict=True):
            peaks = _local_maxima(scores)
            near = cv2.dilate(target.astype(np.uint8), AROUND) > 0
            self._add(scores[peaks].astype(np.float64), near[peaks])

    def merge(self, other: "PeakScores") -> None:
        """Add the images of another data set."""
        self._add(other._scores, other._near)
        self._is_cut |= other._is_cut

    def thresholds(self) -> Float64[np.ndarray, " k"]:
        """At most 128 thresholds, ascending; a peak of just this score is not predicted.

        They are the highest and the lowest kept score (or 0 where all are kept), and of each kind
        at most `SHARE`:
        - the next score below a peak on or beside a target, if it is that of a peak elsewhere:
          hits are all in before the next false alarm; of too many, evenly spaced ones;
        - the scores of peaks elsewhere: false alarms; of too many, ranks in geometric steps.
        """
        last = self._scores[-1:] if self._is_cut else np.zeros(1)
        scores, near = np.append(self._scores, last), np.append(self._near, False)
        corners = scores[1:][near[:-1] & ~near[1:]]
        false = scores[~near]
        chosen = _choose(corners, np.linspace), _choose(false, np.geomspace)
        return np.unique(np.concatenate([*chosen, scores[[0, -1]]]))

    def _add(self, scores: Float64[np.ndarray, " n"], near: Bool[np.ndarray, " n"]) -> None:
        """Keep the highest; of equal ones those of targets come last, as they enter together."""
        scores, near = np.append(self._scores, scores), np.append(self._near, near)
        order = np.lexsort((near, -scores))[:MAX_PEAKS]
        self._is_cut |= len(scores) > MAX_PEAKS
        self._scores, self._near = scores[order], near[order]


def _choose(
    scores: Float64[np.ndarray, " n"], space: Callable[[int, int, int], np.ndarray]
) -> Float64[np.ndarray, " k"]:
    """At most `SHARE` of the scores, at ranks 1 to n spaced by a function of NumPy."""
    if len(scores) <= SHARE:
        return scores
    return scores[space(1, len(scores), SHARE).round().astype(np.int64) - 1]


def _local_maxima(scores: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels above 0 that no neighbour exceeds; of equal neighbours the first in raster order.

    Each component at any threshold holds at least one of those above it.
    """
    rises = scores > np.maximum(cv2.dilate(scores, BEFORE), 0)
    peaks: Bool[np.ndarray, "h w"] = rises & (scores >= cv2.dilate(scores, AFTER))
    return peaks


def _score_maps(probability: Array) -> Float[np.ndarray, "n h w"]:
    """The maps on the host, in a type that OpenCV knows and that holds each value exactly."""
    if isinstance(probability, Tensor):
        probability = probability.detach().to(torch.float64).cpu().numpy()
    maps = probability.astype(np.result_type(probability, np.float32), copy=False)
    return maps.reshape(-1, *maps.shape[-2:])
