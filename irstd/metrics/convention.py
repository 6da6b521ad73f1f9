"""What a convention is: the form of `irstd.metrics.conventions.CONVENTIONS`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from irstd.metrics.defects import DEFECTS
from irstd.metrics.figures import BINS, COLUMNS, Figure, RocArea

Rule = Literal[
    "nearest", "first_fit", "half_diameter", "corner_window", "box_centres", "opdc", "opdc_exact"
]


@dataclass(frozen=True)
class Sweep:
    """A target-level curve: components and pairs are found anew at each threshold.

    Attributes:
        thresholds: of the probability, ascending; a pixel is predicted strictly above.
        figures: what is computed at each threshold, by key.
    """

    thresholds: tuple[float, ...]
    figures: Mapping[str, Figure]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the counts that the figures need, of COLUMNS."""
        return _counted(self.figures)


@dataclass(frozen=True)
class Convention:
    """How one paper or code counts.

    Attributes:
        source: where the convention is described.
        figures: its figures by key.
        published_names: the names that the published code uses, each with the key of `figures`.
        defects: keys of `DEFECTS` of that code.
        rule: how targets and predicted components are paired, see `irstd.metrics.rules`; None if
            they are not.
        distance_px: limit of that rule in pixels; infinite where it has none.
        distance_open: whether a user may choose another distance.
        eight_bit: the probability is rounded to a multiple of 1/255 and a pixel is predicted at or
            above the threshold; otherwise strictly above it, without rounding.
        targets_only: images without target count as images and in no other way.
        sized: its false alarms are divided by the area of images of one square size, which a user
            may state to have it checked.
        curve_steps: number of steps of its ROC curve between the thresholds 0 and 1.
        curve_of_logits: these thresholds are compared with the logit of the probability.
        curve_epsilon: added to the denominator of FP / all pixels in that curve.
        sweep: its target-level curve.
    """

    source: str
    figures: Mapping[str, Figure]
    published_names: Mapping[str, str]
    defects: tuple[str, ...] = ()
    rule: Rule | None = None
    distance_px: float = float("inf")
    distance_open: bool = False
    eight_bit: bool = False
    targets_only: bool = False
    sized: bool = False
    curve_steps: int | None = None
    curve_of_logits: bool = False
    curve_epsilon: float = 0.0
    sweep: Sweep | None = None

    @cached_property
    def counted(self) -> tuple[str, ...]:
        """Names of the counts of an image that its figures need, of COLUMNS."""
        return _counted(self.figures)

    @property
    def binned(self) -> bool:
        """Whether its figures need the histogram of BINS as well."""
        return any(isinstance(figure, RocArea) for figure in self.figures.values())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of all numbers of an image that its figures are made of."""
        return self.counted + (sum(BINS.values(), ()) if self.binned else ())

    @property
    def curve_thresholds(self) -> tuple[float, ...]:
        """Thresholds of the probability of its ROC curve, ascending; empty without one."""
        if self.curve_steps is None:
            return ()
        steps = tuple(k / self.curve_steps for k in range(self.curve_steps + 1))
        return of_logits(steps) if self.curve_of_logits else steps

    @property
    def notes(self) -> dict[str, str]:
        """One line for each defect of the published code."""
        return {name: DEFECTS[name] for name in self.defects}


def of_logits(thresholds: Iterable[float]) -> tuple[float, ...]:
    """The probabilities that are above these thresholds exactly where their logits are.

    A logit beyond 37 is a probability of 1 in double precision, which nothing exceeds.

    Args:
        thresholds: of logits, at least 0.
    """
    return tuple(1.0 / (1.0 + math.exp(-threshold)) for threshold in thresholds)


def _counted(figures: Mapping[str, Figure]) -> tuple[str, ...]:
    needed = frozenset().union(*(figure.columns for figure in figures.values()))
    return tuple(name for name in COLUMNS if name in needed)
