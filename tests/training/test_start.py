"""What a recipe makes of a network before the first step."""

from dataclasses import replace
from pathlib import Path

import pytest

from irstd.config import CropParams, FitParams, RecipeParams, load_params
from irstd.errors import ModelError
from irstd.models import network_spec
from irstd.training.start import preprocessing_of, start_network

NATIVE = FitParams(method="native", height=64, width=64)
RECIPES = load_params(Path(__file__).parents[2] / "params.yaml").train.recipes


def with_crop(name: str, height: int, width: int) -> RecipeParams:
    return RECIPES[name].model_copy(update={"crop": CropParams(height=height, width=width)})


def test_a_crop_that_the_network_does_not_take_is_named():
    with pytest.raises(ModelError, match=r"256 x 256, train\.recipes\.pqgnet\.crop is 128 x 128"):
        start_network(network_spec("pqgnet"), with_crop("pqgnet", 128, 128))


def test_training_sgmp_unet_without_pretrained_weights_says_so(caplog):
    start_network(network_spec("sgmp_unet"), RECIPES["sgmp_unet"])
    assert "encoder starts from random weights" in caplog.text
    missing = RECIPES["sgmp_unet"].model_copy(update={"pretrained": "no/such.pth"})
    with pytest.raises(ModelError, match=r"no/such\.pth"):
        start_network(network_spec("sgmp_unet"), missing)


def test_other_networks_have_nothing_to_say(caplog):
    start_network(network_spec("acm"), RECIPES["acm"])
    assert not caplog.text


def test_images_enter_as_the_recipe_normalises_them():
    facts = preprocessing_of(network_spec("acm"), RECIPES["acm"], NATIVE)
    assert (facts.mean, facts.std) == ((0.25,), (0.1,))
    assert facts.fit_size is None
    filled = FitParams(method="fill", height=64, width=96)
    assert preprocessing_of(network_spec("acm"), RECIPES["acm"], filled).fill == (64, 96)


def test_images_are_fitted_to_the_size_of_the_crops():
    lpnet = preprocessing_of(network_spec("lpnet"), with_crop("lpnet", 60, 60), NATIVE)
    assert (lpnet.fit, lpnet.fit_size) == ("stretch", (60, 60))
    # Published: shorter side 320, longer at most 576.
    small = preprocessing_of(network_spec("sgmp_unet"), with_crop("sgmp_unet", 64, 64), NATIVE)
    assert (small.fit, small.fit_size) == ("resize", (64, 115))
    assert (small.frames, small.target_frame) == (6, 3)
    paper = preprocessing_of(network_spec("sgmp_unet"), with_crop("sgmp_unet", 320, 320), NATIVE)
    assert paper.fit_size == network_spec("sgmp_unet").fit_size


def test_a_tiling_network_keeps_its_windows():
    spec = network_spec("mtunet")
    facts = preprocessing_of(spec, RECIPES["mtunet"], NATIVE)
    assert facts.fit_size == spec.fit_size
    assert replace(facts, fit_size=(512, 512)).fit == "tile"
