import numpy as np
import pytest
import torch

from benchmarks.data import (
    ALL,
    EVERYTHING,
    FLIPS,
    GEOMETRY,
    NATIVE,
    PROFILE,
    Speed,
    main,
    recipe_of,
    report,
    workers,
    write_folder,
)
from benchmarks.data_loops import PlainCrops, decode, plain_loader, plain_statistics
from irstd.config import load_params
from irstd.data.dataset import Crops
from irstd.data.loader import training_loader
from irstd.data.reading import open_source
from irstd.data.statistics import target_table
from irstd.data.store import PreparedData, write_prepared

PARAMS = load_params(PROFILE)
SIZE = (64, 96)
FLIPS_ONLY = {name: ALL[name] for name in GEOMETRY}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    raw = tmp_path_factory.mktemp("images") / "raw"
    names = write_folder(raw, PARAMS, SIZE, 32)
    data = PARAMS.data.model_copy(update={"source": "sirst", "split": "idx_427", "limit": None})
    write_prepared(raw.parent / "prepared", open_source(raw, data, 0).images, "sirst")
    return raw, names, PreparedData(raw.parent / "prepared")


def test_both_sides_read_the_same_pixels(folder):
    raw, names, data = folder
    assert len(data) == 32
    assert sorted(data.index["id"].iloc[data.rows("train")]) == sorted(names)
    for row, name in enumerate(data.index["id"]):
        image, mask = (np.array(plane) for plane in decode(raw, name))
        assert np.array_equal(image, data.image(row))
        assert np.array_equal(mask > 0, data.mask(row) == 1)


def test_both_sides_give_the_same_statistics(folder):
    raw, _, data = folder
    plain = [
        figures
        for name in data.index["id"]
        for figures in plain_statistics(*(np.array(plane) for plane in decode(raw, name)))
    ]
    here = target_table(data)[["area_px", "height_px", "width_px", "scr"]]
    np.testing.assert_allclose(here.to_numpy(float), plain, rtol=1e-5)


@pytest.mark.parametrize("changes", [ALL, FLIPS_ONLY])
def test_both_loaders_augment_as_much(folder, changes):
    raw, names, data = folder
    recipe = recipe_of(PARAMS, 32, changes)
    np.random.seed(0)  # noqa: NPY002 - as public code does
    plain = [plain_loader(raw, names, recipe) for _ in range(20)]
    here = training_loader(Crops(data, recipe, NATIVE, 0), pin_memory=False)
    figures = []
    for loaders in (plain, [here] * 20):
        images, masks = [], []
        for epoch, loader in enumerate(loaders):
            if loader is here:
                here.sampler.set_epoch(epoch)
            for image, mask in loader:
                images.append(image)
                masks.append(mask)
        image, mask = torch.cat(images), torch.cat(masks)
        assert image.shape[1:] == mask.shape[1:] == (1, 32, 32)
        shown = mask.amax((1, 2, 3))
        figures.append([float(x) for x in (image.mean(), image.std(), shown.mean())])
    # 320 crops of 19 images, in other places: means of grey, spread, and share with a target.
    assert figures[0] == pytest.approx(figures[1], rel=0.15)


def test_without_augmentation_of_grey_values_none_is_drawn(folder, monkeypatch):
    """What is switched off costs neither side anything."""
    raw, names, _ = folder
    crops = PlainCrops(raw, names, recipe_of(PARAMS, 32, FLIPS_ONLY))
    image, mask = crops._cropped(*crops._scaled(*decode(raw, names[0])))

    def drawn(*args):
        raise AssertionError("a random value is drawn though nothing uses it")

    for name in ("normal", "uniform"):
        monkeypatch.setattr(np.random, name, drawn)
    grey, covered = crops._changed(image, mask)
    np.testing.assert_array_equal(grey, (image / 255.0).astype(np.float32))
    np.testing.assert_array_equal(covered, mask > 0)


def test_the_plain_side_scales_only(folder):
    raw, names, _ = folder
    recipe = PARAMS.train.recipes["mpcnet"]
    with pytest.raises(TypeError, match="expected the geometry scale, got native"):
        PlainCrops(raw, names, recipe)


def test_the_benchmark_runs(capsys):
    main(["--quick", "--images", "32"])
    printed = capsys.readouterr().out
    assert printed.count("| 128 x 96 |") == 5
    assert "Loader without added targets at least 4 times as fast" in printed
    assert printed.count("crops a second and core, so") == 2


def test_what_misses_the_aim_is_named():
    speeds = {EVERYTHING: Speed(100, 390), FLIPS: Speed(100, 400)}
    text = report({(64, 96): speeds}, 32, 32)
    assert "missed on 96 x 64, loader, all (3.9)." in text
    assert "| 96 x 64 | loader, crop and flips | 100 | 400 | 4.0 |" in text


def test_the_workers_that_feed_a_gpu_are_counted():
    """30 and 60 iterations a second of 16 images: 480 and 960."""
    sizes = {(64, 96): 390.0, (128, 128): 961.0}
    text = workers({size: {EVERYTHING: Speed(100, speed)} for size, speed in sizes.items()}, 32)
    assert "assumed, not measured" in text
    assert "480 to 960 crops a second" in text
    assert "96 x 64: 390 crops a second and core, so 2 to 3;" in text
    assert "128 x 128: 961 crops a second and core, so 1." in text
