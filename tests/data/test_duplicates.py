import numpy as np
import pytest
from scipy import ndimage

from irstd.data.duplicates import near_elsewhere, perceptual_hash, shared_elsewhere


def _image(seed: int) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(96, 128)), 4)
    return (255 * (field - field.min()) / np.ptp(field)).astype(np.uint8)


def _distance(a: np.ndarray, b: np.ndarray) -> int:
    return (perceptual_hash(a) ^ perceptual_hash(b)).bit_count()


def test_16_bits_hash_like_the_8_bits_they_come_from() -> None:
    image = _image(0)
    assert perceptual_hash(image.astype(np.uint16) * 257) == perceptual_hash(image)
    assert 0 <= perceptual_hash(image) < 2**64


def test_a_noisy_resized_copy_is_near_and_another_image_is_far() -> None:
    image = _image(1)
    noise = np.random.default_rng(2).normal(0, 2, image.shape)
    copy = np.clip(ndimage.zoom(image + noise, 1.1, order=1), 0, 255).astype(np.uint8)
    assert _distance(image, copy) <= 4
    assert _distance(image, _image(3)) > 12


def test_equal_values_in_other_splits_are_named() -> None:
    found = shared_elsewhere(
        ["x", "x", "y", "x", None, None, "y"],
        ["train", "train", "train", "test", "train", "test", "train"],
        list("abcdefg"),
    )
    assert found == ["d", "d", None, "a, b", None, None, None]


def test_many_partners_are_shortened() -> None:
    found = shared_elsewhere(["x"] * 6, ["test"] + ["train"] * 5, list("abcdef"))
    assert found[0] == "b, c, d and 2 more"


@pytest.mark.parametrize(("bits", "partner"), [(0, None), (1, None), (2, "b"), (64, "b, c")])
def test_near_images_are_within_the_stated_distance(bits: int, partner: str | None) -> None:
    hashes = np.array([0b0000, 0b0011, 2**64 - 1, 0b0001], dtype=np.uint64)
    found = near_elsewhere(
        hashes, list("wxyz"), ["train", "test", "test", "train"], list("abcd"), bits
    )
    assert found[0] == partner


def test_equal_images_are_not_called_near() -> None:
    hashes = np.array([5, 5], dtype=np.uint64)
    assert near_elsewhere(hashes, ["x", "x"], ["train", "test"], ["a", "b"], 2) == [None, None]
    assert near_elsewhere(hashes, ["x", "y"], ["train", "test"], ["a", "b"], 2) == ["b", "a"]


def test_blocks_give_what_one_block_gives() -> None:
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 64, 700).astype(np.uint64)
    splits = rng.choice(["train", "test"], 700).tolist()
    ids = [f"i{k}" for k in range(700)]
    found = near_elsewhere(hashes, ids, splits, ids, 0)
    for row in (0, 255, 256, 699):
        others = [
            ids[k] for k in range(700) if hashes[k] == hashes[row] and splits[k] != splits[row]
        ]
        assert (found[row] or "").split(", ")[:2] == (others[:2] or [""])
