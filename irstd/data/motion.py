"""Targets that move through a sequence of the generated source: straight, at constant speed."""

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

from irstd.config import GeneratedParams
from irstd.data.targets import BORDER_PX, target_at

Frames = Float[np.ndarray, "t h w"]
Masks = Bool[np.ndarray, "t h w"]

SPEED_PX = (0.2, 1.5)
"""Distance a target covers from frame to frame, in pixels."""

PATHS, SCENES = 100, 20
"""Paths tried for one target before the scene is drawn anew, and scenes before an error."""


def draw_tracks(
    rng: Generator, params: GeneratedParams, frames: Frames, n_targets: int
) -> tuple[Frames, Masks] | None:
    """Add moving targets to the frames of a scene.

    A target keeps its SCR and width; in each frame it is scaled against that frame.

    Args:
        rng: source of paths, SCR and widths.
        params: the group `data.generated`.
        frames: (T, H, W) with sensor noise, fractions of full scale.
        n_targets: how many.

    Returns:
        The frames with the targets, and the targets' pixels; None where one found no path.
    """
    masks = np.zeros(frames.shape, dtype=bool)
    for _ in range(n_targets):
        for _ in range(PATHS):
            placed = _try_path(rng, params, frames, masks)
            if placed is not None:
                frames, masks = placed
                break
        else:
            return None
    return frames, masks


def _try_path(
    rng: Generator, params: GeneratedParams, frames: Frames, masks: Masks
) -> tuple[Frames, Masks] | None:
    count, height, width = frames.shape
    middle = np.array([rng.uniform(BORDER_PX, side - 1 - BORDER_PX) for side in (height, width)])
    angle = rng.uniform(0.0, 2 * np.pi)
    step = rng.uniform(*SPEED_PX) * np.array([np.sin(angle), np.cos(angle)])
    scr = rng.uniform(params.scr.low, params.scr.high)
    sigma_px = rng.uniform(params.psf_sigma_px.low, params.psf_sigma_px.high)
    new_frames, new_masks = [], []
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        row, col = middle + (number - (count - 1) / 2) * step
        target = target_at((row, col), frame, mask, scr, sigma_px)
        if target is None:
            return None
        new_frames.append(frame + target[0])
        new_masks.append(mask | target[1])
    return np.stack(new_frames), np.stack(new_masks)
