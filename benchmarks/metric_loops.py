"""The loops that public evaluation codes of this field run, for comparison of time and values.

Written from the description of those codes: pixels are counted on float tensors of torch and with
`numpy.histogram` over whole images, components are found and measured with skimage's `label` and
`regionprops` from 64-bit copies, every target is compared with every component by a Python loop,
false pixels are what is left of the prediction without a picture of the matched components, and a
curve is one such pass per threshold. Each code does all of this by itself; `run_codes` is what it
takes to get every code's figures.

The loops share nothing with `irstd`. They leave out what published codes compute and cannot use,
for instance ten of the eleven thresholds at which DNANet and its relatives match components.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from skimage.measure import label, regionprops
from torch import Tensor

Image = tuple[Tensor, Tensor]
"""Probability in [0, 1] and mask of 0 and 1, both float32 (H, W), as a loader gives them."""
Figures = dict[str, Any]


def loaded(images: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[Image]:
    """Tensors of probabilities and masks."""
    return [(torch.from_numpy(p), torch.from_numpy(mask).float()) for p, mask in images]


def integers(image: Tensor) -> np.ndarray:
    """Pixels as 64-bit integers, which `label` takes."""
    return image.numpy().astype(np.int64)


def regions(image: Tensor) -> list[Any]:
    """Components of a mask in raster order of their first pixel."""
    labels: Any = label(integers(image), connectivity=2)  # type: ignore[no-untyped-call]
    return list(regionprops(labels))  # type: ignore[no-untyped-call]


def pixel_counts(probability: Tensor, mask: Tensor) -> np.ndarray:
    """Pixels of the intersection, the prediction and the target, and of the target once more."""
    predicted = (probability > 0.5).float()
    labelled = (mask > 0).float().sum()
    correct = ((predicted == mask).float() * (mask > 0).float()).sum()
    shared = predicted * (predicted == mask).float()
    areas = [np.histogram(x.numpy(), bins=1, range=(1, 1))[0][0] for x in (shared, predicted, mask)]
    return np.array([*areas, correct.item(), labelled.item()])


def threshold_counts(probability: Tensor, mask: Tensor, steps: int) -> np.ndarray:
    """TP, FP, FN, TN at the thresholds k / steps, one pass over the image for each."""
    counts = []
    for threshold in np.arange(steps + 1) / steps:
        predicted = (probability > threshold).float()
        tp = (predicted * (predicted == mask).float()).sum()
        fp = (predicted * (predicted != mask).float()).sum()
        tn = ((1 - predicted) * (predicted == mask).float()).sum()
        fn = ((predicted != mask).float() * (1 - predicted)).sum()
        counts.append([tp.item(), fp.item(), fn.item(), tn.item()])
    return np.array(counts)


def centre(region: Any) -> np.ndarray:
    """Centroid of a region in pixels."""
    return np.array(region.centroid)


def distance_table(targets: list[Any], components: list[Any]) -> np.ndarray:
    """All distances of targets and components; each centroid is computed once."""
    centres, others = ([centre(x) for x in side] for side in (targets, components))
    return np.array([[np.linalg.norm(a - b) for b in others] for a in centres])


def first_fit(targets: list[Any], components: list[Any], distance: float) -> list[tuple[Any, Any]]:
    """Each target with the first component left over that is closer than `distance`."""
    left, pairs = list(components), []
    for target in targets:
        place = centre(target)
        for position, component in enumerate(left):
            if np.linalg.norm(centre(component) - place) < distance:
                pairs.append((target, component))
                del left[position]
                break
    return pairs


def half_diameter(targets: list[Any], components: list[Any]) -> list[tuple[Any, Any]]:
    """Each component with the first target closer than half the target's equivalent diameter."""
    pairs = []
    for component in components:
        place = centre(component)
        for target in targets:
            if np.linalg.norm(centre(target) - place) < target.equivalent_diameter_area / 2:
                pairs.append((target, component))
                break
    return pairs


def box_centres(targets: list[Any], components: list[Any]) -> list[tuple[Any, Any]]:
    """All pairs that share a pixel and whose boxes' centres are at most 4 pixels apart."""
    pairs = []
    for target in targets:
        for component in components:
            centres = [np.array(x.bbox).reshape(2, 2).mean(axis=0) for x in (target, component)]
            if np.linalg.norm(centres[0] - centres[1]) <= 4 and overlap(target, component):
                pairs.append((target, component))
    return pairs


def assigned(costs: np.ndarray) -> list[tuple[int, int]]:
    """The assignment with the smallest sum."""
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(costs), strict=True)]


def nearest(targets: list[Any], components: list[Any], distance: float) -> list[tuple[Any, Any]]:
    """As many pairs at most `distance` apart as possible, with the least total distance."""
    if not (targets and components):
        return []
    far = 1.0 + distance * (len(targets) + len(components))
    costs = distance_table(targets, components)
    costs[costs > distance] = far
    return [(targets[i], components[j]) for i, j in assigned(costs) if costs[i, j] < far]


def overlap_first(
    targets: list[Any], components: list[Any], distance: float, exact: bool
) -> list[tuple[Any, Any]]:
    """Pairs that overlap by half, then the nearest of the rest closer than `distance`.

    Args:
        targets: of one image.
        components: of the same image.
        distance: in pixels.
        exact: pairs that overlap by half are looked for among all, not only among those of a first
            assignment by distance; out-of-range pairs take no part.
    """
    if not (targets and components):
        return []
    far = distance_table(targets, components)
    first = list(np.ndindex(far.shape)) if exact else assigned(far)
    kept = [(i, j) for i, j in first if iou(targets[i], components[j]) >= 0.5]
    rows = [i for i in range(len(targets)) if i not in {pair[0] for pair in kept}]
    cols = [j for j in range(len(components)) if j not in {pair[1] for pair in kept}]
    rest = far[np.ix_(rows, cols)]
    costs = np.where(rest < distance, rest, 1.0 + far.sum()) if exact else rest
    added = [(rows[i], cols[j]) for i, j in assigned(costs) if rest[i, j] < distance]
    return [(targets[i], components[j]) for i, j in kept + added]


def overlap(a: Any, b: Any) -> int:
    """Number of pixels that two regions share."""
    if a.bbox[0] >= b.bbox[2] or b.bbox[0] >= a.bbox[2]:
        return 0
    if a.bbox[1] >= b.bbox[3] or b.bbox[1] >= a.bbox[3]:
        return 0
    return len(set(map(tuple, a.coords.tolist())) & set(map(tuple, b.coords.tolist())))


def iou(a: Any, b: Any) -> float:
    """Intersection over union of two regions."""
    shared = overlap(a, b)
    return float(shared / (a.area + b.area - shared))


def pixel_code(images: Sequence[Image], empty: float | None = None) -> Figures:
    """Data-set IoU and recall; with `empty`, the value of an empty image, also nIoU per image."""
    sums, per_image = np.zeros(5), []
    for image in images:
        sums += pixel_counts(*image)
        if empty is not None:  # published codes count once more for this figure
            same, p, t = pixel_counts(*image)[:3]
            per_image.append(same / (p + t - same) if p + t else empty)
    found = {"iou": sums[0] / (sums[1] + sums[2] - sums[0]), "recall": sums[3] / sums[4]}
    return found | ({"niou_image": np.mean(per_image)} if per_image else {})


def target_code(
    images: Sequence[Image],
    match: Callable[[list[Any], list[Any]], list[tuple[Any, Any]]],
    by_area: bool,
    area: int | None = None,
) -> Figures:
    """P_d, and F_a of the pixels of unmatched components.

    Args:
        images: probability and mask.
        match: pairs of targets and components.
        by_area: a component counts as matched if it is as large as one that is.
        area: pixels that an image counts for, None for its own.
    """
    n_targets = n_matched = false = pixels = 0
    for probability, mask in images:
        predicted = probability > 0.5
        targets, components = regions(mask), regions(predicted)
        pairs = match(targets, components)
        matched = [q for _, q in pairs]
        false += unlike(components, matched) if by_area else left_over(predicted, matched)
        n_targets += len(targets)
        n_matched += len({g.label for g, _ in pairs})
        pixels += mask.numel() if area is None else area
    return {"pd": n_matched / n_targets, "fa_pixel": false / pixels}


def unlike(components: list[Any], matched: list[Any]) -> int:
    """Pixels of the components that are as large as none of the matched ones."""
    areas = [q.area for q in matched]
    return int(sum(q.area for q in components if q.area not in areas))


def left_over(predicted: Tensor, matched: list[Any]) -> int:
    """Predicted pixels without those of a picture of the matched components."""
    picture = np.zeros(predicted.shape)
    for component in matched:
        picture[component.coords[:, 0], component.coords[:, 1]] = 1
    return int((integers(predicted) - picture).sum())


def curve_code(images: Sequence[Image], steps: int, smooth: float = 0.001) -> Figures:
    """True and false positive rate at steps + 1 thresholds, with `smooth` in the denominators."""
    counts = sum(threshold_counts(*image, steps) for image in images)
    tp, fp, fn, tn = np.asarray(counts).T
    return {"tpr": tp / (tp + fn + smooth), "fpr": fp / (fp + tn + smooth)}


def window_code(images: Sequence[Image]) -> Figures:
    """Share of targets with a predicted pixel in the window of RDIAN."""
    hits = n_targets = 0
    for probability, mask in images:
        predicted = (probability > 0.5).numpy()
        for target in regions(mask):
            row, col = (int(np.rint(x)) for x in target.centroid)
            if min(row, col) >= 2:
                hits += bool(predicted[row - 2 : row, col - 2 : col].any())
            n_targets += 1
    return {"pd": hits / n_targets}


def lpnet_code(images: Sequence[Image]) -> Figures:
    """P_d and F_a of LPNet from 8-bit images, for images that all have a target and a hit."""
    hits = false = n_targets = 0
    for probability, mask in images:
        targets = regions(mask)
        components = regions((probability * 255).round() / 255 >= 0.5)
        hit = {q.label for _, q in box_centres(targets, components)}
        hits, false = hits + len(hit), false + len(components) - len(hit)
        n_targets += len(targets)
    return {"pd": hits / n_targets, "fa_image": false / len(images)}


def mean_f1_code(images: Sequence[Image]) -> Figures:
    """Mean over images of F1 (MDvsFA)."""
    values = []
    for probability, mask in images:
        predicted = (probability > 0.5).float()
        same, p, t = (x.sum().item() for x in (predicted * mask, predicted, mask))
        precision, recall = same / max(1, p), same / max(1, t)
        values.append(2 * precision * recall / max(0.001, precision + recall))
    return {"f1_image": np.mean(values)}


def hierarchical_code(images: Sequence[Image], exact: bool) -> Figures:
    """Hierarchical IoU and its parts, for images that all have a target and a component."""
    total, matched, overlaps = 0, 0, 0.0
    for probability, mask in images:
        targets, components = regions(mask), regions(probability > 0.5)
        pairs = overlap_first(targets, components, 3.0, exact)
        total += len(targets) + len(components) - len(pairs)
        matched += len(pairs)
        overlaps += sum(iou(g, q) for g, q in pairs)
    return {"iou_loc": matched / total, "iou_seg": overlaps / matched, "hiou": overlaps / total}


def near(distance: float) -> Callable[[list[Any], list[Any]], list[tuple[Any, Any]]]:
    """First fit within a distance."""
    return lambda targets, components: first_fit(targets, components, distance)


def basicirstd_code(images: Sequence[Image]) -> Figures:
    """IoU, P_d and F_a as in BasicIRSTD: the evaluation that most published codes resemble."""
    return pixel_code(images) | target_code(images, near(3.0), by_area=False)


def dnanet_code(
    images: Sequence[Image], empty: float | None = None, area: int | None = None, steps: int = 10
) -> Figures:
    """IoU, P_d, F_a by area, and a ROC curve: DNANet and its relatives."""
    found = pixel_code(images, empty) | target_code(images, near(3.0), by_area=True, area=area)
    return found | (curve_code(images, steps) if steps else {})


def default_code(images: Sequence[Image]) -> Figures:
    """IoU, P_d and F_a of the default convention."""
    return pixel_code(images) | target_code(images, lambda g, q: nearest(g, q, 2.0), by_area=False)


CODES: dict[str, Callable[[Sequence[Image]], Figures]] = {
    "ispanet": default_code,
    "basicirstd": basicirstd_code,
    "dnanet": dnanet_code,
    "mshnet": dnanet_code,
    "pqgnet": lambda images: dnanet_code(images, empty=0.0, steps=0),
    "panpeiwen": lambda images: dnanet_code(images, empty=0.0),
    "isnet": lambda images: dnanet_code(images, area=512 * 512),
    "sctransnet": lambda images: dnanet_code(images, empty=0.0),
    "mpcnet": dnanet_code,
    "sgmp": lambda images: dnanet_code(images, empty=1.0, steps=100),
    "lmaformer": lambda images: dnanet_code(images, empty=1.0, steps=100),
    "acm": lambda images: pixel_code(images, 0.0) | curve_code(images, 10),
    "alcnet": lambda images: pixel_code(images, 0.0) | curve_code(images, 10),
    "agpcnet": lambda images: pixel_code(images) | curve_code(images, 200),
    "rdian": lambda images: pixel_code(images, 0.0) | window_code(images) | curve_code(images, 10),
    "mtunet": lambda images: pixel_code(images) | target_code(images, half_diameter, by_area=True),
    "lpnet": lpnet_code,
    "mdvsfa": mean_f1_code,
    "opdc": lambda images: hierarchical_code(images, exact=False),
    "opdc_exact": lambda images: hierarchical_code(images, exact=True),
}
"""The loop of each convention of `irstd.metrics.CONVENTIONS`, for images without empty cases."""


def run_codes(images: Sequence[Image]) -> dict[str, Figures]:
    """Figures of every code, each by its own passes."""
    return {name: code(images) for name, code in CODES.items()}


def sweep(images: Sequence[Image], thresholds: Iterable[float], distance: float) -> Figures:
    """P_d and F_a of the default convention at each threshold, one labelling and loop for each."""
    found = []
    for threshold in thresholds:
        shifted = [((p > threshold).float(), mask) for p, mask in images]
        found.append(target_code(shifted, lambda g, q: nearest(g, q, distance), by_area=False))
    return {key: np.array([figures[key] for figures in found]) for key in ("pd", "fa_pixel")}


def distances(images: Sequence[Image], limits: Iterable[float]) -> Figures:
    """P_d of the default convention at each matching distance."""
    found = []
    for limit in limits:
        match = lambda g, q, limit=limit: nearest(g, q, limit)  # noqa: E731
        found.append(target_code(images, match, by_area=False)["pd"])
    return {"pd": np.array(found)}
