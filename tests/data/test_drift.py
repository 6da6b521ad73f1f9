"""Unchanged batches are not called changed; each kind of change is found and named."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import pytest

from irstd.config.drift import DriftParams
from irstd.data.drift import (
    FIGURES,
    MEANINGS,
    Measured,
    compare,
    independent_rows,
    measure_images,
    measure_prepared,
    sample,
    verdict,
)
from irstd.data.index import label_targets
from irstd.data.pixels import Grey
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared

PARAMS = DriftParams(false_alarm_rate=0.05, least_images=20, most_images=500)
RATE = 0.1


def _gaussian(rng: np.random.Generator, count: int) -> Measured:
    """Figures that depend on each other, as real ones do, some with ties and gaps."""
    base = rng.normal(size=(count, 1))
    values = base + rng.normal(size=(count, len(FIGURES)))
    table = pd.DataFrame(values, columns=list(FIGURES))
    table["target_count"] = table["target_count"].round()
    table.loc[table["target_count"] < 0, ["target_size", "scr"]] = np.nan
    return Measured(table, base + rng.normal(size=(count, 4)))


def test_unchanged_batches_raise_no_more_alarms_than_stated() -> None:
    rng = np.random.default_rng(0)
    params = PARAMS.model_copy(update={"false_alarm_rate": RATE})
    pairs = [(_gaussian(rng, 60), _gaussian(rng, 45)) for _ in range(60)]
    found = [compare(*pair, params, seed) for seed, pair in enumerate(pairs)]
    alarms = [verdict(comparisons) == "drift" for comparisons in found]
    assert sum(alarms) <= 11  # a binomial count of 60 at 0.1 exceeds 11 with probability 0.03
    mean = np.mean([comparisons[-1].p for comparisons in found])
    assert 0.3 < mean < 0.7  # of uniform values: 0.5, standard error 0.04


def test_the_verdict_depends_on_the_seed_alone() -> None:
    rng = np.random.default_rng(1)
    first, second = _gaussian(rng, 40), _gaussian(rng, 40)
    assert compare(first, second, PARAMS, 3) == compare(first, second, PARAMS, 3)
    assert compare(first, second, PARAMS, 3)[-1].p != compare(first, second, PARAMS, 4)[-1].p


def _scene(rng: np.random.Generator) -> np.ndarray:
    """Soft structure, weak noise and a few targets; grey values in [0, 1]."""
    coarse = rng.normal(size=(8, 8)).astype(np.float32)
    level = rng.uniform(0.35, 0.45)
    scene = level + 0.05 * cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
    return scene + rng.normal(0.0, 0.004, scene.shape)


def _image(rng: np.random.Generator, change: str = "") -> RawImage:
    scene = _scene(rng)
    mask = np.zeros(scene.shape, np.uint8)
    side = 5 if change == "target_size" else 3
    count = int(rng.integers(1, 3)) + (3 if change == "target_count" else 0)
    for place in rng.choice(16, count, replace=False):
        top, left = 4 + 16 * (place // 4), 4 + 16 * (place % 4)
        mask[top : top + side, left : left + side] = 1
    scene += mask * rng.uniform(0.2, 0.3) * (0.4 if change == "scr" else 1.0)
    scene = CHANGES.get(change, lambda image, _: image)(scene, rng)
    if scene.shape != mask.shape:
        mask = cv2.resize(mask, scene.shape[::-1], interpolation=cv2.INTER_NEAREST)
    pixels = np.round(scene.clip(0, 1) * 65535).astype(np.uint16)
    return RawImage("", "train", pixels, mask)


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "intensity": lambda image, _: image + 0.05,
    "contrast": lambda image, _: image.mean() + 1.6 * (image - image.mean()),
    "noise": lambda image, rng: image + rng.normal(0.0, 0.008, image.shape),
    "image_size": lambda image, _: np.pad(image, 4, mode="reflect"),
    "texture": lambda image, _: cv2.GaussianBlur(image, (0, 0), 1.5),
}


def _measured(images: list[RawImage], folder) -> Measured:
    named = (
        RawImage(f"i{number}", raw.split, raw.image, raw.mask) for number, raw in enumerate(images)
    )
    write_prepared(folder, named, "test")
    data = PreparedData(folder)
    return measure_prepared(data, range(len(data)))


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Measured:
    rng = np.random.default_rng(10)
    return _measured([_image(rng) for _ in range(80)], tmp_path_factory.mktemp("reference"))


def test_images_of_the_same_kind_have_not_changed(reference: Measured, tmp_path) -> None:
    rng = np.random.default_rng(11)
    comparisons = compare(
        reference, _measured([_image(rng) for _ in range(60)], tmp_path), PARAMS, 0
    )
    assert verdict(comparisons) == "no_drift"
    assert all(not np.isnan(item.p) for item in comparisons)


@pytest.mark.parametrize("change", MEANINGS)
def test_each_kind_of_change_is_found_and_named(change: str, reference: Measured, tmp_path) -> None:
    rng = np.random.default_rng(12)
    new = _measured([_image(rng, change) for _ in range(60)], tmp_path)
    comparisons = compare(reference, new, PARAMS, 0)
    assert verdict(comparisons) == "drift"
    changed = {item.name for item in comparisons if item.changed}
    assert change in changed
    if change == "intensity":
        assert changed == {"intensity"}
    unrelated = {"target_count", "target_size", "image_size"} - {change}
    assert not changed & (unrelated - ({"target_size"} if change == "image_size" else set()))


def test_a_shift_of_a_distribution_has_its_distance() -> None:
    """Uniform on [0, 1] against [0.3, 1.3]: the distribution functions are 0.3 apart."""
    grid = np.linspace(0, 1, 200)
    figures = pd.DataFrame(dict.fromkeys(FIGURES, grid))
    textures = np.zeros((200, 2))
    shifted = figures.assign(scr=grid + 0.3)
    found = {
        item.name: item
        for item in compare(Measured(figures, textures), Measured(shifted, textures), PARAMS, 0)
    }
    assert found["scr"].distance == pytest.approx(0.3, abs=0.01)
    assert (found["scr"].reference, found["scr"].new) == pytest.approx((0.5, 0.8))
    assert [name for name, item in found.items() if item.changed] == ["scr"]
    assert (found["texture"].distance, found["texture"].p) == (0.0, 1.0)


def test_two_far_textures_are_all_energy_between_the_batches() -> None:
    figures = pd.DataFrame({name: np.zeros(30) for name in FIGURES})
    first, second = Measured(figures, np.zeros((30, 3))), Measured(figures, np.ones((30, 3)))
    item = compare(first, second, PARAMS, 0)[-1]
    assert item.distance == pytest.approx(1.0)
    assert item.changed  # with nothing else changed, the permutations suffice for it


def test_images_without_labels_have_no_figures_of_targets(reference: Measured) -> None:
    rng = np.random.default_rng(13)
    images: list[Grey] = [_image(rng, "intensity").image for _ in range(40)]
    comparisons = compare(reference, measure_images(images), PARAMS, 0)
    untested = {item.name for item in comparisons if np.isnan(item.p)}
    assert untested == {"target_count", "target_size", "scr"}
    assert [item.name for item in comparisons if item.changed] == ["intensity"]


def test_too_few_images_decide_nothing(reference: Measured) -> None:
    rng = np.random.default_rng(14)
    few = measure_images([_image(rng, "intensity").image for _ in range(19)])
    comparisons = compare(reference, few, PARAMS, 0)
    assert verdict(comparisons) == "undecided"
    assert not any(item.changed for item in comparisons)


def test_prepared_figures_are_those_of_image_and_mask(reference: Measured) -> None:
    rng = np.random.default_rng(10)
    raw = _image(rng)
    row = reference.figures.iloc[0]
    assert row["target_count"] == label_targets(raw.mask)[1]
    assert row["target_size"] == 9
    assert row["intensity"] == pytest.approx(raw.image.mean() / 65535, rel=1e-5)
    assert row["image_size"] == 64 * 64


def test_a_sequence_counts_once(tmp_path) -> None:
    rng = np.random.default_rng(15)
    images = [
        RawImage(f"{name}{frame}", "train", _image(rng).image, np.zeros((64, 64), np.uint8), *where)
        for name, frame, where in [
            ("a", 1, ("a", 1)),
            ("a", 0, ("a", 0)),
            ("single", 0, (None, None)),
            ("b", 0, ("b", 0)),
            ("b", 1, ("b", 1)),
        ]
    ]
    write_prepared(tmp_path, images, "test")
    data = PreparedData(tmp_path)
    ids = data.index["id"].iloc[independent_rows(data, np.arange(5))].tolist()
    assert ids == ["a0", "single0", "b0"]


def test_a_sample_keeps_the_order_and_the_number() -> None:
    rng = np.random.default_rng(0)
    assert sample([3, 1, 2], 5, rng) == [3, 1, 2]
    some = sample(range(100), 10, rng)
    assert len(set(some)) == 10
    assert some == sorted(some)
