import math

import numpy as np
import pytest

from irstd.evaluation.bootstrap import bootstrap_intervals
from irstd.evaluation.field import (
    OWN,
    field_counts,
    field_figures,
    field_report,
    own_figures,
)
from irstd.metrics.counts import COUNT_COLUMNS


def counts(*rows: dict[str, int]) -> np.ndarray:
    values = [({"images": 1} | row).get for row in rows]
    return field_counts(np.array([[get(x, 0) for x in COUNT_COLUMNS] for get in values], float))


def test_empty_images_are_counted_apart() -> None:
    report = field_report(
        counts(
            {"targets": 3, "predicted": 4, "matched": 2},
            {"targets": 1, "predicted": 0},
            {"empty_images": 1, "predicted": 3, "false_on_empty": 3},
            {"empty_images": 1},
            {"empty_images": 1, "predicted": 1, "false_on_empty": 1},
            {"empty_images": 1},
        )
    )
    assert report == {
        "images_with_targets": 2,
        "images_without": 4,
        "targets": 4,
        "pd": pytest.approx(2 / 4),
        "pa": pytest.approx(2 / 8),
        "pa_with_targets": pytest.approx(2 / 4),
        "false_alarms_without": 4,
        "images_without_alarmed": 2,
        "alarm_free_share": pytest.approx(2 / 4),
    }


def test_shares_of_nothing_are_undefined() -> None:
    silent = field_report(counts({"targets": 1}))
    assert silent["pd"] == 0.0
    assert all(math.isnan(silent[key]) for key in ("pa", "pa_with_targets", "alarm_free_share"))
    assert math.isnan(field_report(counts({"empty_images": 1}))["pd"])


def test_every_figure_has_an_interval() -> None:
    units = counts(
        *[{"targets": 1, "predicted": 1, "matched": 1}] * 6,
        *[{"empty_images": 1, "predicted": 2, "false_on_empty": 2}, {"empty_images": 1}] * 4,
    )
    found = bootstrap_intervals(units, 500, 0.9, 0, field_figures)
    for name, value in field_report(units).items():
        assert found[name].low <= value <= found[name].high, name
    assert 0 < found["alarm_free_share"].low < 0.5 < found["alarm_free_share"].high < 1
    assert found["pa_with_targets"].low == found["pa_with_targets"].high == 1.0
    assert tuple(own_figures(units.sum(axis=0))) == OWN
