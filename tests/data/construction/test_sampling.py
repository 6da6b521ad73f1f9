import numpy as np
import pandas as pd
import pytest

from irstd.data.construction.near import NearImages
from irstd.data.construction.sampling import (
    background_kind,
    choose_distinct,
    every_nth,
    mean_similarity,
)
from irstd.data.construction.ssim import ssim
from tests.data.construction.pictures import noisy, texture


def test_every_third_frame_of_each_sequence_and_all_single_images() -> None:
    index = pd.DataFrame(
        {
            "sequence": ["a", None, "b", "a", "a", "a", "b", None],
            "frame": pd.array([7, None, 0, 1, 3, 20, 5, None], dtype="Int32"),
        }
    )
    # a in order of frame: rows 3, 4, 0, 5; b: rows 2, 6
    assert every_nth(index, 3).tolist() == [1, 2, 3, 5, 7]
    assert every_nth(index, 1).tolist() == list(range(8))


@pytest.mark.parametrize(("name", "kind"), [("sky", "simple"), ("sea", "complex")])
def test_a_stated_background_is_not_estimated(name: str, kind: str) -> None:
    edges = np.indices((40, 40)).sum(axis=0).astype(np.uint8) % 8 * 30
    assert background_kind(edges, name, ("sky",), 0.02) == kind


def test_an_unstated_background_is_estimated_by_its_edges() -> None:
    smooth = np.tile(np.linspace(60, 120, 64).astype(np.uint8), (64, 1))
    blocks = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8)), np.ones((8, 8)))
    assert background_kind(smooth, None, (), 0.02) == "simple"
    assert background_kind(blocks.astype(np.uint8), None, (), 0.02) == "complex"
    assert background_kind(blocks.astype(np.uint16) * 257, None, (), 0.02) == "complex"


def _partners(images, kinds, limits) -> list[int | None]:
    near = NearImages(images, min(limits.values()), 0)
    return [found and found.position for found in choose_distinct(images, near, kinds, limits)]


def test_an_image_is_dropped_for_a_kept_one_only() -> None:
    chain = [texture(2)]
    chain += [noisy(chain[0], 6, 0)]
    chain += [noisy(chain[1], 6, 1)]
    steps = ssim(chain[0], chain[1]), ssim(chain[1], chain[2]), ssim(chain[0], chain[2])
    limit = (min(steps[:2]) + steps[2]) / 2
    assert steps[2] < limit < min(steps[:2])
    images = [*chain, texture(3)]
    assert _partners(images, ["simple"] * 4, {"simple": limit}) == [None, 0, None, None]


def test_the_threshold_is_that_of_the_image_that_would_be_dropped() -> None:
    first, second = texture(4), noisy(texture(4), 6, 0)
    value = ssim(first, second)
    limits = {"simple": value + 0.01, "complex": value - 0.01}
    assert _partners([first, second], ["complex", "simple"], limits) == [None, None]
    assert _partners([first, second], ["simple", "complex"], limits) == [None, 0]


def test_the_most_similar_kept_image_is_named_with_its_similarity() -> None:
    middle = texture(5)
    far, close = noisy(middle, 7, 0), noisy(middle, 5, 1)
    limit = (ssim(far, middle) + ssim(far, close)) / 2
    for images, partner in (([far, close, middle], close), ([close, far, middle], close)):
        near = NearImages(images, limit, 0)
        *kept, dropped = choose_distinct(images, near, ["simple"] * 3, {"simple": limit})
        assert kept == [None, None]
        assert images[dropped.position] is partner
        assert dropped.ssim == pytest.approx(ssim(middle, partner), abs=1e-9)
        assert dropped.limit == limit


def test_bright_images_of_many_sizes_have_a_similarity() -> None:
    shapes = [(72 + 7 * k, 90 + 11 * k) for k in range(8)]
    bright = [np.full(shape, 255, np.uint8) for shape in shapes]
    assert mean_similarity(bright, np.ones(8, bool), pairs=30) == pytest.approx(1.0)


def test_mean_similarity_of_pairs() -> None:
    first, second = texture(6), texture(7)
    value = ssim(first, second)
    images = [noisy(first, 5, 0), first, second, np.zeros((4, 4), np.uint8)]
    few = np.array([False, True, True, True])
    assert mean_similarity(images, few, pairs=5) == pytest.approx(value, abs=1e-9)
    means = [mean_similarity(images, np.ones(4, bool), 20, seed) for seed in (1, 1, 2)]
    assert means[0] == means[1] != means[2]
    assert np.isnan(mean_similarity(images, np.arange(4) > 1))


def test_samples_with_and_without_an_image_share_most_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [np.full((12, 12), value, np.uint8) for value in range(12)]
    drawn: list[tuple[int, int]] = []

    def record(first: np.ndarray, second: np.ndarray) -> float:
        drawn.append((int(first[0, 0]), int(second[0, 0])))
        return 0.0

    monkeypatch.setattr("irstd.data.construction.sampling.similarity", record)
    for among in (np.ones(12, bool), np.arange(12) != 3):
        mean_similarity(images, among, 40)
    every, without = drawn[:40], drawn[40:]
    assert not any(3 in pair for pair in without)
    assert all(a == b for a, b in zip(every, without, strict=True) if 3 not in a)
