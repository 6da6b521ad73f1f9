"""Every loss as a function of named maps and a mask."""

from collections.abc import Callable

from torch import Tensor

from irstd.losses import (
    SLS,
    DeepSupervision,
    Dice,
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
    location,
    patch_aware,
)
from irstd.types import Outputs

Maps = dict[str, Tensor]
Loss = Callable[[Maps, Tensor], Tensor]

BATCH = SoftIoU("batch", smoothing=1.0)
PYRAMID = ("pyr0", "pyr1", "pyr2", "pyr3")


def outputs(maps: Maps, *sides: str) -> Outputs:
    named = {name: maps.get(name) for name in ("grid", "patches", "attention")}
    return Outputs(maps["x"], tuple(maps[name] for name in sides), **named)


def of_x(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    return lambda maps, mask: loss(maps["x"], mask)


def of_outputs(loss: Callable[[Outputs, Tensor], Tensor], *sides: str) -> Loss:
    return lambda maps, mask: loss(outputs(maps, *sides), mask)


PUBLISHED: dict[str, Loss] = {
    "bce": of_x(bce),
    "bce_of_probabilities": of_x(bce_of_probabilities),
    "soft_iou.batch": of_x(BATCH),
    "soft_iou.image": of_x(SoftIoU("image", 1.0)),
    "sls": of_x(SLS()),
    "sls.warm": of_x(SLS(scale=False, location=False)),
    "sls.no_location": of_x(SLS(location=False)),
    "location": of_x(location),
    "edge": of_x(edge),
    "focal_iou": of_x(FocalIoU()),
    "focal": of_x(Focal()),
    "focal.mtunet": of_x(Focal(0.75, "sum")),
    "dice": of_x(Dice("sum")),
    "dice.extra_overlap": of_x(Dice("mean", extra_overlap=True)),
    "pqgnet.map": of_x(PerceptualLoss().of_map),
    "pqgnet.grid": lambda maps, mask: patch_aware(maps["grid"], mask),
    "pqgnet.masks": of_outputs(PerceptualLoss().masks, "same1", "same2", "same3"),
    "pqgnet.total": of_outputs(PerceptualLoss(0.7), "same1", "same2", "same3"),
    "dnanet.deep_supervision": of_outputs(DeepSupervision(BATCH), "same3", "same4", "same5"),
    "mpcnet.deep_supervision": of_outputs(DeepSupervision(BATCH), "same1", "same2"),
    "sgmp.deep_supervision": of_outputs(DeepSupervision(FocalDice(), 0.5), "same1", "same2"),
    "sctransnet.deep_supervision": of_outputs(
        DeepSupervision(bce_of_probabilities, 1.0), "same1", "same2", "same3", "same4", "same5"
    ),
    "mshnet.deep_supervision": of_outputs(DeepSupervision(SLS()), *PYRAMID),
    "mshnet.warm_heads": of_outputs(DeepSupervision(SLS(scale=False, location=False)), *PYRAMID),
}
"""Those of the entries of published.json."""

LOSSES = PUBLISHED | {
    "f_siou": of_x(FSIoU()),
    "f_siou.mean_then_power": of_x(FSIoU(reduction="mean_then_power")),
    "f_siou.batch": of_x(FSIoU(reduction="batch")),
    "f_siou.steep": of_x(FSIoU(1.0, 0.5, 1e-6)),
    "focal_dice": of_x(FocalDice()),
    "warm_start": of_outputs(WarmStart(DeepSupervision(bce), DeepSupervision(edge), 0), "same1"),
    "local_patch": of_outputs(LocalPatchLoss(stride=8, sigma=10.0)),
}
"""All."""
