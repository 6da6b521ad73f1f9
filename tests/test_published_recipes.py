"""The profile `sirst` holds the published recipe of each network."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from irstd.config import FitParams, RecipeParams, parse_params
from irstd.models import network_spec
from irstd.profiles import compose
from irstd.training.start import preprocessing_of

GREY = ((0.0,), (1.0,))
SIRST = ((101.06385 / 255,), (34.619606 / 255,))  # BasicIRSTD
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Published:
    """What a paper or its script says; `inference`: side that test images are stretched to."""

    crop: int
    batch: int
    epochs: int
    optimizer: str
    lr: float
    weight_decay: float
    normal: tuple[tuple[float, ...], tuple[float, ...]]
    loss: dict[str, object]
    inference: int | None = None
    clip: float | None = None
    freeze: int | None = None


BATCH_IOU = {"name": "soft_iou", "over": "batch", "smoothing": 1.0, "side_weight": None}
IMAGE_IOU = BATCH_IOU | {"over": "image"}
TABLE = {
    "ispanet": Published(
        256, 8, 200, "adagrad", 0.01, 0.0, GREY, {"name": "f_siou", "alpha": 2.0, "gamma": 2.0}
    ),
    "pqgnet": Published(
        256, 4, 600, "adamw", 1e-3, 0.01, GREY, {"name": "perceptual", "grid_weight": 0.7}
    ),
    "mpcnet": Published(320, 8, 1000, "adam", 2e-3, 0.0, SIRST, BATCH_IOU, freeze=400),
    "lpnet": Published(
        120, 8, 600, "adam", 1e-3, 0.0, GREY, {"name": "local_patch", "stride": 10, "sigma": None}
    ),
    "sgmp_unet": Published(
        *(320, 4, 30, "adamw", 1e-4, 3e-4, IMAGENET),
        {"name": "focal_dice", "target_weight": 0.25, "side_weight": 0.0},
        clip=0.1,
    ),
    "acm": Published(256, 16, 400, "adam", 5e-4, 0.0, SIRST, BATCH_IOU),
    "alcnet": Published(480, 2, 300, "adagrad", 0.1, 1e-4, IMAGENET, BATCH_IOU, 512),
    "dnanet": Published(256, 16, 1500, "adagrad", 0.05, 0.0, IMAGENET, BATCH_IOU, 256),
    "agpcnet": Published(256, 8, 5, "sgd", 0.05, 1e-4, IMAGENET, IMAGE_IOU, 256),
    "rdian": Published(
        480, 8, 300, "adagrad", 0.005, 1e-4, ((-0.1246,), (1.0923,)), IMAGE_IOU, 512
    ),
    "mtunet": Published(
        *(1024, 1, 1000, "adagrad", 0.05, 0.0, ((0.1583,), (0.0885,))),
        {"name": "focal_iou", "target_weight": 0.75},
        1024,
    ),
}


@pytest.fixture(scope="module")
def recipes() -> dict[str, RecipeParams]:
    tree = YAML(typ="safe").load(compose(Path(__file__).parents[1], "sirst"))
    return parse_params(tree, "sirst").train.recipes


def test_every_network_is_in_the_table(recipes):
    assert TABLE.keys() == recipes.keys()


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_is_the_published_one(recipes, name):
    recipe, published = recipes[name], TABLE[name]
    assert (recipe.crop.height, recipe.crop.width) == (published.crop, published.crop)
    assert (recipe.batch_size, recipe.epochs) == (published.batch, published.epochs)
    assert recipe.optimizer.name == published.optimizer
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (
        published.lr,
        published.weight_decay,
    )
    assert recipe.normalisation.mean == pytest.approx(published.normal[0], abs=1e-6)
    assert recipe.normalisation.std == pytest.approx(published.normal[1], abs=1e-6)
    loss = recipe.loss.model_dump()
    assert {key: loss[key] for key in published.loss} == published.loss
    assert recipe.gradient_clip == published.clip
    assert recipe.freeze_norm_after == published.freeze


def test_what_only_one_network_has(recipes):
    assert recipes["agpcnet"].optimizer.momentum == 0.9
    assert recipes["sgmp_unet"].precision == "32-true"
    assert recipes["mpcnet"].network.size == 320
    assert recipes["ispanet"].network.width == 64


@pytest.mark.parametrize("name", TABLE)
def test_images_are_stretched_where_the_authors_stretch_them(recipes, name):
    recipe, side = recipes[name], TABLE[name].inference
    native = FitParams(method="native", height=64, width=64)
    facts = preprocessing_of(network_spec(name), recipe, native)
    if side is None:
        spec = network_spec(name)
        assert recipe.inference_size is None
        assert (facts.fit, facts.fit_size) == (spec.fit, spec.fit_size)
    else:
        assert (facts.fit, facts.fit_size) == ("stretch", (side, side))
