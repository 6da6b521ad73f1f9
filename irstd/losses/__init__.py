"""Losses: one file each, computed from logits.

An elementary loss takes logits and mask, both (N, 1, H, W), and gives a number. A criterion takes
all outputs of a network: `DeepSupervision` of an elementary loss, or the loss of one paper. All of
them with formulas: docs/losses.md.
"""

from irstd.losses.bce import bce, bce_of_probabilities
from irstd.losses.deep_supervision import Criterion, DeepSupervision, ElementaryLoss, WarmStart
from irstd.losses.dice import Dice
from irstd.losses.edge import edge
from irstd.losses.f_siou import FSIoU
from irstd.losses.focal import Focal
from irstd.losses.focal_dice import FocalDice
from irstd.losses.focal_iou import FocalIoU
from irstd.losses.location import location
from irstd.losses.lpnet import LocalPatchLoss, spread_map
from irstd.losses.perceptual import PerceptualLoss, patch_aware
from irstd.losses.sls import SLS
from irstd.losses.soft_iou import SoftIoU

__all__ = [
    "SLS",
    "Criterion",
    "DeepSupervision",
    "Dice",
    "ElementaryLoss",
    "FSIoU",
    "Focal",
    "FocalDice",
    "FocalIoU",
    "LocalPatchLoss",
    "PerceptualLoss",
    "SoftIoU",
    "WarmStart",
    "bce",
    "bce_of_probabilities",
    "edge",
    "location",
    "patch_aware",
    "spread_map",
]
