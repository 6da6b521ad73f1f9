"""The groups of `params.yaml`. No value has a default here: what runs is what the file says.

A type says what a value may be by itself; `irstd.config.rules` what values owe each other.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, with_config
from typing_extensions import TypedDict

SPLITS: Mapping[str, tuple[str, ...]] = {
    "generated": ("seeded",),
    "sirst": ("idx_427", "idx_320", "nuaa"),
}
"""Each source with its splits; all but `generated` are entries of `irstd.data.sources.SOURCES`."""


def _one_of(*names: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"expected one of: {', '.join(names)}; got {value!r}")
        return value

    return AfterValidator(check)


Share = Annotated[float, Field(ge=0.0, le=1.0)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
Factor = Annotated[float, Field(ge=0.1, le=10.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Side = Annotated[int, Field(ge=32, le=8192, multiple_of=32)]
Severity = Literal["stop", "warn"]


class Group(BaseModel):
    """A group of parameters: frozen, no unknown keys, no silent conversion, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Range(Group):
    """A closed interval."""

    low: float
    high: float


class ShareRange(Range):
    """A closed interval within [0, 1]."""

    low: Share
    high: Share


class CountRange(Group):
    """A closed interval of whole numbers, such as pixels."""

    low: Annotated[int, Field(ge=0, le=100_000_000)]
    high: Annotated[int, Field(ge=0, le=100_000_000)]


class ObjectRange(CountRange):
    """A closed interval of objects in one image."""

    low: Annotated[int, Field(ge=0, le=1000)]
    high: Annotated[int, Field(ge=0, le=1000)]


class PositiveRange(Group):
    """A closed interval above zero."""

    low: Positive
    high: Positive


class FactorRange(Group):
    """A closed interval of factors."""

    low: Factor
    high: Factor


class FitParams(Group):
    """How every image is brought to one size before the network (`native`: not at all)."""

    method: Literal["native", "fill"]
    height: Side
    width: Side


class GeneratedParams(Group):
    """The generated source (`irstd.data.generated`)."""

    images: Annotated[int, Field(ge=8, le=100_000)]
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
    """Which images, which split, what to do with faulty files."""

    source: Annotated[str, _one_of(*SPLITS)]
    split: Annotated[str, _one_of(*(split for splits in SPLITS.values() for split in splits))]
    val_fraction: OpenShare
    limit: Count | None
    fault_policy: Literal["fail", "quarantine", "repair"]
    fit: FitParams
    generated: GeneratedParams


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
    near_duplicate_bits: Annotated[int, Field(ge=0, le=64)]
    mean_drift_sigma: Positive
    scr_drift_p: Share
    split_tolerance: Share
    quarantine_share: Share
    severity: SeverityParams


class LossParams(Group):
    """F-SIoU, alpha * L^gamma (ISPANet, eq. 22)."""

    alpha: Annotated[float, Field(gt=0.0, le=100.0)]
    gamma: Annotated[float, Field(gt=0.0, le=100.0)]
    smoothing: Positive


class OptimizerParams(Group):
    """AdaGrad with a linear warm-up and a cosine to `min_lr` (ISPANet, V-A)."""

    lr: Annotated[float, Field(gt=0.0, le=10.0)]
    min_lr: Annotated[float, Field(ge=0.0)]
    warmup_epochs: Annotated[int, Field(ge=0)]


class AugmentationParams(Group):
    """Random geometry and noise on training crops (ISPANet, V-A)."""

    long_side_scale: FactorRange
    aspect_ratio: FactorRange
    target_crop: Share
    flip: Share
    noise_std: Share


class CropParams(Group):
    """Size of a training crop."""

    height: Side
    width: Side


class NetworkParams(Group):
    """Arguments that every network takes."""

    in_channels: Annotated[int, Field(ge=1, le=64)]


class ISPANetParams(NetworkParams):
    """Arguments of ISPANet (`irstd.models.ispanet.ISPANet`)."""

    width: Annotated[int, Field(ge=16, le=1024, multiple_of=16)]
    variant: Literal["A", "B", "C", "D"]
    topdown: Literal["R", "P"]


class RecipeParams(Group):
    """Everything the training of one network depends on."""

    network: NetworkParams
    loss: LossParams
    optimizer: OptimizerParams
    augmentation: AugmentationParams
    crop: CropParams
    epochs: Count
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    validate_every: Count
    gradient_clip: Positive | None
    early_stop_patience: Count | None
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    workers: Annotated[int, Field(ge=0, le=256)]


class ISPANetRecipe(RecipeParams):
    """How ISPANet is trained."""

    network: ISPANetParams


@with_config(ConfigDict(extra="forbid"))
class Recipes(TypedDict, total=False):
    """The networks that can be trained, each with the type of its recipe."""

    ispanet: ISPANetRecipe


Network = Annotated[str, _one_of(*Recipes.__annotations__)]
ByNetwork = GetPydanticSchema(lambda _, handler: handler(Recipes))


class TrainParams(Group):
    """The networks to train, and a recipe for each; users look recipes up by name."""

    networks: Annotated[tuple[Network, ...], Field(min_length=1)]
    recipes: Annotated[dict[str, RecipeParams], ByNetwork]


class BootstrapParams(Group):
    """Percentile bootstrap over images."""

    samples: Annotated[int, Field(ge=100, le=1_000_000)]
    confidence: OpenShare


class EvaluateParams(Group):
    """How predictions are counted and shown."""

    convention: Literal["ispanet"]
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
    """The Optuna study over F-SIoU and channel width (`irstd.tuning`)."""

    network: Network
    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
    trials: Count
    attempts: Count
    startup_trials: Count
    epochs: Count
    min_epochs: Count
    alpha: PositiveRange
    gamma: PositiveRange
    widths: Annotated[tuple[Count, ...], Field(min_length=1)]


class Params(Group):
    """`params.yaml` as a whole."""

    profile: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    data: DataParams
    validation: Annotated[ValidateParams, Field(alias="validate")]
    train: TrainParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: Annotated[RegisterParams, Field(alias="register")]
    tune: TuneParams
