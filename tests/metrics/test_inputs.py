import numpy as np
import pytest
import torch

from irstd.errors import ConfigError, DataError
from irstd.metrics.inputs import (
    check_distance,
    check_threshold,
    eight_bit_pixels,
    read_pair,
)

MAP = np.array([[0.0, 0.5, 0.51], [1.0, 0.25, 0.75]], dtype=np.float32)
MASK = np.array([[0, 1, 0], [1, 0, 0]], dtype=np.uint8)
ABOVE_HALF = [[[False, False, True], [True, False, True]]]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_threshold_is_strict(kind):
    predicted, target = read_pair(MAP.astype(kind), MASK, 0.5)
    assert predicted.tolist() == ABOVE_HALF
    assert target.tolist() == [MASK.astype(bool).tolist()]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_read_as_arrays_do(kind):
    predicted, target = read_pair(
        torch.from_numpy(MAP).to(kind).requires_grad_(), torch.from_numpy(MASK), 0.5
    )
    assert predicted.dtype == target.dtype == np.bool_
    assert predicted.tolist() == ABOVE_HALF


@pytest.mark.parametrize("as_tensor", [False, True])
def test_the_threshold_is_not_rounded_to_the_precision_of_the_map(as_tensor):
    half = np.full((1, 2), 0.5, dtype=np.float16)  # 0.4999 rounded to float16 is 0.5
    probability = torch.from_numpy(half) if as_tensor else half
    assert read_pair(probability, np.zeros((1, 2)), 0.4999)[0].all()
    assert not read_pair(probability, np.zeros((1, 2)), 0.5)[0].any()


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int64, np.float32])
def test_masks_of_any_number_type(kind):
    assert read_pair(MAP, MASK.astype(kind), 0.5)[1].sum() == 2


def test_a_batch_becomes_its_images():
    batch = torch.rand(3, 1, 4, 5)
    predicted, target = read_pair(batch, np.zeros((3, 1, 4, 5), np.uint8), 0.5)
    assert predicted.shape == target.shape == (3, 4, 5)
    assert np.array_equal(predicted[2], batch[2, 0].numpy() > 0.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_a_gpu():
    predicted, target = read_pair(torch.from_numpy(MAP).cuda(), torch.from_numpy(MASK).cuda(), 0.5)
    assert predicted.tolist() == ABOVE_HALF
    assert target.sum() == 2


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(
    ("value", "text"), [(-0.1, "-0.1 to 1"), (1.5, "0 to 1.5"), (float("nan"), "nan to nan")]
)
def test_what_is_no_probability_is_refused(value, text, as_tensor):
    wrong = MAP.copy()
    wrong[1, 2] = value
    with pytest.raises(DataError, match=rf"values in \[0, 1\], got {text} .*\(2, 3\).*sigmoid"):
        read_pair(torch.from_numpy(wrong) if as_tensor else wrong, MASK, 0.5)


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("value", [255, 2, 0.5, -1, float("nan")])
def test_a_mask_with_other_values_is_refused(value, as_tensor):
    wrong = MASK.astype(np.float32)
    wrong[0, 0] = value
    with pytest.raises(DataError, match=rf"only 0 and 1, got {value:g} .*value > 127"):
        read_pair(MAP, torch.from_numpy(wrong) if as_tensor else wrong, 0.5)


def test_shapes_must_be_equal():
    with pytest.raises(DataError, match=r"shape \(2, 3\), mask \(3, 2\); they must be equal"):
        read_pair(MAP, MASK.T, 0.5)


@pytest.mark.parametrize("shape", [(6,), (1, 2, 3), (1, 2, 1, 3), (2, 0), (0, 1, 2, 3)])
def test_shapes_must_be_images_or_batches(shape):
    with pytest.raises(DataError, match=r"expected shape \(H, W\) or \(N, 1, H, W\)"):
        read_pair(np.zeros(shape), np.zeros(shape), 0.5)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(value):
    with pytest.raises(ConfigError, match=rf"threshold: .*in \[0, 1\], got {value}"):
        check_threshold(value)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_a_distance_is_finite_and_not_negative(value):
    with pytest.raises(ConfigError, match=f"distance: .*pixels >= 0, got {value}"):
        check_distance(value)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_eight_bits_are_rounded_before_the_threshold(threshold, kind):
    scores = np.random.default_rng(0).random((30, 40)).astype(kind)
    scores[0, :4] = 0.5, 127.5 / 255, 0.0, 1.0
    expected = (np.rint(scores.astype(np.float64) * 255) / 255 >= threshold)[None]
    np.testing.assert_array_equal(eight_bit_pixels(scores, threshold), expected)
    np.testing.assert_array_equal(eight_bit_pixels(torch.from_numpy(scores), threshold), expected)
