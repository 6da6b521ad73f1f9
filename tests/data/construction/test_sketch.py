import numpy as np
import pytest

from irstd.data.construction import sketch as module
from irstd.data.construction.sketch import DIMENSIONS, TOLERANCE, Tables, near_pairs, sketch
from irstd.data.construction.ssim import C2, WEIGHTS, _similarities, window_statistics
from irstd.data.pixels import to_unit
from tests.data.construction.pictures import noisy, texture


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over all windows and, weighted, their pixels of the squared difference of structure."""
    (mean, variance), (other_mean, other_variance) = map(window_statistics, (first, second))
    x, y = to_unit(first).astype(np.float64), to_unit(second).astype(np.float64)
    total, (height, width) = 0.0, mean.shape
    for row, row_weight in enumerate(WEIGHTS):
        for col, col_weight in enumerate(WEIGHTS):
            part = slice(row, row + height), slice(col, col + width)
            difference = (x[part] - mean) / np.sqrt(2 * variance + C2)
            difference -= (y[part] - other_mean) / np.sqrt(2 * other_variance + C2)
            total += row_weight * col_weight * float((difference**2).mean())
    return total


def test_the_distance_of_structure_is_at_most_what_similarity_lacks() -> None:
    for seed in range(4):
        first, second = texture(seed), noisy(texture(seed), 15, seed)
        lacking = np.minimum(1 - _similarities(first, second), 1.0).mean()
        assert _distance(first, second) <= lacking


def test_an_inverted_dark_patch_is_up_to_twice_as_far_as_it_lacks() -> None:
    spots = np.random.default_rng(0).random((144, 18)) < 0.06
    first = texture(0, (144, 150))
    second = first.copy()
    first[:, :18] = 255 * spots  # bright spots on dark ground
    second[:, :18] = 255 * ~spots  # the reverse
    similarities = _similarities(first, second)
    assert similarities.min() < 0.0
    assert similarities.mean() > 0.85
    distance = _distance(first, second)
    assert 1 - similarities.mean() < TOLERANCE * 0.15 < distance
    assert distance <= (np.where(similarities < 0, 2, 1) * (1 - similarities)).mean()


def test_squared_distances_survive() -> None:
    images = [texture(seed) for seed in range(6)]
    sketches = sketch(images)
    ratios = [
        ((sketches[i] - sketches[j]) ** 2).sum() / _distance(images[i], images[j])
        for i in range(6)
        for j in range(i)
    ]
    spread = np.sqrt(2 / DIMENSIONS)
    assert np.mean(ratios) == pytest.approx(1.0, abs=2 * spread)
    assert np.abs(np.array(ratios) - 1.0).max() < 5 * spread


def test_near_copies_meet_and_unrelated_images_do_not() -> None:
    images = [texture(seed) for seed in range(12)]
    images += [noisy(image, 3, seed) for seed, image in enumerate(images[:4])]
    pairs = near_pairs(sketch(images), 0.85, np.arange(16))
    assert [[k, 12 + k] for k in range(4)] == pairs.tolist()


def test_featureless_images_are_all_near() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(99, 101, (40, 40)).astype(np.uint8) for _ in range(4)]
    assert len(near_pairs(sketch(images), 0.85, np.arange(4))) == 6


def test_no_pair_is_an_empty_table() -> None:
    assert near_pairs(sketch([texture(0), texture(1)]), 0.9, np.arange(2)).shape == (0, 2)


def _video(count: int) -> np.ndarray:
    """Sketches of two scenes, `count` frames each, one after the other."""
    scenes = [texture(seed, (40, 48)) for seed in range(2)]
    return sketch([noisy(scene, 2, seed) for scene in scenes for seed in range(count)])


def test_pairs_of_one_part_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = _count_compared(monkeypatch)
    sketches, scene = _video(60), np.repeat([0, 1], 60)
    assert not near_pairs(sketches, 0.85, scene).size
    assert sum(compared) < 200  # 3540 pairs of one scene, which meet in many tables
    parts = scene.copy()
    parts[:3] = 1
    pairs = near_pairs(sketches, 0.85, parts)
    assert pairs.tolist() == [[i, j] for i in range(3) for j in range(3, 60)]


def test_a_pair_that_meets_in_many_tables_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = _count_compared(monkeypatch)
    pairs = near_pairs(_video(60), 0.85, np.arange(120))
    assert len(pairs) == 2 * 60 * 59 // 2
    assert sum(compared) < 1.1 * len(pairs)  # few others meet


def test_tables_find_what_was_put_in_and_is_near() -> None:
    sketches = _video(20)
    tables = Tables(sketches, 0.85)
    assert tables.near(0).size == 0
    for place in (0, 3, 25):
        tables.put(place)
    assert tables.near(7).tolist() == [0, 3]
    assert tables.near(39).tolist() == [25]


def test_tables_and_pairs_agree() -> None:
    images = [noisy(texture(seed // 3), 4.0 * (seed % 3), seed) for seed in range(18)]
    sketches = sketch(images)
    tables = Tables(sketches, 0.85, workers=2)
    found = []
    for place in range(18):
        found += [[other, place] for other in tables.near(place).tolist()]
        tables.put(place)
    assert sorted(found) == near_pairs(sketches, 0.85, np.arange(18)).tolist() != []


def test_meetings_are_all_pairs_of_one_code_and_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 7)
    rng = np.random.default_rng(0)
    codes, parts = rng.integers(-3, 3, 50), rng.integers(0, 4, 50)
    expected = [
        50 * i + j
        for i in range(50)
        for j in range(i + 1, 50)
        if codes[i] == codes[j] and parts[i] != parts[j]
    ]
    assert sorted(np.concatenate([*module._meetings(codes, parts)])) == expected
    assert not list(module._meetings(codes, np.zeros(50, int)))


def _count_compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    compared: list[int] = []
    whole = module._near

    def counted(sketches: np.ndarray, first: np.ndarray, *others: np.ndarray) -> np.ndarray:
        compared.append(len(first))
        return whole(sketches, first, *others)

    monkeypatch.setattr(module, "_near", counted)
    return compared
