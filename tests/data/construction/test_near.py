import cv2
import numpy as np
import pytest

from irstd.data.construction import near as module
from irstd.data.construction.near import NearImages, similar_elsewhere, similarity
from irstd.data.construction.ssim import ssim
from irstd.errors import DataError
from tests.data.construction.pictures import family, noisy, texture


def _all_pairs(near: NearImages, count: int, threshold: float) -> list[list[int]]:
    return near.pairs(threshold, range(count)).tolist()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("exact_up_to", [100, 1])
def test_pairs_are_those_of_all_comparisons(exact_up_to: int, workers: int) -> None:
    images = family(7)
    near = NearImages(images, 0.85, 0, exact_up_to, workers)
    for threshold in (0.85, 0.95):
        expected = [
            [i, j]
            for i in range(len(images))
            for j in range(i + 1, len(images))
            if ssim(images[i], images[j]) > threshold
        ]
        assert _all_pairs(near, len(images), threshold) == expected != []


@pytest.mark.parametrize("exact_up_to", [100, 1])
def test_only_pairs_of_two_parts_are_found(exact_up_to: int) -> None:
    images = [noisy(texture(0), 1, seed) for seed in range(4)]
    near = NearImages(images, 0.9, 0, exact_up_to)
    assert near.pairs(0.9, ["a", "b", "a", "a"]).tolist() == [[0, 1], [1, 2], [1, 3]]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("exact_up_to", [500, 1])
def test_images_are_compared_with_kept_ones(
    exact_up_to: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    images = [noisy(texture(seed % 3), 3.0 * (seed // 3), seed) for seed in range(15)]
    limits = [0.8 + 0.01 * seed for seed in range(15)]
    expected: list[list[int]] = []
    for row, image in enumerate(images):
        kept = [k for k, found in enumerate(expected) if not found]
        expected.append([k for k in kept if ssim(images[k], image) > limits[row]])
    near = NearImages(images, 0.8, 0, exact_up_to, workers)
    assert [sorted(found) for found in near.distinct(limits, 99)] == expected
    assert [found != [] for found in near.distinct(limits)] == [found != [] for found in expected]
    assert any(expected[4:])
    assert expected.count([]) > 4


def test_a_still_scene_costs_a_decision_per_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    decided = []
    whole = module.similar
    monkeypatch.setattr(module, "similar", lambda *args: decided.append(0) or whole(*args))
    images = [noisy(texture(0, (40, 48)), 1, seed) for seed in range(60)]
    for exact_up_to in (1, 100):
        decided.clear()
        near = NearImages(images, 0.85, 0, exact_up_to)
        assert list(near.distinct([0.85] * 60)) == [[], *[[0]] * 59]
        assert len(decided) == 59


def test_images_of_two_sizes_are_compared_if_their_hashes_are_close() -> None:
    image = texture(1, (80, 100))
    smaller = cv2.resize(image, (75, 60), interpolation=cv2.INTER_LINEAR)
    images = [image, smaller, texture(2, (60, 75)), texture(3)]
    assert _all_pairs(NearImages(images, 0.85, 10), 4, 0.85) == [[0, 1]]
    assert list(NearImages(images, 0.85, 10).distinct([0.85] * 4)) == [[], [0], [], []]
    assert _all_pairs(NearImages([image, images[2]], 0.85, 0), 2, 0.85) == []


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_an_averaged_copy_is_near(factor: int) -> None:
    image = noisy(texture(1, (480, 600)), 20, 0)  # noise that single pixels do not represent
    smaller = cv2.resize(image, (600 // factor, 480 // factor), interpolation=cv2.INTER_AREA)
    assert similarity(image, smaller) == similarity(smaller, image) > 0.99
    assert _all_pairs(NearImages([image, smaller], 0.9, 8), 2, 0.9) == [[0, 1]]


def test_of_two_sizes_neither_is_enlarged() -> None:
    image = noisy(texture(1, (240, 240)), 20, 0)
    tall = cv2.resize(image, (80, 240), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(image, (200, 80), interpolation=cv2.INTER_AREA)
    first, second = module._at_one_size(tall, wide)
    assert first.shape == second.shape == (80, 80)
    assert similarity(tall, wide) > 0.95


def test_missing_and_tiny_images_are_near_none() -> None:
    tiny = np.zeros((10, 30), np.uint8)
    near = NearImages([tiny, tiny, None, None, texture(0)], 0.9, 64)
    assert not _all_pairs(near, 5, 0.9)
    assert not any(near.distinct([0.9] * 5))


def test_a_threshold_below_the_lowest_is_refused() -> None:
    near = NearImages([texture(0)], 0.85, 0)
    with pytest.raises(DataError, match=r"at least 0.85, .* got 0.8;"):
        near.pairs(0.8, "a")
    with pytest.raises(DataError, match=r"at least 0.85, .* got 0.8;"):
        list(near.distinct([0.8]))


def test_leaks_name_near_images_of_other_splits_but_not_equal_ones() -> None:
    image = texture(5)
    images = [image, noisy(image, 2, 0), image, texture(6), noisy(image, 2, 1)]
    near = NearImages(images, 0.9, 0)
    splits = ["train", "test", "test", "train", "train"]
    found = similar_elsewhere(near, list("xyxzv"), splits, list("abcde"), 0.9)
    assert found == ["b", "a, e", "e", None, "b, c"]
