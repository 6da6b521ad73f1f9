"""One table per expectation that violates it and nothing else."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from irstd.config import SeverityParams, parse_params
from irstd.data.expectations import checks
from irstd.data.verdict import NAMED_ROWS, judge
from irstd.errors import ConfigError, DataError
from irstd.profiles import profile_names
from tests.validation_table import LIMITS, ROOT, clean_table, profile_tree

KEYS = {check.key for check in checks(LIMITS)}


def _set(column: str, value: object, rows: slice = slice(4, 5)) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.iloc[rows, table.columns.get_loc(column)] = value

    return change


def _move_all_tests(table: pd.DataFrame) -> None:
    table["split"] = table["split"].replace("test", "val")


ALL = slice(None)
VIOLATIONS: dict[str, tuple[Callable[[pd.DataFrame], None], set[str]]] = {
    "pairs_complete": (_set("missing", "mask"), {"image_4"}),
    "sizes_equal": (_set("mask_pixels", 999), {"image_4"}),
    "pixels_unchanged": (_set("stored_checksum", "other"), {"image_4"}),
    "masks_binary": (_set("mask_values", "0 1 7"), {"image_4"}),
    "targets_counted": (_set("mask_targets", 1), {"image_4"}),
    "ids_unique": (_set("id", "image_0"), {"image_0"}),
    "images_unique": (_set("pixel_checksum", "image_0"), {"image_0", "image_4"}),
    "no_equal_across_splits": (_set("equal_elsewhere", "image_19"), {"image_4"}),
    "no_near_equal_across_splits": (_set("near_elsewhere", "image_19"), {"image_4"}),
    "no_sequence_across_splits": (_set("sequence_elsewhere", "image_19"), {"image_4"}),
    "height_range": (_set("height", 16), {"image_4"}),
    "width_range": (_set("width", 9000), {"image_4"}),
    "dtype_allowed": (_set("dtype", "float32"), {"image_4"}),
    "not_constant": (_set("std", 0.0), {"image_4"}),
    "mean_range": (_set("mean", 0.999), {"image_4"}),
    "splits_known": (_set("split", "dev"), {"image_4"}),
    "splits_present": (_move_all_tests, set()),
    "split_shares": (
        _set("split_share_error", 0.2, slice(12, 15)),
        {"image_12", "image_13", "image_14"},
    ),
    "targets_in_splits": (_set("split_targets", 0, slice(12, 15)), set()),
    "quarantine_share": (_set("quarantine_share", 0.5, ALL), set()),
    "target_count": (_set("n_targets", 51), {"image_4"}),
    "smallest_area": (_set("smallest_area", 0.0), {"image_4"}),
    "largest_area": (_set("largest_area", 2001.0), {"image_4"}),
    "scr_defined": (_set("scr_undefined", 1), {"image_4"}),
    "scr_median": (_set("scr_median", 0.1, ALL), set()),
    "scr_drift": (_set("scr_drift_p", 1e-6, slice(12, 15)), set()),
    "mean_drift": (_set("mean_drift", 8.0, slice(12, 15)), set()),
}


def test_a_clean_table_passes() -> None:
    outcomes, _ = judge(clean_table(), LIMITS)
    assert [outcome.key for outcome in outcomes] == [check.key for check in checks(LIMITS)]
    assert [str(outcome) for outcome in outcomes if not outcome.success] == []


def test_every_expectation_has_a_violation_and_a_severity() -> None:
    assert len(KEYS) >= 15
    assert set(VIOLATIONS) == KEYS == set(SeverityParams.model_fields)


@pytest.mark.parametrize("key", VIOLATIONS)
def test_a_violation_fails_its_expectation_alone_and_names_rows(key: str) -> None:
    change, rows = VIOLATIONS[key]
    table = clean_table()
    change(table)
    if key == "target_count":
        table["mask_targets"] = table["n_targets"]
    table = table.infer_objects()
    outcomes, _ = judge(table, LIMITS)
    failed = [outcome for outcome in outcomes if not outcome.success]
    assert [outcome.key for outcome in failed] == [key]
    assert {row["id"] for row in failed[0].unexpected_rows} == rows
    assert failed[0].severity == getattr(LIMITS.severity, key)
    assert str(failed[0]).startswith(f"{key}: {failed[0].meaning}: ")
    assert all(name in str(failed[0]) for name in rows)


def test_many_rows_are_counted_and_the_first_are_named() -> None:
    table = pd.concat([clean_table()] * 2, ignore_index=True)
    table["id"] = [f"image_{i}" for i in range(40)]
    table["pixel_checksum"] = table["id"]
    table["std"] = 0.0
    outcome = next(o for o in judge(table, LIMITS)[0] if o.key == "not_constant")
    assert outcome.n_unexpected == 40
    assert len(outcome.unexpected_rows) == NAMED_ROWS
    assert str(outcome).endswith("image_19 (std 0.0), and 20 more")


def test_figures_without_any_value_fail_without_nan() -> None:
    table = clean_table()
    table["scr_median"] = np.nan
    outcome = next(o for o in judge(table, LIMITS)[0] if o.key == "scr_median")
    assert not outcome.success
    assert outcome.observed is None


def test_shares_that_no_one_states_are_not_missed() -> None:
    table = clean_table()
    table["split_share_error"] = np.nan
    assert next(o for o in judge(table, LIMITS)[0] if o.key == "split_shares").success


def test_a_table_that_cannot_be_judged_is_an_error() -> None:
    with pytest.raises(DataError, match=r"mean_drift: expected a verdict .* run `irstd prepare`"):
        judge(clean_table().drop(columns="mean_drift"), LIMITS)


def test_severities_missing_and_unknown_are_listed_together() -> None:
    tree = profile_tree("demo")
    del tree["validate"]["severity"]["ids_unique"]
    tree["validate"]["severity"]["ids_uniqe"] = "stop"
    tree["validate"]["severity"]["scr_drift"] = "maybe"
    with pytest.raises(ConfigError) as caught:
        parse_params(tree, "params.yaml")
    message = str(caught.value)
    assert "params.yaml: validate.severity.ids_unique: missing key" in message
    assert "params.yaml: validate.severity.ids_uniqe: unknown key" in message
    assert "validate.severity.scr_drift: Input should be 'stop' or 'warn', got 'maybe'" in message


@pytest.mark.parametrize("name", profile_names(ROOT))
def test_every_profile_states_limits_and_severities(name: str) -> None:
    tree = profile_tree(name)
    assert set(tree["validate"]["severity"]) == KEYS


def test_meanings_state_the_limits() -> None:
    meanings = {check.key: check.meaning for check in checks(LIMITS)}
    assert meanings["largest_area"].endswith("at most 2000 px")
    assert meanings["scr_median"].endswith("at least 0.5, at most 100")
    assert meanings["height_range"] == "height in pixels, 32 to 8192"
