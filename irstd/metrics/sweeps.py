"""The target-level curves of published codes: their own counts at each of their thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from irstd.metrics.components import Components, label_components
from irstd.metrics.convention import Convention, Rule, Sweep
from irstd.metrics.counts import rule_counts, scene_counts
from irstd.metrics.figures import Values, evaluate_figures
from irstd.metrics.inputs import Array, exceeded_thresholds, target_pixels
from irstd.metrics.scene import Scene


@dataclass(frozen=True)
class SweptFigures:
    """Figures of a published code over its thresholds.

    Attributes:
        thresholds: of the probability, ascending; a pixel is predicted strictly above.
        figures: by key, a value for each threshold; NaN where undefined.
    """

    thresholds: Float64[np.ndarray, " k"]
    figures: dict[str, Values]


class PublishedSweeps:
    """Counts of several conventions at the thresholds of their target-level curves.

    An image is labelled where its prediction changes from one threshold of any convention to the
    next, and matched once per rule and distance that is asked for there.

    Attributes:
        thresholds: of all of them, ascending.
    """

    def __init__(self, conventions: Mapping[str, Convention]) -> None:
        """Start with no image; conventions without a target-level curve are left out."""
        self._swept: dict[str, tuple[Convention, Sweep]] = {
            name: (convention, convention.sweep)
            for name, convention in conventions.items()
            if convention.sweep is not None
        }
        own = [sweep.thresholds for _, sweep in self._swept.values()]
        self.thresholds: Float64[np.ndarray, " k"] = np.unique(np.concatenate([*own, []]))
        self._first = {  # of its thresholds from each of all on
            name: np.searchsorted(sweep.thresholds, [*self.thresholds, np.inf])
            for name, (_, sweep) in self._swept.items()
        }
        self._sums = {
            name: np.zeros((len(sweep.thresholds), len(sweep.columns)))
            for name, (_, sweep) in self._swept.items()
        }

    def update(self, probability: Array, mask: Array) -> None:
        """Count one checked image or batch."""
        if self._swept:
            images = exceeded_thresholds(probability, self.thresholds)
            for exceeded, target in zip(images, target_pixels(mask), strict=True):
                self._add(exceeded, label_components(target))

    def merge(self, other: "PublishedSweeps") -> None:
        """Add the images of other sweeps of the same conventions."""
        for name, sums in other._sums.items():
            self._sums[name] += sums

    def curve(self, name: str) -> SweptFigures:
        """The curve of a convention that has one."""
        _, sweep = self._swept[name]
        found = evaluate_figures(sweep.figures, sweep.columns, self._sums[name])
        return SweptFigures(np.array(sweep.thresholds), found)

    def _add(self, exceeded: Int64[np.ndarray, "h w"], targets: Components) -> None:
        """Count an image, given the number of thresholds that each pixel exceeds."""
        changes = np.unique([0, *np.unique(exceeded), len(self.thresholds)])
        for below, level in pairwise(changes.tolist()):
            scene = Scene(targets, label_components(exceeded >= level))
            base = scene_counts(scene)
            counted: dict[tuple[Rule | None, float], dict[str, int | float]] = {}
            for name, (convention, sweep) in self._swept.items():
                first, last = self._first[name][[below, level]]
                if first == last:
                    continue
                way = convention.rule, convention.distance_px
                if way not in counted:
                    counted[way] = base | rule_counts(scene, *way)
                row = [counted[way][column] for column in sweep.columns]
                self._sums[name][first:last] += row
