"""Losses: one file each, computed from logits."""

from irstd.losses.f_siou import FSIoU, soft_iou

__all__ = ["FSIoU", "soft_iou"]
