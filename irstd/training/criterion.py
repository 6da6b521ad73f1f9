"""The loss of a recipe."""

from irstd.config import LossParams
from irstd.config.recipes import (
    DiceParams,
    Elementary,
    FocalDiceParams,
    FocalIoUParams,
    FocalParams,
    FSIoUParams,
    LocalPatchParams,
    PerceptualParams,
    PlainParams,
    SLSParams,
    SoftIoUParams,
)
from irstd.losses import (
    SLS,
    Criterion,
    DeepSupervision,
    Dice,
    ElementaryLoss,
    Focal,
    FocalDice,
    FocalIoU,
    FSIoU,
    LocalPatchLoss,
    PerceptualLoss,
    SoftIoU,
    WarmStart,
    bce,
    bce_of_probabilities,
    edge,
)

PLAIN: dict[str, ElementaryLoss] = {
    "bce": bce,
    "bce_of_probabilities": bce_of_probabilities,
    "edge": edge,
}


def make_criterion(settings: LossParams) -> Criterion:
    """What takes the outputs of a network and the mask, and gives a number."""
    match settings:
        case PerceptualParams():
            return PerceptualLoss(settings.grid_weight)
        case LocalPatchParams():
            return LocalPatchLoss(settings.stride, settings.sigma)
    full = DeepSupervision(_elementary(settings), settings.side_weight)
    if isinstance(settings, SLSParams) and settings.last_warm_epoch is not None:
        warm = DeepSupervision(SLS(scale=False, location=False), side_weight=0)
        return WarmStart(warm, full, settings.last_warm_epoch)
    return full


def _elementary(settings: Elementary) -> ElementaryLoss:
    match settings:
        case SoftIoUParams():
            return SoftIoU(settings.over, settings.smoothing)
        case FSIoUParams():
            return FSIoU(settings.alpha, settings.gamma, settings.smoothing, settings.reduction)
        case SLSParams():
            return SLS(location=settings.location)
        case PlainParams():
            return PLAIN[settings.name]
        case FocalParams():
            return Focal(settings.target_weight, settings.pixels)
        case DiceParams():
            return Dice(settings.images, settings.extra_overlap)
        case FocalIoUParams():
            return FocalIoU(settings.target_weight)
        case FocalDiceParams():
            return FocalDice(settings.target_weight)
