"""A network before its first step, and how images enter it."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from irstd.config import (
    FitParams,
    RecipeParams,
    SGMPUNetRecipe,
    ShorterSideParams,
    StretchParams,
)
from irstd.errors import ModelError
from irstd.inference.preprocess import Preprocessing
from irstd.models import Network, NetworkSpec, build_network
from irstd.models.published import load_backbone
from irstd.models.spec import Size

log = logging.getLogger(__name__)


def start_network(spec: NetworkSpec, recipe: RecipeParams, root: Path) -> Network:
    """Build the network of a recipe, with pretrained weights where the recipe names them.

    Args:
        spec: facts of the network.
        recipe: its recipe.
        root: folder that the recipe's `pretrained` is relative to.

    Raises:
        ModelError: the network takes no crop or no image of the recipe's size, cannot be built, or
            the file of pretrained weights cannot be read or doesn't fit.
    """
    network = build_network(spec.name, **recipe.network.model_dump())
    for key, size in (("crop", recipe.crop), ("inference_size", recipe.inference_size)):
        if size is not None and not network.sizes.is_legal(size.height, size.width):
            raise ModelError(
                f"{spec.name} takes {network.sizes}, train.recipes.{spec.name}.{key} is "
                f"{size.height} x {size.width}"
            )
    if isinstance(recipe, SGMPUNetRecipe):
        _start_backbone(network, recipe, root)
    if spec.frames == 1:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing from torch's stubs
    return network


def preprocessing_of(spec: NetworkSpec, recipe: RecipeParams, fit: FitParams) -> Preprocessing:
    """How images enter the network: normalised by the recipe, and fitted to a size.

    They are stretched to the recipe's `inference_size`; where it has none, they are fitted as the
    SPEC says, to the size of the crops if a crop shows a whole image or its whole shorter side.

    Args:
        spec: facts of the network.
        recipe: its recipe.
        fit: size unification.
    """
    if isinstance(recipe, SGMPUNetRecipe):
        spec = replace(spec, border=recipe.border)
    normal = recipe.normalisation
    facts = (recipe.network.in_channels, fit, normal.mean, normal.std)
    if recipe.inference_size is not None:
        size = (recipe.inference_size.height, recipe.inference_size.width)
        return Preprocessing.of(replace(spec, fit="stretch"), *facts, size)
    return Preprocessing.of(spec, *facts, _size_of_crops(spec, recipe))


def _size_of_crops(spec: NetworkSpec, recipe: RecipeParams) -> Size | None:
    """What `spec.fit` brings an image to, so that it has the scale of a crop; None: any."""
    if not isinstance(recipe.augmentation.geometry, StretchParams | ShorterSideParams):
        return None
    size = (recipe.crop.height, recipe.crop.width)
    if spec.fit == "resize" and spec.fit_size is not None:  # limits of shorter and longer side
        shorter, longer = spec.fit_size
        size = (min(size), round(min(size) * longer / shorter))
    return size


def _start_backbone(network: Network, recipe: SGMPUNetRecipe, root: Path) -> None:
    if recipe.pretrained is not None:
        load_backbone(network, root / recipe.pretrained)
        return
    log.warning(
        "sgmp_unet: the encoder starts from random weights, the published recipe from those of "
        "Video Swin-T; expect worse figures, or name their file in "
        "train.recipes.sgmp_unet.pretrained and set optimizer.backbone_lr to 0.00001"
    )
