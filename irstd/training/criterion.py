"""The loss of a recipe."""

from irstd.config import (
    FocalDiceParams,
    FocalIoUParams,
    FSIoUParams,
    LocalPatchParams,
    LossParams,
    PerceptualParams,
    SoftIoUParams,
)
from irstd.losses import (
    Criterion,
    DeepSupervision,
    FocalDice,
    FocalIoU,
    FSIoU,
    LocalPatchLoss,
    PerceptualLoss,
    SoftIoU,
)


def make_criterion(settings: LossParams) -> Criterion:
    """What takes the outputs of a network and the mask, and gives a number."""
    match settings:
        case SoftIoUParams():
            loss = SoftIoU(settings.over, settings.smoothing)
            return DeepSupervision(loss, settings.side_weight)
        case FSIoUParams():
            focal = FSIoU(settings.alpha, settings.gamma, settings.smoothing)
            return DeepSupervision(focal, settings.side_weight)
        case FocalIoUParams():
            return DeepSupervision(FocalIoU(settings.target_weight), settings.side_weight)
        case FocalDiceParams():
            return DeepSupervision(FocalDice(settings.target_weight), settings.side_weight)
        case PerceptualParams():
            return PerceptualLoss(settings.grid_weight)
        case LocalPatchParams():
            return LocalPatchLoss(settings.stride, settings.sigma)
