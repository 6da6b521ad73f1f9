"""The typed form of `params.yaml`. No value has a default here: what runs is what the file says."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from irstd.errors import ConfigError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=32, le=8192, multiple_of=32)]
Severity = Literal["stop", "warn"]


class Group(BaseModel):
    """A group of parameters: frozen, no unknown keys, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Range(Group):
    """A closed interval."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class CountRange(Group):
    """A closed interval of whole numbers."""

    low: Annotated[int, Field(ge=0)]
    high: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _ordered(self) -> "CountRange":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class PositiveRange(Group):
    """A closed interval above zero."""

    low: Positive
    high: Positive

    @model_validator(mode="after")
    def _ordered(self) -> "PositiveRange":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class FitParams(Group):
    """How every image is brought to one size before the network (`native`: not at all)."""

    method: Literal["native", "fill"]
    height: Side
    width: Side


class GeneratedParams(Group):
    """The generated source (`irstd.data.generated`)."""

    images: Annotated[int, Field(ge=8)]
    height: Side
    width: Side
    train: Share
    val: Share
    targets_per_image: CountRange
    empty_share: Share
    scr: PositiveRange
    psf_sigma_px: PositiveRange
    clutter_per_image: CountRange
    noise_std: Positive

    @model_validator(mode="after")
    def _split_leaves_a_test_part(self) -> "GeneratedParams":
        if self.train <= 0 or self.val <= 0 or self.train + self.val >= 1:
            raise ValueError(
                f"train {self.train} and val {self.val} must be positive "
                "and leave a share for the test part"
            )
        return self


class DataParams(Group):
    """Which images, which split, what to do with faulty files."""

    source: Literal["generated", "sirst"]
    split: Literal["seeded", "idx_427", "idx_320", "nuaa"]
    val_fraction: Share
    limit: Count | None
    fault_policy: Literal["fail", "quarantine", "repair"]
    fit: FitParams
    generated: GeneratedParams

    @model_validator(mode="after")
    def _split_belongs_to_source(self) -> "DataParams":
        if (self.source == "generated") != (self.split == "seeded"):
            raise ValueError(
                f"split {self.split!r} does not exist for source {self.source!r}; "
                "generated has 'seeded', sirst has 'idx_427', 'idx_320', 'nuaa'"
            )
        return self


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
    targets_per_image: CountRange
    mean: Range
    scr_median: Range
    near_duplicate_bits: Annotated[int, Field(ge=0, le=64)]
    mean_drift_sigma: Positive
    scr_drift_p: Share
    split_tolerance: Share
    quarantine_share: Share
    severity: SeverityParams


class LossParams(Group):
    """F-SIoU, alpha * L^gamma (ISPANet, eq. 22)."""

    alpha: Positive
    gamma: Positive
    smoothing: Positive


class OptimizerParams(Group):
    """AdaGrad with a linear warm-up and a cosine to `min_lr` (ISPANet, V-A)."""

    lr: Positive
    min_lr: Annotated[float, Field(ge=0.0)]
    warmup_epochs: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _descends(self) -> "OptimizerParams":
        if self.min_lr > self.lr:
            raise ValueError(f"min_lr {self.min_lr} is above lr {self.lr}")
        return self


class AugmentationParams(Group):
    """Random geometry and noise on training crops (ISPANet, V-A)."""

    long_side_scale: PositiveRange
    aspect_ratio: PositiveRange
    target_crop: Share
    flip: Share
    noise_std: Annotated[float, Field(ge=0.0)]


class CropParams(Group):
    """Size of a training crop."""

    height: Side
    width: Side


class RecipeParams(Group):
    """Everything the training of one network depends on."""

    network: dict[str, int | float | bool | str]
    loss: LossParams
    optimizer: OptimizerParams
    augmentation: AugmentationParams
    crop: CropParams
    epochs: Count
    batch_size: Count
    validate_every: Count
    gradient_clip: Positive | None
    early_stop_patience: Count | None
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    workers: Annotated[int, Field(ge=0)]


class TrainParams(Group):
    """The networks to train, and a recipe for each."""

    networks: Annotated[tuple[str, ...], Field(min_length=1)]
    recipes: dict[str, RecipeParams]

    @model_validator(mode="after")
    def _every_network_has_a_recipe(self) -> "TrainParams":
        missing = [name for name in self.networks if name not in self.recipes]
        if missing:
            raise ValueError(f"no recipe for {', '.join(missing)}; add train.recipes.<network>")
        if len(set(self.networks)) != len(self.networks):
            raise ValueError(f"networks {list(self.networks)} names one twice")
        return self


class BootstrapParams(Group):
    """Percentile bootstrap over images."""

    samples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]


class EvaluateParams(Group):
    """How predictions are counted and shown."""

    convention: Literal["ispanet"]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)]
    distance: Positive | None
    bootstrap: BootstrapParams
    overlays: Annotated[int, Field(ge=0, le=200)]
    latency_runs: Count


class ExportParams(Group):
    """The parity gate of the ONNX file; sizes count in the network's size multiple."""

    sizes: Annotated[tuple[tuple[Count, Count], ...], Field(min_length=3)]
    mask_margin: Positive


class RegisterParams(Group):
    """The registered model and how long to wait for the store."""

    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    experiment: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    request_timeout_s: Count
    request_retries: Annotated[int, Field(ge=0)]


class TuneParams(Group):
    """The Optuna study over F-SIoU and channel width (`irstd.tuning`)."""

    network: str
    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
    trials: Count
    attempts: Count
    startup_trials: Count
    epochs: Count
    min_epochs: Count
    alpha: PositiveRange
    gamma: PositiveRange
    widths: Annotated[tuple[Count, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_reached(self) -> "TuneParams":
        if self.attempts < self.trials:
            raise ValueError(f"attempts {self.attempts} is below trials {self.trials}")
        if self.min_epochs > self.epochs:
            raise ValueError(f"min_epochs {self.min_epochs} is above epochs {self.epochs}")
        if len(set(self.widths)) != len(self.widths):
            raise ValueError(f"widths {list(self.widths)} names one twice")
        return self


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

    @model_validator(mode="after")
    def _tuned_network_has_a_recipe(self) -> "Params":
        if self.tune.network not in self.train.recipes:
            raise ValueError(
                f"tune.network {self.tune.network!r} has no recipe under train.recipes"
            )
        return self


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file whose top level is a mapping.

    Raises:
        ConfigError: the file is missing, not YAML, or not a mapping.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path}: not found; run the command in the project's folder, where params.yaml stands"
        )
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: expected a mapping of parameter groups, got {type(content).__name__}"
        )
    return content


def parse_params(content: dict[str, Any], origin: str) -> Params:
    """Check a parameter tree and freeze it.

    Args:
        content: the tree, as read from YAML.
        origin: file name to print in front of each error.

    Raises:
        ConfigError: one line for each unknown key, wrong type and impossible value, with its path.
    """
    try:
        return Params.model_validate_json(json.dumps(content))
    except ValidationError as error:
        lines = [f"{origin}: {_where(item['loc'])}: {_what(item)}" for item in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    except TypeError as error:
        raise ConfigError(
            f"{origin}: a value has no JSON form: {error}; write dates and such as text"
        ) from error


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters of the project.

    Raises:
        ConfigError: see `read_yaml` and `parse_params`.
    """
    return parse_params(read_yaml(path), path.name)


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(top level)"


def _what(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if item["type"] == "missing":
        return "missing key"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return message
    return f"{message}, got {item['input']!r}"
