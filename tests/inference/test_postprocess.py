import numpy as np
import pytest

from irstd.errors import ModelError
from irstd.inference.postprocess import checked_threshold, predict_from_logits, probability_of
from irstd.metrics.inputs import predicted_pixels
from irstd.types import Detection


def test_probability_of_extreme_logits_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        probability = probability_of(np.array([[-80.0, 0.0, 80.0]], np.float32))
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability, [[0.0, 0.5, 1.0]], atol=1e-7)


def test_a_pixel_at_the_threshold_is_no_target() -> None:
    prediction = predict_from_logits(np.array([[0.0, 1e-3]], np.float32), 0.5)
    np.testing.assert_array_equal(prediction.mask, [[False, True]])


def test_the_threshold_is_not_rounded_to_float32() -> None:
    nearest = np.float32(0.3)  # lies above 0.3
    steps = np.arange(-9, 9, dtype=np.float32)[None] * 2**-24
    logits = np.log(0.3 / 0.7).astype(np.float32) + steps
    probability = probability_of(logits)
    assert (probability == nearest).any()
    mask = predict_from_logits(logits, 0.3).mask
    assert mask[probability == nearest].all()
    np.testing.assert_array_equal(mask, probability >= nearest)
    np.testing.assert_array_equal(mask, predicted_pixels(probability, 0.3)[0])


def test_detections_state_centre_box_area_and_score() -> None:
    logits = np.full((8, 12), -9.0, np.float32)
    logits[5, 0] = 2.0  # second in raster order, though further left
    logits[1, 9], logits[2, 10], logits[2, 11] = 1.0, 3.0, 1.0  # joined at a corner
    prediction = predict_from_logits(logits, 0.5)
    first, second = prediction.detections
    assert first == Detection(
        row=pytest.approx(5 / 3),
        col=pytest.approx(10.0),
        box=(1, 9, 3, 12),
        area_px=3,
        score=pytest.approx(1 / (1 + np.exp(-3.0))),
    )
    assert second == Detection(5.0, 0.0, (5, 0, 6, 1), 1, pytest.approx(1 / (1 + np.exp(-2.0))))
    assert prediction.mask.sum() == 4
    assert prediction.mask.shape == prediction.probability.shape == (8, 12)


def test_no_pixel_above_the_threshold_gives_no_detection() -> None:
    prediction = predict_from_logits(np.full((3, 4), -1.0, np.float32), 0.5)
    assert prediction.detections == ()
    assert not prediction.mask.any()


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 7.0, float("nan")])
def test_impossible_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ModelError, match="threshold must lie between 0 and 1, both excluded"):
        checked_threshold(threshold)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_an_error(value: float) -> None:
    with pytest.raises(ModelError, match="returned 1 logits that are not finite"):
        predict_from_logits(np.array([[value, 0.0]], np.float32), 0.5)
