import numpy as np
import pytest

from irstd.data.backgrounds import BACKGROUNDS, power_law_field, rectangle, rotated


@pytest.mark.parametrize("exponent", [1.5, 2.5, 3.5])
def test_field_has_the_stated_spectrum(exponent: float) -> None:
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
    power = np.mean(
        [np.abs(np.fft.fft2(power_law_field(rng, (128, 128), exponent))) ** 2 for _ in range(8)],
        axis=0,
    )
    used = (frequency > 0.02) & (frequency < 0.3)
    slope = np.polyfit(np.log(frequency[used]), np.log(power[used]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)


def test_field_is_standardised_and_stretched_along_rows() -> None:
    field = power_law_field(np.random.default_rng(1), (96, 128), 2.5, stretch=4.0)
    assert field.shape == (96, 128)
    assert abs(field.mean()) < 1e-9
    assert field.std() == pytest.approx(1.0)
    along, across = np.diff(field, axis=1).std(), np.diff(field, axis=0).std()
    assert along < 0.6 * across


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_background_depends_on_the_generator_alone(name: str) -> None:
    first, again, other = (
        BACKGROUNDS[name](np.random.default_rng(seed), (64, 96)) for seed in (3, 3, 4)
    )
    assert first.shape == (64, 96)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert first.max() > 0
    assert first.std() > 0.01


def test_rectangle_is_inside_one_outside_zero() -> None:
    image = rectangle(np.random.default_rng(5), (64, 64), (30.0, 30.0), (10.0, 10.0))
    assert image.max() == pytest.approx(1.0, abs=1e-3)
    assert image.min() < 1e-6
    assert 0 < image.sum() <= 310


def test_rotated_coordinates() -> None:
    along, across = rotated((5, 5), 2.0, 2.0, np.pi / 2)
    assert along[4, 2] == pytest.approx(2.0)
    assert across[2, 4] == pytest.approx(-2.0)
