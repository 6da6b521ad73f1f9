from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from irstd.config import load_params
from irstd.data.generated import generate
from irstd.data.index import scr
from irstd.data.motion import SPEED_PX
from irstd.errors import DataError
from irstd.metrics.components import label_components


@pytest.fixture(scope="module")
def params():
    demo = Path(__file__).parents[2] / "profiles" / "demo.yaml"
    settings = load_params(demo).data.generated
    return settings.model_copy(
        update={"images": 30, "frames": 5, "height": 64, "width": 64, "empty_share": 0.0}
    )


@pytest.fixture(scope="module")
def sequences(params):
    found = defaultdict(list)
    for image in generate(params, 7):
        found[image.sequence].append(image)
    return dict(found)


def test_sequences_are_whole_and_in_one_part(sequences):
    assert len(sequences) == 6
    for name, frames in sequences.items():
        assert [frame.frame for frame in frames] == list(range(5))
        assert [frame.id for frame in frames] == [f"{name}_{number:02d}" for number in range(5)]
        assert len({frame.split for frame in frames}) == 1
    assert {frames[0].split for frames in sequences.values()} == {"train", "val", "test"}


def test_the_scene_stands_still_and_the_noise_is_new(sequences):
    for frames in sequences.values():
        first, second = (frame.image.astype(float) / 65535 for frame in frames[:2])
        background = ~(frames[0].mask | frames[1].mask).astype(bool)
        difference = (first - second)[background]
        assert 0.003 < difference.std() < 0.05  # noise of 0.01 in each frame, skirts of targets


def test_targets_move_straight_at_a_constant_speed(sequences):
    moved = 0
    for frames in sequences.values():
        centres = [label_components(frame.mask.astype(bool)).centroids for frame in frames]
        if len(centres[0]) != 1 or {len(found) for found in centres} != {1}:
            continue  # several targets may exchange their raster order
        path = np.concatenate(centres)
        speed = np.linalg.norm(path[-1] - path[0]) / (len(path) - 1)
        assert SPEED_PX[0] - 0.3 <= speed <= SPEED_PX[1] + 0.3  # masks are whole pixels
        line = np.linspace(path[0], path[-1], len(path))
        assert np.abs(path - line).max() < 1.0
        moved += 1
    assert moved


def test_each_frame_has_the_stated_scr(params, sequences):
    for frames in sequences.values():
        for frame in frames:
            found = scr(frame.image.astype(np.float32) / 65535, frame.mask)
            assert np.nanmin(found) > 0.8 * params.scr.low
            assert np.nanmax(found) < 1.2 * params.scr.high


def test_equal_seeds_give_equal_sequences(params):
    first, second = (list(generate(params, 7, 15)) for _ in range(2))
    assert len(first) == 15
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("images", "limit", "few"),
    [
        (30, 14, "data.limit"),
        (14, None, "data.generated.images"),
        (14, 12, "data.generated.images"),
    ],
)
def test_too_few_sequences_say_what_must_be_raised(params, images, limit, few):
    small = params.model_copy(update={"images": images})
    message = rf"2 sequences of 5 images cannot fill .* raise {few} to at least 15"
    with pytest.raises(DataError, match=message):
        list(generate(small, 7, limit))


def test_images_left_over_make_no_sequence(params):
    assert len(list(generate(params, 7, 19))) == 15


def test_targets_without_a_path_name_frames_and_size(params):
    faint = params.model_copy(
        update={"scr": params.scr.model_copy(update={"low": 500.0, "high": 600.0}), "frames": 3}
    )
    message = r"in 20 sequences of 3 frames of 64 x 64 px .* path with SCR 500 .*generated\.frames"
    with pytest.raises(DataError, match=message):
        list(generate(faint, 7))
