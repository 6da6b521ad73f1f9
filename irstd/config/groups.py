"""The groups of `params.yaml`. No value has a default here: what runs is what the file says.

A type says what a value may be by itself; `irstd.config.rules` what values owe each other.
"""

from itertools import chain
from typing import Annotated, Literal

from pydantic import Field, GetPydanticSchema

from irstd.config.build import BuildParams
from irstd.config.drift import DriftParams
from irstd.config.recipes import RecipeParams, Recipes
from irstd.config.splits import SPLITS
from irstd.config.synthesis import AddedTargetsParams, SynthesisParams
from irstd.config.values import (
    Count,
    CountRange,
    FactorRange,
    Group,
    ObjectRange,
    OpenShare,
    Positive,
    PositiveRange,
    Range,
    Severity,
    Share,
    ShareRange,
    Side,
    one_of,
)


class FitParams(Group):
    """How every image is brought to one size before the network (`native`: not at all)."""

    method: Literal["native", "fill"]
    height: Side
    width: Side


class GeneratedParams(Group):
    """The generated source (`irstd.data.generated`)."""

    images: Annotated[int, Field(ge=8, le=100_000)]
    frames: Annotated[int, Field(ge=1, le=1000)]
    height: Side
    width: Side
    train: Share
    val: Share
    targets_per_image: ObjectRange
    empty_share: Share
    scr: PositiveRange
    psf_sigma_px: FactorRange
    clutter_per_image: ObjectRange
    noise_std: Annotated[float, Field(gt=0.0, le=1.0)]


class DataParams(Group):
    """Which images, which split, what to do with faulty files.

    Attributes:
        mask_threshold: grey value above which pixels of a mask that is not binary are targets; None
            makes such masks faults.
    """

    source: Annotated[str, one_of(*SPLITS)]
    split: Annotated[str, one_of(*dict.fromkeys(chain.from_iterable(SPLITS.values())))]
    val_fraction: OpenShare
    limit: Count | None
    fault_policy: Literal["fail", "quarantine", "repair"]
    mask_threshold: Annotated[int, Field(ge=0, le=65_535)] | None
    fit: FitParams
    generated: GeneratedParams
    synthesis: SynthesisParams


class SeverityParams(Group):
    """What a failed expectation does: `stop` ends the pipeline, `warn` is logged and reported."""

    pairs_complete: Severity
    sizes_equal: Severity
    pixels_unchanged: Severity
    masks_binary: Severity
    targets_counted: Severity
    ids_unique: Severity
    images_unique: Severity
    no_equal_across_splits: Severity
    no_near_equal_across_splits: Severity
    no_sequence_across_splits: Severity
    height_range: Severity
    width_range: Severity
    dtype_allowed: Severity
    not_constant: Severity
    mean_range: Severity
    splits_known: Severity
    splits_present: Severity
    split_shares: Severity
    targets_in_splits: Severity
    target_count: Severity
    smallest_area: Severity
    largest_area: Severity
    scr_defined: Severity
    scr_median: Severity
    scr_drift: Severity
    mean_drift: Severity
    quarantine_share: Severity


class ValidateParams(Group):
    """Limits and severities of the expectations over the index (`irstd.data.expectations`)."""

    side_px: CountRange
    area_px: CountRange
    targets_per_image: ObjectRange
    mean: ShareRange
    scr_median: Range
    near_duplicate_ssim: OpenShare
    near_duplicate_bits: Annotated[int, Field(ge=0, le=64)]
    mean_drift_sigma: Positive
    scr_drift_p: Share
    split_tolerance: Share
    quarantine_share: Share
    severity: SeverityParams


Network = Annotated[str, one_of(*Recipes.__annotations__)]
ByNetwork = GetPydanticSchema(lambda _, handler: handler(Recipes))


class TrainParams(Group):
    """The networks to train, and a recipe for each; users look recipes up by name.

    Attributes:
        added_targets: added to training images of every network; None: none.
    """

    networks: Annotated[tuple[Network, ...], Field(min_length=1)]
    added_targets: AddedTargetsParams | None
    recipes: Annotated[dict[str, RecipeParams], ByNetwork]


class BootstrapParams(Group):
    """Percentile bootstrap over images, or over sequences where there are any."""

    samples: Annotated[int, Field(ge=100, le=1_000_000)]
    confidence: OpenShare


class EvaluateParams(Group):
    """How predictions are counted and shown.

    Attributes:
        convention: `all`, or names of `irstd.metrics.conventions.CONVENTIONS` with commas between;
            looked up where predictions are counted.
    """

    convention: Annotated[str, Field(pattern=r"^[a-z0-9_]+(,[a-z0-9_]+)*$")]
    threshold: OpenShare
    distance: Annotated[float, Field(gt=0.0, le=1000.0)] | None
    bootstrap: BootstrapParams
    overlays: Annotated[int, Field(ge=0, le=200)]
    latency_runs: Count


class ExportParams(Group):
    """The parity gate of the ONNX file (`irstd.export.parity`).

    Attributes:
        sizes: at least three different (rows, columns), in the network's size multiple.
        mask_margin: masks are compared where |probability - threshold| is above this.
    """

    sizes: Annotated[tuple[tuple[Count, Count], ...], Field(min_length=3)]
    mask_margin: Annotated[float, Field(gt=0.0, le=0.01)]


class RegisterParams(Group):
    """The registered model and how long to wait for the store."""

    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    experiment: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    request_timeout_s: Annotated[int, Field(ge=1, le=3600)]
    request_retries: Annotated[int, Field(ge=0, le=100)]


class TuneParams(Group):
    """The Optuna study over F-SIoU and channel width (`irstd.tuning`).

    Attributes:
        widths: empty for a network without this argument.
    """

    network: Network
    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
    trials: Count
    attempts: Count
    startup_trials: Count
    epochs: Count
    min_epochs: Count
    alpha: PositiveRange
    gamma: PositiveRange
    widths: tuple[Count, ...]


class Params(Group):
    """`params.yaml` as a whole."""

    profile: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    data: DataParams
    validation: Annotated[ValidateParams, Field(alias="validate")]
    build: BuildParams
    drift: DriftParams
    train: TrainParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: Annotated[RegisterParams, Field(alias="register")]
    tune: TuneParams
