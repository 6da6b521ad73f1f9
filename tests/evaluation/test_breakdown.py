import math

import numpy as np
import pandas as pd

from irstd.evaluation.breakdown import breakdown


def test_targets_fall_into_half_open_bins() -> None:
    per_target = pd.DataFrame(
        {
            "scr": np.array([1.0, 2.0, 3.9, 4.0, 100.0], np.float32),
            "area_px": [9, 10, 25, 26, 81],
            "hit": [False, True, False, True, True],
        }
    )
    result = breakdown(per_target)
    assert [one["targets"] for one in result["scr"]] == [1, 2, 1, 0, 0, 1]
    assert result["scr"][1] == {"low": 2.0, "high": 4.0, "targets": 2, "hits": 1, "pd": 0.5}
    assert [one["targets"] for one in result["area_px"]] == [1, 2, 1, 1, 0]
    assert result["area_px"][-1]["high"] is None
    assert math.isnan(result["area_px"][-1]["pd"])


def test_undefined_scr_is_a_bin_of_its_own() -> None:
    per_target = pd.DataFrame({"scr": [np.nan, 3.0], "area_px": [4, 4], "hit": [True, False]})
    bins = breakdown(per_target)["scr"]
    assert bins[-1] == {"low": None, "high": None, "targets": 1, "hits": 1, "pd": 1.0}
    assert sum(one["targets"] for one in bins) == 2


def test_no_target_at_all() -> None:
    empty = pd.DataFrame({"scr": np.empty(0), "area_px": np.empty(0), "hit": np.empty(0, bool)})
    assert all(one["targets"] == 0 for bins in breakdown(empty).values() for one in bins)
