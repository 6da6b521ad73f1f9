"""Learning rates of an epoch, or of a step where the schedule runs per iteration.

With e epochs done (from 0), E in all, the largest rate r and the smallest m:

| schedule | rate | recipe |
|---|---|---|
| constant | r | ACM, ALCNet, DNANet, MTU-Net, LPNet as their authors train |
| warmup_cosine | r (e + 1)/(w + 1) for e < w, then h((e - w)/(E - 1 - w)) | ISPANet, V-A |
| zero_start_cosine | r e/w for e <= w, then h((e - w - 1)/(E - w)) | MPCNet, w = 10 |
| steps | r f^k, k steps passed | BasicIRSTD |
| poly | m + (r - m) (1 - e/(E + 1))^p per epoch; e/E per iteration | RDIAN; AGPCNet |
| cosine | h(e/T), which falls for T epochs and rises for T | PQGNet, T = 50 |
| cosine_restarts | h((e mod T)/T) | SGMP-UNet, T = 10 |

h(x) = m + (r - m) (1 + cos(pi x))/2.
"""

import math

from irstd.config import (
    ConstantParams,
    CosineParams,
    PolyParams,
    ScheduleParams,
    StepsParams,
    WarmupCosineParams,
)


def learning_rate(schedule: ScheduleParams, lr: float, done: float, epochs: int) -> float:
    """Rate after `done` epochs, which is a whole number unless the schedule is per iteration.

    Args:
        schedule: which schedule.
        lr: its largest rate.
        done: epochs of the training that are done, from 0.
        epochs: of the whole training.
    """
    match schedule:
        case ConstantParams():
            return lr
        case StepsParams():
            return float(lr * schedule.factor ** sum(done >= step for step in schedule.epochs))
        case PolyParams():
            span = epochs + 1 if schedule.per == "epoch" else epochs
            left = max(0.0, 1 - done / span) ** schedule.power
            return float(schedule.min_lr + (lr - schedule.min_lr) * left)
        case CosineParams():
            period = schedule.fall_epochs
            passed = done if schedule.name == "cosine" else done % period
            return _half_cosine(passed / period, lr, schedule.min_lr)
        case WarmupCosineParams():
            return _warm(schedule, lr, done, epochs)


def _warm(schedule: WarmupCosineParams, lr: float, done: float, epochs: int) -> float:
    warmup = schedule.warmup_epochs
    if schedule.name == "zero_start_cosine":
        if done <= warmup:
            return lr * done / warmup if warmup else lr
        return _half_cosine((done - warmup - 1) / (epochs - warmup), lr, schedule.min_lr)
    if done < warmup:
        return lr * (done + 1) / (warmup + 1)
    progress = min(1.0, (done - warmup) / max(1, epochs - 1 - warmup))
    return _half_cosine(progress, lr, schedule.min_lr)


def _half_cosine(progress: float, high: float, low: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * progress)) / 2
