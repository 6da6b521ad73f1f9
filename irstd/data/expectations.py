"""What must hold of a prepared data set: expectations over the table of `irstd.data.audit`.

Each expectation has a key; `validate.severity` says for each key whether its failure stops the
pipeline. `irstd.data.verdict` lets Great Expectations judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from irstd.config import CountRange, Range, ValidateParams
from irstd.data.store import SPLITS


@dataclass(frozen=True)
class Check:
    """One expectation.

    Attributes:
        key: its name in `validate.severity`.
        meaning: what must hold.
        kind: class in `great_expectations.expectations`.
        arguments: arguments of that class.
    """

    key: str
    meaning: str
    kind: str
    arguments: Mapping[str, Any]


def checks(limits: ValidateParams) -> tuple[Check, ...]:
    """All expectations, with the limits of the parameters."""
    return (
        *_storage_checks(),
        *_separation_checks(limits),
        *_image_checks(limits),
        *_split_checks(limits),
        *_target_checks(limits),
        *_drift_checks(limits),
    )


def _storage_checks() -> tuple[Check, ...]:
    return (
        _null("pairs_complete", "each image and each mask is stored in full", "missing"),
        _equal("sizes_equal", "image and mask have as many pixels", "image_pixels", "mask_pixels"),
        _equal("pixels_unchanged", "what is indexed is stored", "checksum", "stored_checksum"),
        _within("masks_binary", "a mask holds 0 and 1 only", "mask_values", ("0", "0 1", "1")),
        _equal("targets_counted", "the index counts the targets", "n_targets", "mask_targets"),
        Check(
            "ids_unique",
            "no two images have the same id",
            "ExpectColumnValuesToBeUnique",
            {"column": "id"},
        ),
    )


def _separation_checks(limits: ValidateParams) -> tuple[Check, ...]:
    limit = limits.near_duplicate_ssim
    near = f"no image nearly equals one of another part (SSIM above {limit:g})"
    return (
        Check(
            "images_unique",
            "no two images of a part are equal",
            "ExpectCompoundColumnsToBeUnique",
            {"column_list": ["split", "pixel_checksum"]},
        ),
        _null("no_equal_across_splits", "no image equals one of another part", "equal_elsewhere"),
        _null("no_near_equal_across_splits", near, "near_elsewhere"),
        _null("no_sequence_across_splits", "no sequence is in two parts", "sequence_elsewhere"),
    )


def _image_checks(limits: ValidateParams) -> tuple[Check, ...]:
    return (
        _between("height_range", "height in pixels", "height", limits.side_px),
        _between("width_range", "width in pixels", "width", limits.side_px),
        _within("dtype_allowed", "grey values have 8 or 16 bits", "dtype", ("uint8", "uint16")),
        Check(
            "not_constant",
            "no image is constant",
            "ExpectColumnValuesToBeBetween",
            {"column": "std", "min_value": 0.0, "strict_min": True},
        ),
        _between("mean_range", "mean grey", "mean", limits.mean),
    )


def _split_checks(limits: ValidateParams) -> tuple[Check, ...]:
    tolerance, left_out = limits.split_tolerance, limits.quarantine_share
    return (
        _within("splits_known", "parts are named train, val and test", "split", SPLITS),
        Check(
            "splits_present",
            "each part has images",
            "ExpectColumnDistinctValuesToContainSet",
            {"column": "split", "value_set": list(SPLITS)},
        ),
        Check(  # of each row, because null is left out then: not every source states shares
            "split_shares",
            f"distance of a part's share from the stated one, at most {tolerance:g}",
            "ExpectColumnValuesToBeBetween",
            {"column": "split_share_error", "max_value": tolerance},
        ),
        _figure("targets_in_splits", "targets of a part", "Min", "split_targets", {"min_value": 1}),
        _figure(
            "quarantine_share",
            "share of images left out",
            "Max",
            "quarantine_share",
            {"max_value": left_out},
        ),
    )


def _target_checks(limits: ValidateParams) -> tuple[Check, ...]:
    smallest = {"column": "smallest_area", "min_value": limits.area_px.low}
    largest = {"column": "largest_area", "max_value": limits.area_px.high}
    between = "ExpectColumnValuesToBeBetween"
    return (
        _between("target_count", "targets of an image", "n_targets", limits.targets_per_image),
        Check(
            "smallest_area",
            f"area of an image's smallest target, at least {limits.area_px.low} px",
            between,
            smallest,
        ),
        Check(
            "largest_area",
            f"area of an image's largest target, at most {limits.area_px.high} px",
            between,
            largest,
        ),
        _within("scr_defined", "each target has an SCR", "scr_undefined", (0,)),
    )


def _drift_checks(limits: ValidateParams) -> tuple[Check, ...]:
    return (
        _figure(
            "scr_median",
            "median of the images' median SCR",
            "Median",
            "scr_median",
            _limits(limits.scr_median),
        ),
        _figure(
            "scr_drift",
            "p-value of a part's SCR against the training part's, one frame of a sequence",
            "Min",
            "scr_drift_p",
            {"min_value": limits.scr_drift_p},
        ),
        _figure(
            "mean_drift",
            "standard errors between a part's mean grey and the training part's, one frame of a "
            "sequence",
            "Max",
            "mean_drift",
            {"max_value": limits.mean_drift_sigma},
        ),
    )


def _null(key: str, meaning: str, column: str) -> Check:
    return Check(key, meaning, "ExpectColumnValuesToBeNull", {"column": column})


def _equal(key: str, meaning: str, left: str, right: str) -> Check:
    arguments = {"column_A": left, "column_B": right, "ignore_row_if": "either_value_is_missing"}
    return Check(key, meaning, "ExpectColumnPairValuesToBeEqual", arguments)


def _within(key: str, meaning: str, column: str, values: tuple[Any, ...]) -> Check:
    arguments = {"column": column, "value_set": list(values)}
    return Check(key, meaning, "ExpectColumnValuesToBeInSet", arguments)


def _between(key: str, meaning: str, column: str, allowed: Range | CountRange) -> Check:
    text = f"{meaning}, {allowed.low:g} to {allowed.high:g}"
    arguments = {"column": column} | _limits(allowed)
    return Check(key, text, "ExpectColumnValuesToBeBetween", arguments)


def _figure(
    key: str, meaning: str, statistic: str, column: str, limits: Mapping[str, float]
) -> Check:
    words = {"min_value": "at least", "max_value": "at most"}
    text = ", ".join([meaning, *(f"{words[name]} {value:g}" for name, value in limits.items())])
    return Check(key, text, f"ExpectColumn{statistic}ToBeBetween", {"column": column, **limits})


def _limits(allowed: Range | CountRange) -> dict[str, float]:
    return {"min_value": allowed.low, "max_value": allowed.high}
