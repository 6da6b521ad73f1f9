"""Targets added to training images: an augmentation of `irstd.data.dataset.Crops`."""

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.random import Generator

from irstd.config.synthesis import AddedTargetsParams, PastedTargets
from irstd.data.motion import try_path
from irstd.data.store import PreparedData
from irstd.data.synthesis_targets import RealTargets, target_drawer, training_rows

Frames = Float32[np.ndarray, "t h w"]
Mask = UInt8[np.ndarray, "h w"]

PLACES = 10
"""Places tried for one target before it is left out."""

REACH_PX = 48
"""Half side of the window in which a target is made; it holds the target and its surroundings."""


class TargetAdder:
    """Adds targets to an image, or moving targets to a clip.

    Args:
        params: to how many images, how many, how bright, of which kind.
        data: prepared images; pasted targets are those of the training part with masks.

    Raises:
        DataError: the images must not be trained on, or hold no target to paste.
    """

    def __init__(self, params: AddedTargetsParams, data: PreparedData) -> None:
        rows = training_rows(data)
        real = RealTargets(data, rows) if isinstance(params.targets, PastedTargets) else None
        self.params = params
        self.draw_target = target_drawer(params.targets, params.scr, real)

    def __call__(
        self, frames: Frames, mask: Mask, target_frame: int, rng: Generator
    ) -> tuple[Frames, Mask]:
        """Add targets, or none where the lot says so; the arguments stay as they are.

        Args:
            frames: (T, H, W) in [0, 1].
            mask: (H, W), 1 on target pixels of the frame that is segmented. New targets keep clear
                of them in all frames.
            target_frame: that frame, from 0.
            rng: the only source of randomness.
        """
        if rng.random() >= self.params.share:
            return frames, mask
        frames = frames.copy()
        masks = np.repeat(mask[None].astype(bool), len(frames), axis=0)
        count = self.params.count
        for _ in range(rng.integers(count.low, count.high, endpoint=True)):
            self._add_one(frames, masks, rng)
        return frames, masks[target_frame].astype(np.uint8)

    def _add_one(self, frames: Frames, masks: np.ndarray, rng: Generator) -> None:
        """Change frames and masks in place; leave them as they are if ten places do not suit."""
        still = np.zeros((len(frames), 2))
        for _ in range(PLACES):
            row, col = (rng.uniform(0, side - 1) for side in masks.shape[1:])
            top, left = max(0, round(row) - REACH_PX), max(0, round(col) - REACH_PX)
            window = np.s_[:, top : round(row) + REACH_PX + 1, left : round(col) + REACH_PX + 1]
            seen = frames[window].astype(np.float64)
            centre = (row - top, col - left)
            placed = try_path(rng, centre, seen, masks[window], self.draw_target, still)
            if placed is not None:
                frames[window], masks[window] = placed[0].clip(0.0, 1.0), placed[1]
                return
