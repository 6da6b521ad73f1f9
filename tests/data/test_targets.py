import numpy as np
import pytest

from irstd.data.index import scr as index_scr
from irstd.data.targets import (
    BRIGHTEST,
    MASK_LEVEL,
    amplitude,
    place_target,
    point_spread,
    surroundings,
)


def _scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        0.3
        + 0.05 * np.cumsum(rng.normal(size=(96, 96)), axis=1) / 8
        + rng.normal(0, 0.01, (96, 96))
    )


def test_point_spread_is_centred_between_pixels() -> None:
    profile = point_spread((31, 41), 12.3, 20.6, 1.2)
    rows, cols = np.indices(profile.shape)
    assert profile.max() == 1.0
    assert (profile * rows).sum() / profile.sum() == pytest.approx(12.3, abs=1e-6)
    assert (profile * cols).sum() / profile.sum() == pytest.approx(20.6, abs=1e-6)


def test_point_spread_integrates_over_pixels() -> None:
    """Its variance is that of the Gaussian and of a pixel, 1/12 (Sheppard's correction)."""
    profile = point_spread((41, 41), 20.0, 20.0, 1.5)
    variance = (profile.sum(1) * (np.arange(41) - 20.0) ** 2).sum() / profile.sum()
    assert variance == pytest.approx(1.5**2 + 1 / 12, rel=1e-6)


@pytest.mark.parametrize("scr", [0.5, 3.0, 9.0, 15.0])
@pytest.mark.parametrize("sigma_px", [0.6, 1.0, 1.6])
def test_the_index_measures_the_stated_scr(scr: float, sigma_px: float) -> None:
    scene = _scene(1)
    nothing = np.zeros(scene.shape, dtype=bool)
    profile = point_spread(scene.shape, 40.3, 50.8, sigma_px)
    target = profile > MASK_LEVEL
    factor = amplitude(scene, profile, target, surroundings(target, nothing), scr)
    assert factor is not None
    measured = index_scr(scene + factor * profile, target.astype(np.uint8))
    assert measured == pytest.approx([scr], rel=1e-5)


def test_surroundings_are_those_of_the_index() -> None:
    """Another image outside of them does not change the SCR, one inside does."""
    scene = _scene(2)
    target = point_spread(scene.shape, 5.0, 48.0, 1.2) > MASK_LEVEL
    around = surroundings(target, np.zeros_like(target))
    outside = ~around & ~target
    before = index_scr(scene, target.astype(np.uint8))
    scene[outside] += 1.0
    assert index_scr(scene, target.astype(np.uint8)) == before
    scene[around] *= 1.01
    assert index_scr(scene, target.astype(np.uint8)) != before


def test_an_impossible_scr_has_no_amplitude() -> None:
    """The skirt of the profile itself bounds the ratio, whatever the amplitude."""
    scene = _scene(3)
    profile = point_spread(scene.shape, 48.0, 48.0, 1.6)
    target = profile > MASK_LEVEL
    around = surroundings(target, np.zeros_like(target))
    assert amplitude(scene, profile, target, around, 1000.0) is None


def test_a_place_brighter_than_wanted_has_no_amplitude() -> None:
    scene = _scene(4)
    profile = point_spread(scene.shape, 48.0, 48.0, 1.0)
    target = profile > MASK_LEVEL
    scene[target] += 0.5
    around = surroundings(target, np.zeros_like(target))
    assert amplitude(scene, profile, target, around, 3.0) is None


def test_places_keep_their_distance_and_brightness() -> None:
    rng = np.random.default_rng(5)
    scene, mask = _scene(5), np.zeros((96, 96), dtype=bool)
    placed = 0
    for _ in range(60):
        found = place_target(rng, scene, mask, 5.0, 1.0)
        if found is None:
            continue
        added, target = found
        assert (scene + added)[target].max() <= BRIGHTEST
        grown = np.zeros_like(mask)
        rows, cols = np.nonzero(target)
        grown[
            max(rows.min() - 9, 0) : rows.max() + 10, max(cols.min() - 9, 0) : cols.max() + 10
        ] = True
        assert not (grown & mask).any()
        scene, mask, placed = scene + added, mask | target, placed + 1
    assert placed >= 5
