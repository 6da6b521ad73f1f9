import cv2
import numpy as np
import pytest

from irstd.data.construction.near import NearImages, similar_elsewhere
from irstd.data.construction.ssim import ssim
from irstd.errors import DataError
from tests.data.construction.pictures import family, noisy, texture


def _partners(near: NearImages, row: int, count: int, threshold: float) -> set[int]:
    return set(near.partners(row, threshold, np.ones(count, dtype=bool)))


@pytest.mark.parametrize("exact_up_to", [100, 1])
def test_partners_are_those_of_all_comparisons(exact_up_to: int) -> None:
    images = family(7)
    near = NearImages(images, 0.85, 0, exact_up_to)
    found = 0
    for row, image in enumerate(images):
        for threshold in (0.85, 0.95):
            expected = {
                k for k, other in enumerate(images) if k != row and ssim(image, other) > threshold
            }
            assert _partners(near, row, len(images), threshold) == expected
            found += len(expected)
    assert found > 2


def test_only_the_images_asked_for_are_compared() -> None:
    image = texture(0)
    near = NearImages([image, image, image], 0.9, 0)
    assert list(near.partners(0, 0.9, np.array([True, False, True]))) == [2]


def test_images_of_two_sizes_are_compared_if_their_hashes_are_close() -> None:
    image = texture(1, (80, 100))
    smaller = cv2.resize(image, (75, 60), interpolation=cv2.INTER_LINEAR)
    images = [image, smaller, texture(2, (60, 75)), texture(3)]
    assert _partners(NearImages(images, 0.85, 10), 0, 4, 0.85) == {1}
    assert _partners(NearImages(images, 0.85, 10), 1, 4, 0.85) == {0}


def test_missing_and_tiny_images_are_near_none() -> None:
    tiny = np.zeros((10, 30), np.uint8)
    near = NearImages([tiny, tiny, None, None, texture(0)], 0.9, 64)
    assert not any(_partners(near, row, 5, 0.9) for row in range(5))


def test_a_threshold_below_the_lowest_is_refused() -> None:
    near = NearImages([texture(0)], 0.85, 0)
    with pytest.raises(DataError, match=r"at least 0.85, .* got 0.8;"):
        list(near.partners(0, 0.8, np.ones(1, dtype=bool)))


def test_leaks_name_near_images_of_other_splits_but_not_equal_ones() -> None:
    image = texture(5)
    images = [image, noisy(image, 2, 0), image, texture(6), noisy(image, 2, 1)]
    near = NearImages(images, 0.9, 0)
    splits = ["train", "test", "test", "train", "train"]
    found = similar_elsewhere(near, list("xyxzv"), splits, list("abcde"), 0.9)
    assert found == ["b", "a, e", "e", None, "b, c"]
