"""A network before its first step, and how images enter it."""

import logging
from pathlib import Path

import torch

from irstd.config import FitParams, RecipeParams, SGMPUNetRecipe
from irstd.errors import ModelError
from irstd.inference.preprocess import Preprocessing
from irstd.models import Network, NetworkSpec, build_network
from irstd.models.published import load_backbone

log = logging.getLogger(__name__)


def start_network(spec: NetworkSpec, recipe: RecipeParams) -> Network:
    """Build the network of a recipe, with pretrained weights where the recipe names them.

    Raises:
        ModelError: the network takes no crop of that size, cannot be built, or the file of
            pretrained weights cannot be read or doesn't fit.
    """
    crop = recipe.crop
    network = build_network(spec.name, **recipe.network.model_dump())
    if not network.sizes.is_legal(crop.height, crop.width):
        raise ModelError(
            f"{spec.name} takes {network.sizes}, train.recipes.{spec.name}.crop is "
            f"{crop.height} x {crop.width}"
        )
    if isinstance(recipe, SGMPUNetRecipe):
        _start_backbone(network, recipe)
    if spec.frames == 1:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing from torch's stubs
    return network


def preprocessing_of(spec: NetworkSpec, recipe: RecipeParams, fit: FitParams) -> Preprocessing:
    """How images enter the network: normalised by the recipe, fitted to the size of its crops.

    Args:
        spec: facts of the network.
        recipe: its recipe.
        fit: size unification.
    """
    size = (recipe.crop.height, recipe.crop.width)
    if spec.fit == "resize" and spec.fit_size is not None:  # limits of shorter and longer side
        shorter, longer = spec.fit_size
        size = (min(size), round(min(size) * longer / shorter))
    normal = recipe.normalisation
    return Preprocessing.of(spec, recipe.network.in_channels, fit, normal.mean, normal.std, size)


def _start_backbone(network: Network, recipe: SGMPUNetRecipe) -> None:
    if recipe.pretrained is not None:
        load_backbone(network, Path(recipe.pretrained))
        return
    log.warning(
        "sgmp_unet: the encoder starts from random weights, the published recipe from those of "
        "Video Swin-T; expect worse figures, or name their file in "
        "train.recipes.sgmp_unet.pretrained and set optimizer.backbone_lr to 0.00001"
    )
