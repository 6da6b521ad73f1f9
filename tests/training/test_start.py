"""What a recipe makes of a network before the first step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from irstd.config import CropParams, FitParams, RecipeParams, load_params
from irstd.errors import ModelError
from irstd.models import network_spec
from irstd.training.fingerprint import training_fingerprint
from irstd.training.start import preprocessing_of, start_network
from tests.models.test_sgmp_unet import swin3d_names

NATIVE = FitParams(method="native", height=64, width=64)
ROOT = Path(__file__).parents[2]
RECIPES = load_params(ROOT / "profiles" / "demo.yaml").train.recipes


def with_crop(name: str, height: int, width: int) -> RecipeParams:
    return RECIPES[name].model_copy(update={"crop": CropParams(height=height, width=width)})


def with_inference(name: str, height: int, width: int) -> RecipeParams:
    size = CropParams(height=height, width=width)
    return RECIPES[name].model_copy(update={"inference_size": size})


def test_a_size_that_the_network_does_not_take_is_named():
    with pytest.raises(ModelError, match=r"256 x 256, train\.recipes\.pqgnet\.crop is 128 x 128"):
        start_network(network_spec("pqgnet"), with_crop("pqgnet", 128, 128), ROOT)
    large = with_inference("dnanet", 100, 96)
    with pytest.raises(ModelError, match=r"16, train\.recipes\.dnanet\.inference_size is 100 x 96"):
        start_network(network_spec("dnanet"), large, ROOT)


def test_training_sgmp_unet_without_pretrained_weights_says_so(caplog):
    start_network(network_spec("sgmp_unet"), RECIPES["sgmp_unet"], ROOT)
    assert "encoder starts from random weights" in caplog.text
    missing = RECIPES["sgmp_unet"].model_copy(update={"pretrained": "no/such.pth"})
    with pytest.raises(ModelError, match=r"no/such\.pth"):
        start_network(network_spec("sgmp_unet"), missing, ROOT)


def test_other_networks_have_nothing_to_say(caplog):
    start_network(network_spec("acm"), RECIPES["acm"], ROOT)
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


def test_the_recipe_of_a_network_of_clips_chooses_their_border():
    recipe = RECIPES["sgmp_unet"].model_copy(update={"border": "reverse"})
    assert preprocessing_of(network_spec("sgmp_unet"), recipe, NATIVE).border == "reverse"


def test_a_tiling_network_keeps_its_windows():
    spec = network_spec("mtunet")
    facts = preprocessing_of(spec, RECIPES["mtunet"], NATIVE)
    assert facts.fit_size == spec.fit_size
    assert replace(facts, fit_size=(512, 512)).fit == "tile"


def test_crops_of_another_scale_than_the_image_say_nothing_about_its_size():
    windowed = RECIPES["alcnet"].augmentation
    assert windowed.geometry.name == "long_side"
    recipe = with_crop("alcnet", 480, 480).model_copy(update={"inference_size": None})
    alcnet = preprocessing_of(network_spec("alcnet"), recipe, NATIVE)
    assert (alcnet.fit, alcnet.fit_size) == ("stretch", (512, 512))
    cut = with_crop("lpnet", 60, 60).model_copy(update={"augmentation": windowed})
    assert preprocessing_of(network_spec("lpnet"), cut, NATIVE).fit_size == (120, 120)


@pytest.mark.parametrize("name", ["dnanet", "alcnet", "mtunet", "sgmp_unet"])
def test_images_are_stretched_to_the_size_that_the_recipe_asks_for(name):
    facts = preprocessing_of(network_spec(name), with_inference(name, 96, 160), NATIVE)
    assert (facts.fit, facts.fit_size) == ("stretch", (96, 160))
    windows, placement = facts.apply(np.zeros((40, 57), np.uint8))
    assert windows.shape[-2:] == (96, 160)
    assert facts.restore(np.zeros((1, 96, 160)), placement).shape == (40, 57)


def test_sgmp_unet_starts_from_the_file_that_the_recipe_names(tmp_path, monkeypatch, caplog):
    names = list(swin3d_names())
    tensors = {
        name: torch.full(shape, number, dtype=torch.float16)
        for number, (name, shape) in enumerate(swin3d_names().items())
    }
    torch.save(tensors, tmp_path / "swin.pth")
    recipe = RECIPES["sgmp_unet"].model_copy(update={"pretrained": "swin.pth"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # the file is found from the project's folder on
    state = start_network(network_spec("sgmp_unet"), recipe, tmp_path).state_dict()
    assert not caplog.text
    for ours, published in (
        ("embedding.proj.weight", "patch_embed.proj.weight"),
        ("temporal.2.1.5.attention.qkv.weight", "features.4.5.attn.qkv.weight"),
        ("norm.bias", "norm.bias"),
    ):
        expected = torch.full_like(state[ours], names.index(published))
        assert torch.equal(state[ours], expected), ours


def test_the_fingerprint_knows_the_content_of_pretrained_weights(tmp_path):
    recipe = RECIPES["sgmp_unet"].model_copy(update={"pretrained": "swin.pth"})
    with pytest.raises(ModelError, match=r"swin\.pth: no such file of weights"):
        training_fingerprint("data", "sgmp_unet", recipe, 1, NATIVE, tmp_path)
    seen = set()
    for content in (b"one", b"two", b"one"):
        (tmp_path / "swin.pth").write_bytes(content)
        seen.add(training_fingerprint("data", "sgmp_unet", recipe, 1, NATIVE, tmp_path))
    assert len(seen) == 2
