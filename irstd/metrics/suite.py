"""The figures of several conventions in one pass over the images.

Each image is labelled once per way of binarising, related once per match rule and distance, and
every convention takes the counts that its figures need.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from irstd.errors import ConfigError, DataError
from irstd.metrics.components import Components, Moments, label_components
from irstd.metrics.convention import Convention, Rule
from irstd.metrics.conventions import SMOOTH, find_convention
from irstd.metrics.counts import count_components, rule_counts, scene_counts
from irstd.metrics.curves import DistanceCurve, distance_curve
from irstd.metrics.figures import (
    CURVE_STEPS,
    CURVE_THRESHOLDS,
    RateCurve,
    Values,
    evaluate_figures,
    rate_curve,
)
from irstd.metrics.histogram import bin_pixels, count_exceeded
from irstd.metrics.inputs import (
    Array,
    check_distance,
    check_pair,
    check_threshold,
    eight_bit_pixels,
    predicted_pixels,
    target_pixels,
)
from irstd.metrics.scene import Scene
from irstd.metrics.sweeps import PublishedSweeps, SweptFigures


class MetricSuite:
    """Figures of several conventions over a data set.

    Counts are kept per image and added without rounding error when figures are asked for, so
    neither the order of the images nor the way they are shared among workers changes a figure; of
    `target_curve` MTU-Net's nIoU alone is added as it comes and may differ in the last bits.

    Attributes:
        conventions: by name.
        threshold: of the probability.
        size: side in pixels that all images must have, or None.
    """

    def __init__(
        self,
        names: Sequence[str],
        threshold: float = 0.5,
        distance: float | None = None,
        size: int | None = None,
        target_curves: bool = False,
    ) -> None:
        """Start with no image.

        Args:
            names: keys of `irstd.metrics.conventions.CONVENTIONS`.
            threshold: in [0, 1].
            distance: in pixels, for the conventions that leave it open; None for their own.
            size: side of the square images, where a convention divides by it; None for any size.
            target_curves: whether to count at all thresholds for `target_curve`: a label image at
                each one where the prediction changes, up to about a hundred.

        Raises:
            ConfigError: no or an unknown convention, threshold outside [0, 1], distance negative or
                not finite, distance or size given although no convention takes it, size below 1, a
                number that is none, one name in place of a sequence of names.
        """
        if isinstance(names, str):
            raise ConfigError(f"conventions: expected a list of names, got the text {names!r}")
        if not names:
            raise ConfigError("conventions: expected at least one name, got none")
        self.conventions = {name: find_convention(name) for name in names}
        self.threshold = check_threshold(threshold)
        self.size = size
        if distance is not None:
            self._set_distance(check_distance(distance))
        if size is not None:
            self._check_size(size)
        self._with_target_curves = target_curves
        self.reset()

    def update(self, probability: Array, mask: Array) -> None:
        """Count one image or a batch; sizes may differ from call to call.

        Args:
            probability: (H, W) or (N, 1, H, W), in [0, 1], NumPy or torch, on any device.
            mask: the same shape, 1 on target pixels and 0 elsewhere.

        Raises:
            DataError: shapes that differ or are of another form, another size than the one stated,
                probabilities outside [0, 1] or NaN, mask values other than 0 and 1. Nothing is
                counted then.
        """
        check_pair(probability, mask)
        height, width = probability.shape[-2:]
        if self.size is not None and (height, width) != (self.size, self.size):
            raise DataError(
                f"expected images of {self.size} x {self.size} pixels, got {height} x {width}; "
                "bring prediction and mask to that size or leave `size` out"
            )
        targets = target_pixels(mask)
        predicted = self._binarise(probability)
        for position, target in enumerate(targets):
            self._count(target, {kind: images[position] for kind, images in predicted.items()})
        if any(convention.curve_steps for convention in self.conventions.values()):
            self._add_scores(probability, mask)
        if self._sweeps is not None:
            self._sweeps.update(probability, mask)

    def update_targets(self, probability: Float32[np.ndarray, "h w"], targets: Components) -> None:
        """Count one image whose targets are known, perhaps as places alone; see `count_components`.

        Raises:
            ConfigError: a convention needs the pixels of the targets to pair or to bin them.
        """
        needing = [name for name, c in self.conventions.items() if not c.distance_open]
        if needing:
            raise ConfigError(
                f"{', '.join(needing)}: expected masks, got places of targets (boxes or points); "
                "only conventions that pair by distance alone (ispanet) count these"
            )
        predicted = label_components(predicted_pixels(probability, self.threshold)[0])
        for name, convention in self.conventions.items():
            row = count_components(targets, predicted, convention.distance_px).row
            self._rows[name].append(row)
        self._moments.append((targets.moments, predicted.moments))

    def merge(self, other: "MetricSuite") -> None:
        """Add the images that another object has counted.

        Raises:
            ConfigError: it counts by other conventions, threshold, distance or size.
        """
        if self._settings != other._settings:
            raise ConfigError(
                "cannot merge figures counted in different ways: (convention, threshold, distance) "
                f"is {self._settings} here and {other._settings} there"
            )
        for name, rows in other._rows.items():
            self._rows[name].extend(rows)
        self._scores += other._scores
        for name, scores in other._logit_scores.items():
            self._logit_scores[name] += scores
        if self._sweeps is not None and other._sweeps is not None:
            self._sweeps.merge(other._sweeps)
        self._bins.extend(other._bins)
        self._moments.extend(other._moments)

    def reset(self) -> None:
        """Forget all images."""
        self._rows: dict[str, list[Float64[np.ndarray, " columns"]]] = {
            n: [] for n in self.conventions
        }
        self._scores = np.zeros((2, CURVE_STEPS + 1), dtype=np.int64)
        self._logit_scores = {
            name: np.zeros((2, len(convention.curve_thresholds) + 1), dtype=np.int64)
            for name, convention in self.conventions.items()
            if convention.curve_of_logits
        }
        self._sweeps = PublishedSweeps(self.conventions) if self._with_target_curves else None
        self._bins: list[Int64[np.ndarray, " bins"]] = []
        self._moments: list[tuple[Moments, Moments]] = []

    def compute(self) -> dict[str, dict[str, float]]:
        """The figures of each convention by key; NaN where undefined."""
        found = {}
        for name in self.conventions:
            sums = np.array([math.fsum(column) for column in self.table(name).T])
            found[name] = {key: float(value) for key, value in self.figures(name, sums).items()}
        return found

    def figures(self, name: str, sums: Float64[np.ndarray, "*batch columns"]) -> dict[str, Values]:
        """The figures of a convention from sums of counts.

        Args:
            name: of the convention.
            sums: sums of rows of `table(name)`; any axes before the last.

        Returns:
            An array of the shape before the last axis for each key.

        Raises:
            ConfigError: the suite does not hold that convention.
            DataError: the last axis has another length.
        """
        convention = self._convention(name)
        return evaluate_figures(convention.figures, convention.columns, sums)

    def table(self, name: str) -> Float64[np.ndarray, "images columns"]:
        """Counts of each image in the order of the updates; columns as in the convention's.

        Raises:
            ConfigError: the suite does not hold that convention.
        """
        convention = self._convention(name)
        counts = np.array(self._rows[name], dtype=np.float64).reshape(-1, len(convention.counted))
        if not convention.binned:
            return counts
        bins = np.array(self._bins, dtype=np.int64).reshape(-1, self._scores.size)
        return np.concatenate([counts, bins], axis=1)

    def roc(self, name: str) -> RateCurve:
        """ROC and precision of the pixels at the thresholds of the published code.

        Raises:
            ConfigError: the suite does not hold that convention, or its code has no such curve.
        """
        convention = self._convention(name)
        if convention.curve_steps is None:
            raise ConfigError(f"convention {name!r} has no ROC curve of its own")
        epsilons = SMOOTH, convention.curve_epsilon
        if name in self._logit_scores:
            target, background = self._logit_scores[name]
            return rate_curve(target, background, convention.curve_thresholds, *epsilons)
        target, background = self._scores
        stride = CURVE_STEPS // convention.curve_steps
        return rate_curve(target, background, CURVE_THRESHOLDS, *epsilons, stride)

    def target_curve(self, name: str) -> SweptFigures:
        """Figures of the targets at the thresholds of the published code, its defects included.

        Raises:
            ConfigError: the suite does not hold that convention or was made without
                `target_curves`, or its code has no such curve.
        """
        if self._convention(name).sweep is None:
            raise ConfigError(f"convention {name!r} has no target curve of its own")
        if self._sweeps is None:
            raise ConfigError("target curves were not counted; make the suite with target_curves")
        return self._sweeps.curve(name)

    def distance_curve(self, distances: Sequence[float]) -> DistanceCurve:
        """P_d and P_a of the default convention over the distance threshold (ISPANet, Fig. 13).

        Args:
            distances: in pixels.

        Raises:
            ConfigError: no convention leaves the distance open, or one is negative or not finite.
        """
        if not self._distance_open:
            raise ConfigError(
                f"no curve over distances: none of {', '.join(self.conventions)} leaves the "
                "distance open; count ispanet as well"
            )
        return distance_curve(self._moments, distances)

    def _convention(self, name: str) -> Convention:
        if name not in self.conventions:
            raise ConfigError(
                f"convention {name!r} was not counted; expected one of: "
                f"{', '.join(self.conventions)}"
            )
        return self.conventions[name]

    def _set_distance(self, distance: float) -> None:
        kept = [c.distance_px for c in self.conventions.values() if not c.distance_open]
        if len(kept) == len(self.conventions) and set(kept) != {distance}:
            raise ConfigError(
                f"distance: got {distance}, but none of {', '.join(self.conventions)} leaves it "
                "open; leave it out"
            )
        self.conventions = {
            name: replace(c, distance_px=distance) if c.distance_open else c
            for name, c in self.conventions.items()
        }

    def _check_size(self, size: int) -> None:
        if not any(convention.sized for convention in self.conventions.values()):
            raise ConfigError(
                f"size: got {size}, but none of {', '.join(self.conventions)} divides by a size; "
                "leave it out"
            )
        if not isinstance(size, Integral) or size < 1:
            raise ConfigError(
                f"size: expected the side in pixels, a whole number of at least 1, got {size!r}"
            )

    def _binarise(self, probability: Array) -> dict[bool, Bool[np.ndarray, "n h w"]]:
        """Predicted pixels for each way of binarising that is needed, by `eight_bit`."""
        ways = {False: predicted_pixels, True: eight_bit_pixels}
        needed = {convention.eight_bit for convention in self.conventions.values()} | {False}
        return {way: ways[way](probability, self.threshold) for way in sorted(needed)}

    def _count(
        self, target: Bool[np.ndarray, "h w"], predicted: dict[bool, Bool[np.ndarray, "h w"]]
    ) -> None:
        """Count one image."""
        scene = Scene(label_components(target), label_components(predicted[False]))
        scenes = {False: scene, True: scene}
        base = dict.fromkeys(scenes, scene_counts(scene))
        if True in predicted and not np.array_equal(predicted[True], predicted[False]):
            scenes[True] = Scene(scene.targets, label_components(predicted[True]))
            base[True] = scene_counts(scenes[True])
        counted: dict[tuple[bool, Rule | None, float], dict[str, int | float]] = {}
        for name, convention in self.conventions.items():
            way = convention.eight_bit, convention.rule, convention.distance_px
            if way not in counted:
                counted[way] = base[way[0]] | rule_counts(scenes[way[0]], *way[1:])
            counts = counted[way]
            if convention.targets_only and not scene.targets.count:
                counts = dict.fromkeys(counts, 0.0) | {"images": 1.0}
            row = [counts[column] for column in convention.counted]
            self._rows[name].append(np.array(row, dtype=np.float64))
        if self._distance_open:
            self._moments.append((scene.targets.moments, scene.predicted.moments))

    def _add_scores(self, probability: Array, mask: Array) -> None:
        """Bin the pixels; of each image by itself only if a figure needs that."""
        for name, scores in self._logit_scores.items():
            scores += count_exceeded(probability, mask, self.conventions[name].curve_thresholds)
        if not any(convention.binned for convention in self.conventions.values()):
            self._scores += bin_pixels(probability, mask, CURVE_STEPS)
            return
        images = (array.reshape(-1, *array.shape[-2:]) for array in (probability, mask))
        for one, its_mask in zip(*images, strict=True):
            scores = bin_pixels(one, its_mask, CURVE_STEPS)
            self._scores += scores
            self._bins.append(scores.ravel())

    @property
    def _distance_open(self) -> bool:
        return any(convention.distance_open for convention in self.conventions.values())

    @property
    def _settings(self) -> str:
        """What must be equal in two objects whose counts may be added."""
        ways = [(name, self.threshold, c.distance_px) for name, c in self.conventions.items()]
        size = "" if self.size is None else f" of size {self.size}"
        curves = "" if self._sweeps is None else " with target curves"
        return ", ".join(map(str, ways)) + size + curves
