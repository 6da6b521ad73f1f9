import numpy as np
import pytest

from irstd.inference.overlay import FRAME, GAP, draw_overlay
from irstd.types import Detection, Prediction


def prediction_at(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Prediction:
    mask = np.zeros(shape, bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    found = tuple(Detection(0.0, 0.0, box, 1, 0.97) for box in boxes)
    return Prediction(mask.astype(np.float32), mask, found)


def test_an_image_without_detections_is_only_stretched() -> None:
    image = np.linspace(100, 300, 600 * 700).reshape(600, 700).astype(np.uint16)
    picture = draw_overlay(image, prediction_at(image.shape))
    assert picture.shape == (600, 700, 3)
    assert (picture.min(), picture.max()) == (0, 255)
    assert (picture[..., 0] == picture[..., 1]).all()
    assert (picture[..., 1] == picture[..., 2]).all()


def test_a_detection_is_framed_and_its_pixels_stay_visible() -> None:
    image = np.full((600, 700), 50, np.uint8)
    image[300:303, 400:404] = 250
    picture = draw_overlay(image, prediction_at(image.shape, (300, 400, 303, 404)))
    assert (picture[300:303, 400:404] == 255).all()
    for row, col in (
        (300 - GAP, 402),
        (303 + GAP - 1, 402),
        (301, 400 - GAP),
        (301, 404 + GAP - 1),
    ):
        assert tuple(picture[row, col]) == FRAME
    assert tuple(picture[301, 399]) == (0, 0, 0)  # the gap shows the image
    text = picture[280:297, 395:430]
    assert (text.min(axis=2) > 200).any(), "the score is written in a bright colour above the frame"


@pytest.mark.parametrize(
    "box", [(0, 0, 2, 2), (0, 638, 2, 640), (638, 0, 640, 2), (638, 638, 640, 640)]
)
def test_the_score_stays_inside_at_every_corner(box: tuple[int, int, int, int]) -> None:
    image = np.zeros((640, 640), np.uint8)
    picture = draw_overlay(image, prediction_at(image.shape, box))
    bright = np.argwhere(picture.min(axis=2) > 150)
    assert len(bright) > 20
    assert bright[:, 0].max() - bright[:, 0].min() >= 6  # the full height of the digits
    assert bright[:, 1].max() - bright[:, 1].min() >= 15


def test_tiny_images_are_enlarged_and_flat_ones_are_drawn() -> None:
    picture = draw_overlay(np.full((5, 7), 9, np.uint8), prediction_at((5, 7), (2, 3, 3, 4)))
    assert picture.shape == (5 * 74, 7 * 74, 3)
    assert picture.any()
