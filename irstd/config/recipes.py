"""The recipe of a network: everything its training depends on.

Loss, optimizer, schedule and geometry are each one of several groups; the key `name` says which.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from irstd.config.networks import (
    ACMParams,
    AGPCNetParams,
    ALCNetParams,
    DNANetParams,
    ISPANetParams,
    LPNetParams,
    MPCNetParams,
    MTUNetParams,
    NetworkParams,
    PQGNetParams,
    RDIANParams,
    SGMPUNetParams,
)
from irstd.config.values import (
    Count,
    FactorRange,
    Group,
    NormalisationParams,
    NotNegative,
    OpenShare,
    PixelRange,
    Pixels,
    Positive,
    Share,
    ShareRange,
)
from irstd.types import Border

Rate = Annotated[float, Field(gt=0.0, le=10.0)]
LowRate = Annotated[float, Field(ge=0.0, le=10.0)]


class ElementaryParams(Group):
    """A loss of one map, on every output of the network.

    Attributes:
        side_weight: weight of each side output beside the prediction's 1; None: the mean over all.
    """

    side_weight: NotNegative | None


class SoftIoUParams(ElementaryParams):
    """Soft-IoU (`irstd.losses.soft_iou`)."""

    name: Literal["soft_iou"]
    over: Literal["image", "batch"]
    smoothing: Positive


class FSIoUParams(ElementaryParams):
    """F-SIoU, alpha * L^gamma (`irstd.losses.f_siou`); `reduction`: what L is taken over."""

    name: Literal["f_siou"]
    alpha: Annotated[float, Field(gt=0.0, le=100.0)]
    gamma: Annotated[float, Field(gt=0.0, le=100.0)]
    smoothing: Positive
    reduction: Literal["image", "mean_then_power", "batch"]


class SLSParams(ElementaryParams):
    """SLS, the loss of MSHNet (`irstd.losses.sls`).

    Attributes:
        location: whether the location term is added.
        last_warm_epoch: until its end, counted from 0, the plain ratio of the prediction alone
            counts (published: 5); None: never.
    """

    name: Literal["sls"]
    location: bool
    last_warm_epoch: Annotated[int, Field(ge=0, le=1_000_000)] | None


class PlainParams(ElementaryParams):
    """A loss without settings: cross-entropies (`irstd.losses.bce`), `irstd.losses.edge`."""

    name: Literal["bce", "bce_of_probabilities", "edge"]


class FocalParams(ElementaryParams):
    """Focal loss (`irstd.losses.focal`); `pixels`: how those of an image are reduced."""

    name: Literal["focal"]
    target_weight: OpenShare
    pixels: Literal["mean", "sum"]


class DiceParams(ElementaryParams):
    """Dice loss (`irstd.losses.dice`); `images`: how those of a batch are reduced."""

    name: Literal["dice"]
    images: Literal["mean", "sum"]
    extra_overlap: bool


class FocalIoUParams(ElementaryParams):
    """Focal-IoU (`irstd.losses.focal_iou`)."""

    name: Literal["focal_iou"]
    target_weight: OpenShare


class FocalDiceParams(ElementaryParams):
    """Focal loss plus Dice loss (`irstd.losses.focal_dice`)."""

    name: Literal["focal_dice"]
    target_weight: OpenShare


class PerceptualParams(Group):
    """The loss of PQGNet (`irstd.losses.perceptual`)."""

    name: Literal["perceptual"]
    grid_weight: NotNegative


class LocalPatchParams(Group):
    """The loss of LPNet (`irstd.losses.lpnet`); without sigma the attention has no target."""

    name: Literal["local_patch"]
    stride: Count
    sigma: Positive | None


Elementary = (
    SoftIoUParams
    | FSIoUParams
    | SLSParams
    | PlainParams
    | FocalParams
    | DiceParams
    | FocalIoUParams
    | FocalDiceParams
)
ElementaryLoss = Annotated[Elementary, Field(discriminator="name")]
PQGNetLoss = Annotated[Elementary | PerceptualParams, Field(discriminator="name")]
LPNetLoss = Annotated[Elementary | LocalPatchParams, Field(discriminator="name")]
LossParams = Elementary | PerceptualParams | LocalPatchParams


class OptimizerBase(Group):
    """What every optimizer has.

    Attributes:
        lr: largest learning rate.
        weight_decay: added to the gradient (AdamW: to the step).
        backbone_lr: largest rate of a pretrained part; None: `lr`.
    """

    lr: Rate
    weight_decay: Share
    backbone_lr: Rate | None


class AdaptiveParams(OptimizerBase):
    """An optimizer without further settings."""

    name: Literal["adagrad", "adam", "adamw"]


class SGDParams(OptimizerBase):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)]


OptimizerParams = Annotated[AdaptiveParams | SGDParams, Field(discriminator="name")]


class ConstantParams(Group):
    """The rate stays at `lr`."""

    name: Literal["constant"]


class WarmupCosineParams(Group):
    """A linear warm-up, then a half cosine to `min_lr` (`irstd.training.schedule`).

    `warmup_cosine` begins above 0 and ends at `min_lr` (ISPANet); `zero_start_cosine` begins at
    rate 0 and ends one epoch before `min_lr` (MPCNet).
    """

    name: Literal["warmup_cosine", "zero_start_cosine"]
    warmup_epochs: Annotated[int, Field(ge=0)]
    min_lr: LowRate


class StepsParams(Group):
    """The rate is multiplied by `factor` after each of the epochs."""

    name: Literal["steps"]
    epochs: Annotated[tuple[Count, ...], Field(min_length=1)]
    factor: OpenShare


class PolyParams(Group):
    """A power of the share of the training that is left."""

    name: Literal["poly"]
    power: Positive
    min_lr: LowRate
    per: Literal["epoch", "iteration"]


class CosineParams(Group):
    """A half cosine to `min_lr` over `fall_epochs`; then back up (`cosine`), or from the start."""

    name: Literal["cosine", "cosine_restarts"]
    fall_epochs: Count
    min_lr: LowRate


ScheduleParams = Annotated[
    ConstantParams | WarmupCosineParams | StepsParams | PolyParams | CosineParams,
    Field(discriminator="name"),
]


class CropWindow(Group):
    """How the crop is cut from the image at its size.

    Attributes:
        target_crop: share of crops that are made to hold a target.
        pad: what stands below and at the right of a smaller image: `black`, or the `mean` of the
            normalisation, which the network sees as 0.
    """

    target_crop: Share
    pad: Literal["black", "mean"]


class NativeParams(CropWindow):
    """The crop is cut from the image as it is."""

    name: Literal["native"]


class ScaleParams(CropWindow):
    """The long side and the aspect ratio are multiplied by random factors first."""

    name: Literal["scale"]
    long_side_scale: FactorRange
    aspect_ratio: FactorRange


class LongSideParams(CropWindow):
    """The long side is brought to a random number of pixels first."""

    name: Literal["long_side"]
    long_side_px: PixelRange


class ShorterSideParams(Group):
    """The image is brought to the smallest size that holds the crop first."""

    name: Literal["shorter_side"]
    target_crop: Share


class StretchParams(Group):
    """A random window, its sides drawn as shares of the image's, is stretched to the crop."""

    name: Literal["stretch"]
    window: ShareRange


GeometryParams = Annotated[
    NativeParams | ScaleParams | LongSideParams | ShorterSideParams | StretchParams,
    Field(discriminator="name"),
]


class AugmentationParams(Group):
    """What happens at random to a training image (`irstd.data.transforms`).

    Attributes:
        geometry: how the crop comes from the image.
        mask: what an interpolated mask pixel becomes: target where more than `half` of it is
            covered, where `any` of it is, or the covered share itself (`soft`).
        flip_horizontal: share of crops with left and right exchanged.
        flip_vertical: share of crops with top and bottom exchanged.
        transpose: share of crops with rows and columns exchanged.
        blur: share of crops that are blurred.
        brightness: largest change of grey values, of half of the frames.
        contrast: largest relative change of contrast, of half of the frames.
        noise_std: largest standard deviation of the noise.
    """

    geometry: GeometryParams
    mask: Literal["half", "any", "soft"]
    flip_horizontal: Share
    flip_vertical: Share
    transpose: Share
    blur: Share
    brightness: Share
    contrast: Share
    noise_std: Share


class CropParams(Group):
    """Size of a training crop, or of the images at inference."""

    height: Pixels
    width: Pixels


class RecipeParams(Group):
    """Everything the training of one network depends on.

    Attributes:
        inference_size: size that every image is stretched to in validation and inference; None:
            images are fitted as the network's SPEC says.
        freeze_norm_after: epochs after which batch norms keep their statistics; None: never.
        gradient_clip: largest norm of the gradient; None: any.
        early_stop_patience: validations without a better one before the training ends; None: it
            runs to its end.
    """

    network: NetworkParams
    normalisation: NormalisationParams
    loss: LossParams
    optimizer: OptimizerParams
    schedule: ScheduleParams
    augmentation: AugmentationParams
    crop: CropParams
    inference_size: CropParams | None
    epochs: Count
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    validate_every: Count
    freeze_norm_after: Count | None
    gradient_clip: Positive | None
    early_stop_patience: Count | None
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    workers: Annotated[int, Field(ge=0, le=256)]


class ElementaryRecipe(RecipeParams):
    """Of a network without the outputs that the losses of PQGNet and LPNet ask for."""

    loss: ElementaryLoss


class ISPANetRecipe(ElementaryRecipe):
    """How ISPANet is trained."""

    network: ISPANetParams


class PQGNetRecipe(RecipeParams):
    """How PQGNet is trained."""

    network: PQGNetParams
    loss: PQGNetLoss


class MPCNetRecipe(ElementaryRecipe):
    """How MPCNet is trained."""

    network: MPCNetParams


class LPNetRecipe(RecipeParams):
    """How LPNet is trained."""

    network: LPNetParams
    loss: LPNetLoss


class SGMPUNetRecipe(ElementaryRecipe):
    """How SGMP-UNet is trained.

    Attributes:
        border: what stands for the frames of a clip outside its sequence (`irstd.data.clips`).
        pretrained: file of Video Swin weights that the encoder starts from, from the project's
            folder on; None: random weights. Another content starts `irstd train` anew; DVC does
            not watch the file.
    """

    network: SGMPUNetParams
    border: Border
    pretrained: str | None


class ACMRecipe(ElementaryRecipe):
    """How ACM is trained."""

    network: ACMParams


class ALCNetRecipe(ElementaryRecipe):
    """How ALCNet is trained."""

    network: ALCNetParams


class DNANetRecipe(ElementaryRecipe):
    """How DNANet is trained."""

    network: DNANetParams


class AGPCNetRecipe(ElementaryRecipe):
    """How AGPCNet is trained."""

    network: AGPCNetParams


class RDIANRecipe(ElementaryRecipe):
    """How RDIAN is trained."""

    network: RDIANParams


class MTUNetRecipe(ElementaryRecipe):
    """How MTU-Net is trained."""

    network: MTUNetParams


@with_config(ConfigDict(extra="forbid"))
class Recipes(TypedDict, total=False):
    """The networks that can be trained, each with the type of its recipe."""

    ispanet: ISPANetRecipe
    pqgnet: PQGNetRecipe
    mpcnet: MPCNetRecipe
    lpnet: LPNetRecipe
    sgmp_unet: SGMPUNetRecipe
    acm: ACMRecipe
    alcnet: ALCNetRecipe
    dnanet: DNANetRecipe
    agpcnet: AGPCNetRecipe
    rdian: RDIANRecipe
    mtunet: MTUNetRecipe
