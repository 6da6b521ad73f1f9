import cv2
import numpy as np
import pytest

from irstd.data.descriptors import FAINTEST, OCTAVES, SECTORS, noise_std, texture


@pytest.mark.parametrize("std", [0.002, 0.01, 0.05])
def test_the_noise_of_a_plane_and_of_a_soft_scene_is_found(std: float) -> None:
    rows, cols = np.mgrid[0:128, 0:160]
    scene = 0.3 + 0.001 * rows - 0.0005 * cols + 0.1 * np.sin(rows / 20) * np.cos(cols / 25)
    noisy = scene + np.random.default_rng(0).normal(0.0, std, scene.shape)
    assert noise_std(noisy.astype(np.float32)) == pytest.approx(std, rel=0.03)  # 20,000 values
    assert noise_std(scene.astype(np.float32)) < 1e-4


def test_texture_does_not_depend_on_brightness_and_contrast() -> None:
    image = np.random.default_rng(1).random((90, 120), dtype=np.float32)
    np.testing.assert_allclose(texture(0.2 + 0.5 * image), texture(image), atol=1e-4)


@pytest.mark.parametrize(("octave", "cycles"), [(0, 1.5), (1, 3), (2, 6), (3, 12), (4, 24)])
@pytest.mark.parametrize("sector", range(SECTORS))
def test_a_wave_has_its_power_in_its_octave_and_direction(
    octave: int, cycles: float, sector: int
) -> None:
    rows, cols = np.mgrid[0:64, 0:64] / 64
    angle = sector * np.pi / SECTORS
    wave = np.cos(2 * np.pi * cycles * (cols * np.cos(angle) + rows * np.sin(angle)))
    power = texture((0.5 + 0.3 * wave).astype(np.float32)).reshape(OCTAVES, SECTORS)
    if octave:  # the window widens a wave of 1.5 cycles over its neighbours
        assert np.unravel_index(power.argmax(), power.shape) == (octave, sector)
    else:
        assert power[:2].max() == power.max()


def test_a_blurred_image_loses_fine_texture() -> None:
    image = np.random.default_rng(2).random((64, 64), dtype=np.float32)
    change = texture(cv2.GaussianBlur(image, (0, 0), 2.0)) - texture(image)
    by_octave = change.reshape(OCTAVES, SECTORS).mean(axis=1)
    assert by_octave[-1] < -2.0
    assert (np.diff(by_octave) < 0).all()


def test_a_constant_image_has_no_texture() -> None:
    assert np.all(texture(np.full((30, 30), 0.4, np.float32)) == np.log(FAINTEST))
