"""The generated source: infrared scenes that need no download.

One image is a background (`backgrounds`), hot clutter (`clutter`), sensor noise and, last, targets
(`targets`). Each target is scaled against the image as it stands, so that its signal-to-clutter
ratio in the index is the drawn one, up to a few per cent where targets are neighbours.
"""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from irstd.config import CountRange, GeneratedParams
from irstd.data.backgrounds import BACKGROUNDS, Field, Shape
from irstd.data.clutter import add_clutter
from irstd.data.sources import RawImage
from irstd.data.targets import Bits, place_target
from irstd.errors import DataError

FULL_SCALE = 65535
"""Largest value of the 16-bit images."""

FIXED_PATTERN_SHARE = 0.5
"""Strength of the fixed pattern, as a share of the temporal noise."""

EXPOSURE = (0.15, 0.65)
"""Brightest value of a background, drawn per image; above are only clutter and targets."""

PLACES, SCENES = 100, 20
"""Places tried for one target before the scene is drawn anew, and scenes before an error."""

_SPLIT, _SENSOR, _IMAGE = 0, 1, 2  # independent random streams of one seed


def generate(params: GeneratedParams, seed: int, limit: int | None = None) -> Iterator[RawImage]:
    """Make the images of the generated source, with ids `gen_00000`, `gen_00001`, ...

    Image i depends on (params, seed, i) alone, so any of them can be made again without the others;
    its split depends on the number of images as well.

    Args:
        params: the group `data.generated`.
        seed: seed of the run.
        limit: make at most this many.

    Yields:
        uint16 images with their masks.

    Raises:
        DataError: too few images for three parts, or targets that fit nowhere with their SCR.
    """
    count = params.images if limit is None else min(params.images, limit)
    for index, split in enumerate(split_names(params, seed, count)):
        yield make_image(params, seed, index, split)


def split_names(params: GeneratedParams, seed: int, count: int) -> list[str]:
    """Part of each image: shuffled by the seed, in the stated proportions, none of them empty.

    Raises:
        DataError: fewer than three images.
    """
    if count < 3:
        raise DataError(
            f"generated: {count} images cannot fill train, val and test; "
            "raise data.limit to at least 3"
        )
    n_val = min(max(1, round(params.val * count)), count - 2)
    n_test = min(max(1, count - round(params.train * count) - n_val), count - n_val - 1)
    names = np.array(["train"] * (count - n_val - n_test) + ["val"] * n_val + ["test"] * n_test)
    return [str(name) for name in np.random.default_rng((seed, _SPLIT)).permutation(names)]


def make_image(params: GeneratedParams, seed: int, index: int, split: str) -> RawImage:
    """Make one image.

    Args:
        params: the group `data.generated`.
        seed: seed of the run.
        index: number of the image.
        split: part it belongs to.

    Raises:
        DataError: its targets fit nowhere with the stated SCR.
    """
    name = f"gen_{index:05d}"
    rng = np.random.default_rng((seed, _IMAGE, index))
    n_targets = _draw(rng, params.targets_per_image)
    if rng.random() < params.empty_share:
        n_targets = 0
    for attempt in range(1, SCENES + 1):
        rng = np.random.default_rng((seed, _IMAGE, index, attempt))
        drawn = _draw_scene(params, rng, seed, n_targets)
        if drawn is not None:
            scene, mask, background = drawn
            pixels = np.round(np.clip(scene, 0.0, 1.0) * FULL_SCALE).astype(np.uint16)
            return RawImage(name, split, pixels, mask.astype(np.uint8), background=background)
    raise DataError(
        f"generated: {name}: in {SCENES} scenes of {params.height} x {params.width} px the targets "
        f"found no place with SCR {params.scr.low:g} to {params.scr.high:g}; lower "
        "data.generated.scr, targets_per_image or clutter_per_image, or enlarge the image"
    )


def _draw_scene(
    params: GeneratedParams, rng: Generator, seed: int, n_targets: int
) -> tuple[Field, Bits, str] | None:
    """Image, targets and kind of background; None where a target finds no place."""
    shape = (params.height, params.width)
    background = str(rng.choice(list(BACKGROUNDS)))
    scene = BACKGROUNDS[background](rng, shape)
    scene *= rng.uniform(*EXPOSURE) / scene.max()
    scene = add_clutter(rng, scene, background, _draw(rng, params.clutter_per_image))
    scene = np.clip(scene, 0.02, 1.0) + _sensor_noise(rng, shape, params.noise_std, seed)
    mask = np.zeros(shape, dtype=bool)
    for _ in range(n_targets):
        placed = _find_place(rng, params, scene, mask)
        if placed is None:
            return None
        scene, mask = scene + placed[0], mask | placed[1]
    return scene, mask, background


def _draw(rng: Generator, interval: CountRange) -> int:
    return int(rng.integers(interval.low, interval.high, endpoint=True))


def _sensor_noise(rng: Generator, shape: Shape, std: float, seed: int) -> Field:
    """Temporal noise, and the fixed pattern (columns and pixels) of the one sensor of this seed."""
    sensor = np.random.default_rng((seed, _SENSOR))
    columns = sensor.normal(0.0, FIXED_PATTERN_SHARE * std, shape[1])[None, :]
    offsets = sensor.normal(0.0, FIXED_PATTERN_SHARE * std, shape)
    return np.asarray(rng.normal(0.0, std, shape) + columns + offsets)


def _find_place(
    rng: Generator, params: GeneratedParams, scene: Field, mask: Bits
) -> tuple[Field, Bits] | None:
    for _ in range(PLACES):
        scr = rng.uniform(params.scr.low, params.scr.high)
        sigma_px = rng.uniform(params.psf_sigma_px.low, params.psf_sigma_px.high)
        placed = place_target(rng, scene, mask, scr, sigma_px)
        if placed is not None:
            return placed
    return None
