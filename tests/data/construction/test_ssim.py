import numpy as np
import pytest

from irstd.data.construction import ssim as module
from irstd.data.construction.ssim import STRIP_ROWS, similar, ssim
from irstd.errors import DataError
from tests.data.construction.pictures import noisy, texture


@pytest.mark.parametrize("shape", [(11, 11), (53, 40), (43, 75)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_equals_scikit_image(shape: tuple[int, int], dtype: type) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    scale = np.iinfo(dtype).max // 255
    first, second = (image.astype(dtype) * dtype(scale) for image in
                     (texture(1, shape), noisy(texture(1, shape), 20, 3)))  # fmt: skip
    expected = metrics.structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=np.iinfo(dtype).max,
    )  # fmt: skip
    assert ssim(first, second) == pytest.approx(expected, abs=1e-6)  # float32 grey values


def test_an_image_is_similar_to_itself_in_8_and_16_bits() -> None:
    image = texture(2)
    assert ssim(image, image) == pytest.approx(1.0)
    assert ssim(image, image.astype(np.uint16) * 257) == pytest.approx(1.0, abs=1e-6)


def test_the_decision_agrees_with_the_value() -> None:
    for seed in range(6):
        first, second = texture(seed), noisy(texture(seed), 4.0 * seed + 1, seed)
        value = ssim(first, second)
        assert similar(first, second, value - 1e-6)
        assert not similar(first, second, value + 1e-6)


def test_a_lower_bound_does_not_change_the_decision() -> None:
    first, second = texture(3), noisy(texture(3), 12, 1)
    value = ssim(first, second)
    deficits = 1.0 - module._similarities(first, second)
    strips = np.add.reduceat(deficits.sum(axis=1), np.arange(0, len(deficits), STRIP_ROWS))
    for share in (0.0, 0.5, 1.0):
        assert similar(first, second, value - 1e-6, share * strips)
        assert not similar(first, second, value + 1e-6, share * strips)


def test_unrelated_images_are_told_apart_early(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    whole = module._similarities

    def counted(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        seen.append(first.shape[0])
        return whole(first, second)

    monkeypatch.setattr(module, "_similarities", counted)
    shape = (10 * STRIP_ROWS + 10, 40)
    assert not similar(texture(4, shape), texture(5, shape), 0.9)
    assert 1 <= len(seen) < 5


def test_other_sizes_are_refused() -> None:
    with pytest.raises(DataError, match=r"one size for SSIM, got \(20, 20\) and \(20, 21\)"):
        ssim(np.zeros((20, 20), np.uint8), np.zeros((20, 21), np.uint8))


def test_an_image_without_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="at least 11 x 11 px for SSIM, got 10 x 40"):
        similar(np.zeros((10, 40), np.uint8), np.zeros((10, 40), np.uint8), 0.5)
