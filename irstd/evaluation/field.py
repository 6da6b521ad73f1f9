"""Images with targets and images without, counted apart: how often an empty sky raises an alarm.

Reference: ISPANet, IEEE JSTARS 2024, Table IX, whose columns P_d, P_a and F_a num these are. The
paper does not say which images its F_a num counts; here they are those without a target.
"""

import numpy as np
from jaxtyping import Float64

from irstd.evaluation.bootstrap import Counts
from irstd.metrics.counts import COUNT_COLUMNS
from irstd.metrics.figures import Figure, Ratio, Total, Values, evaluate_figures

COLUMNS = (*COUNT_COLUMNS, "alarmed_images")
FIGURES: dict[str, Figure] = {
    "images_with_targets": Total("images -empty_images"),
    "images_without": Total("empty_images"),
    "targets": Total("targets"),
    "pd": Ratio("matched", "targets"),
    "pa": Ratio("matched", "predicted"),
    "pa_with_targets": Ratio("matched", "predicted -false_on_empty"),
    "false_alarms_without": Total("false_on_empty"),
    "images_without_alarmed": Total("alarmed_images"),
    "alarm_free_share": Ratio("empty_images -alarmed_images", "empty_images"),
}
OWN = ("pa_with_targets", "false_alarms_without", "images_without_alarmed", "alarm_free_share")
"""Figures that say more than those of the default convention."""


def field_counts(counts: Float64[np.ndarray, "images columns"]) -> Counts:
    """Add the column `alarmed_images`: whether an image without target has a component.

    Args:
        counts: a row per image, columns `irstd.metrics.counts.COUNT_COLUMNS`.
    """
    alarmed = counts[:, COUNT_COLUMNS.index("false_on_empty")] > 0
    return np.column_stack([counts, alarmed])


def field_figures(sums: Float64[np.ndarray, "*batch columns"]) -> dict[str, Values]:
    """Figures of images with and without targets.

    - `images_with_targets`, `images_without`, `targets`: how many.
    - `pd` = pairs / targets; `pa` = pairs / predicted components of all images; `pa_with_targets`
      the same over the images with targets alone.
    - `false_alarms_without`: predicted components on the images without targets;
      `images_without_alarmed`: how many of these have one; `alarm_free_share`: share that has none.

    Args:
        sums: sums of rows of `field_counts`; any axes before the last.

    Returns:
        The figures; a share of nothing is NaN.
    """
    return evaluate_figures(FIGURES, COLUMNS, sums)


def field_report(counts: Counts) -> dict[str, float | int]:
    """The figures of all images, counts as whole numbers.

    Args:
        counts: `field_counts`.
    """
    values = field_figures(counts.sum(axis=0))
    return {
        name: int(value) if isinstance(FIGURES[name], Total) else float(value)
        for name, value in values.items()
    }


def own_figures(sums: Float64[np.ndarray, "*batch columns"]) -> dict[str, Values]:
    """The figures `OWN` alone; see `field_figures`."""
    values = field_figures(sums)
    return {name: values[name] for name in OWN}
