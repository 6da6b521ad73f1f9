"""Targets that move through a sequence: straight over the scene, at constant speed.

The camera may move as well: a target's place in a frame is its place in the scene minus the
camera's.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

from irstd.config.values import FactorRange, PositiveRange
from irstd.data.backgrounds import Field
from irstd.data.targets import BORDER_PX, Bits, target_at

Frames = Float[np.ndarray, "t h w"]
Masks = Bool[np.ndarray, "t h w"]
Path = Float[np.ndarray, "t 2"]
Point = tuple[float, float]
Place = Callable[[Point, Field, Bits], tuple[Field, Bits] | None]
"""From a centre, a frame and the pixels of other targets to what is added and its pixels; None
where the place does not suit."""
DrawTarget = Callable[[Generator], Place]
"""Draws the looks of one target, which it keeps on its path."""

SPEED_PX = (0.2, 1.5)
"""Distance a target covers from frame to frame, in pixels."""

PATHS, SCENES = 100, 20
"""Paths tried for one target before the scene is drawn anew, and scenes before an error."""


def draw_simulated(rng: Generator, scr: PositiveRange, psf_sigma_px: FactorRange) -> Place:
    """A target that is a point-spread function of random SCR and width."""
    return partial(
        target_at,
        scr=rng.uniform(scr.low, scr.high),
        sigma_px=rng.uniform(psf_sigma_px.low, psf_sigma_px.high),
    )


def draw_tracks(
    rng: Generator, frames: Frames, n_targets: int, draw_target: DrawTarget, camera: Path
) -> tuple[Frames, Masks] | None:
    """Add moving targets to the frames of a scene.

    A target keeps its SCR and shape; in each frame it is scaled against that frame.

    Args:
        rng: source of paths and targets.
        frames: (T, H, W) with sensor noise, fractions of full scale.
        n_targets: how many.
        draw_target: draws one target.
        camera: (T, 2), place of the window in the scene, in pixels, zero in the mean.

    Returns:
        The frames with the targets, and the targets' pixels; None where one found no path.
    """
    masks = np.zeros(frames.shape, dtype=bool)
    for _ in range(n_targets):
        for _ in range(PATHS):
            sides = frames.shape[1:]
            row, col = (rng.uniform(BORDER_PX, side - 1 - BORDER_PX) for side in sides)
            placed = try_path(rng, (row, col), frames, masks, draw_target, camera)
            if placed is not None:
                frames, masks = placed
                break
        else:
            return None
    return frames, masks


def try_path(
    rng: Generator,
    middle: Point,
    frames: Frames,
    masks: Masks,
    draw_target: DrawTarget,
    camera: Path,
) -> tuple[Frames, Masks] | None:
    """Add one target on a random path.

    Args:
        rng: source of direction, speed and target.
        middle: (row, col) half-way, in the scene.
        frames: (T, H, W), fractions of full scale.
        masks: (T, H, W), pixels of the targets placed before.
        draw_target: draws the target.
        camera: (T, 2), place of the window in the scene.

    Returns:
        Frames and masks with the target; None where it does not fit into every frame.
    """
    angle = rng.uniform(0.0, 2 * np.pi)
    step = rng.uniform(*SPEED_PX) * np.array([np.sin(angle), np.cos(angle)])
    place = draw_target(rng)
    new_frames, new_masks = [], []
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        row, col = middle + (number - (len(frames) - 1) / 2) * step - camera[number]
        target = place((row, col), frame, mask)
        if target is None:
            return None
        new_frames.append(frame + target[0])
        new_masks.append(mask | target[1])
    return np.stack(new_frames), np.stack(new_masks)
