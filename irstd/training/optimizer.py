"""The optimizer and the schedule of a recipe."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torch.nn import Parameter
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from irstd.config import OptimizerParams, PolyParams, RecipeParams, ScheduleParams, SGDParams
from irstd.errors import ModelError
from irstd.training.schedule import learning_rate

ADAPTIVE: dict[str, type[Optimizer]] = {"adagrad": Adagrad, "adam": Adam, "adamw": AdamW}


def parameter_groups(
    network: nn.Module, settings: OptimizerParams, backbone: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Trainable parameters with their rates: one group, or the backbone's and the others'.

    Args:
        network: the network.
        settings: the rates.
        backbone: prefixes of names of parameters (`NetworkSpec.backbone`).

    Raises:
        ModelError: a rate for the backbone of a network that has none.
    """
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    if settings.backbone_lr is None:
        return [{"params": [p for _, p in named], "lr": settings.lr}]
    pretrained: list[Parameter] = [p for name, p in named if name.startswith(backbone)]
    if not pretrained:
        raise ModelError(
            "optimizer.backbone_lr is the rate of a network's pretrained part, and this network "
            "has none; leave it empty in train.recipes"
        )
    others = [p for name, p in named if not name.startswith(backbone)]
    return [
        {"params": others, "lr": settings.lr},
        {"params": pretrained, "lr": settings.backbone_lr},
    ]


def make_optimizer(
    network: nn.Module, settings: OptimizerParams, backbone: tuple[str, ...]
) -> Optimizer:
    """The optimizer of a network; see `parameter_groups`."""
    groups = parameter_groups(network, settings, backbone)
    if isinstance(settings, SGDParams):
        return SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)
    return ADAPTIVE[settings.name](groups, weight_decay=settings.weight_decay)  # type: ignore[call-arg] # of Optimizer itself


def make_schedule(
    optimizer: Optimizer, recipe: RecipeParams, steps_per_epoch: int
) -> dict[str, Any]:
    """The schedule of every group's rate, in the form that Lightning takes.

    Args:
        optimizer: from `make_optimizer`.
        recipe: of the training.
        steps_per_epoch: batches of an epoch.
    """
    schedule = recipe.schedule
    per_step = isinstance(schedule, PolyParams) and schedule.per == "iteration"
    calls = steps_per_epoch if per_step else 1
    shares: list[Callable[[int], float]] = [
        partial(_share, schedule=schedule, lr=group["lr"], calls=calls, epochs=recipe.epochs)
        for group in optimizer.param_groups
    ]
    interval = "step" if per_step else "epoch"
    return {"scheduler": LambdaLR(optimizer, shares), "interval": interval}


def _share(call: int, schedule: ScheduleParams, lr: float, calls: int, epochs: int) -> float:
    return learning_rate(schedule, lr, call / calls, epochs) / lr
