"""Proposals for better masks, from Canny's edges around each labelled target, and their score.

ISPANet (section III) proposes boundaries by Canny's edge detector and lets a person confirm them.
How edges become a region is not stated; edges of targets of a few pixels are rarely closed. Here
they give a level: the mean grey value of the edge pixels around the label, where the slope is
steepest. The proposal is what lies beyond that level and hangs together with the label, without
the surroundings of other labels; what reaches the edge of the window is no target. Proposals that
would touch each other are withdrawn, so targets never merge.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from scipy import ndimage

from irstd.data.index import EIGHT_CONNECTED, label_targets
from irstd.data.pixels import Grey, to_unit

MARGIN_PX = 8
"""How far around the label's box edges are sought and a proposal may reach."""

NEAR_PX = 2
"""Edges up to this far from the label belong to the target; so far proposals stay off others."""

HIGH_SHARE, LOW_SHARE = 0.4, 0.2
"""Thresholds of Canny's gradient, as shares of the steepest slope in the window."""

Window = tuple[slice, slice]
Region = Bool[np.ndarray, "h w"]
Labels = Int32[np.ndarray, "h w"]
Status = Literal["proposed", "unchanged", "no edge", "withdrawn"]
Verdict = Literal["up", "equal", "down", "undefined"]

SIRST_RE: Mapping[Verdict, int] = {"up": 306, "equal": 112, "down": 79}
"""Verdicts on the authors' labels of SIRST, of the 497 targets compared (ISPANet, Table IV)."""


class Proposal(NamedTuple):
    """A new label for one target beside the old one.

    Attributes:
        target: its number, from 0, in the order of `label_targets`.
        window: part of the image that holds both labels and `MARGIN_PX` around the old one.
        old: (h, w) pixels of the old label in the window.
        new: (h, w) pixels of the new one; the old ones where nothing is proposed.
        lpd: score of the old and of the new label, see `lpd`.
        status: whether something is proposed; `withdrawn` if it would touch another proposal.
    """

    target: int
    window: Window
    old: Region
    new: Region
    lpd: tuple[float, float]
    status: Status

    @property
    def verdict(self) -> Verdict:
        """Whether the score rises: a larger LPD is a better label (ISPANet, section III)."""
        before, after = self.lpd
        if np.isnan(before) or np.isnan(after):
            return "undefined"
        if before == after:
            return "equal"
        return "up" if after > before else "down"


def propose(image: Grey, mask: UInt8[np.ndarray, "h w"]) -> list[Proposal]:
    """Propose a label for each target of an image.

    Args:
        image: (H, W) grey values.
        mask: (H, W), 1 on target pixels.
    """
    unit = to_unit(image)
    labels, _ = label_targets(mask)
    proposals = []
    for position, box in enumerate(ndimage.find_objects(labels)):
        rows, cols = (slice(max(0, side.start - MARGIN_PX), side.stop + MARGIN_PX) for side in box)
        window = rows, cols
        old = labels[window] == position + 1
        others = (labels[window] > 0) & ~old
        new = _beyond_edges(unit[window], old, others)
        status: Status = "no edge"
        if new is not None:
            status = "unchanged" if np.array_equal(old, new) else "proposed"
        new = old if new is None else new
        scores = lpd(unit[window], old, new, others)
        proposals.append(Proposal(position, window, old, new, scores, status))
    touching = _touching(proposals, mask.shape)
    return [_withdrawn(one, unit, labels) if one.target in touching else one for one in proposals]


def compose(mask: UInt8[np.ndarray, "h w"], proposals: Sequence[Proposal]) -> np.ndarray:
    """The mask of an image with its new labels.

    Args:
        mask: (H, W), 1 on target pixels.
        proposals: for its targets.
    """
    composed = mask.copy()
    for one in proposals:
        composed[one.window][one.old] = 0
    for one in proposals:
        composed[one.window][one.new] = 1
    return composed


def lpd(
    image: Float32[np.ndarray, "h w"], old: Region, new: Region, others: Region
) -> tuple[float, float]:
    """Label-pixel difference of two labels of one target (ISPANet, eq. 13 and Fig. 7).

        LPD = mu_t - mu_b

    mu_t is the mean grey value of the label; mu_b that of its surroundings: the smallest rectangle
    around both labels without the label and without other targets. In [-1, 1].

    Args:
        image: (h, w) in [0, 1].
        old: (h, w) pixels of one label, at least one.
        new: (h, w) pixels of the other one, at least one.
        others: (h, w) pixels of other targets.

    Returns:
        The score of `old` and of `new`; NaN where no surroundings are left.
    """
    rows, cols = np.nonzero(old | new)
    around = slice(rows.min(), rows.max() + 1), slice(cols.min(), cols.max() + 1)
    grey = image[around].astype(np.float64)
    first, second = (_difference(grey, one[around], others[around]) for one in (old, new))
    return first, second


def side_by_side(image: Grey, proposal: Proposal, scale: int = 12) -> UInt8[np.ndarray, "h w 3"]:
    """Picture of a target with its old label outlined at the left and the new one at the right.

    Args:
        image: (H, W) grey values.
        proposal: for one of its targets.
        scale: how many times larger than the image.

    Returns:
        Colours in OpenCV's order, the grey values stretched to the window's range.
    """
    grey = _stretched(to_unit(image[proposal.window]))
    sides = [_outlined(grey, label, scale) for label in (proposal.old, proposal.new)]
    gap = np.full((sides[0].shape[0], scale, 3), 255, np.uint8)
    return np.hstack([sides[0], gap, sides[1]])


def _touching(proposals: Sequence[Proposal], shape: tuple[int, ...]) -> set[int]:
    """Targets whose proposal would touch another one; none reaches an old label of another."""
    owner = np.full(shape, -1)
    touching: set[int] = set()
    for one in proposals:
        if one.status == "proposed":
            around = ndimage.binary_dilation(one.new, EIGHT_CONNECTED)
            met = set(owner[one.window][around].tolist()) - {-1}
            touching |= met | ({one.target} if met else set())
            owner[one.window][one.new] = one.target
    return touching


def _withdrawn(proposal: Proposal, unit: Float32[np.ndarray, "h w"], labels: Labels) -> Proposal:
    """The same target with its old label."""
    window, old = proposal.window, proposal.old
    scores = lpd(unit[window], old, old, (labels[window] > 0) & ~old)
    return proposal._replace(new=old, lpd=scores, status="withdrawn")


def _difference(grey: np.ndarray, label: Region, others: Region) -> float:
    surroundings = grey[~label & ~others]
    return float(grey[label].mean() - surroundings.mean()) if surroundings.size else float("nan")


def _beyond_edges(image: Float32[np.ndarray, "h w"], old: Region, others: Region) -> Region | None:
    """Pixels beyond the level of the edges, in one piece with the label; None if it has no end."""
    stretched = _stretched(image)
    slopes = [cv2.Sobel(stretched, cv2.CV_16S, *axis, ksize=3) for axis in ((1, 0), (0, 1))]
    steepest = float(np.hypot(*(slope.astype(np.float64) for slope in slopes)).max())
    edges = cv2.Canny(
        slopes[0], slopes[1], LOW_SHARE * steepest, HIGH_SHARE * steepest, L2gradient=True
    )
    around, theirs = (
        ndimage.binary_dilation(label, EIGHT_CONNECTED, iterations=NEAR_PX) & ~taken
        for label, taken in ((old, others), (others, old))
    )
    boundary = image[(edges > 0) & around]
    if not boundary.size:
        return None
    level = boundary.mean(dtype=np.float64)
    dark = _difference(image, old, others) < 0.0
    beyond = (image < level if dark else image > level) & ~theirs
    pieces, _ = ndimage.label(beyond, structure=EIGHT_CONNECTED)
    shared = np.bincount(pieces[old & beyond], minlength=1)
    shared[0] = 0
    piece = pieces == shared.argmax()
    inner = np.pad(np.ones((piece.shape[0] - 2, piece.shape[1] - 2), bool), 1)
    return np.asarray(piece) if shared.any() and not (piece & ~inner).any() else None


def _stretched(image: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Grey values from 0 to 255 over the range of an image; 0 where it has none."""
    span = max(float(np.ptp(image)), float(np.finfo(np.float32).tiny))
    return np.asarray(np.round(255.0 * (image - image.min()) / span), np.uint8)


def _outlined(grey: UInt8[np.ndarray, "h w"], label: Region, scale: int) -> np.ndarray:
    size = grey.shape[1] * scale, grey.shape[0] * scale
    colours = cv2.cvtColor(
        cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2BGR
    )
    large = cv2.resize(label.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(colours, contours, -1, (255, 229, 0), 1))
