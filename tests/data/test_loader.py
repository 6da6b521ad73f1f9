"""Order and content of batches depend on the seed and the epoch alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from irstd.config import FitParams, load_params
from irstd.data.dataset import Crops, Images
from irstd.data.loader import EpochSampler, image_loader, training_loader
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import DataError

NATIVE = FitParams(method="native", height=64, width=64)
RECIPES = load_params(Path(__file__).parents[2] / "profiles" / "demo.yaml").train.recipes
RECIPE = RECIPES["ispanet"]


@pytest.fixture
def data(tmp_path) -> PreparedData:
    rng = np.random.default_rng(0)
    images = (
        RawImage(
            f"i{number}",
            "train" if number < 10 else "val",
            rng.integers(0, 256, (40, 50 + number)).astype(np.uint8),
            (rng.random((40, 50 + number)) > 0.99).astype(np.uint8),
            None,
            None,
            None,
            "",
        )
        for number in range(13)
    )
    write_prepared(tmp_path, images, "test")
    return PreparedData(tmp_path)


def test_each_epoch_visits_everything_once_in_another_order():
    sampler = EpochSampler(20, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(position for _, position in first) == list(range(20))
    assert {epoch for epoch, _ in second} == {1}
    assert [p for _, p in first] != [p for _, p in second]
    sampler.set_epoch(0)
    assert list(sampler) == first


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers_or_on_the_epochs_before(data, workers):
    recipe = RECIPE.model_copy(update={"batch_size": 4, "workers": workers})
    plain = training_loader(
        Crops(data, RECIPE.model_copy(update={"batch_size": 4}), NATIVE, 9), False
    )
    other = training_loader(Crops(data, recipe, NATIVE, 9), False)
    list(plain)
    for loader in (plain, other):
        loader.sampler.set_epoch(3)
    one, two = list(plain), list(other)
    assert len(one) == len(two) == 2  # ten crops, the rest of two is dropped
    for (image, mask), (image2, mask2) in zip(one, two, strict=True):
        assert image.shape == mask.shape == (4, 1, 128, 128)
        assert image.dtype == mask.dtype == torch.float32
        assert torch.equal(image, image2)
        assert torch.equal(mask, mask2)


def test_clips_come_with_the_mask_of_their_target_frame(tmp_path):
    rng = np.random.default_rng(0)
    images = (
        RawImage(
            f"s{sequence}_{frame}",
            "val" if sequence == 2 else "train",
            np.full((40, 50), 10 * sequence + frame, np.uint8),
            (rng.random((40, 50)) > 0.99).astype(np.uint8),
            f"s{sequence}",
            frame,
        )
        for sequence in range(3)
        for frame in range(4)
    )
    write_prepared(tmp_path, images, "test")
    clips = PreparedData(tmp_path)
    sgmp = RECIPES["sgmp_unet"]
    still = {"brightness": 0.0, "contrast": 0.0, "flip_horizontal": 0.0}
    recipe = sgmp.model_copy(
        update={"augmentation": sgmp.augmentation.model_copy(update=still), "batch_size": 8}
    )
    ((image, mask),) = training_loader(Crops(clips, recipe, NATIVE, 9, 6, 3), False)
    assert image.shape == (8, 6, 1, 64, 64)
    assert mask.shape == (8, 1, 64, 64)
    greys = (255 * image).round().int().amax((2, 3, 4))
    for clip in greys.tolist():
        sequence, frame = divmod(clip[3], 10)
        assert clip == [10 * sequence + (frame + step) % 4 for step in range(-3, 3)]
    (_, clip, truth), *_ = list(image_loader(Images(clips, "val", 6, 3)))
    assert clip.shape == (6, 40, 50)
    assert truth.shape == (40, 50)


def test_mean_padding_is_what_the_network_sees_as_zero(data):
    acm = RECIPES["acm"]
    (image, _), *_ = training_loader(Crops(data, acm, NATIVE, 9), False)
    assert (image == np.float32(acm.normalisation.mean[0])).float().mean() > 0.8


def test_a_batch_is_no_larger_than_the_data(data):
    loader = training_loader(
        Crops(data, RECIPE.model_copy(update={"batch_size": 64}), NATIVE, 9), False
    )
    assert [len(image) for image, _ in loader] == [10]


def test_whole_images_come_as_they_are(data):
    items = list(image_loader(Images(data, "val")))
    assert [name for name, _, _ in items] == ["i10", "i11", "i12"]
    assert items[0][1].shape == items[0][2].shape == (40, 60)
    assert items[0][1].dtype == np.uint8


def test_an_empty_part_names_the_command(data):
    with pytest.raises(DataError, match=r"no image in the test part.*irstd prepare"):
        Images(data, "test")
