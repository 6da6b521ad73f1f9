"""Real images without their targets, and real targets without their images.

Targets are removed by inpainting (M. Bertalmio, A. Bertozzi, G. Sapiro, "Navier-Stokes, fluid
dynamics, and image and video inpainting", CVPR 2001, in OpenCV) with the image's own noise on top.
What the removal takes away is a target's contrast, which can be pasted elsewhere: turned or
mirrored, moved by whole pixels so that its mask stays exact, and scaled to a stated SCR.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy.random import Generator
from scipy import ndimage

from irstd.config.synthesis import SimulatedTargets, TargetParams
from irstd.config.values import PositiveRange
from irstd.data.backgrounds import Field
from irstd.data.descriptors import noise_std
from irstd.data.field_test import in_field_test
from irstd.data.index import label_targets
from irstd.data.motion import DrawTarget, Place, Point, draw_simulated
from irstd.data.pixels import to_unit
from irstd.data.store import PreparedData
from irstd.data.targets import SEPARATION_PX, Bits, amplitude, surroundings
from irstd.errors import DataError

FIELD_SETS: Mapping[str, str] = {"sirst_v2_field": "it is the field test"}
"""Sources that training data must not be made of, and why."""

SKIRT_PX = 4
"""Width of the band around a mask into which the optics spread its target."""

RADIUS_PX = 3.0
"""Neighbourhood that inpainting looks at."""

CONTEXT_PX = 12
"""Width of the band around a target that is looked at to remove it, when it is cut out."""

FULL_SCALE = 65535

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stamp:
    """One real target.

    Attributes:
        profile: (h, w) contrast to the background without it; 1 at its brightest pixel.
        target: (h, w) its pixels.
    """

    profile: Field
    target: Bits


class RealTargets:
    """The targets of some prepared images; each is cut out when it is drawn.

    Args:
        data: prepared images.
        rows: which of them, see `training_rows`.

    Raises:
        DataError: they hold no target.
    """

    def __init__(self, data: PreparedData, rows: Int64[np.ndarray, " n"]) -> None:
        self.data = data
        self.rows = np.repeat(rows, data.index["n_targets"].to_numpy(np.int64)[rows])
        if not len(self.rows):
            raise DataError(
                f"{data.folder}: expected targets to paste, but {len(rows)} images hold none; "
                "choose another profile, or simulated targets"
            )

    def draw(self, rng: Generator) -> Stamp | None:
        """A random target, turned and mirrored; None if it is darker than its background."""
        row = int(rng.choice(self.rows))
        stamp = cut_out(to_unit(self.data.image(row)), self.data.mask(row), rng)
        if stamp is None:
            return None
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        planes = (np.rot90(plane, turns) for plane in (stamp.profile, stamp.target))
        return Stamp(*(plane[::-1] if mirrored else plane for plane in planes))


def training_rows(data: PreparedData) -> Int64[np.ndarray, " n"]:
    """Rows of the training part whose targets are known pixel by pixel.

    What boxes and points leave of a target, or take with it, would be mislabelled elsewhere. Images
    of the field test are left out, whatever their source and name; their number is logged.

    Raises:
        DataError: the images are of one of `FIELD_SETS`.
    """
    for source in data.index["source"].unique():
        if source in FIELD_SETS:
            raise DataError(
                f"{data.folder}: images of {source} must not be used for training data: "
                f"{FIELD_SETS[source]}; choose a profile of another source"
            )
    rows = data.rows("train")
    has_mask = (data.index["mask_origin"] == "pixels").to_numpy()
    rows = rows[has_mask[rows]]
    tested = in_field_test(data, rows)
    if tested.any():
        log.warning(
            "%s: %d of %d training images are left out of backgrounds and pasted targets: they are "
            "images of the field test",
            data.folder,
            tested.sum(),
            len(rows),
        )
    return np.asarray(rows[~tested])


def target_drawer(
    targets: TargetParams, scr: PositiveRange, real: RealTargets | None
) -> DrawTarget:
    """What draws the targets that the parameters ask for.

    Args:
        targets: simulated or pasted.
        scr: range of the signal-to-clutter ratio.
        real: where pasted targets come from.

    Raises:
        DataError: pasted targets without `real`.
    """
    if isinstance(targets, SimulatedTargets):
        return partial(draw_simulated, scr=scr, psf_sigma_px=targets.psf_sigma_px)
    if real is None:
        raise DataError(
            "pasted targets need prepared images, got none; "
            "name their folder in data.synthesis.material"
        )
    return partial(_draw_pasted, real=real, scr=scr)


def without_targets(
    image: Float32[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], rng: Generator
) -> Field:
    """The background of an image, with noise where targets stood.

    Args:
        image: (H, W) in [0, 1].
        mask: (H, W), 1 on target pixels.
        rng: source of the noise.
    """
    hole = _grown(mask)
    noise = rng.normal(0.0, noise_std(image), image.shape)
    return np.asarray((_inpainted(image, hole) + noise * hole).clip(0.0, 1.0))


def cut_out(
    image: Float32[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], rng: Generator
) -> Stamp | None:
    """One target of an image.

    Args:
        image: (H, W) in [0, 1].
        mask: (H, W), 1 on target pixels; at least one.
        rng: chooses the target.

    Returns:
        The target with its skirt; None if it is not brighter than the background.
    """
    labels, count = label_targets(mask)
    number = int(rng.integers(count)) + 1
    rows, cols = ndimage.find_objects(labels)[number - 1]
    window = tuple(
        slice(max(0, side.start - CONTEXT_PX), side.stop + CONTEXT_PX) for side in (rows, cols)
    )
    target = labels[window] == number
    others = (labels[window] > 0) & ~target
    reach = _grown(target.astype(np.uint8)).astype(bool) & ~others
    contrast = image[window] - _inpainted(image[window], _grown(mask[window]))
    if contrast[target].mean() <= 0:
        return None
    rows, cols = ndimage.find_objects(reach.astype(np.int32))[0]
    profile = np.where(reach, contrast, 0.0) / contrast[target].max()
    return Stamp(profile[rows, cols], target[rows, cols])


def paste(
    centre: Point, image: Field, mask: Bits, stamp: Stamp, scr: float
) -> tuple[Field, Bits] | None:
    """A real target at a place, as `irstd.data.targets.target_at` for simulated ones.

    Args:
        centre: (row, col) of the stamp's middle, rounded to whole pixels.
        image: (H, W), fractions of full scale.
        mask: (H, W) pixels of the targets placed before.
        stamp: the target.
        scr: wanted signal-to-clutter ratio.

    Returns:
        What to add to the image and the target's pixels, or None where the place does not suit.
    """
    height, width = stamp.target.shape
    top, left = round(centre[0] - (height - 1) / 2), round(centre[1] - (width - 1) / 2)
    if top < 0 or left < 0 or top + height > image.shape[0] or left + width > image.shape[1]:
        return None
    near = np.s_[
        max(0, top - SEPARATION_PX) : top + height + SEPARATION_PX,
        max(0, left - SEPARATION_PX) : left + width + SEPARATION_PX,
    ]
    if mask[near].any():
        return None
    here = np.s_[top : top + height, left : left + width]
    profile, target = np.zeros(image.shape), np.zeros(image.shape, dtype=bool)
    profile[here], target[here] = stamp.profile, stamp.target
    factor = amplitude(image, profile, target, surroundings(target, mask), scr)
    if factor is None or (image + factor * profile)[target].max() > 1.0:
        return None
    return factor * profile, target


def _draw_pasted(rng: Generator, real: RealTargets, scr: PositiveRange) -> Place:
    return partial(_paste_any, stamp=real.draw(rng), scr=rng.uniform(scr.low, scr.high))


def _paste_any(
    centre: Point, image: Field, mask: Bits, stamp: Stamp | None, scr: float
) -> tuple[Field, Bits] | None:
    return None if stamp is None else paste(centre, image, mask, stamp, scr)


def _grown(mask: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    side = 2 * SKIRT_PX + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(np.ascontiguousarray(mask), kernel)


def _inpainted(
    image: Float32[np.ndarray, "h w"], hole: UInt8[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """In 16 bit: for floating images OpenCV's other method leaves their range by far."""
    levels = np.round(image * FULL_SCALE).astype(np.uint16)
    filled = cv2.inpaint(levels, hole, RADIUS_PX, cv2.INPAINT_NS)
    return np.where(hole, to_unit(filled), image)
