"""The profile `synthesis-clips` makes the sequences that it is for."""

from pathlib import Path

import cv2
import numpy as np

from irstd.config import parse_params
from irstd.profiles import compose
from irstd.stages.prepare import prepare
from tests.scenes import ROOT


def test_sequences_with_a_moving_camera_are_prepared(tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    tree = YAML(typ="safe").load(compose(ROOT, "synthesis-clips"))
    tree["data"]["limit"] = 30
    params = parse_params(tree, "synthesis-clips")
    assert params.train.networks == ("sgmp_unet",)
    data = prepare(tmp_path, params)
    assert (len(data), data.index["sequence"].nunique()) == (30, 5)
    window = cv2.createHanningWindow((128, 128), cv2.CV_64F)
    moved = []
    for row in np.flatnonzero((data.index["frame"] == 0).to_numpy()):
        rows = data.sequence_of(int(row)).rows
        pair = [data.image(int(rows[number])).astype(np.float64) for number in (0, -1)]
        moved.append(np.hypot(*cv2.phaseCorrelate(*pair, window)[0]))
    assert max(moved) > 2.0
