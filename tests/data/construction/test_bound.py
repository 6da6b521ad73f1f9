from itertools import combinations

import numpy as np
import pytest

from irstd.data.construction import ssim as module
from irstd.data.construction.bound import Summaries
from irstd.data.construction.ssim import STRIP_ROWS, ssim
from tests.data.construction.pictures import family, texture

IMAGES = family(9)


@pytest.fixture(scope="module")
def summaries() -> Summaries:
    return Summaries(IMAGES)


def test_no_strip_lacks_less_than_the_bound(summaries: Summaries) -> None:
    for first, second in combinations(range(len(IMAGES)), 2):
        deficits = 1.0 - module._similarities(IMAGES[first], IMAGES[second])
        strips = np.add.reduceat(deficits.sum(axis=1), np.arange(0, len(deficits), STRIP_ROWS))
        bound = summaries.missing(first, np.array([second]))[0]
        assert (bound <= strips + 1e-9).all()
        assert bound.sum() > 0.0


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.85, 0.9, 0.95])
def test_no_pair_above_the_threshold_is_lost(summaries: Summaries, threshold: float) -> None:
    for row, image in enumerate(IMAGES):
        proposed = summaries.proposals(row, threshold)
        found, _ = summaries.candidates(row, proposed, threshold)
        above = {k for k, other in enumerate(IMAGES) if k != row and ssim(image, other) > threshold}
        assert above <= set(found.tolist())
        assert row in proposed
        assert row not in found


def test_most_unrelated_images_are_sorted_out_and_the_likeliest_comes_first() -> None:
    dark = [(texture(seed) * np.float32(0.2)).astype(np.uint8) for seed in range(20)]
    summaries = Summaries([texture(99), *dark, texture(99)])
    proposed = summaries.proposals(0, 0.9)
    found, missing = summaries.candidates(0, proposed, 0.9)
    assert found.tolist() == [21]
    assert missing.sum() == pytest.approx(0.0, abs=1e-9)


def test_all_images_in_one_chunk_or_many_give_the_same(
    summaries: Summaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = np.arange(len(IMAGES))
    whole = summaries.candidates(0, others, 0.3)
    monkeypatch.setattr("irstd.data.construction.bound.CHUNK", 2)
    parts = summaries.candidates(0, others, 0.3)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
