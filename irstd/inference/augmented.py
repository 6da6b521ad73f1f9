"""Test-time augmentation: probabilities averaged over image scales and mirror images."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from irstd.errors import ModelError
from irstd.models.spec import Size, SizeRule

SCALES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
"""Scales of SGMP-UNet's published test."""


def multi_scale_flip(
    run: Callable[[Tensor], Tensor],
    image: Float[Tensor, "n *axes h w"],
    sizes: SizeRule,
    output_size: Size,
    scales: Sequence[float] = SCALES,
    flip: bool = True,
    interpolate: Literal["logits", "probability"] = "logits",
) -> Float[Tensor, "n 1 oh ow"]:
    """Probability of a target, the mean over scales and mirror images.

    The image is resized to int(side * scale), rounded up to a legal size; the logits are resized to
    the output size before the sigmoid; both bilinear, corners not aligned. With `flip` the same is
    done for the image mirrored left to right, and its result mirrored back. This is the published
    test of SGMP-UNet (options --flip and --msc), but for any network.

    Args:
        run: the network, from an image of legal size to logits (N, 1, h, w).
        image: (N, C, H, W) or a clip (N, T, C, H, W), normalised, at scale 1.
        sizes: legal sizes of the network.
        output_size: (height, width) of the result.
        scales: factors of the image's size; `(1.0,)` for mirroring alone.
        flip: whether the mirrored image takes part.
        interpolate: what is resized; see `irstd.inference.preprocess.Preprocessing`.

    Returns:
        Probabilities (N, 1, *output_size).

    Raises:
        ModelError: no scale, a scale that is not positive, or one that no legal size holds.
    """
    if not scales or min(scales) <= 0:
        raise ModelError(f"scales must be at least one positive number, got {tuple(scales)}")
    with torch.no_grad():
        mean = partial(_mean, run, sizes, output_size, scales, interpolate)
        maps = [mean(image)]
        if flip:
            maps.append(mean(image.flip(-1)).flip(-1))
        return torch.stack(maps).mean(0)


def _mean(
    run: Callable[[Tensor], Tensor],
    sizes: SizeRule,
    output_size: Size,
    scales: Sequence[float],
    interpolate: str,
    image: Tensor,
) -> Tensor:
    logits = [run(scaled) for scaled in _scaled(image, sizes, scales)]
    if interpolate == "probability":
        return torch.stack([_resized(one.sigmoid(), output_size) for one in logits]).mean(0)
    return torch.stack([_resized(one, output_size).sigmoid() for one in logits]).mean(0)


def _scaled(image: Tensor, sizes: SizeRule, scales: Sequence[float]) -> Iterator[Tensor]:
    height, width = image.shape[-2:]
    for scale in scales:
        wanted = int(height * scale), int(width * scale)
        legal = sizes.enclosing(*wanted)
        if legal is None:
            raise ModelError(
                f"scale {scale} of an image of {height} x {width} gives {wanted[0]} x {wanted[1]}, "
                f"but the network takes {sizes}; choose smaller scales"
            )
        yield _resized(image, legal)


def _resized(values: Tensor, size: Size) -> Tensor:
    """(N, ..., H, W) to (N, ..., *size)."""
    if values.shape[-2:] == size:
        return values
    planes = values.reshape(values.shape[0], math.prod(values.shape[1:-2]), *values.shape[-2:])
    planes = F.interpolate(planes, size=size, mode="bilinear", align_corners=False)
    return planes.reshape(*values.shape[:-2], *size)
