"""Fold batch norms into the convolutions before them, for inference.

In evaluation mode a batch norm is an affine map per channel, so `norm(conv(x))` is one convolution
with other weights: W' = W g / sqrt(var + eps), b' = beta + (b - mean) g / sqrt(var + eps). Which
norm follows which convolution is seen by running the network once: no list to maintain.
"""

import copy
from collections import Counter, defaultdict
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
AnyModule = TypeVar("AnyModule", bound=nn.Module)


def fold_norms(network: AnyModule, example: Tensor) -> AnyModule:
    """A copy in evaluation mode in which every foldable batch norm is folded.

    Args:
        network: any network; not changed.
        example: a legal input.
    """
    fused = copy.deepcopy(network).eval()
    modules = dict(fused.named_modules())
    for conv, norm in foldable_norms(fused, example):
        layer = modules[conv]
        folded = fuse_conv_bn_eval(
            layer,
            modules[norm],
            transpose=isinstance(layer, nn.ConvTranspose2d),
        )
        _replace(fused, conv, folded)
        _replace(fused, norm, nn.Identity())
    return fused


def foldable_norms(network: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Names of (convolution, batch norm) pairs where the norm sees that convolution alone.

    Args:
        network: in evaluation mode.
        example: a legal input.
    """
    names = {module: name for name, module in network.named_modules()}
    made: dict[int, tuple[nn.Module, Tensor]] = {}  # holds the tensors, so that ids stay unique
    norms_of: dict[int, set[nn.Module]] = defaultdict(set)  # by the tensor they see
    strangers: set[nn.Module] = set()  # norms that see more than convolutions

    def on_convolution(module: nn.Module, _: object, output: Tensor) -> None:
        made[id(output)] = (module, output)

    def on_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in made:
            norms_of[id(inputs[0])].add(module)
        else:
            strangers.add(module)

    hooks = [
        module.register_forward_hook(on_convolution)
        for module in names
        if isinstance(module, CONVOLUTIONS)
    ] + [
        module.register_forward_pre_hook(on_norm)
        for module in names
        if isinstance(module, NORMS) and module.running_mean is not None
    ]
    try:
        with torch.no_grad():
            getattr(network, "outputs", network)(example)
    finally:
        for hook in hooks:
            hook.remove()
    seen_by: dict[nn.Module, list[set[nn.Module]]] = defaultdict(list)
    for key, (conv, _) in made.items():
        seen_by[conv].append(norms_of[key])
    sources = Counter(norm for found in seen_by.values() for norm in set().union(*found))
    return [
        (names[conv], names[norm])
        for conv, found in seen_by.items()
        for norm in found[0]
        if all(norms == {norm} for norms in found)  # every output of it, by this norm alone
        and sources[norm] == 1
        and norm not in strangers
    ]


def _replace(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, module)
