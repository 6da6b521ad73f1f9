"""LPNet's forward pass as the authors run it: patch by patch, each copied to the host.

The baseline of `irstd.models.lpnet` in benchmarks, and its reference in tests.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from irstd.models.lpnet import LPNet


def looped(network: LPNet, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Every patch in a call of its own; batch norms act as the network's mode says.

    Args:
        network: statistics `running`.
        image: (N, C, H, W).

    Returns:
        Map in [0, 1] (N, 1, H, W), without gradients; probabilities of the patches inside the
        image (N, P, k, k), row by row; attention (N, 1, H, W).
    """
    k, s = network.patch, network.stride
    height, width = image.shape[-2:]
    features = network.gfe(image)
    attention = network.attn(features)
    padded = F.pad(features * attention, (k, k, k, k))
    total = torch.zeros(len(image), 1, height + 2 * k, width + 2 * k, dtype=image.dtype)
    inside = []
    for row in range(0, height + k + 1, s):
        for col in range(0, width + k + 1, s):
            window = (..., slice(row, row + k), slice(col, col + k))
            probability = network.lfe(padded[window]).sigmoid()
            total[window] += probability.detach().cpu()
            if k <= row <= height and k <= col <= width:
                inside.append(probability)
    total = total[..., k:-k, k:-k]
    lowest, highest = total.amin((1, 2, 3), True), total.amax((1, 2, 3), True)
    scaled = ((total - lowest) / (highest - lowest)).to(image.device)
    return scaled, torch.cat(inside, 1), attention
