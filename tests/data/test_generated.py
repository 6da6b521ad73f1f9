from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from irstd.config import GeneratedParams, parse_params
from irstd.data.backgrounds import BACKGROUNDS
from irstd.data.generated import generate, make_image, split_names
from irstd.data.index import label_targets, scr
from irstd.errors import ConfigError, DataError
from irstd.metrics.baseline import best_global_threshold
from irstd.profiles import compose

ROOT = Path(__file__).parents[2]


def _tree() -> dict:
    return YAML(typ="safe").load(compose(ROOT, "demo"))


PARAMS = parse_params(_tree(), "demo").data.generated
SEED = 20240611


def _params(**changes) -> GeneratedParams:
    return GeneratedParams.model_validate(PARAMS.model_dump() | changes)


@pytest.fixture(scope="module")
def images() -> list:
    return list(generate(PARAMS, SEED))


def test_images_are_16_bit_of_the_stated_size(images: list) -> None:
    assert [raw.id for raw in images[:2]] == ["gen_00000", "gen_00001"]
    assert len({raw.id for raw in images}) == PARAMS.images
    for raw in images:
        assert raw.image.shape == raw.mask.shape == (PARAMS.height, PARAMS.width)
        assert raw.image.dtype == np.uint16
        assert raw.mask.dtype == np.uint8
        assert set(np.unique(raw.mask)) <= {0, 1}
    assert np.mean([np.ptp(raw.image) for raw in images]) > 0.5 * 65535


def test_counts_areas_and_scr_are_in_the_stated_ranges(images: list) -> None:
    counts = np.array([label_targets(raw.mask)[1] for raw in images])
    drawn = counts[counts > 0]
    assert drawn.min() >= PARAMS.targets_per_image.low
    assert drawn.max() <= PARAMS.targets_per_image.high
    assert (counts == 0).mean() == pytest.approx(PARAMS.empty_share, abs=0.05)
    ratios = np.concatenate([scr(raw.image, raw.mask) for raw in images])
    assert ratios.min() > 0.95 * PARAMS.scr.low
    assert ratios.max() < 1.05 * PARAMS.scr.high
    areas = np.concatenate([np.bincount(label_targets(raw.mask)[0].ravel())[1:] for raw in images])
    assert areas.min() >= 4
    assert areas.max() <= 30


def test_every_background_occurs(images: list) -> None:
    assert {raw.background for raw in images} == set(BACKGROUNDS)


def test_any_image_can_be_made_alone(images: list) -> None:
    again = make_image(PARAMS, SEED, 37, images[37].split)
    assert np.array_equal(again.image, images[37].image)
    assert np.array_equal(again.mask, images[37].mask)
    assert not np.array_equal(make_image(PARAMS, SEED + 1, 37, "train").image, again.image)


def test_the_sensor_has_one_fixed_pattern() -> None:
    """The column pattern survives the mean over images of one seed; temporal noise would not."""
    quiet = _params(empty_share=1.0, clutter_per_image={"low": 0, "high": 0}, noise_std=0.05)

    def columns(seed: int, rows: range) -> np.ndarray:
        stack = np.mean([make_image(quiet, seed, i, "train").image for i in rows], axis=0)
        return np.diff(stack.mean(axis=0))

    same = np.corrcoef(columns(1, range(40)), columns(1, range(40, 80)))[0, 1]
    other = np.corrcoef(columns(1, range(40)), columns(2, range(40, 80)))[0, 1]
    assert same > 0.9
    assert abs(other) < 0.4


def test_no_global_threshold_solves_the_test_part(images: list) -> None:
    test = [raw for raw in images if raw.split == "test"]
    grey = [raw.image / np.float32(65535) for raw in test]
    _, f1 = best_global_threshold(grey, [raw.mask for raw in test], distance=2.0)
    assert f1 < 0.3


def test_hot_clutter_is_brighter_than_most_targets(images: list) -> None:
    with_targets = [raw for raw in images if raw.mask.any()]
    brighter = [
        raw.image[raw.mask == 0].max() > raw.image[raw.mask == 1].max() for raw in with_targets
    ]
    assert np.mean(brighter) > 0.75


def test_split_has_the_stated_proportions_and_no_empty_part() -> None:
    names = split_names(PARAMS, SEED, 240)
    assert [names.count(part) for part in ("train", "val", "test")] == [144, 36, 60]
    assert names != split_names(PARAMS, SEED + 1, 240)
    for count in range(3, 12):
        assert set(split_names(PARAMS, 0, count)) == {"train", "val", "test"}
    assert set(split_names(_params(train=0.05, val=0.9), 0, 3)) == {"train", "val", "test"}


def test_limit_makes_the_first_images_in_all_parts(images: list) -> None:
    few = list(generate(PARAMS, SEED, limit=9))
    assert len(few) == 9
    assert {raw.split for raw in few} == {"train", "val", "test"}
    assert all(np.array_equal(a.image, b.image) for a, b in zip(few, images, strict=False))


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 images cannot fill .* raise data\.limit to at least 3"):
        list(generate(PARAMS, SEED, limit=2))


def test_targets_that_fit_nowhere_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"gen_0000.: in 20 scenes of 64 x 64 px .* place with SCR 500 to"
    ):
        list(generate(_params(height=64, width=64, scr={"low": 500.0, "high": 600.0}), 0))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train", 0.9, "must be positive and leave a share for the test part"),
        ("scr", {"low": 0.0, "high": 2.0}, "scr.low: Input should be greater than 0"),
        ("scr", {"low": 3.0, "high": 2.0}, "low 3.0 is above high 2.0"),
        ("targets_per_image", {"low": 3, "high": 2}, "low 3 is above high 2"),
        ("targets_per_image", {"low": 1.5, "high": 2}, "targets_per_image.low: .*valid integer"),
    ],
)
def test_impossible_parameters_are_refused(key: str, value: object, message: str) -> None:
    tree = _tree()
    tree["data"]["generated"][key] = value
    with pytest.raises(ConfigError, match=f"params.yaml: data.generated.*{message}"):
        parse_params(tree, "params.yaml")
