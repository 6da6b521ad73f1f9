"""Losses: one file each, computed from logits.

An elementary loss takes logits and mask, both (N, 1, H, W), and gives a number. A criterion takes
all outputs of a network: `DeepSupervision` of an elementary loss, or the loss of one paper.
"""

from irstd.losses.bce import bce
from irstd.losses.deep_supervision import Criterion, DeepSupervision, ElementaryLoss
from irstd.losses.f_siou import FSIoU
from irstd.losses.focal_dice import FocalDice
from irstd.losses.focal_iou import FocalIoU
from irstd.losses.lpnet import LocalPatchLoss, spread_map
from irstd.losses.perceptual import PerceptualLoss, patch_aware
from irstd.losses.soft_iou import SoftIoU

__all__ = [
    "Criterion",
    "DeepSupervision",
    "ElementaryLoss",
    "FSIoU",
    "FocalDice",
    "FocalIoU",
    "LocalPatchLoss",
    "PerceptualLoss",
    "SoftIoU",
    "bce",
    "patch_aware",
    "spread_map",
]
