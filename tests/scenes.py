"""Four test images whose figures are known by hand, and a project that has trained on them.

The network of `tests.tiny_network` predicts the pixels above half of the range. There are a hit, a
dim target that is missed, an image with a false alarm and no target, and one with a hit and a false
alarm: 3 targets, 4 predicted components, 2 pairs.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from irstd.config import Params, parse_params
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.inference.weights import ModelFacts, save_model
from irstd.layout import Layout
from irstd.profiles import compose
from tests.tiny_network import tiny_facts, tiny_network

ROOT = Path(__file__).parents[1]


def scenes() -> Iterator[RawImage]:
    """A training image, a validation image and the four test images."""
    yield scene("train", "train", (64, 64), [(20, 20, 3, 255, True)])
    yield scene("val", "val", (64, 64), [(30, 20, 3, 255, True)])
    yield scene("hit", "test", (64, 64), [(20, 20, 3, 255, True)])
    yield scene("miss", "test", (64, 64), [(30, 40, 2, 100, True)])
    yield scene("false", "test", (64, 64), [(10, 10, 2, 200, False)])
    yield scene("mixed", "test", (48, 81), [(30, 30, 3, 250, True), (40, 60, 1, 255, False)])


def scene(
    id: str, split: str, shape: tuple[int, int], spots: list[tuple[int, int, int, int, bool]]
) -> RawImage:
    """An image of weak noise with squares: top, left, side, grey value, whether it is a target."""
    seed = sum(id.encode())
    image = np.random.default_rng(seed).integers(0, 20, shape).astype(np.uint8)
    mask = np.zeros(shape, np.uint8)
    for top, left, side, grey, is_target in spots:
        image[top : top + side, left : left + side] = grey
        if is_target:
            mask[top : top + side, left : left + side] = 1
    return RawImage(id, split, image, mask)


def prepared(folder: Path) -> PreparedData:
    """The images in a prepared folder."""
    write_prepared(folder, scenes(), "generated")
    return PreparedData(folder)


def smoke_params() -> Params:
    """The smoke profile with the one network `tiny`."""
    from ruamel.yaml import YAML

    tree = YAML(typ="safe").load(compose(ROOT, "smoke"))
    tree["evaluate"]["overlays"] = 12
    params = parse_params(tree, "smoke")
    recipes = {"tiny": params.train.recipes["ispanet"]}
    train = params.train.model_copy(update={"networks": ("tiny",), "recipes": recipes})
    return params.model_copy(update={"train": train})


def trained_project(root: Path, params: Params) -> Layout:
    """Write what `prepare` and `train` leave behind for the network `tiny`."""
    layout = Layout(root, params.profile)
    prepared(layout.processed)
    plain = tiny_facts()
    provenance = {"fingerprint": "f" * 64, "profile": params.profile}
    facts = ModelFacts(plain.network, plain.arguments, plain.preprocessing, 0.5, provenance)
    save_model(layout.weights("tiny"), tiny_network(), facts)
    folder = layout.report("train", "tiny")
    folder.mkdir(parents=True)
    (folder / "history.csv").write_text(
        "epoch,lr,train_loss,val_loss,val_iou,val_pd,val_fa_pixel\n"
        "0,0.01,0.9,0.8,0.1,0.2,0.001\n1,0.005,0.7,,,,\n"
    )
    best = {"best_val_iou": 0.1, "best_epoch": 0, "epochs": 2, "parameters": 2_500_000}
    (folder / "metrics.json").write_text(json.dumps(best))
    run = {
        "device": "Some CPU",
        "seconds": 75,
        "epochs": 2,
        "commit": "0123456789abcdef",
        "seed": params.seed,
        "recipe": params.train.recipes["tiny"].model_dump(mode="json"),
    }
    (folder / "run.json").write_text(json.dumps(run))
    return layout
