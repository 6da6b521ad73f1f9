"""The synthesised source: training data made of backgrounds and targets.

Backgrounds are generated scenes, or training images with their targets removed; targets are
simulated, or real ones of training images. In a sequence the targets move straight over the scene
and the camera moves before it; each frame has noise of its own. Parts never share what they are
made of: each takes backgrounds and targets from its own images, whole sequences together.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from numpy.random import Generator

from irstd.config.synthesis import (
    CameraParams,
    GeneratedBackgrounds,
    PastedTargets,
    SynthesisParams,
)
from irstd.data.backgrounds import Field, Shape
from irstd.data.generated import (
    as_sequence,
    assign_parts,
    count_targets,
    draw_still,
    sensor_noise,
    sixteen_bit,
)
from irstd.data.motion import SCENES, DrawTarget, Frames, Masks, Path, draw_tracks
from irstd.data.pixels import to_unit
from irstd.data.sources import RawImage
from irstd.data.store import SPLITS, PreparedData
from irstd.data.synthesis_targets import (
    RealTargets,
    target_drawer,
    training_rows,
    without_targets,
)
from irstd.errors import DataError

MAX_SCENE_PX = 8192
"""Longest side of a scene, that of the largest image; a scene is held in memory whole."""

SHAKE = 6
"""Standard deviations of the camera's shake that a scene must leave room for."""

_PARTS, _IMAGES = 10, 11  # random streams of one seed, beside those of `generated`


Rows = Int64[np.ndarray, " n"]
Window = Float[np.ndarray, "rows cols"]
DrawScene = Callable[[Generator, Shape], tuple[Field, str | None]]
"""Draws a scene of a given size, without targets, and its kind."""


@dataclass(frozen=True)
class _Material:
    """What the images of one part are made of."""

    draw_scene: DrawScene
    draw_target: DrawTarget


def synthesise(
    params: SynthesisParams, seed: int, data: PreparedData | None, limit: int | None = None
) -> Iterator[RawImage]:
    """Make the images of the synthesised source: `syn_00000`, ... or `syn_00000_00`, ...

    Image or sequence i depends on (params, seed, i) and the prepared images; its part depends on
    the number of images as well.

    Args:
        params: the group `data.synthesis`.
        seed: seed of the run.
        data: prepared images of `params.material`; only their training part is used.
        limit: make at most this many images.

    Yields:
        uint16 images with their masks.

    Raises:
        DataError: too few images for three parts, a scene larger than `MAX_SCENE_PX`, no prepared
            images though they are asked for, images that must not be trained on, or targets that
            fit nowhere with their SCR.
    """
    count = (params.images if limit is None else min(params.images, limit)) // params.frames
    if count < 3:
        raise DataError(
            f"synthesis: {count} sequences of {params.frames} images cannot fill train, val and "
            f"test; raise data.synthesis.images or data.limit to at least {3 * params.frames}"
        )
    _check_scene(params)
    materials = _materials(params, seed, data)
    parts = assign_parts(params.train, params.val, count, np.random.default_rng((seed, _PARTS)))
    for index, part in enumerate(parts):
        frames, masks, background = _make(params, seed, index, materials[part])
        name = f"syn_{index:05d}"
        if params.frames > 1:
            yield from as_sequence(name, part, frames, masks, background)
            continue
        image, mask = sixteen_bit(frames[0]), masks[0].astype(np.uint8)
        yield RawImage(name, part, image, mask, background=background)


def camera_path(rng: Generator, params: CameraParams, frames: int) -> Path:
    """Place of the window in the scene in each frame: constant motion and shake, zero in the mean.

    Args:
        rng: source of direction, speed and shake.
        params: their size.
        frames: how many.

    Returns:
        (T, 2) rows and columns in pixels.
    """
    angle, speed = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.0, params.speed_px)
    direction = np.array([np.sin(angle), np.cos(angle)])
    path = np.arange(frames)[:, None] * speed * direction
    path = path + rng.normal(0.0, params.jitter_px, path.shape)
    return np.asarray(path - path.mean(axis=0))


def look(scene: Field, offset: tuple[float, float], shape: Shape) -> Window:
    """A window of a scene, interpolated linearly at 1/32 px.

    Args:
        scene: (H, W).
        offset: (row, col) of the window's first pixel in the scene.
        shape: (height, width) of the window.
    """
    shift = np.array([[1.0, 0.0, offset[1]], [0.0, 1.0, offset[0]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (shape[1], shape[0])
    seen = cv2.warpAffine(scene, shift, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(seen)


def _check_scene(params: SynthesisParams) -> None:
    """Refuse a camera that would see more of a scene than is made."""
    camera, frames = params.camera, params.frames
    margin = camera.speed_px * (frames - 1) / 2 + (SHAKE * camera.jitter_px if frames > 1 else 0.0)
    sides = tuple(side + 2 * math.ceil(margin) for side in (params.height, params.width))
    if max(sides) > MAX_SCENE_PX:
        raise DataError(
            f"synthesis: {frames} frames of {params.height} x {params.width} px with a camera of "
            f"{camera.speed_px:g} px a frame need a scene of {sides[0]} x {sides[1]} px, expected "
            f"at most {MAX_SCENE_PX} a side; lower data.synthesis.frames or its camera.speed_px"
        )


def _materials(
    params: SynthesisParams, seed: int, data: PreparedData | None
) -> dict[str, _Material]:
    if data is None:
        return dict.fromkeys(SPLITS, _material(params, None))
    rows = training_rows(data)
    scenes = data.index["sequence"].fillna(data.index["id"]).to_numpy()[rows]
    names, scene_of = np.unique(scenes, return_inverse=True)
    if len(names) < 3:
        raise DataError(
            f"{data.folder}: expected at least 3 training images or sequences with masks, one for "
            f"each part, got {len(names)}; choose another data.synthesis.material"
        )
    rng = np.random.default_rng((seed, _PARTS, 1))
    parts = np.array(assign_parts(params.train, params.val, len(names), rng))[scene_of]
    return {part: _material(params, (data, rows[parts == part])) for part in SPLITS}


def _material(params: SynthesisParams, images: tuple[PreparedData, Rows] | None) -> _Material:
    is_pasted = isinstance(params.targets, PastedTargets)
    real = RealTargets(*images) if images is not None and is_pasted else None
    draw_target = target_drawer(params.targets, params.scr, real)
    if isinstance(params.backgrounds, GeneratedBackgrounds):
        clutter = params.backgrounds.clutter_per_image
        return _Material(partial(draw_still, clutter=clutter), draw_target)
    if images is None:
        raise DataError(
            "synthesis: prepared backgrounds need prepared images, got none; "
            "name their folder in data.synthesis.material"
        )
    data, rows = images
    return _Material(partial(_draw_prepared, data=data, rows=rows), draw_target)


def _make(
    params: SynthesisParams, seed: int, index: int, material: _Material
) -> tuple[Frames, Masks, str | None]:
    """Frames, targets and kind of background of one sequence."""
    shape = (params.height, params.width)
    rng = np.random.default_rng((seed, _IMAGES, index))
    n_targets = count_targets(rng, params.targets_per_image, params.empty_share)
    for attempt in range(1, SCENES + 1):
        rng = np.random.default_rng((seed, _IMAGES, index, attempt))
        camera = camera_path(rng, params.camera, params.frames)
        margin = int(np.ceil(np.abs(camera).max()))
        whole = (params.height + 2 * margin, params.width + 2 * margin)
        scene, background = material.draw_scene(rng, whole)
        frames = np.stack(
            [
                look(scene, (margin + row, margin + col), shape)
                + sensor_noise(rng, shape, params.noise_std, seed)
                for row, col in camera
            ]
        )
        drawn = draw_tracks(rng, frames, n_targets, material.draw_target, camera)
        if drawn is not None:
            return *drawn, background
    raise DataError(
        f"synthesis: syn_{index:05d}: in {SCENES} scenes of {params.frames} frames of "
        f"{params.height} x {params.width} px the targets found no place with SCR "
        f"{params.scr.low:g} to {params.scr.high:g}; lower data.synthesis.scr, targets_per_image, "
        "camera or frames, or enlarge the images"
    )


def _draw_prepared(
    rng: Generator, shape: Shape, data: PreparedData, rows: Rows
) -> tuple[Field, str | None]:
    """A window of a prepared image without its targets, mirrored where the image is too small."""
    row = int(rng.choice(rows))
    scene = without_targets(to_unit(data.image(row)), data.mask(row), rng)
    missing = [max(0, wanted - side) for wanted, side in zip(shape, scene.shape, strict=True)]
    scene = np.pad(scene, [(0, pixels) for pixels in missing], mode="symmetric")
    top, left = (
        int(rng.integers(side - wanted + 1))
        for side, wanted in zip(scene.shape, shape, strict=True)
    )
    kind = data.index["background"].iloc[row]
    window = np.ascontiguousarray(scene[top : top + shape[0], left : left + shape[1]])
    return window, None if pd.isna(kind) else str(kind)
