import numpy as np
import pytest
from scipy import ndimage

from irstd.data.construction.relabel import compose, lpd, propose, side_by_side
from irstd.data.index import label_targets


def _scene(sign: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A blurred disc of radius 5 at (30, 34), and its true mask."""
    rows, cols = np.indices((60, 70))
    truth = ((rows - 30) ** 2 + (cols - 34) ** 2 <= 25).astype(np.uint8)
    image = 100 + sign * 80 * ndimage.gaussian_filter(truth.astype(float), 0.8)
    return np.round(image).astype(np.uint8), truth


@pytest.mark.parametrize("sign", [1, -1])
def test_a_label_too_small_grows_to_the_edges(sign: int) -> None:
    image, truth = _scene(sign)
    mask = ndimage.binary_erosion(truth, iterations=2).astype(np.uint8)
    (proposal,) = propose(image, mask)
    assert proposal.status == "proposed"
    found = np.zeros_like(truth)
    found[proposal.window][proposal.new] = 1
    assert (found & truth).sum() / (found | truth).sum() > 0.85
    assert (mask & truth).sum() / truth.sum() < 0.6


def test_a_label_too_large_shrinks_and_its_score_rises() -> None:
    image, truth = _scene()
    mask = ndimage.binary_dilation(truth, np.ones((3, 3)), iterations=2).astype(np.uint8)
    (proposal,) = propose(image, mask)
    assert proposal.new.sum() < 0.75 * proposal.old.sum()
    assert proposal.verdict == "up"


def test_a_flat_image_has_no_edge_and_keeps_its_label() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[10:13, 10:13] = 1
    (proposal,) = propose(np.full((30, 30), 77, np.uint8), mask)
    assert proposal.status == "no edge"
    np.testing.assert_array_equal(proposal.old, proposal.new)
    assert proposal.verdict == "undefined"  # the label fills the rectangle around it


def test_what_does_not_end_near_the_label_is_not_proposed() -> None:
    image = np.full((60, 70), 40, np.uint8)
    image[:, 34:] = 160
    mask = np.zeros((60, 70), np.uint8)
    mask[28:32, 34:38] = 1
    (proposal,) = propose(image, mask)
    assert proposal.status == "no edge"


def test_another_target_is_never_part_of_a_proposal() -> None:
    image, mask = _scene()
    image[30:33, 43:46], mask[30:33, 43:46] = 250, 1
    proposals = propose(image, mask)
    assert [one.target for one in proposals] == [0, 1]
    whole = [np.zeros_like(mask), np.zeros_like(mask)]
    for one, place in zip(proposals, whole, strict=True):
        place[one.window][one.new] = 1
    assert not (whole[0] & whole[1]).any()


def _pair(distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Two points behind an optic, each with a label of 3 x 3."""
    points, mask = np.zeros((50, 60)), np.zeros((50, 60), np.uint8)
    for col in (25, 25 + distance):
        points[25, col], mask[24:27, col - 1 : col + 2] = 1.0, 1
    image = 50 + 150 * 2 * np.pi * 4 * ndimage.gaussian_filter(points, 2.0)
    return np.round(image).astype(np.uint8), mask


@pytest.mark.parametrize("distance", range(4, 12))
def test_two_near_targets_stay_two(distance: int) -> None:
    image, mask = _pair(distance)
    proposals = propose(image, mask)
    composed = compose(mask, proposals)
    assert label_targets(composed)[1] == 2
    assert composed.sum() == sum(one.new.sum() for one in proposals)


def test_near_targets_grow_up_to_the_surroundings_of_each_other() -> None:
    first, second = propose(*_pair(6))
    assert (first.status, second.status) == ("proposed", "proposed")
    assert first.new.sum() > 9
    assert second.new.sum() > 9


def test_proposals_that_touch_are_withdrawn() -> None:
    _, mask = _pair(9)
    bar = np.zeros(mask.shape)
    bar[23:28, 22:38] = 150.0  # one bright object with two labels
    image = np.round(50 + ndimage.gaussian_filter(bar, 0.8)).astype(np.uint8)
    first, second = propose(image, mask)
    assert (first.status, second.status) == ("withdrawn", "withdrawn")
    np.testing.assert_array_equal(first.new, first.old)
    assert first.verdict == second.verdict == "undefined"
    np.testing.assert_array_equal(compose(mask, [first, second]), mask)


def test_lpd_by_hand() -> None:
    image = np.array([[0.1, 0.2, 0.1], [0.3, 0.9, 0.5], [0.1, 0.1, 0.7]], np.float32)
    old, new, others = np.zeros((3, 3), bool), np.zeros((3, 3), bool), np.zeros((3, 3), bool)
    old[1, 1] = True
    new[1, 1:] = True
    others[2, 2] = True
    # rectangle around both: row 1, columns 1 and 2
    before, after = lpd(image, old, new, others)
    assert before == pytest.approx(0.9 - 0.5)
    assert np.isnan(after)
    new[0, 0] = True  # now rows 0 and 1, all columns
    before, after = lpd(image, old, new, others)
    assert before == pytest.approx(0.9 - (0.1 + 0.2 + 0.1 + 0.3 + 0.5) / 5)
    assert after == pytest.approx((0.9 + 0.5 + 0.1) / 3 - (0.2 + 0.1 + 0.3) / 3)


def test_the_picture_shows_both_labels_in_one_size() -> None:
    image, truth = _scene()
    mask = ndimage.binary_erosion(truth).astype(np.uint8)
    (proposal,) = propose(image, mask)
    picture = side_by_side(image, proposal, scale=4)
    height, width = proposal.old.shape
    assert picture.shape == (4 * height, 2 * 4 * width + 4, 3)
    coloured = (picture[..., 0] != picture[..., 2]).any(axis=0)
    assert coloured[: 4 * width].any()
    assert coloured[4 * width + 4 :].any()
