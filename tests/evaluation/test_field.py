import math

import numpy as np
import pytest

from irstd.evaluation.field import field_report
from irstd.metrics.counts import COUNT_COLUMNS


def counts(*rows: dict[str, int]) -> np.ndarray:
    return np.array([[row.get(name, 0) for name in COUNT_COLUMNS] for row in rows], dtype=float)


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
