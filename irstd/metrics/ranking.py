"""Average precision over components: do the true detections have the highest scores?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from irstd.errors import DataError


@dataclass(frozen=True)
class RankedDetections:
    """Precision and recall of the components with a score of at least s, for falling s.

    Attributes:
        scores: s, the distinct scores of the components.
        precision: detections / components.
        recall: detections / targets of all images; NaN without targets.
        average_precision: sum of precision times the step in recall, not interpolated; at most the
            P_d of the operating threshold. 0 without components; NaN without targets.
    """

    scores: Float64[np.ndarray, " k"]
    precision: Float64[np.ndarray, " k"]
    recall: Float64[np.ndarray, " k"]
    average_precision: float


class DetectionRanking:
    """Components of all images, ranked by their score.

    The components are those at the operating threshold, and so are the pairs: both are fixed, and
    only the ranking is judged. The score of a component is the largest probability inside it.
    Components of equal score enter together, so the order of images does not matter.
    """

    def __init__(self) -> None:
        """Start with no image."""
        self._scores: list[Float[np.ndarray, " n"]] = []
        self._hits: list[Bool[np.ndarray, " n"]] = []
        self._n_targets = 0

    def update(
        self, scores: Float[np.ndarray, " n"], hits: Bool[np.ndarray, " n"], n_targets: int
    ) -> None:
        """Add one image.

        Args:
            scores: largest probability of each predicted component.
            hits: whether it has a target.
            n_targets: number of targets in the image.

        Raises:
            DataError: not one flag per score, or more hits than targets.
        """
        if len(scores) != len(hits) or hits.sum() > n_targets:
            raise DataError(
                "expected one flag per component and at most one component per target, got "
                f"{len(scores)} scores, {len(hits)} flags, {hits.sum()} hits, {n_targets} targets"
            )
        self._scores.append(scores)
        self._hits.append(hits)
        self._n_targets += n_targets

    def merge(self, other: "DetectionRanking") -> None:
        """Add the images of another ranking."""
        self._scores += other._scores
        self._hits += other._hits
        self._n_targets += other._n_targets

    def compute(self) -> RankedDetections:
        """Precision, recall and average precision, highest score first."""
        scores = np.concatenate([np.empty(0), *self._scores])
        hits = np.concatenate([np.empty(0, dtype=bool), *self._hits])
        order = np.argsort(-scores, kind="stable")
        scores, found = scores[order], np.cumsum(hits[order])
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])
        precision = found[last] / (last + 1)
        recall = found[last] / (self._n_targets or np.nan)
        average = float((np.diff(recall, prepend=0.0) * precision).sum())
        return RankedDetections(
            scores[last], precision, recall, average if self._n_targets else np.nan
        )
