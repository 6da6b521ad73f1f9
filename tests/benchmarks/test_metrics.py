import numpy as np
import pytest
from scipy import ndimage

from benchmarks.metric_loops import CODES, first_fit, nearest, overlap, regions
from benchmarks.metrics import (
    CASES,
    QUICK,
    Case,
    Times,
    all_loops,
    compare,
    report,
    scene,
    whole_suite,
)
from irstd.metrics.conventions import CONVENTIONS

CROWDED = Case("crowded", (48, 48), 1, 4, 9, 1, 1)


def test_every_convention_has_a_loop():
    assert list(CODES) == list(CONVENTIONS)


def test_library_and_loops_give_the_same():
    images = [scene(CROWDED, seed) for seed in (0, 1)]
    loops, found = all_loops(images), whole_suite(images)
    for name, figures in loops.items():
        compare(name, figures, found[name])
        assert figures  # something was compared
    assert 0 < loops["basicirstd"]["pd"] <= 1
    assert loops["basicirstd"]["fa_pixel"] > loops["dnanet"]["fa_pixel"]


def test_a_difference_stops_the_run():
    compare("here", {"pd": 0.5}, {"pd": 0.5, "iou": 1.0})
    with pytest.raises(SystemExit, match=r"here: pd is 0\.6 by the library, 0\.5 by the loop"):
        compare("here", {"pd": 0.5}, {"pd": 0.6})


@pytest.mark.parametrize("case", [*CASES, *QUICK], ids=lambda case: case.name)
def test_a_scene_has_its_targets_and_components(case):
    probability, mask = scene(case, 3)
    assert probability.shape == mask.shape == case.size
    assert ndimage.label(mask)[1] == case.targets
    assert ndimage.label(probability > 0.5, np.ones((3, 3)))[1] == case.components


def test_loops_match_as_described():
    mask, prediction = np.zeros((2, 20, 20), dtype=bool)
    mask[5, 5] = mask[15, 15] = True
    prediction[3, 5] = prediction[5, 6] = True  # 2 above, 1 beside the first target
    targets, components = regions(mask), regions(prediction)
    assert [(g.label, q.label) for g, q in first_fit(targets, components, 3.0)] == [(1, 1)]
    assert [(g.label, q.label) for g, q in nearest(targets, components, 2.0)] == [(1, 2)]
    assert overlap(targets[0], components[1]) == 0
    assert overlap(targets[0], targets[0]) == 1


def test_the_report_has_ratios_and_the_floor():
    text = report({QUICK[0]: Times(12.0, 0.5, 300.0, 6.0, 0.25, 0.1)})
    row = text.splitlines()[-1].split("|")[1:-1]
    assert [cell.strip() for cell in row] == [
        "3 of 64 x 64", "", "12.0", "0.50", "24.0", "300", "6.0", "50.0", "0.25", "0.10", "2.00",
        "24.00",
    ]  # fmt: skip
