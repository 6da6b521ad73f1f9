import numpy as np
import pandas as pd
import pytest

from irstd.data.construction.near import NearImages
from irstd.data.construction.sampling import background_kind, choose_distinct, every_nth
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


def test_an_image_is_dropped_for_a_kept_one_only() -> None:
    chain = [texture(2)]
    chain += [noisy(chain[0], 6, 0)]
    chain += [noisy(chain[1], 6, 1)]
    steps = ssim(chain[0], chain[1]), ssim(chain[1], chain[2]), ssim(chain[0], chain[2])
    limit = (min(steps[:2]) + steps[2]) / 2
    assert steps[2] < limit < min(steps[:2])
    near = NearImages([*chain, texture(3)], limit, 0)
    kinds, limits = ["simple"] * 4, {"simple": limit}
    assert choose_distinct(near, kinds, limits) == [None, 0, None, None]


def test_the_threshold_is_that_of_the_image_that_would_be_dropped() -> None:
    first, second = texture(4), noisy(texture(4), 6, 0)
    value = ssim(first, second)
    limits = {"simple": value + 0.01, "complex": value - 0.01}
    near = NearImages([first, second], value - 0.01, 0)
    assert choose_distinct(near, ["complex", "simple"], limits) == [None, None]
    assert choose_distinct(near, ["simple", "complex"], limits) == [None, 0]
