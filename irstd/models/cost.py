"""What a network costs: parameters, and multiply-accumulates of one forward pass."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, Size

NEAR = 256


def count_parameters(network: nn.Module) -> int:
    """Numbers that training may change; buffers are not among them."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: Network, size: Size) -> int:
    """Multiply-accumulates of one image or clip.

    Counted are convolutions, linear layers and the two matrix products of attention; norms,
    activations, sums and interpolations are not. Nothing is computed: tensors are on the `meta`
    device, which has shapes only.

    Args:
        network: moved to the `meta` device, so its weights are lost.
        size: legal height and width in pixels.
    """
    image = torch.empty((*network.example().shape[:-2], *size), device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.to("meta").eval()(image)
    return int(counter.get_total_flops()) // 2


def comparison_size(spec: NetworkSpec) -> Size:
    """256 x 256, or the largest legal square below, or else the smallest legal one."""
    sides = [side for side in range(NEAR, 0, -1) if spec.sizes.is_legal(side, side)]
    side = sides[0] if sides else spec.sizes.smallest
    return side, side
