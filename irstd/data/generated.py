"""The generated source: infrared scenes that need no download.

One image is a background (`backgrounds`), hot clutter (`clutter`), sensor noise and, last, targets
(`targets`). Each target is scaled against the image as it stands, so that its signal-to-clutter
ratio in the index is the drawn one, up to a few per cent where targets are neighbours. Images are
single, or frames of sequences in which the targets move (`motion`).
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.random import Generator

from irstd.config import CountRange, GeneratedParams
from irstd.data.backgrounds import BACKGROUNDS, Field, Shape
from irstd.data.clutter import add_clutter
from irstd.data.motion import SCENES, Frames, Masks, draw_simulated, draw_tracks
from irstd.data.sources import RawImage
from irstd.data.targets import Bits, place_target
from irstd.errors import DataError

FULL_SCALE = 65535
"""Largest value of the 16-bit images."""

FIXED_PATTERN_SHARE = 0.5
"""Strength of the fixed pattern, as a share of the temporal noise."""

EXPOSURE = (0.15, 0.65)
"""Brightest value of a background, drawn per image; above are only clutter and targets."""

PLACES = 100
"""Places tried for one target before the scene is drawn anew."""

_SPLIT, _SENSOR, _IMAGE, _SEQUENCE = 0, 1, 2, 3  # independent random streams of one seed


def generate(params: GeneratedParams, seed: int, limit: int | None = None) -> Iterator[RawImage]:
    """Make the images of the generated source, with ids `gen_00000`, `gen_00001`, ...

    Image i depends on (params, seed, i) alone, so any of them can be made again without the others;
    its split depends on the number of images as well. With more than one frame per sequence, as
    many whole sequences are made as the number of images holds, with ids `gen_00000_00`, ...

    Args:
        params: the group `data.generated`.
        seed: seed of the run.
        limit: make at most this many images.

    Yields:
        uint16 images with their masks.

    Raises:
        DataError: too few images for three parts, or targets that fit nowhere with their SCR.
    """
    count = params.images if limit is None else min(params.images, limit)
    if params.frames == 1:
        for index, split in enumerate(split_names(params, seed, count)):
            yield make_image(params, seed, index, split)
        return
    for index, split in enumerate(split_names(params, seed, count // params.frames)):
        yield from make_sequence(params, seed, index, split)


def split_names(params: GeneratedParams, seed: int, count: int) -> list[str]:
    """Part of each image or sequence: shuffled by the seed, as stated, none of them empty.

    Raises:
        DataError: fewer than three.
    """
    if count < 3:
        needed = 3 * params.frames
        few = "data.generated.images" if params.images < needed else "data.limit"
        units = "images" if params.frames == 1 else f"sequences of {params.frames} images"
        raise DataError(
            f"generated: {count} {units} cannot fill train, val and test; "
            f"raise {few} to at least {needed}"
        )
    return assign_parts(params.train, params.val, count, np.random.default_rng((seed, _SPLIT)))


def assign_parts(train: float, val: float, count: int, rng: Generator) -> list[str]:
    """Part of each of `count` >= 3 units: shuffled, in the stated shares, none of them empty."""
    n_val = min(max(1, round(val * count)), count - 2)
    n_test = min(max(1, count - round(train * count) - n_val), count - n_val - 1)
    names = np.array(["train"] * (count - n_val - n_test) + ["val"] * n_val + ["test"] * n_test)
    return [str(name) for name in rng.permutation(names)]


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
    n_targets = count_targets(rng, params.targets_per_image, params.empty_share)
    for attempt in range(1, SCENES + 1):
        rng = np.random.default_rng((seed, _IMAGE, index, attempt))
        drawn = _draw_scene(params, rng, seed, n_targets)
        if drawn is not None:
            scene, mask, background = drawn
            return RawImage(
                name, split, sixteen_bit(scene), mask.astype(np.uint8), background=background
            )
    raise _no_place(params, name)


def make_sequence(params: GeneratedParams, seed: int, index: int, split: str) -> Iterator[RawImage]:
    """Make the frames of one sequence: a still scene, new noise in each frame, moving targets.

    Args:
        params: the group `data.generated`.
        seed: seed of the run.
        index: number of the sequence.
        split: part it belongs to.

    Raises:
        DataError: its targets find no path with the stated SCR.
    """
    name = f"gen_{index:05d}"
    rng = np.random.default_rng((seed, _SEQUENCE, index))
    n_targets = count_targets(rng, params.targets_per_image, params.empty_share)
    for attempt in range(1, SCENES + 1):
        rng = np.random.default_rng((seed, _SEQUENCE, index, attempt))
        shape = (params.height, params.width)
        still, background = draw_still(rng, shape, params.clutter_per_image)
        frames = [
            still + sensor_noise(rng, shape, params.noise_std, seed) for _ in range(params.frames)
        ]
        targets = partial(draw_simulated, scr=params.scr, psf_sigma_px=params.psf_sigma_px)
        drawn = draw_tracks(rng, np.stack(frames), n_targets, targets, np.zeros((params.frames, 2)))
        if drawn is not None:
            yield from as_sequence(name, split, *drawn, background)
            return
    raise _no_place(params, name)


def as_sequence(
    name: str, split: str, frames: Frames, masks: Masks, background: str | None
) -> Iterator[RawImage]:
    """The frames (T, H, W) of a sequence as images with the ids NAME_00, NAME_01, ..."""
    for number, (scene, mask) in enumerate(zip(frames, masks, strict=True)):
        yield RawImage(
            f"{name}_{number:02d}",
            split,
            sixteen_bit(scene),
            mask.astype(np.uint8),
            sequence=name,
            frame=number,
            background=background,
        )


def count_targets(rng: Generator, targets_per_image: CountRange, empty_share: float) -> int:
    """Number of targets of one scene."""
    count = _draw(rng, targets_per_image)
    return 0 if rng.random() < empty_share else count


def sixteen_bit(scene: Field) -> np.ndarray:
    """The scene as uint16, clipped to full scale."""
    return np.asarray(np.round(np.clip(scene, 0.0, 1.0) * FULL_SCALE), dtype=np.uint16)


def _no_place(params: GeneratedParams, name: str) -> DataError:
    still = params.frames == 1
    scenes = f"{SCENES} scenes" if still else f"{SCENES} sequences of {params.frames} frames"
    shorter = "" if still else " make sequences shorter (data.generated.frames),"
    return DataError(
        f"generated: {name}: in {scenes} of {params.height} x {params.width} px the targets found "
        f"no {'place' if still else 'path'} with SCR {params.scr.low:g} to {params.scr.high:g}; "
        "lower data.generated.scr, targets_per_image or clutter_per_image,"
        f"{shorter} or enlarge the image (data.generated.height and width)"
    )


def _draw_scene(
    params: GeneratedParams, rng: Generator, seed: int, n_targets: int
) -> tuple[Field, Bits, str] | None:
    """Image, targets and kind of background; None where a target finds no place."""
    shape = (params.height, params.width)
    still, background = draw_still(rng, shape, params.clutter_per_image)
    scene = still + sensor_noise(rng, shape, params.noise_std, seed)
    mask = np.zeros(shape, dtype=bool)
    for _ in range(n_targets):
        placed = _find_place(rng, params, scene, mask)
        if placed is None:
            return None
        scene, mask = scene + placed[0], mask | placed[1]
    return scene, mask, background


def draw_still(rng: Generator, shape: Shape, clutter: CountRange) -> tuple[Field, str]:
    """Background with clutter, without noise and targets, and its kind."""
    background = str(rng.choice(list(BACKGROUNDS)))
    scene = BACKGROUNDS[background](rng, shape)
    scene *= rng.uniform(*EXPOSURE) / scene.max()
    scene = add_clutter(rng, scene, background, _draw(rng, clutter))
    return np.clip(scene, 0.02, 1.0), background


def _draw(rng: Generator, interval: CountRange) -> int:
    return int(rng.integers(interval.low, interval.high, endpoint=True))


def sensor_noise(rng: Generator, shape: Shape, std: float, seed: int) -> Field:
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
