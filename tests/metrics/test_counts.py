import numpy as np
import pytest

from irstd.errors import DataError
from irstd.metrics.components import label_components
from irstd.metrics.counts import COUNT_COLUMNS, count_image, figures, pair_counts, scene_counts
from irstd.metrics.scene import Scene


def block(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.float32)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def counted(probability: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    row = count_image(probability, mask, 0.5, 2.0).row
    return dict(zip(COUNT_COLUMNS, row.tolist(), strict=True))


def test_every_column_of_one_image():
    mask = block((10, 20), (1, 1, 3, 3), (6, 10, 7, 14))
    probability = block((10, 20), (1, 2, 3, 4), (6, 0, 9, 1), (0, 18, 1, 20))
    assert counted(probability, mask) == {
        "images": 1, "pixels": 200, "tp": 2, "fp": 2 + 3 + 2, "fn": 2 + 4, "targets": 2,
        "predicted": 3, "matched": 1, "unmatched_pixels": 3 + 2, "overlap": 2 / 6,
        "nonempty_images": 1, "image_iou": 2 / 15, "empty_images": 0, "false_on_empty": 0,
    }  # fmt: skip


def test_an_image_without_target_counts_its_false_components():
    values = counted(block((5, 5), (0, 0, 1, 1), (3, 3, 5, 5)), np.zeros((5, 5)))
    assert (values["empty_images"], values["false_on_empty"], values["unmatched_pixels"]) == (
        1,
        2,
        5,
    )
    assert (values["nonempty_images"], values["image_iou"]) == (1, 0)


def test_an_image_with_nothing_is_no_image_for_the_mean():
    values = counted(np.zeros((5, 5)), np.zeros((5, 5)))
    assert (values["nonempty_images"], values["empty_images"], values["false_on_empty"]) == (
        0,
        1,
        0,
    )


def test_overlap_of_a_target_takes_every_component_that_touches_it():
    mask = block((6, 12), (2, 2, 3, 10))
    probability = block((6, 12), (1, 2, 3, 4), (2, 6, 4, 8), (5, 0, 6, 1))
    counts = count_image(probability, mask, 0.5, 2.0)
    assert counts.overlaps.tolist() == [4 / 12]  # 8 target pixels, 4 hit, 4 more in the components


def test_overlap_of_targets_that_share_a_component():
    mask = block((5, 9), (2, 0, 3, 3), (2, 6, 3, 9))
    counts = count_image(block((5, 9), (2, 0, 3, 9)), mask, 0.5, 2.0)
    assert counts.overlaps.tolist() == [3 / 9, 3 / 9]
    assert len(counts.pairs) == 0  # its centroid is three pixels away from both


def test_pairs_point_into_the_components():
    mask = block((20, 20), (1, 1, 3, 3), (10, 10, 12, 12))
    counts = count_image(block((20, 20), (0, 18, 1, 19), (10, 10, 12, 12)), mask, 0.5, 2.0)
    assert counts.pairs.tolist() == [[1, 1]]
    assert (
        counts.targets.boxes[1].tolist() == counts.predicted.boxes[1].tolist() == [10, 10, 12, 12]
    )


def test_columns_that_other_conventions_need():
    mask = block((12, 20), (2, 2, 4, 4), (2, 12, 4, 14))
    probability = block((12, 20), (2, 2, 4, 3), (2, 4, 4, 5), (8, 8, 10, 9))
    scene = Scene(label_components(mask > 0), label_components(probability > 0.5))
    counts = scene_counts(scene)
    assert counts["image_f1"] == pytest.approx(2 * 2 / (8 + 6))
    assert (counts["detected_images"], counts["silent_images"]) == (False, False)
    found = pair_counts(scene, np.array([[0, 0], [0, 1]]))
    assert found == {
        "matched": 1, "matched_components": 2, "unmatched_pixels": 2, "unlike_pixels": 0,
        "pair_iou": 2 / 4,
    }  # fmt: skip
    silent = Scene(scene.targets, label_components(np.zeros(mask.shape, dtype=bool)))
    assert scene_counts(silent)["noticed_targets"] == 1


def test_a_batch_of_two_is_not_an_image():
    with pytest.raises(DataError, match="expected one image, got a batch of 2"):
        count_image(np.zeros((2, 1, 4, 4)), np.zeros((2, 1, 4, 4)), 0.5, 2.0)


def test_figures_of_many_sums_equal_those_of_each():
    table = np.array(
        [
            count_image(block((9, 9), box), block((9, 9), (1, 1, 3, 3)), 0.5, 2.0).row
            for box in [(1, 1, 3, 3), (5, 5, 9, 9), (1, 2, 3, 4), (0, 0, 0, 0)]
        ]
    )
    weights = np.array([[1, 0, 2, 1], [0, 0, 0, 4], [1, 1, 1, 1]])
    many = figures((weights @ table).reshape(3, 1, -1))
    for position, weight in enumerate(weights):
        one = figures(weight @ table)
        assert set(one) == set(many)
        for key, value in one.items():
            np.testing.assert_array_equal(many[key][position, 0], value, err_msg=key)


def test_ratios_without_denominator_are_nan():
    found = figures(np.zeros(len(COUNT_COLUMNS)))
    counts = {"n_images", "n_targets", "n_predicted", "n_empty_images", "false_on_empty"}
    assert all(found[key] == 0 for key in counts)
    assert all(np.isnan(value) for key, value in found.items() if key not in counts)


def test_figures_refuse_another_table():
    with pytest.raises(
        DataError, match=rf"{len(COUNT_COLUMNS)} columns \(images, .*got shape \(3,\)"
    ):
        figures(np.zeros(3))
